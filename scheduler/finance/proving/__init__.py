"""That nothing was altered: Merkle trees over the journal, signed heads, proofs, and their verification."""
