"""One column of a block as bytes: values, StatusCodes or times (docs/formats/history.md, "Column").

Pure codecs, exact to the bit. Values are raw 64-bit words, or an object array of str for STRING.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, standalone

from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn

VERSION = 1
HEAD = struct.Struct("<BBBBI")
CRC = struct.Struct("<I")
HEAD_BYTES = HEAD.size + CRC.size

MAX_COUNT = (
    1 << 24
)  # a block has at most thousands; a greater count in a head is damage, not a reason to allocate
MAX_TEXT_BYTES = 1 << 28  # 16,384 samples of 4,000 bytes are 64 MiB; four times that is no column of ours
MAX_DECIMALS = 9  # finer than a nano-unit is not a decimal reading but a measured double
EXACT_INTEGER = 1 << 53  # doubles hold every integer up to here
PROBE = 16  # so many values show most misfits of a decimal before the whole column is tried
PROBE_ABOVE = 512  # below, trying the whole column costs no more than the probe
MAX_EXCEPTION_SHARE = (
    8  # an exception costs 12 bytes, a raw double at most 8: above 1 in 8 decimals do not pay
)
TICK_DECIMALS = (9, 6, 3, 2, 0)  # s, ms, µs, 100 ns (OPC UA), ns
ZSTD_LEVEL = 3
ZSTD_ABOVE = 24  # bytes; a zstd frame has 10 of its own
NOT_DECIMAL = -1  # in place of decimals: these doubles were none, so their scale is not searched for

# What pcodec finds by itself takes it four times as long as being told: the differences of neighbours compress best
# in nearly every tag. Level 4 of 12 is as small as 8 for the few hundred numbers of a block that will be merged.
_DIFFERENCES = DeltaSpec.try_consecutive(1)
_QUICK = ChunkConfig(compression_level=4, mode_spec=ModeSpec.classic(), delta_spec=_DIFFERENCES)
_THOROUGH = (ChunkConfig(), ChunkConfig(mode_spec=ModeSpec.classic(), delta_spec=_DIFFERENCES))


class Effort(Enum):
    """How long to look for the smallest: what is merged within the hour, or what stays."""

    QUICK = 0
    THOROUGH = 1


_OWN = threading.local()


class Encoding(IntEnum):
    """How the payload is read. The numbers are in files: never reuse one."""

    RAW = 1
    CONSTANT = 2
    PCO = 3
    QUOTIENT = 4
    PRODUCT = 5
    BITS = 6
    BITS_ZSTD = 7
    TEXTS = 8
    REGULAR = 9
    TICKS = 10


_ENCODINGS = {
    encoding.value: encoding for encoding in Encoding
}  # a dict is asked ten times faster than an enum

_NUMBERS: dict[ValueType, np.dtype[Any]] = {
    ValueType.INT64: np.dtype("<i8"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.DOUBLE: np.dtype("<f8"),
}

Candidate = tuple[Encoding, int, bytes]


def encode_values(
    type: ValueType,
    values: NDArray[Any],
    decimals: int | None = None,
    effort: Effort = Effort.THOROUGH,
) -> bytes:
    """A column of ``values``; ``decimals`` is the first guess for doubles (or NOT_DECIMAL), never a promise."""
    if type is ValueType.STRING:
        return _smallest(len(values), _text_candidates(values))
    bits = np.ascontiguousarray(values, np.uint64)
    if len(bits) and bool((bits == bits[0]).all()):
        return _column(Encoding.CONSTANT, 0, len(bits), bits[:1].tobytes())
    candidates: list[Candidate] = [(Encoding.RAW, 0, bits.tobytes())]
    if type is ValueType.BOOL:
        if bool((bits <= 1).all()):
            candidates += _bit_candidates(np.packbits(bits.astype(np.uint8)).tobytes())
        return _smallest(len(bits), candidates)
    decimal = None
    if type is ValueType.DOUBLE and decimals != NOT_DECIMAL:
        decimal = _decimal_candidate(bits.view("<f8"), decimals, effort)
    if decimal is not None:
        candidates.append(decimal)
    elif len(bits):
        candidates.append((Encoding.PCO, 0, _compress(bits.view(_NUMBERS[type]), effort)))
    return _smallest(len(bits), candidates)


def encode_grid(
    type: ValueType, values: NDArray[np.uint64], decimals: Sequence[int | None], effort: Effort
) -> list[bytes]:
    """`encode_values` of each row of ``values``, shape (tags, samples); no strings."""
    rows, count = values.shape
    found: list[bytes | None] = [None] * rows
    for row in np.flatnonzero((values == values[:, :1]).all(axis=1)).tolist():
        found[row] = _column(Encoding.CONSTANT, 0, count, values[row, :1].tobytes())
    if type is ValueType.BOOL and bool((values <= 1).all()):
        packed = np.packbits(values.astype(np.uint8), axis=1)
        for row in range(rows):
            if found[row] is None:
                found[row] = _smallest(count, _bit_candidates(packed[row].tobytes()))
    elif type is ValueType.DOUBLE:
        open_rows = [row for row in range(rows) if found[row] is None and decimals[row] != NOT_DECIMAL]
        for scale in range(MAX_DECIMALS + 1):
            _fill_decimals(found, values, [row for row in open_rows if decimals[row] == scale], scale, effort)
        for scale in range(MAX_DECIMALS + 1):
            open_rows = [row for row in open_rows if found[row] is None]
            likely = _likely(values, open_rows, scale)
            _fill_decimals(found, values, likely, scale, effort)
    elif type in _NUMBERS:
        for row, bits in enumerate(values):
            if found[row] is None:
                found[row] = _smaller(
                    Encoding.PCO, 0, count, _compress(bits.view(_NUMBERS[type]), effort), bits
                )
    return [
        encode_values(type, values[row], decimals[row], effort) if column is None else column
        for row, column in enumerate(found)
    ]


def _likely(values: NDArray[np.uint64], rows: list[int], decimals: int) -> list[int]:
    """Those of ``rows`` of which a few values are decimals of this scale."""
    if not rows:
        return []
    some = values[rows, :: max(1, values.shape[1] // PROBE)].view("<f8")
    either = [_nearest(some, decimals, form)[1] for form in (Encoding.QUOTIENT, Encoding.PRODUCT)]
    fits = np.all(either[0], axis=1) | np.all(either[1], axis=1)
    return [row for row, is_likely in zip(rows, fits.tolist(), strict=True) if is_likely]


def _fill_decimals(
    found: list[bytes | None], values: NDArray[np.uint64], rows: list[int], decimals: int, effort: Effort
) -> None:
    """Columns of those of ``rows`` that are decimals of this scale without an exception."""
    count = values.shape[1]
    for encoding in (Encoding.QUOTIENT, Encoding.PRODUCT):
        rows = [row for row in rows if found[row] is None]
        if not rows:
            return
        some = values[rows]
        integers, fits = _nearest(some.view("<f8"), decimals, encoding)
        whole = np.all(fits, axis=1)
        for row, own, is_whole, bits in zip(rows, integers, whole.tolist(), some, strict=True):
            if is_whole:
                found[row] = _smaller(encoding, decimals, count, CRC.pack(0) + _compress(own, effort), bits)


def _smaller(
    encoding: Encoding, parameter: int, count: int, payload: bytes, bits: NDArray[np.uint64]
) -> bytes:
    if len(payload) < 8 * count:
        return _column(encoding, parameter, count, payload)
    return _column(Encoding.RAW, 0, count, bits.tobytes())


def _compress(numbers: NDArray[Any], effort: Effort) -> bytes:
    if effort is Effort.QUICK:
        return bytes(standalone.simple_compress(numbers, _QUICK))
    return min((bytes(standalone.simple_compress(numbers, config)) for config in _THOROUGH), key=len)


def _bit_candidates(packed: bytes) -> list[Candidate]:
    candidates: list[Candidate] = [(Encoding.BITS, 0, packed)]
    if len(packed) > ZSTD_ABOVE:
        candidates.append((Encoding.BITS_ZSTD, 0, zstandard.ZstdCompressor(ZSTD_LEVEL).compress(packed)))
    return candidates


def decimals_of(type: ValueType, column: bytes) -> int | None:
    """The decimal scale a column of doubles was found to have, or NOT_DECIMAL: the best guess for the next one."""
    if type is not ValueType.DOUBLE:
        return None
    if column[1] in (Encoding.QUOTIENT, Encoding.PRODUCT):
        return column[2]
    return NOT_DECIMAL if column[1] == Encoding.PCO else None


def decode_values(type: ValueType, column: bytes) -> NDArray[Any]:
    """What `encode_values` was given. Raises DamagedColumn."""
    encoding, parameter, count, payload = open_column(column)
    try:
        values = _decode_values(type, encoding, parameter, count, payload)
    except (ValueError, RuntimeError, struct.error, zstandard.ZstdError) as error:
        raise DamagedColumn(f"{encoding.name} column cannot be decoded: {error}") from error
    return _counted(values, count)


def encode_statuses(statuses: NDArray[np.uint32]) -> bytes | None:
    """A column of StatusCodes, None where all are 0."""
    statuses = np.ascontiguousarray(statuses, np.uint32)
    if not statuses.any():
        return None
    if bool((statuses == statuses[0]).all()):
        return _column(Encoding.CONSTANT, 0, len(statuses), statuses[:1].tobytes())
    return _smallest(
        len(statuses),
        [
            (Encoding.RAW, 0, statuses.tobytes()),
            (Encoding.PCO, 0, standalone.simple_compress(statuses, _QUICK)),
        ],
    )


def decode_statuses(column: bytes | None, count: int) -> NDArray[np.uint32]:
    """What `encode_statuses` was given. Raises DamagedColumn."""
    if column is None:
        return np.zeros(count, np.uint32)
    encoding, _, stored, payload = open_column(column)
    if stored != count:
        raise DamagedColumn(f"{stored} StatusCodes for {count} samples")
    try:
        statuses = _plain(encoding, stored, payload, np.dtype("<u4"))
    except (ValueError, RuntimeError) as error:
        raise DamagedColumn(f"{encoding.name} column cannot be decoded: {error}") from error
    return _counted(statuses, count)


def encode_times(times: NDArray[np.int64]) -> bytes:
    """A column of ascending times."""
    times = np.ascontiguousarray(times, np.int64)
    count = len(times)
    if count == 1:
        return _column(Encoding.CONSTANT, 0, 1, times.tobytes())
    steps = np.diff(times)
    if bool((steps == steps[0]).all()):
        return _column(Encoding.REGULAR, 0, count, struct.pack("<qq", times[0], steps[0]))
    # The span of a day file fits; times centuries apart may not: unsigned arithmetic wraps and comes back.
    offsets = times.view(np.uint64) - times.view(np.uint64)[0]
    decimals = next(d for d in TICK_DECIMALS if not (offsets % np.uint64(10**d)).any())
    ticks = _compress(offsets // np.uint64(10**decimals), Effort.THOROUGH)
    return _smallest(
        count,
        [(Encoding.RAW, 0, times.tobytes()), (Encoding.TICKS, decimals, times[:1].tobytes() + ticks)],
    )


def decode_times(column: bytes) -> NDArray[np.int64]:
    """What `encode_times` was given. Raises DamagedColumn."""
    encoding, parameter, count, payload = open_column(column)
    try:
        if encoding is Encoding.REGULAR:
            first, step = struct.unpack("<qq", payload)
            return np.int64(first) + np.arange(count, dtype=np.int64) * np.int64(step)
        if encoding is Encoding.TICKS:
            ticks = _pco(payload[8:], np.dtype("<u8")) * np.uint64(10**parameter)
            return _counted((ticks + np.frombuffer(payload[:8], "<u8")[0]).view(np.int64), count)
        times = _plain(encoding, count, payload, np.dtype("<i8"))
    except (ValueError, RuntimeError, struct.error, IndexError, OverflowError) as error:
        raise DamagedColumn(f"{encoding.name} column cannot be decoded: {error}") from error
    return _counted(times, count)


def _decode_values(
    type: ValueType, encoding: Encoding, parameter: int, count: int, payload: bytes
) -> NDArray[Any]:
    match encoding:
        case Encoding.TEXTS if type is ValueType.STRING:
            return _decode_texts(count, payload)
        case Encoding.CONSTANT if type is ValueType.STRING:
            texts = np.empty(count, object)
            texts[:] = payload.decode()
            return texts
        case Encoding.BITS | Encoding.BITS_ZSTD if type is ValueType.BOOL:
            return decode_bits(encoding, payload, count).astype(np.uint64)
        case Encoding.QUOTIENT | Encoding.PRODUCT if type is ValueType.DOUBLE:
            return _decode_decimals(encoding, parameter, payload)
        case Encoding.PCO if type in _NUMBERS:
            return _pco(payload, _NUMBERS[type]).view(np.uint64)
        case Encoding.RAW | Encoding.CONSTANT if type is not ValueType.STRING:
            return _plain(encoding, count, payload, np.dtype("<u8"))
        case _:
            raise DamagedColumn(f"a {encoding.name} column holds no {type.name}")


def decode_bits(encoding: Encoding, payload: bytes, count: int) -> NDArray[np.uint8]:
    """Bools as 0 and 1. Raises DamagedColumn, ZstdError."""
    if encoding is Encoding.BITS_ZSTD:
        payload = _unzstd(payload, (count + 7) // 8)
    if len(payload) != (count + 7) // 8:
        raise DamagedColumn(f"{len(payload)} bytes do not hold {count} bits")
    return np.unpackbits(np.frombuffer(payload, np.uint8), count=count)


def factor_of(encoding: Encoding, decimals: int) -> float:
    """What the integers of decimals are times; of QUOTIENT but for the last bit."""
    return 1 / 10.0**decimals if encoding is Encoding.QUOTIENT else float(f"1e-{decimals}")


def _decimal_candidate(values: NDArray[np.float64], guess: int | None, effort: Effort) -> Candidate | None:
    """The doubles as integers of one decimal scale, where that gives back the bits of most of them."""
    order = [d for d in range(MAX_DECIMALS + 1) if d != guess]
    if guess is not None and 0 <= guess <= MAX_DECIMALS:
        order.insert(0, guess)
    probe = values[:: max(1, len(values) // PROBE)] if len(values) > PROBE_ABOVE else None
    best: tuple[int, int, Encoding, NDArray[np.int64], NDArray[np.int64]] | None = None
    for decimals in order:
        for encoding in (Encoding.QUOTIENT, Encoding.PRODUCT):
            if decimals == 0 and encoding is Encoding.PRODUCT:
                continue  # times one and divided by one are the same
            if probe is not None and len(_misfits(probe, decimals, encoding)[1]) * 4 > len(probe):
                continue
            integers, misfits = _misfits(values, decimals, encoding)
            if len(misfits) * MAX_EXCEPTION_SHARE > len(values):
                continue
            if best is None or len(misfits) < best[0]:
                best = (len(misfits), decimals, encoding, integers, misfits)
            if not len(misfits):
                break
        if best is not None and best[0] == 0:
            break
    if best is None:
        return None
    _, decimals, encoding, integers, misfits = best
    payload = b"".join(
        (
            CRC.pack(len(misfits)),
            misfits.astype("<u4").tobytes(),
            values.view(np.uint64)[misfits].tobytes(),
            _compress(integers, effort),
        )
    )
    return encoding, decimals, payload


def _misfits(
    values: NDArray[np.float64], decimals: int, encoding: Encoding
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nearest integers of the scale, and the places where they do not give back the bits."""
    integers, fits = _nearest(values, decimals, encoding)
    misfits = np.flatnonzero(~fits)
    if len(misfits) and len(misfits) < len(values):
        # A misfit repeats the fit before it, which costs pcodec nothing.
        last_fit = np.maximum.accumulate(np.where(fits, np.arange(len(values)), -1))
        last_fit[last_fit < 0] = int(np.argmax(fits))
        integers = integers[last_fit]
    return integers, misfits


