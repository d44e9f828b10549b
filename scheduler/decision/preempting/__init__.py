"""Who gives way: who may be stopped for whom, and the smallest set that helps."""
