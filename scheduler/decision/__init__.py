"""The decision, pure: a snapshot goes in, a plan comes out. Knows no clock, no cluster, no database."""
