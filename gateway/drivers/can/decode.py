"""Frames to samples, all frames of a batch at once.

Everything that a signal needs is worked out before: one row of a table for each signal and multiplexer page. A batch
is then one pass of Python over its frames (which page is it?) and some twenty numpy operations over all signals,
so that the cost of a signal does not depend on how many different messages there are.

A frame that comes alone, as on a quiet bus, finds the rows of its page ready: its cost is that of the operations.

A signal of up to 64 bits lies in nine bytes: a word of eight from its first byte on, and perhaps a ninth byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.config.can import CanMessage, CanPoint, CanSelector, CanSignal
from gateway.config.can_bits import end_byte, extract, first_bit
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

EXTENDED = 1 << 31  # of a frame's key: an 11-bit and a 29-bit identifier of one number are two messages
# Of the key of a J1939 message, whatever its priority and destination; of one that we sent; of a CANopen object.
_GROUP, _SENT, _OBJECT = 1 << 32, 1 << 33, 1 << 34
_ANY_SOURCE = 255  # no address of one who sends
_U64 = np.uint64
_PADDING = bytes(9)  # that a word, and the byte after it, can be taken at the last octet
_NO_POINTS = np.zeros(0, np.int64)
_FLOATS = {16: (np.uint16, np.float16), 32: (np.uint32, np.float32), 64: (np.uint64, np.float64)}


class Frame(NamedTuple):
    """A frame as it came. ``key`` is the identifier, with EXTENDED where it has 29 bits; or `key_of_group`."""

    key: int
    data: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples in the order of the frames. ``point`` and ``frame`` are positions in what was handed in.

    ``short`` has the points whose frame was too short to hold them; they are not among the samples.
    """

    point: NDArray[np.int64]
    frame: NDArray[np.int64]
    bits: NDArray[np.uint64]
    status: NDArray[np.uint32]
    short: NDArray[np.int64]


def key_of(identifier: int, is_extended: bool) -> int:
    """What a frame of this identifier is found by."""
    return identifier | EXTENDED if is_extended else identifier


def key_of_group(pgn: int, source: int | None) -> int:
    """What a J1939 message is found by, from one source or from any."""
    return _GROUP | pgn << 8 | (_ANY_SOURCE if source is None else source)


