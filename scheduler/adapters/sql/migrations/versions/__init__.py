"""The versions of the schema, in order; each is run in full or not at all."""
