"""FOCUS 1.4: the FinOps Open Cost and Usage Specification's rows, made from the journal and the price book."""
