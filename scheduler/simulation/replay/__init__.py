"""Replay: the unchanged decision and ledger in virtual time, over a described cluster and a stream of submissions."""