def key_of_message(message: CanMessage) -> int:
    """What the frames of a message are found by."""
    group, place = message.group, message.object
    if place is not None:
        return _OBJECT | place.node << 24 | place.index << 8 | place.subindex
    if group is None:
        return key_of(message.id, message.is_extended)
    if group.destination is None:
        return key_of_group(group.pgn, group.source)
    return _SENT | key_of_group(group.pgn, group.destination)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is known of signals: everything about row i at place i of each column; None where no row needs it."""

    byte: NDArray[np.int64]
    need: NDArray[np.int64]
    shift: NDArray[np.uint64]
    mask: NDArray[np.uint64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    is_big: NDArray[np.bool_] | None
    over: NDArray[np.int64] | None  # bits in the ninth byte
    sign: NDArray[np.uint64] | None
    float_bits: NDArray[np.int64] | None
    is_double: NDArray[np.bool_] | None  # None: all are
    is_int: NDArray[np.bool_] | None
    # modulo 2^64, in which the product and sum of the true values are right whenever the result fits
    whole_scale: NDArray[np.uint64] | None
    whole_offset: NDArray[np.uint64] | None
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    absent: NDArray[np.uint64] | None  # one row each
    has_absent: NDArray[np.bool_] | None
    has_indicators: NDArray[np.bool_] | None
    top_shift: NDArray[np.uint64] | None
    top_missing: NDArray[np.uint64] | None
    top_invalid: NDArray[np.uint64] | None

    def take(self, row: NDArray[np.int64]) -> _Rows:
        """These rows, in this order."""
        columns: list[Any] = [getattr(self, name) for name in _COLUMNS]
        taken: list[Any] = [None if column is None else column[row] for column in columns]
        return _Rows(*taken)


_COLUMNS = tuple(one.name for one in fields(_Rows))


def _rows_of(points: Sequence[CanPoint]) -> _Rows:
    """A row for each point."""
    signals = [point.signal for point in points]
    big = np.array([signal.is_big_endian for signal in signals], bool)
    length = np.array([signal.length for signal in signals], np.int64)
    start = np.array([first_bit(s) if s.is_big_endian else s.start for s in signals], np.int64)
    within = start % 8
    over = np.maximum(within + length - 64, 0)
    sign = np.array([1 << s.length - 1 if s.is_signed and not s.is_float else 0 for s in signals], _U64)
    float_bits = np.array([signal.length if signal.is_float else 0 for signal in signals], np.int64)
    is_double = np.array([signal.type is ValueType.DOUBLE for signal in signals], bool)
    whole = [signal.type is not ValueType.DOUBLE for signal in signals]
    whole_scale = [int(s.scale) % 2**64 if w else 1 for s, w in zip(signals, whole, strict=True)]
    whole_offset = [int(s.offset) % 2**64 if w else 0 for s, w in zip(signals, whole, strict=True)]
    low = np.array([-np.inf if p.low is None else p.low for p in points], np.float64)
    high = np.array([np.inf if p.high is None else p.high for p in points], np.float64)
    has_ranges = bool((np.isfinite(low) | np.isfinite(high)).any())
    most = max((len(point.not_implemented) for point in points), default=0)
    # what has fewer, has its first again; what has none is not looked at
    absent = np.array(
        [[*p.not_implemented, *(p.not_implemented[:1] or (0,)) * most][:most] for p in points], _U64
    ).reshape(len(points), most)
    has_absent = np.array([bool(point.not_implemented) for point in points], bool)
    has = [point.has_indicators and s.length > 1 for point, s in zip(points, signals, strict=True)]
    # the topmost byte tells; a shorter signal as a whole, whose two highest values do
    top_missing = np.minimum((1 << np.minimum(length, 8)) - 1, 255).astype(_U64)
    top_invalid = np.where(length >= 8, 0xFB, top_missing - _U64(1)).astype(_U64)
    all_double, indicates = bool(is_double.all()), any(has)
    return _Rows(
        byte=start // 8,
        need=np.array([end_byte(signal) for signal in signals], np.int64),
        shift=np.where(big, np.maximum(64 - within - length, 0), within).astype(_U64),
        mask=np.array([(1 << signal.length) - 1 for signal in signals], _U64),
        scale=np.array([signal.scale for signal in signals], np.float64),
        offset=np.array([signal.offset for signal in signals], np.float64),
        is_big=big if big.any() else None,
        over=over if over.any() else None,
        sign=sign if sign.any() else None,
        float_bits=float_bits if float_bits.any() else None,
        is_double=None if all_double else is_double,
        is_int=None if all_double else np.array([s.type is ValueType.INT64 for s in signals], bool),
        whole_scale=None if all_double else np.array(whole_scale, _U64),
        whole_offset=None if all_double else np.array(whole_offset, _U64),
        low=low if has_ranges else None,
        high=high if has_ranges else None,
        absent=absent if most else None,
        has_absent=has_absent if most else None,
        has_indicators=np.array(has, bool) if indicates else None,
        top_shift=np.maximum(length - 8, 0).astype(_U64) if indicates else None,
        top_missing=top_missing if indicates else None,
        top_invalid=top_invalid if indicates else None,
    )


@dataclass(slots=True)
class _Alone:
    """What is ready for a frame of one page that comes alone."""

    rows: _Rows
    point: NDArray[np.int64]
    frame: NDArray[np.int64]
    need: int


@dataclass(slots=True)
class _Page:
    """Signals that are in a message together, and the multiplexers that decide what else is."""

    number: int
    points: list[int] = field(default_factory=list)
    selectors: dict[CanSignal, dict[int, _Page]] = field(default_factory=dict)
    alone: _Alone | None = None


class Decoder:
    """For the points given; a point that stands on several pages of its message is one point."""

    def __init__(self, points: Sequence[CanPoint]) -> None:
        self._pages: list[_Page] = []
        self._routes: dict[int, _Page] = {}
        for place, point in enumerate(points):
            key = key_of_message(point.message)
            if key not in self._routes:
                self._routes[key] = self._page()
            for page in self._reached(self._routes[key], point.selectors):
                page.points.append(place)
        self._points = np.array([place for page in self._pages for place in page.points], np.int64)
        self._count = np.array([len(page.points) for page in self._pages], np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._stride = max((end_byte(points[place].signal) for place in self._points), default=0)
        self._all = points
        self._rows = _rows_of([points[place] for place in self._points])

    @property
    def keys(self) -> Mapping[int, object]:
        """The frames that it has a use for."""
        return self._routes

    def _page(self) -> _Page:
        page = _Page(len(self._pages))
        self._pages.append(page)
        return page

    def _reached(self, page: _Page, selectors: Sequence[CanSelector]) -> list[_Page]:
        """The pages below ``page`` on which a signal with these selectors is."""
        pages = [page]
        for selector in selectors:
            below: list[_Page] = []
            for one in pages:
                branches = one.selectors.setdefault(selector.signal, {})
                for number in selector.ids:
                    if number not in branches:
                        branches[number] = self._page()
                    below.append(branches[number])
            pages = below
        return pages

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """What the frames say of the points; frames of other messages say nothing."""
        routes, stride = self._routes, self._stride
        if len(frames) == 1:
            alone = self._decode_alone(frames[0])
            if alone is not None:
                return alone
        chosen: list[int] = []
        pages: list[int] = []
        payloads: list[bytes] = []
        lengths: list[int] = []
        for position, (key, data, _) in enumerate(frames):
            page = routes.get(key)
            if page is None:
                continue
            found = [page.number] if not page.selectors else _selected(page, data)
            for number in found:
                chosen.append(position)
                pages.append(number)
                payloads.append(data.ljust(stride, b"\0")[:stride])
                lengths.append(len(data))
        page_of = np.array(pages, np.int64)
        count = self._count[page_of]
        row = np.arange(int(count.sum())) + np.repeat(self._first[page_of] - np.cumsum(count) + count, count)
        entry = np.repeat(np.arange(len(pages)), count)
        whole = np.array(lengths, np.int64)[entry] >= self._rows.need[row]
        short = self._points[row[~whole]]
        if len(short):
            row, entry = row[whole], entry[whole]
        rows = self._rows.take(row)
        bits, status = _values(b"".join(payloads) + _PADDING, entry * stride + rows.byte, rows)
        return Decoded(self._points[row], np.array(chosen, np.int64)[entry], bits, status, short)

    def _decode_alone(self, frame: Frame) -> Decoded | None:
        """A frame whose page is known without looking at it, and whole; None for any other."""
        page = self._routes.get(frame.key)
        if page is None or page.selectors or not page.points:
            return None
        alone = page.alone
        if alone is None:
            rows = _rows_of([self._all[place] for place in page.points])
            places = np.array(page.points, np.int64)
            alone = page.alone = _Alone(rows, places, np.zeros(len(places), np.int64), int(rows.need.max()))
        if len(frame.data) < alone.need:
            return None
        bits, status = _values(frame.data + _PADDING, alone.rows.byte, alone.rows)
        return Decoded(alone.point, alone.frame, bits, status, _NO_POINTS)


def _values(
    octets: bytes, at: NDArray[np.int64], rows: _Rows
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Bits and status of each row, whose signal begins in the octet ``at``; nine more follow the last."""
    words = np.ndarray((len(octets) - 8,), "<u8", octets, strides=(1,))  # a word from every byte on
    word = words[at]
    if rows.is_big is not None:
        word = np.where(rows.is_big, word.byteswap(), word)
    raw = word >> rows.shift
    if rows.over is not None:
        _add_ninth_byte(raw, word, np.frombuffer(octets, np.uint8)[at + 8], rows, rows.over)
    raw &= rows.mask
    indicated = _indicated(raw, rows)
    absent: NDArray[np.bool_] | None = None
    if rows.absent is not None and rows.has_absent is not None:
        absent = rows.has_absent & (raw[:, None] == rows.absent).any(axis=1)
    if rows.sign is None:
        number = raw.astype(np.float64)
    else:
        raw = (raw ^ rows.sign) - rows.sign
        number = np.where(rows.sign != 0, raw.view(np.int64).astype(np.float64), raw.astype(np.float64))
    if rows.float_bits is not None:
        _take_floats(number, raw, rows.float_bits)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite then, and Bad below
        number = number * rows.scale + rows.offset
    bits, value, is_finite = number.view(_U64), number, np.isfinite(number)
    if rows.is_double is not None and rows.is_int is not None:
        assert rows.whole_scale is not None
        assert rows.whole_offset is not None
        wholes = raw * rows.whole_scale + rows.whole_offset
        bits = np.where(rows.is_double, bits, wholes)
        whole = np.where(rows.is_int, wholes.view(np.int64).astype(np.float64), wholes.astype(np.float64))
        value = np.where(rows.is_double, number, whole)
        is_finite |= ~rows.is_double
    status = np.zeros(len(at), np.uint32)
    if rows.low is not None and rows.high is not None:
        beyond = (value < rows.low) | (value > rows.high)
        status[beyond] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    status[~is_finite] = Quality.BAD_SENSOR_FAILURE
    if indicated is not None:
        status = np.where(indicated != 0, indicated, status)
    if absent is not None:
        status[absent] = Quality.BAD_NOT_SUPPORTED
    return bits, status


