"""Which nodes: what fits where, what stands there already, what it leaves behind, what ends when."""
