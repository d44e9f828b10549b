"""Readers of other people's workload traces. Each names the file, the line and the column of what it cannot read."""