def _nearest(
    values: NDArray[np.float64], decimals: int, encoding: Encoding
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Integers of the scale, of any shape, and whether each gives back the bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * 10.0**decimals)
        fits = np.abs(scaled) < EXACT_INTEGER
        integers = np.where(fits, scaled, 0.0).astype(np.int64)
    fits &= _undo(integers, decimals, encoding).view(np.uint64) == values.view(np.uint64)
    return integers, fits


def _undo(integers: NDArray[np.int64], decimals: int, encoding: Encoding) -> NDArray[np.float64]:
    numbers = integers.astype(np.float64)
    if encoding is Encoding.QUOTIENT:
        numbers /= 10.0**decimals
    else:
        numbers *= float(f"1e-{decimals}")
    return numbers


def _decode_decimals(encoding: Encoding, decimals: int, payload: bytes) -> NDArray[np.uint64]:
    (misfits,) = CRC.unpack_from(payload)
    end = CRC.size + misfits * 12
    bits = _undo(_pco(payload[end:], np.dtype("<i8")), decimals, encoding).view(np.uint64)
    if misfits:
        places = np.frombuffer(payload, "<u4", misfits, CRC.size)
        if int(places.max()) >= len(bits):
            raise DamagedColumn("an exception lies outside its column")
        bits[places] = np.frombuffer(payload, "<u8", misfits, CRC.size + misfits * 4)
    return bits


