"""The verbs: one transaction script each, over the ports. No technology is known here, and no clock is read."""
