"""Frames to samples, all frames of a batch at once.

Everything that a signal needs is worked out before: one row of a table for each signal and multiplexer page. A batch
is then one pass of Python over its frames (which page is it?) and some twenty numpy operations over all signals,
so that the cost of a signal does not depend on how many different messages there are.

A signal of up to 64 bits lies in nine bytes: a word of eight from its first byte on, and perhaps a ninth byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass(slots=True)
class _Page:
    """Signals that are in a message together, and the multiplexers that decide what else is."""

    number: int
    points: list[int] = field(default_factory=list)
    selectors: dict[CanSignal, dict[int, _Page]] = field(default_factory=dict)


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
        signals = [points[place].signal for place in self._points]
        self._stride = max((end_byte(signal) for signal in signals), default=0)
        self._rows(signals, [points[place] for place in self._points])

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

    def _rows(self, signals: Sequence[CanSignal], points: Sequence[CanPoint]) -> None:
        """The table: everything about row i at place i of each array."""
        big = np.array([signal.is_big_endian for signal in signals], bool)
        length = np.array([signal.length for signal in signals], np.int64)
        start = np.array([first_bit(s) if s.is_big_endian else s.start for s in signals], np.int64)
        within = start % 8
        over = np.maximum(within + length - 64, 0)  # bits in the ninth byte
        self._byte = start // 8
        self._need = np.array([end_byte(signal) for signal in signals], np.int64)
        self._is_big = big
        self._shift = np.where(big, np.maximum(64 - within - length, 0), within).astype(_U64)
        self._over = over
        self._mask = np.array([(1 << signal.length) - 1 for signal in signals], _U64)
        self._sign = np.array(
            [1 << s.length - 1 if s.is_signed and not s.is_float else 0 for s in signals], _U64
        )
        self._is_signed = self._sign != 0
        self._float = np.array([signal.length if signal.is_float else 0 for signal in signals], np.int64)
        self._is_double = np.array([signal.type is ValueType.DOUBLE for signal in signals], bool)
        self._scale = np.array([signal.scale for signal in signals], np.float64)
        self._offset = np.array([signal.offset for signal in signals], np.float64)
        whole = [signal.type is not ValueType.DOUBLE for signal in signals]
        # modulo 2^64, in which the product and sum of the true values are right whenever the result fits
        self._whole_scale = np.array(
            [int(s.scale) % 2**64 if w else 1 for s, w in zip(signals, whole, strict=True)], _U64
        )
        self._whole_offset = np.array(
            [int(s.offset) % 2**64 if w else 0 for s, w in zip(signals, whole, strict=True)], _U64
        )
        self._is_int = np.array([signal.type is ValueType.INT64 for signal in signals], bool)
        self._low = np.array([-np.inf if p.low is None else p.low for p in points], np.float64)
        self._high = np.array([np.inf if p.high is None else p.high for p in points], np.float64)
        most = max((len(point.not_implemented) for point in points), default=0)
        # what has fewer, has its first again; what has none is not looked at
        self._absent = np.array(
            [[*p.not_implemented, *(p.not_implemented[:1] or (0,)) * most][:most] for p in points], _U64
        ).reshape(len(points), most)
        self._has_absent = np.array([bool(point.not_implemented) for point in points], bool)
        has = [point.has_indicators and s.length > 1 for point, s in zip(points, signals, strict=True)]
        self._has_indicators = np.array(has, bool)
        self._is_indicating = any(has)
        # the topmost byte tells; a shorter signal as a whole, whose two highest values do
        self._top_shift = np.maximum(length - 8, 0).astype(_U64)
        self._top_missing = np.minimum((1 << np.minimum(length, 8)) - 1, 255).astype(_U64)
        self._top_invalid = np.where(length >= 8, 0xFB, self._top_missing - _U64(1)).astype(_U64)
        self._has_wide = bool(over.any())
        self._has_floats = bool(self._float.any())
        self._has_ranges = bool((np.isfinite(self._low) | np.isfinite(self._high)).any())

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """What the frames say of the points; frames of other messages say nothing."""
        routes, stride = self._routes, self._stride
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
        whole = np.array(lengths, np.int64)[entry] >= self._need[row]
        short = self._points[row[~whole]]
        if len(short):
            row, entry = row[whole], entry[whole]
        bits, status = self._values(b"".join(payloads) + bytes(9), row, entry)
        return Decoded(self._points[row], np.array(chosen, np.int64)[entry], bits, status, short)

    def _values(
        self, octets: bytes, row: NDArray[np.int64], entry: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Bits and status of each (row, frame); ``octets`` are the payloads, ``_stride`` each, and nine more."""
        words = np.ndarray((len(octets) - 8,), "<u8", octets, strides=(1,))  # a word from every byte on
        at = entry * self._stride + self._byte[row]
        word = words[at]
        big = self._is_big[row]
        word = np.where(big, word.byteswap(), word)
        raw = word >> self._shift[row]
        if self._has_wide:
            self._add_ninth_byte(raw, word, np.frombuffer(octets, np.uint8)[at + 8], row)
        raw &= self._mask[row]
        indicated = self._indicated(raw, row) if self._is_indicating else None
        if self._absent.size:
            absent = self._has_absent[row] & (raw[:, None] == self._absent[row]).any(axis=1)
        sign = self._sign[row]
        raw = (raw ^ sign) - sign
        bits = raw * self._whole_scale[row] + self._whole_offset[row]
        number = np.where(self._is_signed[row], raw.view(np.int64).astype(np.float64), raw.astype(np.float64))
        if self._has_floats:
            self._take_floats(number, raw, row)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite then, and Bad below
            number = number * self._scale[row] + self._offset[row]
        is_double = self._is_double[row]
        bits = np.where(is_double, number.view(_U64), bits)
        status = np.zeros(len(row), np.uint32)
        if self._has_ranges:
            is_int = self._is_int[row]
            value = np.where(
                is_double,
                number,
                np.where(is_int, bits.view(np.int64).astype(np.float64), bits.astype(np.float64)),
            )
            beyond = (value < self._low[row]) | (value > self._high[row])
            status[beyond] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        status[is_double & ~np.isfinite(number)] = Quality.BAD_SENSOR_FAILURE
        if indicated is not None:
            status = np.where(indicated != 0, indicated, status)
        if self._absent.size:
            status[absent] = Quality.BAD_NOT_SUPPORTED
        return bits, status

    def _indicated(self, raw: NDArray[np.uint64], row: NDArray[np.int64]) -> NDArray[np.uint32]:
        """What raw values say that are none (SAE J1939-71, table 1): 0xFF.. not there, 0xFE.. an error; 0xFB to 0xFD
        are reserved, or mean something of their own."""
        top = raw >> self._top_shift[row]
        status = np.zeros(len(row), np.uint32)
        has = self._has_indicators[row]
        status[has & (top >= self._top_invalid[row])] = Quality.BAD_OUT_OF_RANGE
        status[has & (top == self._top_missing[row] - _U64(1))] = Quality.BAD_SENSOR_FAILURE
        status[has & (top == self._top_missing[row])] = Quality.BAD_NOT_SUPPORTED
        return status

    def _add_ninth_byte(
        self,
        raw: NDArray[np.uint64],
        word: NDArray[np.uint64],
        ninth: NDArray[np.uint8],
        row: NDArray[np.int64],
    ) -> None:
        """Complete signals that do not lie in eight bytes."""
        over = self._over[row]
        for big in (False, True):
            wide = np.flatnonzero((over > 0) & (self._is_big[row] == big))
            bits, last = over[wide].astype(_U64), ninth[wide].astype(_U64)
            if big:
                raw[wide] = word[wide] << bits | last >> (_U64(8) - bits)
            else:
                raw[wide] |= last << (_U64(64) - self._shift[row[wide]])

    def _take_floats(
        self, number: NDArray[np.float64], raw: NDArray[np.uint64], row: NDArray[np.int64]
    ) -> None:
        """Raw bits that are IEEE 754 numbers."""
        length = self._float[row]
        for size, (integer, real) in _FLOATS.items():
            these = np.flatnonzero(length == size)
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
