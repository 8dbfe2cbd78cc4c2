"""Bundles: statements of one signer under one signature, placed all or none."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from historian.ledger.entry import MOST_IN_BUNDLE, Statement, encode_statement, signer_of
from historian.ledger.errors import Reason, Refused
from historian.ledger.merkle import leaf_hash, root
from historian.signing import SigningKey, is_signed_content

_CONTEXT = b"tieline ledger bundle 1\0"  # a signature for another purpose never fits


@dataclass(frozen=True, slots=True)
class Bundle:
    """Statements of one signer, placed all or none."""

    statements: tuple[bytes, ...]
    signature: bytes


def _signed_bytes(size: int, tree_root: bytes) -> bytes:
    return _CONTEXT + struct.pack(">H", size) + tree_root


def sign(key: SigningKey, statements: Sequence[Statement]) -> Bundle:
    """One signature for all of them. Raises Refused: too many, or another's."""
    encoded = tuple(map(encode_statement, statements))
    if not 1 <= len(encoded) <= MOST_IN_BUNDLE:
        raise Refused(Reason.OVERSIZED, f"a bundle of {len(encoded)} statements: 1 to {MOST_IN_BUNDLE}")
    for statement in encoded:
        if signer_of(statement) != key.public:
            raise Refused(Reason.FORGED, "a statement names another key as its signer")
    content = _signed_bytes(len(encoded), root(list(map(leaf_hash, encoded))))
    return Bundle(encoded, key.sign_content(content))


def is_signed(key: bytes, size: int, tree_root: bytes, signature: bytes) -> bool:
    """Whether ``key`` signed the bundle with this root."""
    return is_signed_content(key, _signed_bytes(size, tree_root), signature)


def is_signed_by_its_signer(bundle: Bundle) -> bool:
    """Whether all statements are of one signer who signed them."""
    if not 1 <= len(bundle.statements) <= MOST_IN_BUNDLE:
        return False
    signers = set(map(signer_of, bundle.statements))
    if len(signers) != 1:
        return False
    # leaf_hash, without a call for each.
    tree_root = root([sha256(b"\0" + statement).digest() for statement in bundle.statements])
    return is_signed(signers.pop(), len(bundle.statements), tree_root, bundle.signature)
