"""The ledger: who owes whom what, as entries that are signed, chained, and never changed (docs/ledger.md).

The parts: ``merkle`` (trees and their proofs), ``entry`` (bytes), ``keys`` (files of keys, signing), ``state`` (the
rules, pure), ``pen`` (an author's statements), ``book`` and ``rows`` (the file), ``verify``, ``proof``, ``cli``.
"""
