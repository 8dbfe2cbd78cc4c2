"""Proofs that need no ledger: that an entry is in a period's tree and who signed it, that a tree only grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from historian.ledger.bundle import is_signed
from historian.ledger.entry import decode_entry, signer_of
from historian.ledger.errors import NotALedger, Refused
from historian.ledger.merkle import (
    consistency_path,
    inclusion_path,
    is_consistent,
    leaf_hash,
    root,
    root_by_inclusion,
)
from historian.ledger.rows import Rows


@dataclass(frozen=True, slots=True)
class Inclusion:
    """``entry`` is leaf ``index`` of the first ``size`` of its period; ``bundle_path`` to what was signed."""

    entry: bytes
    period: int
    index: int
    size: int
    path: tuple[bytes, ...]
    bundle_path: tuple[bytes, ...]

    def root(self) -> bytes | None:
        """The root it leads to: to be compared with one that is trusted."""
        return root_by_inclusion(leaf_hash(self.entry), self.index, self.size, self.path)

    def is_signed(self) -> bool:
        """Whether the signer that the statement names signed it."""
        try:
            entry = decode_entry(self.entry)
        except Refused:
            return False
        leaf = leaf_hash(entry.statement)
        signed_root = root_by_inclusion(leaf, entry.index, entry.size, self.bundle_path)
        return signed_root is not None and is_signed(
            signer_of(entry.statement), entry.size, signed_root, entry.signature
        )


@dataclass(frozen=True, slots=True)
class Consistency:
    """The tree of ``old`` entries of a period is the beginning of that of ``size``."""

    period: int
    old: int
    old_root: bytes
    size: int
    new_root: bytes
    path: tuple[bytes, ...]

    def holds(self) -> bool:
        """Whether it is; both roots are to be compared with those that are trusted."""
        return is_consistent(self.old, self.old_root, self.size, self.new_root, self.path)


@dataclass(frozen=True, slots=True)
class Period:
    """A period's entries; ``close`` is the sequence of the entry that ends it, None while it is under way."""

    number: int
    first: int
    count: int
    close: int | None


def periods(rows: Rows) -> list[Period]:
    """All periods, the last of them under way."""
    found = []
    first = 0
    for sequence, close in rows.closes():
        found.append(Period(close.number, first, sequence - first, sequence))
        first = sequence
    found.append(Period(len(found) + 1, first, rows.last() + 1 - first, None))
    return found


def period(rows: Rows, number: int) -> Period:
    """One of them."""
    known = periods(rows)
    if not 1 <= number <= len(known):
        raise NotALedger(f"no period {number}: there are 1 to {len(known)}")
    return known[number - 1]


def _leaves(rows: Rows, of: Period, size: int | None) -> list[bytes]:
    if size is not None and not 1 <= size <= of.count:
        raise NotALedger(f"period {of.number} has {of.count} entries, not {size}")
    return rows.leaves(of.first, size or of.count)


def prove_inclusion(rows: Rows, sequence: int, size: int | None = None) -> Inclusion:
    """Of an entry, in the first ``size`` entries of its period (all: the root that the period's close signed)."""
    entry = rows.entry(sequence)
    of = next(p for p in reversed(periods(rows)) if p.first <= sequence)
    index = sequence - of.first
    leaves = _leaves(rows, of, size)
    if index >= len(leaves):
        raise NotALedger(f"entry {sequence} is not among the first {len(leaves)} of period {of.number}")
    start = sequence - entry.index
    bundle = [leaf_hash(rows.entry(start + i).statement) for i in range(entry.size)]
    (row,) = rows.raw(sequence, sequence)
    return Inclusion(
        row[1],
        of.number,
        index,
        len(leaves),
        tuple(inclusion_path(leaves, index)),
        tuple(inclusion_path(bundle, entry.index)),
    )


def prove_consistency(rows: Rows, number: int, old: int, size: int | None = None) -> Consistency:
    """Of the first ``old`` entries of a period with the first ``size`` of it (all)."""
    leaves = _leaves(rows, period(rows, number), size)
    if not 1 <= old <= len(leaves):
        raise NotALedger(f"no tree of {old} entries within one of {len(leaves)}")
    path = tuple(consistency_path(leaves, old))
    return Consistency(number, old, root(leaves[:old]), len(leaves), root(leaves), path)


def _hex(path: Sequence[bytes]) -> list[str]:
    return [step.hex() for step in path]


def to_json(proof: Inclusion | Consistency) -> dict[str, Any]:
    """A proof as JSON holds it; hashes and bytes in hex."""
    if isinstance(proof, Inclusion):
        reached = proof.root()
        return {
            "proof": "inclusion",
            "entry": proof.entry.hex(),
            "period": proof.period,
            "index": proof.index,
            "size": proof.size,
            "root": reached.hex() if reached else None,
            "path": _hex(proof.path),
            "bundle_path": _hex(proof.bundle_path),
        }
    return {
        "proof": "consistency",
        "period": proof.period,
        "old": proof.old,
        "old_root": proof.old_root.hex(),
        "size": proof.size,
        "root": proof.new_root.hex(),
        "path": _hex(proof.path),
    }


def _bytes(path: list[str]) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, path))


def from_json(read: Any) -> Inclusion | Consistency:
    """The proof; ``NotALedger`` where this is none."""
    try:
        if read["proof"] == "inclusion":
            entry, place = bytes.fromhex(read["entry"]), (read["period"], read["index"], read["size"])
            if not all(isinstance(number, int) for number in place):
                raise NotALedger("a proof's period, index and size are whole numbers")
            return Inclusion(entry, *place, _bytes(read["path"]), _bytes(read["bundle_path"]))
        if read["proof"] == "consistency":
            number, old, size = read["period"], read["old"], read["size"]
            if not all(isinstance(n, int) for n in (number, old, size)):
                raise NotALedger("a proof's period and sizes are whole numbers")
            old_root, new_root = bytes.fromhex(read["old_root"]), bytes.fromhex(read["root"])
            return Consistency(number, old, old_root, size, new_root, _bytes(read["path"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NotALedger(f"this is no proof: {error!r}") from error
    raise NotALedger(f"{read['proof']!r} is no kind of proof")
