"""Who is next: lanes and lines in the order of their pool, who can pay, and the instants at which that changes."""
