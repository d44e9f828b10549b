"""The store over SQL: SQLite by default, PostgreSQL by address. Begin with `store.open_store`."""
