"""Data sheets of CANopen devices (EDS and DCF, CiA 306): `canopen` reads them, and only this file knows it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config.can_canopen import (
    BITS,
    COB_INVALID,
    RPDO_MAPPING,
    RPDO_SETTINGS,
    TPDO_MAPPING,
    TPDO_SETTINGS,
    ObjectType,
)

if TYPE_CHECKING:
    from canopen.objectdictionary import ObjectDictionary, ODVariable

FORMATS = ("eds", "dcf")
MAX_BYTES = 16 << 20  # the largest known, of a drive with a thousand objects, has 2 MB
MAX_KEPT = 64
MAX_MAPPED = 64  # entries of a mapping: one for each bit
# Data types of CiA 301 7.4.7, table 44
_TYPES = {
    0x01: ObjectType.BOOLEAN, 0x02: ObjectType.INT8, 0x03: ObjectType.INT16, 0x04: ObjectType.INT32,
    0x05: ObjectType.UINT8, 0x06: ObjectType.UINT16, 0x07: ObjectType.UINT32, 0x08: ObjectType.FLOAT32,
    0x10: ObjectType.INT24, 0x11: ObjectType.FLOAT64, 0x15: ObjectType.INT64, 0x16: ObjectType.UINT24,
    0x1B: ObjectType.UINT64,
}  # fmt: skip


class EdsError(Exception):
    """A data sheet that cannot be read; the text is a clause."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as the sheet has it; ``type`` None: one that no tag can hold. ``default`` is raw."""

    index: int
    subindex: int
    name: str
    type: ObjectType | None
    is_readable: bool
    is_writable: bool
    default: int | float | None


@dataclass(frozen=True, slots=True)
class PdoInfo:
    """A PDO as the sheet has it. ``cob_id`` None: not told. Mapped: index, subindex, bits; index 0 to 7 is a gap."""

    cob_id: int | None
    is_valid: bool
    mapped: tuple[tuple[int, int, int], ...]


class DataSheet:
    """One file, for one node; compared by identity."""

    def __init__(self, objects: ObjectDictionary, digest: str) -> None:
        self._objects = objects
        every = tuple(self._all())
        self._by_name = {info.name: info for info in reversed(every)}  # of two with one name the first
        self._by_place = {(info.index, info.subindex): info for info in every}
        self.digest = digest

    def names(self) -> tuple[str, ...]:
        """Of every object: "Name", or "Name.Member" of one with members."""
        return tuple(self._by_name)

    def named(self, name: str) -> ObjectInfo | None:
        return self._by_name.get(name)

    def placed(self, index: int, subindex: int) -> ObjectInfo | None:
        return self._by_place.get((index, subindex))

    def pdo(self, is_sent_by_node: bool, number: int) -> PdoInfo | None:
        """PDO ``number``, from 1; None where the node has none such."""
        first = (TPDO_SETTINGS, TPDO_MAPPING) if is_sent_by_node else (RPDO_SETTINGS, RPDO_MAPPING)
        settings, mapping = (base + number - 1 for base in first)
        if settings not in self._objects or mapping not in self._objects:
            return None
        cob = self._number(settings, 1)
        count = self._number(mapping, 0) or 0
        mapped = []
        for place in range(1, min(count, MAX_MAPPED) + 1):
            word = self._number(mapping, place)
            if not word:
                break
            mapped.append((word >> 16 & 0xFFFF, word >> 8 & 0xFF, word & 0xFF))
        return PdoInfo(cob, not (cob or 0) & COB_INVALID, tuple(mapped))

    def _number(self, index: int, subindex: int) -> int | None:
        """What an object has from the start: of a DCF its value, else its default."""
        entry: Any = self._objects[index]
        try:
            one = entry[subindex]
        except (KeyError, TypeError, IndexError):
            return None
        value = one.value if one.value is not None else one.default
        return value if isinstance(value, int) else None

    def _all(self) -> Iterator[ObjectInfo]:
        from canopen.objectdictionary import ODVariable

        for index in sorted(self._objects):
            entry = self._objects[index]
            if isinstance(entry, ODVariable):
                yield _info(entry.name, entry)
            else:
                for subindex in sorted(entry):
                    member = entry[subindex]
                    yield _info(f"{entry.name}.{member.name}", member)


def load_sheet(path: Path, node: int) -> DataSheet:
    """The sheet in a file, with its formulas of the node's number worked out. Raises EdsError with a clause."""
    try:
        real = Path(os.path.realpath(path))
        status = real.stat()
    except OSError as error:
        raise EdsError(
            "does not exist" if isinstance(error, FileNotFoundError) else str(error.strerror)
        ) from None
    except ValueError:
        raise EdsError("is no path") from None
    if real.suffix[1:].lower() not in FORMATS:
        raise EdsError(f"is none of: {', '.join(FORMATS)}")
    if status.st_size > MAX_BYTES:
        raise EdsError(f"has {status.st_size:,} bytes, more than {MAX_BYTES:,}")
    return _load(real, node, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=MAX_KEPT)
def _load(path: Path, node: int, _changed_ns: int, _size: int) -> DataSheet:
    import configparser
    import warnings

    from canopen.objectdictionary import import_od

    try:
        raw = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of how canopen logs that a section is missing
            objects = import_od(str(path), node)
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, configparser.Error,
        NotImplementedError, AssertionError,
    ) as error:  # canopen lets its parser's errors through  # fmt: skip
        words = " ".join(str(error).split()) or type(error).__name__
        raise EdsError(f"cannot be read: {words[:300]}") from None
    if not len(objects):
        raise EdsError("has no objects")
    return DataSheet(objects, hashlib.sha256(raw).hexdigest())


def _info(name: str, one: ODVariable) -> ObjectInfo:
    type = _TYPES.get(one.data_type) if one.data_type is not None else None
    access = one.access_type
    default = one.value if one.value is not None else one.default
    return ObjectInfo(
        one.index,
        one.subindex,
        name,
        type,
        access != "wo",
        access not in ("ro", "const"),
        default if isinstance(default, int | float) and not isinstance(default, bool) else None,
    )


assert BITS.keys() >= set(_TYPES.values())
