"""Alembic's environment and the versions of the schema, in order."""

HEAD = "0023"
"""The newest version, so that a database that is there already need not wait for Alembic to be imported."""
