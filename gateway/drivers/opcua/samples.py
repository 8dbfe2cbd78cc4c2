"""A device's samples on their way into the image: values, with quality and times as its server gives them.

Three rules bring in quality and times of ours (docs/opcua-client.md, "Quality and time"):

- A value without a source time, or with one that cannot be, has the server's; failing that, the time it came.
- A value that was Bad by our own word, and comes back as it was before, is stated with the present time first: its
  quality changed now (OPC 10000-4, 7.11.3), and history would end with the Bad one else.
- A value that stays is written again, with a new receipt time, as long as its server confirms it. Its source time
  stays; one older than `KEPT_NS` moves on to the time of confirmation, lest history be written into days long closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.config.opcua_device import OpcUaPoint
from gateway.drivers.opcua.structures import Definitions, FieldError, part_of
from gateway.drivers.opcua.values import INFORMATION_BITS, Unfit, is_bad, status_of, tag_value
from gateway.drivers.opcua.wire import Reading
from gateway.tags.image import Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits, value_from_bits
from gateway.tags.tag import ValueType

AHEAD_NS = 24 * 3600 * 10**9  # a source time this far ahead of ours is a clock that was never set
KEPT_NS = 3600 * 10**9

Note = Callable[[str], None]
_U64, _I64 = np.uint64, np.int64


class Samples:
    """The points of one device by their places in ``points``. ``note`` hears what is wrong with a value."""

    def __init__(
        self,
        points: Sequence[OpcUaPoint],
        writer: Writer,
        note: Note,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._points = points
        self._writer = writer
        self._note = note
        self._clock = clock
        count = len(points)
        self.tags = np.array([point.tag for point in points], np.uint32)
        self._is_text = np.array([point.type is ValueType.STRING for point in points], bool)
        self._has_texts = bool(self._is_text.any())
        self._scale = np.array([point.scale for point in points], np.float64)
        self._offset = np.array([point.offset for point in points], np.float64)
        self._low = np.array([-np.inf if p.low is None else p.low for p in points], np.float64)
        self._high = np.array([np.inf if p.high is None else p.high for p in points], np.float64)
        self._bits = np.zeros(count, _U64)
        self._texts = [""] * count
        self._status = np.full(count, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._source = np.zeros(count, _I64)
        self._receipt = np.zeros(count, _I64)
        self._is_current = np.zeros(count, bool)  # written since it was last Bad by our own word
        self._bad_since = np.full(count, clock(), _I64)
        self.misfits: set[int] = set()

    def take(self, readings: Sequence[tuple[int, Reading]], definitions: Definitions) -> None:
        """Readings by place, in order, into the image."""
        if not readings:
            return
        receipt = self._clock()
        rows: list[int] = []
        words: list[int] = []
        texts: list[str] = []
        statuses: list[int] = []
        sources: list[int] = []
        for place, reading in readings:
            word, text, status = self._judge(place, reading, definitions)
            rows.append(place)
            words.append(word)
            texts.append(text)
            statuses.append(status)
            sources.append(source_of(reading, receipt))
        self._write(
            np.array(rows, np.intp),
            np.array(words, _U64),
            np.array(statuses, np.uint32),
            np.array(sources, _I64),
            receipt,
            texts,
        )

    def take_numbers(
        self,
        rows: Sequence[int],
        numbers: Sequence[float],
        statuses: Sequence[int],
        sources: Sequence[int | None],
    ) -> None:
        """The same for whole values of points of DOUBLE that are numbers, many at once."""
        receipt = self._clock()
        place = np.array(rows, np.intp)
        value = np.array(numbers, np.float64) * self._scale[place] + self._offset[place]
        status = np.array(statuses, np.uint32) & np.uint32(~INFORMATION_BITS & 0xFFFF_FFFF)
        is_good = status == Quality.GOOD
        with np.errstate(invalid="ignore"):
            beyond = (value < self._low[place]) | (value > self._high[place])
        status[is_good & beyond] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        status[is_good & ~np.isfinite(value)] = Quality.BAD_SENSOR_FAILURE
        source = np.array([receipt if one is None else one for one in sources], _I64)
        source[(source > receipt + AHEAD_NS) | (source <= 0)] = receipt
        if self.misfits:
            self.misfits.difference_update(rows)
        self._write(place, to_bits(value, ValueType.DOUBLE), status, source, receipt)

    def told(self, place: int, value: Value, source_ns: int) -> None:
        """A value that a command brought about, as nobody else tells it."""
        word, text = self._word(place, value)
        row, status = np.array([place], np.intp), np.array([Quality.GOOD], np.uint32)
        self._write(row, np.array([word], _U64), status, np.array([source_ns], _I64), source_ns, [text])

    def value(self, place: int) -> tuple[Value, int]:
        """The last value and its status."""
        if self._is_text[place]:
            return self._texts[place], int(self._status[place])
        return value_from_bits(int(self._bits[place]), self._points[place].type), int(self._status[place])

    def refuse(self, places: Sequence[int]) -> None:
        """Points that cannot be as the site file has them: Bad_ConfigurationError."""
        self.misfits.update(places)
        self._invalidate(np.array(places, np.intp), Quality.BAD_CONFIGURATION_ERROR)

    def await_command(self, places: NDArray[np.intp]) -> None:
        """Points that only commands give a value, and none has since the device was connected."""
        self._invalidate(places, Quality.BAD_NO_DATA)

    def lose(self, places: NDArray[np.intp] | None = None) -> None:
        """Nobody answers for these points, or for all: they keep their values, Bad_CommunicationError."""
        which = np.arange(len(self._points)) if places is None else places
        self._invalidate(which, Quality.BAD_COMMUNICATION_ERROR)

    def confirm(self, places: NDArray[np.intp], older_ns: int) -> None:
        """These values still hold: those written longer than ``older_ns`` ago are written again."""
        now = self._clock()
        due = places[self._is_current[places] & (now - self._receipt[places] >= older_ns)]
        if not len(due):
            return
        old = due[now - self._source[due] > KEPT_NS]
        self._source[old] = now
        self._receipt[due] = now
        texts = [self._texts[row] for row in due] if self._has_texts else ()
        self._put(due, self._bits[due], self._status[due], self._source[due], now, texts)

    def _invalidate(self, places: NDArray[np.intp], status: int) -> None:
        now = self._clock()
        changed = places[self._is_current[places] | (self._status[places] != status)]
        self._is_current[places] = False
        self._status[places] = status
        self._bad_since[changed] = now
        if len(changed):
            self._writer.invalidate(status, now, self.tags[changed])

    def _judge(self, place: int, reading: Reading, definitions: Definitions) -> tuple[int, str, int]:
        """The word or text of a reading and its quality; where there is no value, the last one stays."""
        point = self._points[place]
        status = reading.status & ~INFORMATION_BITS
        last = int(self._bits[place]), self._texts[place]
        if reading.value is None and is_bad(status):
            return *last, status
        try:
            part = part_of(reading.value, point.field, definitions)
            if part is None and point.type is not ValueType.STRING:
                return *last, status or Quality.BAD_NO_DATA
            value = tag_value(point, part)
        except (FieldError, Unfit) as error:
            if is_bad(status):
                return *last, status
            if place not in self.misfits:
                self.misfits.add(place)
                self._note(f"{point.name}: {error}")
            return *last, Quality.BAD_CONFIGURATION_ERROR
        self.misfits.discard(place)
        status = status_of(point, value, status)
        if isinstance(value, str) and len(value.encode()) > point.string_bytes:
            self._note(f"{point.name}: a text of {len(value.encode())} bytes; raise its 'length'")
            value = value.encode()[: point.string_bytes].decode("utf-8", "ignore")
            status = status or Quality.BAD_OUT_OF_RANGE
        return *self._word(place, value), status

    def _word(self, place: int, value: Value) -> tuple[int, str]:
        if isinstance(value, str):
            return 0, value
        return int(to_bits(np.array([value]), self._points[place].type)[0]), ""

    def _write(
        self,
        rows: NDArray[np.intp],
        words: NDArray[np.uint64],
        statuses: NDArray[np.uint32],
        sources: NDArray[np.int64],
        receipt: int,
        texts: Sequence[str] = (),
    ) -> None:
        """Samples in order; those that come back from being Bad by our word are stated as of now before."""
        back = np.flatnonzero(~self._is_current[rows] & (sources <= self._bad_since[rows]))
        if len(back):
            # of each the last, which is what holds now
            last = back[::-1][np.unique(rows[back][::-1], return_index=True)[1]]
            now = np.full(len(last), receipt, _I64)
            self._put(
                rows[last],
                words[last],
                statuses[last],
                now,
                receipt,
                [texts[i] for i in last] if texts else (),
            )
        self._is_current[rows] = True
        self._bits[rows] = words
        self._status[rows] = statuses
        self._source[rows] = sources
        self._receipt[rows] = receipt
        if self._has_texts:
            for row, text in zip(rows.tolist(), texts, strict=False):
                self._texts[row] = text
        self._put(rows, words, statuses, sources, receipt, texts)

    def _put(
        self,
        rows: NDArray[np.intp],
        words: NDArray[np.uint64],
        statuses: NDArray[np.uint32],
        sources: NDArray[np.int64],
        receipt: int,
        texts: Sequence[str],
    ) -> None:
        is_text = self._is_text[rows]
        if not self._has_texts or not is_text.any():
            self._writer.write(self.tags[rows], words, statuses, sources, receipt)
            return
        number, text = np.flatnonzero(~is_text), np.flatnonzero(is_text)
        if len(number):
            self._writer.write(
                self.tags[rows[number]], words[number], statuses[number], sources[number], receipt
            )
        self._writer.write_texts(
            self.tags[rows[text]], [texts[i] for i in text.tolist()], statuses[text], sources[text], receipt
        )


def source_of(reading: Reading, receipt_ns: int) -> int:
    """When it became so: by the source, by the server, or when we heard of it."""
    for stamp in (reading.source_ns, reading.server_ns):
        if stamp is not None and 0 < stamp <= receipt_ns + AHEAD_NS:
            return stamp
    return receipt_ns
