"""The packing experiment of the FGD paper: how much of a cluster's GPUs each placement strategy fills."""
