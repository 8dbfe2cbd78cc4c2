"""Contracts as modules over the ledger (docs/contracts.md): each call is an entry, the state what all calls make.

The same operations in Solidity are in ``solidity/``; one file of vectors drives both.
"""
