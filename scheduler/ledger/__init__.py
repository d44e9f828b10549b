"""The ledger, pure: double entry in integers. Builds transactions; storing them is the store's work."""
