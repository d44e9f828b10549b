"""Where allowances come from and go: grants, packages, transfers, expiry, and whether they are covered."""
