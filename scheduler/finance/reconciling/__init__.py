"""What was charged beside what ran, GPU by GPU and hour by hour, before a period is closed."""
