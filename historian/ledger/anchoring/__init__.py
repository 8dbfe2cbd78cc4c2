"""Roots of a ledger's periods in a contract of an EVM chain (docs/contracts.md): an option, nothing waits for it."""
