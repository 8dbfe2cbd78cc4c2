"""Frames of the historian's journal as bytes (docs/formats/history.md, "Journal segment"). Pure codecs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import zstandard

from historian.errors import NotASegment, UnknownFormat
from historian.store.rows import NO_ROWS, Rows

SEGMENT_MAGIC = b"TLHIST\x01\x00"
SEGMENT_HEAD = struct.Struct("<8sQq")
FRAME_MAGIC = b"FRM1"
FRAME_HEAD = struct.Struct("<4sIQBBH")
CRC = struct.Struct("<I")
FRAME_HEAD_BYTES = FRAME_HEAD.size + CRC.size

ZSTD = 1
ZSTD_LEVEL = 1  # of the levels, the one that keeps up with a burst of millions of rows
MAX_BODY_BYTES = 64 << 20  # a frame of `recorder.MAX_FRAME_BYTES` fits twice over; more is damage
MAX_PLAIN_BYTES = 256 << 20
UNKNOWN_LOST = 0xFFFF_FFFF

_CURSOR = struct.Struct("<qqH")
_POSITIONS = struct.Struct("<QQ")
_GAP = struct.Struct("<Iqq")


class Kind(IntEnum):
    """What a frame's body is."""

    SAMPLES = 1
    GAP = 2
    QUARANTINE = 3


_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class SamplesFrame:
    """Rows taken from a region's journal at ``taken_at``: all that is stored of positions [from, to) by owner."""

    instance: int
    taken_at: int
    positions: Mapping[str, tuple[int, int]]
    rows: Rows = NO_ROWS

    @property
    def ends(self) -> dict[str, int]:
        """Where reading goes on."""
        return {owner: end for owner, (_, end) in self.positions.items()}


@dataclass(frozen=True, slots=True)
class GapFrame:
    """Changes between two times may be missing; ``lost`` is None where nobody knows how many."""

    kind: str
    from_time: int
    to_time: int
    lost: int | None


@dataclass(frozen=True, slots=True)
class QuarantineFrame:
    """Rows from too far in the future to be history, as they were seen at ``taken_at``."""

    taken_at: int
    rows: Rows


Frame = SamplesFrame | GapFrame | QuarantineFrame