def _indicated(raw: NDArray[np.uint64], rows: _Rows) -> NDArray[np.uint32] | None:
    """What raw values say that are none (SAE J1939-71, table 1): 0xFF.. not there, 0xFE.. an error; 0xFB to 0xFD
    are reserved, or mean something of their own."""
    has = rows.has_indicators
    if has is None:
        return None
    assert rows.top_shift is not None
    assert rows.top_missing is not None
    assert rows.top_invalid is not None
    top = raw >> rows.top_shift
    status = np.zeros(len(raw), np.uint32)
    status[has & (top >= rows.top_invalid)] = Quality.BAD_OUT_OF_RANGE
    status[has & (top == rows.top_missing - _U64(1))] = Quality.BAD_SENSOR_FAILURE
    status[has & (top == rows.top_missing)] = Quality.BAD_NOT_SUPPORTED
    return status


def _add_ninth_byte(
    raw: NDArray[np.uint64],
    word: NDArray[np.uint64],
    ninth: NDArray[np.uint8],
    rows: _Rows,
    over: NDArray[np.int64],
) -> None:
    """Complete signals that do not lie in eight bytes."""
    is_big = np.zeros(len(raw), bool) if rows.is_big is None else rows.is_big
    for big in (False, True):
        wide = np.flatnonzero((over > 0) & (is_big == big))
        bits, last = over[wide].astype(_U64), ninth[wide].astype(_U64)
        if big:
            raw[wide] = word[wide] << bits | last >> (_U64(8) - bits)
        else:
            raw[wide] |= last << (_U64(64) - rows.shift[wide])


def _take_floats(number: NDArray[np.float64], raw: NDArray[np.uint64], float_bits: NDArray[np.int64]) -> None:
    """Raw bits that are IEEE 754 numbers."""
    for size, (integer, real) in _FLOATS.items():
        these = np.flatnonzero(float_bits == size)
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            number[these] = raw[these].astype(integer).view(real).astype(np.float64)


def _selected(page: _Page, data: bytes) -> list[int]:
    """The numbers of the pages that a frame has, in the order outside to inside."""
    found: list[int] = []
    open_pages = [page]
    while open_pages:
        one = open_pages.pop()
        found.append(one.number)
        for signal, branches in one.selectors.items():
            if len(data) < end_byte(signal):
                continue
            below = branches.get(extract(data, signal))
            if below is not None:
                open_pages.append(below)
    return found
