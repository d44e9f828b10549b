"""The door for reading: what people see, as values. Nothing here writes."""
