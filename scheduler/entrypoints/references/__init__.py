"""Pages of docs/ that are written from the code itself, so that they cannot tell of another."""
