"""What the service knows without asking: the mirror of everything not yet final, and what the decision has yet to see."""
