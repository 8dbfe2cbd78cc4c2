"""Merkle trees of RFC 6962, 2.1, over hashes of leaves: root, inclusion and consistency proofs, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
Peaks = list[bytes]  # roots of the perfect subtrees of a tree that grows, the largest first


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes; 00 sets it apart from a node's."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two less than ``size`` (> 1)."""
    return 1 << (size - 1).bit_length() - 1


def grow(peaks: Peaks, size: int, leaf: bytes) -> None:
    """One more leaf for the tree of ``size`` leaves that has these peaks: one is merged for each trailing 1 of it."""
    while size & 1:
        leaf = sha256(b"\1" + peaks.pop() + leaf).digest()
        size >>= 1
    peaks.append(leaf)


def root_of_peaks(peaks: Peaks) -> bytes:
    """The root: the peaks joined from the right."""
    if not peaks:
        return EMPTY
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 over hashes of leaves, level by level."""
    if not leaves:
        return EMPTY
    level = list(leaves)
    while len(level) > 1:
        # node_hash, without a call for each: every bundle's tree is made when it comes in.
        nodes = iter(level)
        pairs = [sha256(b"\1" + left + right).digest() for left, right in zip(nodes, nodes, strict=False)]
        if len(level) & 1:
            pairs.append(level[-1])  # an odd one goes up as it is: the same tree as by splitting
        level = pairs
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(index, leaves) of RFC 6962, 2.1.1."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    path: list[bytes] = []
    while len(leaves) > 1:
        k = _split(len(leaves))
        if index < k:
            path.append(root(leaves[k:]))
            leaves = leaves[:k]
        else:
            path.append(root(leaves[:k]))
            leaves, index = leaves[k:], index - k
    path.reverse()
    return path


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162, 2.1.3.2); None where its length does not fit."""
    if not 0 <= index < size:
        return None
    node, last = index, size - 1
    for step in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            leaf = node_hash(step, leaf)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = node_hash(leaf, step)
        node, last = node >> 1, last >> 1
    return leaf if last == 0 else None


def consistency_path(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """PROOF(old, leaves) of RFC 6962, 2.1.2; empty where the trees are the same."""
    if not 0 < old <= len(leaves):
        raise IndexError(f"a tree of {old} leaves within one of {len(leaves)}")
    path: list[bytes] = []
    whole = True  # the old tree is, so far, a subtree whose root the verifier has
    while old != len(leaves):
        k = _split(len(leaves))
        if old <= k:
            path.append(root(leaves[k:]))
            leaves = leaves[:k]
        else:
            path.append(root(leaves[:k]))
            leaves, old, whole = leaves[k:], old - k, False
    if not whole:
        path.append(root(leaves))
    path.reverse()
    return path


def is_consistent(old: int, old_root: bytes, size: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of ``old`` leaves is the beginning of that of ``size`` (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not path and old_root == new_root
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        return False
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, step)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