def _text_candidates(texts: NDArray[Any]) -> list[Candidate]:
    known: dict[str, int] = {}
    indexes = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.uint32, len(texts))
    if len(known) == 1:
        return [(Encoding.CONSTANT, 0, next(iter(known)).encode())]
    encoded = [text.encode() for text in known]
    lengths = np.array([len(text) for text in encoded], "<u4")
    body = b"".join(
        (CRC.pack(len(known)), lengths.tobytes(), *encoded, indexes.astype(_index_type(len(known))).tobytes())
    )
    return [(Encoding.TEXTS, 0, zstandard.compress(body, ZSTD_LEVEL))]


def _decode_texts(count: int, payload: bytes) -> NDArray[Any]:
    body = _unzstd(payload, MAX_TEXT_BYTES)
    (known,) = CRC.unpack_from(body)
    lengths = np.frombuffer(body, "<u4", known, CRC.size)
    ends = CRC.size + known * 4 + np.cumsum(lengths, dtype=np.int64)
    texts = np.empty(known, object)
    for i, (end, length) in enumerate(zip(ends.tolist(), lengths.tolist(), strict=True)):
        texts[i] = body[end - length : end].decode()
    start = int(ends[-1]) if known else CRC.size
    indexes = np.frombuffer(body, _index_type(known), count, start)
    if count and int(indexes.max()) >= known:
        raise DamagedColumn("a string index lies outside the dictionary")
    chosen: NDArray[Any] = texts[indexes]
    return chosen


