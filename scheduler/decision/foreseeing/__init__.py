"""Between when and when something starts: what runs ends, and who is before it starts."""
