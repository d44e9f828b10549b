"""One cycle's walk along the open lanes: what opens them, and what starts."""
