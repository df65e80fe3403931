"""The audit's ledger: one append-only table whose records are chained by their hashes."""
