"""Trees and proofs against RFC 6962's own definitions, written down here a second time from its text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.ledger import merkle

# The vectors of Certificate Transparency's reference implementation: leaves and the roots of their first n.
LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes(range(0x60, 0x70))
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(d: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if not d:
        return hashlib.sha256().digest()
    if len(d) == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = split(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, d: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1: PATH(m, D[n])."""
    n = len(d)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    """RFC 6962, 2.1.2: PROOF(m, D[n]) = SUBPROOF(m, D[n], true)."""
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = split(n)
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def hashed(leaves: list[bytes]) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in leaves]


def made(size: int) -> list[bytes]:
    return [i.to_bytes(2, "big") for i in range(size)]


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert [mth(LEAVES[:n]).hex() for n in range(9)] == ROOTS
    assert [merkle.root(hashed(LEAVES[:n])).hex() for n in range(9)] == ROOTS


SIZES = range(1, 35)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_is_the_rfcs_and_leads_to_the_root(size: int) -> None:
    leaves = made(size)
    root = mth(leaves)
    assert merkle.root(hashed(leaves)) == root
    for index in range(size):
        proof = merkle.inclusion_path(hashed(leaves), index)
        assert proof == path(index, leaves)
        leaf = merkle.leaf_hash(leaves[index])
        assert merkle.root_by_inclusion(leaf, index, size, proof) == root
        for wrong_index in {index - 1, index + 1, size}:
            assert merkle.root_by_inclusion(leaf, wrong_index, size, proof) != root
        assert merkle.root_by_inclusion(leaf, index, size, [*proof, root]) is None
        if proof:
            assert merkle.root_by_inclusion(leaf, index, size, proof[:-1]) != root


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_proof_is_the_rfcs_and_holds_for_its_trees_only(size: int) -> None:
    leaves = made(size)
    new = mth(leaves)
    for old in range(1, size + 1):
        was = mth(leaves[:old])
        proof = merkle.consistency_path(hashed(leaves), old)
        assert proof == subproof(old, leaves, True)
        assert merkle.is_consistent(old, was, size, new, proof)
        other = mth([*leaves[: old - 1], b"another"])
        assert not merkle.is_consistent(old, other, size, new, proof)
        assert not merkle.is_consistent(old, was, size, other, proof)
        assert not merkle.is_consistent(old, was, size, new, [*proof, new])
        for i in range(len(proof)):
            assert not merkle.is_consistent(old, was, size, new, [*proof[:i], bytes(32), *proof[i + 1 :]])


@given(st.lists(st.binary(max_size=4), max_size=200))
def test_a_tree_that_grows_has_the_root_of_the_whole(leaves: list[bytes]) -> None:
    peaks: merkle.Peaks = []
    for size, leaf in enumerate(hashed(leaves)):
        merkle.grow(peaks, size, leaf)
    assert merkle.root_of_peaks(peaks) == mth(leaves)


@given(
    st.integers(-2, 40),
    st.integers(-2, 40),
    st.lists(st.binary(min_size=32, max_size=32), max_size=8),
)
def test_garbage_is_no_proof(first: int, size: int, steps: list[bytes]) -> None:
    root = bytes(32)
    assert merkle.root_by_inclusion(b"\1" * 32, first, size, steps) != root
    if first != size:
        assert not merkle.is_consistent(first, root, size, b"\1" * 32, steps)


def test_the_ledgers_proofs_lead_to_the_root_that_its_operator_signed(tmp_path: Path) -> None:
    from historian.ledger.book import Book
    from historian.ledger.entry import Record
    from historian.ledger.pen import Pen
    from historian.ledger.proof import from_json, periods, prove_consistency, prove_inclusion, to_json
    from historian.ledger.rows import Rows
    from historian.signing import SigningKey

    key = SigningKey.generate()
    file = tmp_path / "l.db"
    with Book.create(file, "demo", "market", key) as book:
        pen = Pen(key, book.id)
        for size in (3, 1, 5):
            book.append([pen.sign([Record("n", bytes([i])) for i in range(size)])])
        roots = [book.state.close_now().root]
        book.close_period(key)
        book.append([pen.sign([Record("n", b"")])])
        roots.append(book.state.close_now().root)
        book.close_period(key)
    with Rows(file) as rows:
        assert [(p.first, p.count, p.close) for p in periods(rows)] == [
            (0, 10, 10),
            (10, 2, 12),
            (12, 1, None),
        ]
        for sequence in range(13):
            proof = prove_inclusion(rows, sequence)
            (entry,) = [row[1] for row in rows.raw(sequence, sequence)]
            assert proof.entry == entry
            assert proof.is_signed()
            assert proof.root() == [*roots, merkle.leaf_hash(entry)][proof.period - 1]
            assert from_json(to_json(proof)) == proof
        entries = [row[1] for row in rows.raw(0, 9)]
        grew = prove_consistency(rows, 1, 6)
        assert grew.holds()
        assert (grew.old_root, grew.new_root) == (mth(entries[:6]), roots[0])
        assert from_json(to_json(grew)) == grew
