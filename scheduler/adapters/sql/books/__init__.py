"""The store's books, one of `ports` in each file, all inside one transaction's connection."""
