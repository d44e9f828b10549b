"""Who may do what, and by which policy."""
