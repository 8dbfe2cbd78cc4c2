"""What the kernel knows of a tag: its name, the type of its 64 value bits, and who may write it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ValueType(IntEnum):
    """How the 64 value bits of a tag are read. The numbers are in shared memory and in files: never reuse one."""

    BOOL = 1
    INT64 = 2
    UINT64 = 3
    DOUBLE = 4
    STRING = 5


@dataclass(frozen=True, slots=True)
class TagSpec:
    """One tag as the image holds it.

    ``name`` is at most 255 bytes of UTF-8 and unique. ``owner`` is the part that alone may write it (at most
    31 bytes). ``string_bytes`` bounds a STRING value in bytes of UTF-8 (1..4000); 0 for every other type.
    """

    name: str
    type: ValueType
    owner: str
    string_bytes: int = 0