@dataclass(frozen=True, slots=True)
class Found:
    """A good frame at bytes [start, end) of its segment."""

    start: int
    end: int
    sequence: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [start, end) that are no frame, with a good frame behind them."""

    start: int
    end: int


def encode_head(number: int, made_at: int) -> bytes:
    """The first bytes of a segment."""
    return SEGMENT_HEAD.pack(SEGMENT_MAGIC, number, made_at)


def decode_head(data: bytes) -> tuple[int, int]:
    """Number and time of making. Raises UnknownFormat, NotASegment."""
    if len(data) < SEGMENT_HEAD.size or data[:6] != SEGMENT_MAGIC[:6]:
        raise NotASegment("not a journal segment")
    if data[:8] != SEGMENT_MAGIC:
        raise UnknownFormat(f"journal segment of version {data[6]}; this program reads {SEGMENT_MAGIC[6]}")
    _, number, made_at = SEGMENT_HEAD.unpack_from(data)
    return number, made_at


def encode(sequence: int, frame: Frame) -> bytes:
    """One frame, compressed, with its CRC."""
    match frame:
        case SamplesFrame():
            kind, plain = Kind.SAMPLES, encode_samples(frame)
        case QuarantineFrame():
            kind = Kind.QUARANTINE
            plain = encode_samples(SamplesFrame(0, frame.taken_at, {}, frame.rows))
        case GapFrame():
            lost = UNKNOWN_LOST if frame.lost is None else min(frame.lost, UNKNOWN_LOST)
            kind = Kind.GAP
            plain = _GAP.pack(lost, frame.from_time, frame.to_time) + frame.kind.encode()
    body = zstandard.ZstdCompressor(ZSTD_LEVEL).compress(plain)
    assert len(body) <= MAX_BODY_BYTES, len(body)
    head = FRAME_HEAD.pack(FRAME_MAGIC, len(body), sequence, kind, ZSTD, 0)
    return head + CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def encode_samples(frame: SamplesFrame) -> bytes:
    """The body of a SAMPLES frame before compression."""
    rows = frame.rows
    parts = [_CURSOR.pack(frame.instance, frame.taken_at, len(frame.positions))]
    for owner, (start, end) in frame.positions.items():
        name = owner.encode()
        parts += [bytes([len(name)]), name, _POSITIONS.pack(start, end)]
    texts = [text.encode() for text in rows.texts]
    parts += [
        CRC.pack(len(rows)),
        np.diff(rows.tags, prepend=np.uint32(0)).astype("<u4").tobytes(),
        rows.statuses.astype("<u4").tobytes(),
        np.diff(rows.times.view(np.uint64), prepend=np.uint64(0)).astype("<u8").tobytes(),
        rows.values.astype("<u8").tobytes(),
        CRC.pack(len(texts)),
        rows.text_rows.astype("<u4").tobytes(),
        np.array([len(text) for text in texts], "<u4").tobytes(),
        *texts,
    ]
    return b"".join(parts)


def decode_samples(plain: bytes) -> SamplesFrame:
    """What `encode_samples` was given. Raises ValueError, struct.error or IndexError on garbage."""
    instance, taken_at, owners = _CURSOR.unpack_from(plain)
    at = _CURSOR.size
    positions: dict[str, tuple[int, int]] = {}
    for _ in range(owners):
        length = plain[at]
        name = plain[at + 1 : at + 1 + length].decode()
        at += 1 + length
        positions[name] = _POSITIONS.unpack_from(plain, at)
        at += _POSITIONS.size
    (count,) = CRC.unpack_from(plain, at)
    at += CRC.size
    tags = np.cumsum(np.frombuffer(plain, "<u4", count, at), dtype=np.uint32)
    at += 4 * count
    statuses = np.frombuffer(plain, "<u4", count, at)
    at += 4 * count
    times = np.cumsum(np.frombuffer(plain, "<u8", count, at), dtype=np.uint64).view(np.int64)
    at += 8 * count
    values = np.frombuffer(plain, "<u8", count, at)
    at += 8 * count
    (text_count,) = CRC.unpack_from(plain, at)
    at += CRC.size
    text_rows = np.frombuffer(plain, "<u4", text_count, at)
    at += 4 * text_count
    lengths = np.frombuffer(plain, "<u4", text_count, at)
    at += 4 * text_count
    texts = []
    for length in lengths.tolist():
        texts.append(plain[at : at + length].decode())
        at += length
    if at != len(plain):
        raise ValueError(f"{len(plain)} bytes where {at} were told")
    return SamplesFrame(
        instance, taken_at, positions, Rows(tags, statuses, times, values, text_rows, tuple(texts))
    )


def scan(data: bytes, start: int = SEGMENT_HEAD.size, base: int = 0) -> Iterator[Found | Damage]:
    """Good frames of ``data`` from ``start`` in order, and the damage between them; a torn tail is not told.

    ``base`` is where ``data`` begins in its segment, so that the places told are the segment's.
    """
    at = start
    while at < len(data):
        found = frame_at(data, at, base)
        if found is None:
            following = _next_good(data, at + 1, base)
            if following is None:
                return
            yield Damage(base + at, following.start)
            found = following
        yield found
        at = found.end - base


def frame_at(data: bytes, at: int, base: int = 0) -> Found | None:
    """The frame that starts at ``at``, None where it is not good."""
    if data[at : at + 4] != FRAME_MAGIC or len(data) - at < FRAME_HEAD_BYTES:
        return None
    _, length, sequence, kind, codec, _ = FRAME_HEAD.unpack_from(data, at)
    end = at + FRAME_HEAD_BYTES + length
    if length > MAX_BODY_BYTES or end > len(data):
        return None
    (crc,) = CRC.unpack_from(data, at + FRAME_HEAD.size)
    body = data[at + FRAME_HEAD_BYTES : end]
    if crc != zlib.crc32(body, zlib.crc32(data[at : at + FRAME_HEAD.size])):
        return None
    if codec != ZSTD or kind not in _KINDS:
        raise UnknownFormat(f"a frame of kind {kind}, codec {codec} is not known here")
    plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=MAX_PLAIN_BYTES)
    if kind == Kind.SAMPLES:
        return Found(base + at, base + end, sequence, decode_samples(plain))
    if kind == Kind.QUARANTINE:
        apart = decode_samples(plain)
        return Found(base + at, base + end, sequence, QuarantineFrame(apart.taken_at, apart.rows))
    lost, from_time, to_time = _GAP.unpack_from(plain)
    gap = GapFrame(plain[_GAP.size :].decode(), from_time, to_time, None if lost == UNKNOWN_LOST else lost)
    return Found(base + at, base + end, sequence, gap)


def _next_good(data: bytes, at: int, base: int) -> Found | None:
    while (at := data.find(FRAME_MAGIC, at)) >= 0:
        found = frame_at(data, at, base)
        if found is not None:
            return found
        at += 1
    return None
