"""Prices, the close of a period, signed heads, and what leaves the books."""
