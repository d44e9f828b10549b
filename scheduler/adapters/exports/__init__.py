"""Files that are written for others, one format each."""
