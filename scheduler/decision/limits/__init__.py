"""Who may: quota, spend guards, how much at once, and at which hours."""
