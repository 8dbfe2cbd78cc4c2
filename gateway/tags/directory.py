"""The table of tags of a region, as its creator may change it while others read (docs/formats/image.md).

A region is made with spare places. Adding a tag takes the next one: its name, type and owner are written before
the count of used places is raised and before anybody is told its index. Retiring a tag takes its name away, so that
it is found no more; its index is given to no other tag as long as the region lives. So whoever knows an index keeps
knowing what it means, and none of this ever makes a writer or a reader wait.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import TagSpec, ValueType

NAME_ROOM = 128  # bytes of a spare place's name: most tags have 20 to 40
TEXT_ROOM = 256  # bytes of a spare place's string: those of devices and parts have 200
LEAST_SPARE = 512  # 0.4 MB; ten devices of 50 points
SPARE_SHARE = 8  # one spare place for so many tags, in a large site

_COUNTS = struct.Struct("<III")  # tags, owners, places of the hash index
_COUNTS_AT = 12
_INSTANCE_AT = 24
_OFFSETS = struct.Struct("<8Q")  # slots, entries, types, owners, index, names, texts, lanes
_OFFSETS_AT = 56
_USED_AT = 132
_ENTRY = np.dtype(
    [("name_offset", "<u4"), ("name_bytes", "<u2"), ("string_bytes", "<u2"), ("text_offset", "<u8")]
)
_FNV_BASIS, _FNV_PRIME, _WORD = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def spare_for(count: int) -> int:
    """How many places a site of ``count`` tags has to spare."""
    return max(LEAST_SPARE, count // SPARE_SHARE)


def placeholders(count: int, owner: str) -> list[TagSpec]:
    """What a region is made with where tags are to come: room for any name and type."""
    return [
        TagSpec(f"\1{place}".ljust(NAME_ROOM, "."), ValueType.STRING, owner, TEXT_ROOM)
        for place in range(count)
    ]


def misfit(spec: TagSpec) -> str | None:
    """Why a spare place cannot hold this tag; None where it can."""
    if len(spec.name.encode()) > NAME_ROOM:
        return f"its name has more than {NAME_ROOM} bytes"
    if spec.string_bytes > TEXT_ROOM:
        return f"its text may have more than {TEXT_ROOM} bytes"
    return None


def used_places(path: Path, instance: int) -> int | None:
    """How many places are tags now; None where the file at ``path`` is another region's, or gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = int.from_bytes(os.pread(file, 8, _INSTANCE_AT), "little")
        return int.from_bytes(os.pread(file, 4, _USED_AT), "little") if found == instance else None
    finally:
        os.close(file)


class Directory:
    """The table of the region in the file ``path``, for its creator alone."""

    def __init__(self, path: Path, used: int) -> None:
        """``used`` places are tags; the region has just been made, and nobody was told of it."""
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._memory = mmap.mmap(file, 0)
        finally:
            os.close(file)
        self.capacity, _, places = _COUNTS.unpack_from(self._memory, _COUNTS_AT)
        _, entries, types, owners, index, self._names, _, _ = _OFFSETS.unpack_from(self._memory, _OFFSETS_AT)
        self._entries = np.frombuffer(self._memory, _ENTRY, self.capacity, entries)
        self._types = np.frombuffer(self._memory, np.uint8, self.capacity, types)
        self._owners = np.frombuffer(self._memory, np.uint16, self.capacity, owners)
        self._index = np.frombuffer(self._memory, np.uint32, places, index)
        self._used = np.frombuffer(self._memory, np.uint32, 1, _USED_AT)
        self._used[0] = used

    @property
    def used(self) -> int:
        return int(self._used[0])

    def change(self, added: Sequence[TagSpec], owners: Sequence[int], retired: Iterable[int]) -> None:
        """Give the next places to ``added``, written by ``owners``, and take the names of ``retired`` away.

        The caller has seen that there is room, and that every spec fits.
        """
        first = self.used
        assert first + len(added) <= self.capacity, (first, len(added), self.capacity)
        for place, (spec, owner) in enumerate(zip(added, owners, strict=True), first):
            name = spec.name.encode()
            assert misfit(spec) is None, spec
            entry = self._entries[place : place + 1]
            offset = self._names + int(entry["name_offset"][0])
            self._memory[offset : offset + len(name)] = name
            entry["name_bytes"] = len(name)
            entry["string_bytes"] = spec.string_bytes
            self._types[place] = spec.type
            self._owners[place] = owner
        for tag in retired:  # before the new ones can be found: one of them may have the name
            self._entries["name_bytes"][tag] = 0
        for place, spec in enumerate(added, first):
            self._index[self._empty(spec.name.encode())] = place + 1
        self._used[0] = first + len(added)

    def _empty(self, name: bytes) -> int:
        """Where the hash index has room for this name; each entry is one store, which no reader sees half."""
        at = _hash(name) & (len(self._index) - 1)
        while self._index[at]:
            at = (at + 1) & (len(self._index) - 1)
        return at

    def close(self) -> None:
        """Let go of the memory."""
        none: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._entries = np.empty(0, _ENTRY)
        self._types, self._owners = np.empty(0, np.uint8), np.empty(0, np.uint16)
        self._index = self._used = none
        self._memory.close()


def _hash(name: bytes) -> int:
    """FNV-1a of 64 bits, folded to 32, as `firmware/image/directory.c` has it."""
    hash = _FNV_BASIS
    for octet in name:
        hash = ((hash ^ octet) * _FNV_PRIME) & _WORD
    return (hash ^ (hash >> 32)) & 0xFFFFFFFF
