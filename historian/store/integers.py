"""Columns of numbers decoded in place as integers and one factor: what sums over time need, and no more.

Most tags are decimals of a fixed scale, counters or booleans: their integers are added up as they are, and only the
sums are scaled, so that no array of doubles is made of them.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import zstandard
from numpy.typing import NDArray
from pcodec import standalone

from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn
from historian.store import columns
from historian.store.columns import CRC, Encoding

_NO_MISFITS = CRC.pack(0)
_MOST = np.uint64(2**63 - 1)


def decode_integers(type: ValueType, column: bytes, out: NDArray[np.int64]) -> float | None:
    """Fill ``out``, shape (n,), so that the n values are its integers times what is returned, but for rounding.

    None where these numbers are no such integers, or not all of them finite: ``out`` is then undefined, and
    `columns.decode_values` says what they are. Raises DamagedColumn.
    """
    encoding, parameter, count, payload = columns.open_column(column)
    if count != len(out):
        raise DamagedColumn(f"{count} values for {len(out)} samples")
    try:
        match encoding:
            case Encoding.QUOTIENT | Encoding.PRODUCT if type is ValueType.DOUBLE:
                if payload[: CRC.size] != _NO_MISFITS:
                    return None
                _fill(payload[CRC.size :], out)
                return columns.factor_of(encoding, parameter)
            case Encoding.PCO if type is ValueType.INT64:
                _fill(payload, out)
                return 1.0
            case Encoding.PCO if type is ValueType.UINT64:
                words = out.view(np.uint64)
                _fill(payload, words)
                return 1.0 if words.max(initial=0) <= _MOST else None
            case Encoding.BITS | Encoding.BITS_ZSTD if type is ValueType.BOOL:
                out[:] = columns.decode_bits(encoding, payload, count)
                return 1.0
            case Encoding.CONSTANT if type is not ValueType.STRING:
                out[:] = 1
                return _finite(type, payload)
            case _:
                return None
    except (TypeError, ValueError, RuntimeError, struct.error, zstandard.ZstdError) as error:
        raise DamagedColumn(f"{encoding.name} column cannot be decoded: {error}") from error


def _fill(payload: bytes, out: NDArray[np.int64] | NDArray[np.uint64]) -> None:
    progress = standalone.simple_decompress_into(payload, out)
    if progress.n_processed != len(out) or not progress.finished:
        raise DamagedColumn(f"pcodec holds not {len(out)} numbers")


def _finite(type: ValueType, payload: bytes) -> float | None:
    match type:
        case ValueType.DOUBLE:
            (value,) = struct.unpack("<d", payload)
            return value if math.isfinite(value) else None
        case ValueType.INT64:
            return float(struct.unpack("<q", payload)[0])
        case ValueType.UINT64:
            return float(struct.unpack("<Q", payload)[0])
        case _:
            return float(struct.unpack("<Q", payload)[0] != 0)