def _index_type(known: int) -> str:
    return "<u1" if known <= 1 << 8 else "<u2" if known <= 1 << 16 else "<u4"


def _plain(encoding: Encoding, count: int, payload: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    match encoding:
        case Encoding.RAW:
            return np.frombuffer(payload, dtype).copy()
        case Encoding.CONSTANT:
            return np.repeat(np.frombuffer(payload, dtype), count)
        case Encoding.PCO:
            return _pco(payload, dtype)
        case _:
            raise DamagedColumn(f"a {encoding.name} column holds no {dtype}")


def _pco(payload: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    values: NDArray[Any] | None = standalone.simple_decompress(payload)
    if values is None or values.dtype != dtype:
        raise DamagedColumn(f"pcodec holds {None if values is None else values.dtype}, not {dtype}")
    return values


def _unzstd(payload: bytes, limit: int) -> bytes:
    # Making one costs more than unpacking a small column, and two threads may not use the same.
    unpacker: zstandard.ZstdDecompressor | None = getattr(_OWN, "unpacker", None)
    if unpacker is None:
        unpacker = _OWN.unpacker = zstandard.ZstdDecompressor()
    return unpacker.decompress(payload, max_output_size=limit)


def _smallest(count: int, candidates: list[Candidate]) -> bytes:
    encoding, parameter, payload = min(candidates, key=lambda candidate: len(candidate[2]))
    return _column(encoding, parameter, count, payload)


def _column(encoding: Encoding, parameter: int, count: int, payload: bytes) -> bytes:
    head = HEAD.pack(VERSION, encoding, parameter, 0, count)
    return head + CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def open_column(column: bytes) -> tuple[Encoding, int, int, bytes]:
    """Encoding, parameter, count and payload of a column whose CRC is right. Raises DamagedColumn."""
    if len(column) < HEAD_BYTES:
        raise DamagedColumn(f"{len(column)} bytes are no column")
    payload = column[HEAD_BYTES:]
    (stored,) = CRC.unpack_from(column, HEAD.size)
    found = zlib.crc32(payload, zlib.crc32(column[: HEAD.size]))
    if found != stored:
        raise DamagedColumn(f"CRC is {found:08x}, stored was {stored:08x}")
    version, number, parameter, _, count = HEAD.unpack_from(column)
    if version != VERSION or count > MAX_COUNT:
        raise DamagedColumn(f"version {version} with {count} entries is not known here")
    encoding = _ENCODINGS.get(number)
    if encoding is None:
        raise DamagedColumn(f"encoding {number} is not known here")
    return encoding, parameter, count, payload


def _counted(values: NDArray[Any], count: int) -> NDArray[Any]:
    if len(values) != count:
        raise DamagedColumn(f"{len(values)} entries where the head says {count}")
    return values
