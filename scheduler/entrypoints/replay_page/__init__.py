"""A replay as one page of its own: no script, no address, nothing to load. What a platform admin takes to a meeting."""
