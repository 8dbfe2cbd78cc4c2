"""A sample is a tag, a value, a quality and two times. Arrays of them are what parts hand each other.

``SAMPLE`` is the 32-byte record of image reads and of the journal, drawn in docs/formats/image.md:

    tag u32 | status u32 | value u64 | source_time i64 | receipt_time i64

Times are UTC nanoseconds since 1970. ``value`` holds raw bits, typed by the tag: `to_bits` and `from_bits`
convert whole arrays without a copy where the layout allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType

SAMPLE = np.dtype(
    [("tag", "<u4"), ("status", "<u4"), ("value", "<u8"), ("source_time", "<i8"), ("receipt_time", "<i8")]
)
assert SAMPLE.itemsize == 32

Value = bool | int | float | str
Samples = NDArray[np.void]  # shape (n,), dtype SAMPLE

_NUMPY_TYPE = {
    ValueType.BOOL: np.dtype("<u8"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.DOUBLE: np.dtype("<f8"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one tag with its value as a Python object, for edges where one is looked at singly."""

    value: Value
    status: int
    source_time: int
    receipt_time: int


def to_bits(values: NDArray[Any], type: ValueType) -> NDArray[np.uint64]:
    """Values of one type as raw 64-bit words, shape kept. Raises ValueError for STRING."""
    if type is ValueType.STRING:
        raise ValueError("a string has no 64-bit form; use Writer.write_texts")
    if type is ValueType.BOOL:
        flags: NDArray[np.uint64] = np.not_equal(values, 0).astype(np.uint64)
        return flags
    bits: NDArray[np.uint64] = np.ascontiguousarray(values, dtype=_NUMPY_TYPE[type]).view(np.uint64)
    return bits


def from_bits(bits: NDArray[np.uint64], type: ValueType) -> NDArray[Any]:
    """Raw words as an array of bool, int64, uint64 or float64, shape kept. Raises ValueError for STRING."""
    if type is ValueType.STRING:
        raise ValueError("a string has no 64-bit form; use Region.texts")
    if type is ValueType.BOOL:
        return np.not_equal(bits, 0)
    values: NDArray[Any] = np.ascontiguousarray(bits).view(_NUMPY_TYPE[type])
    return values


def value_from_bits(bits: int, type: ValueType) -> bool | int | float:
    """One raw word as a Python bool, int or float."""
    value: bool | int | float = from_bits(np.array([bits], dtype=np.uint64), type)[0].item()
    return value
