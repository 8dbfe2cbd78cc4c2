"""Messages of more than 8 bytes, received and sent, without I/O or clock (SAE J1939-21 5.10)::

    TP.CM  RTS    16  size(2)  packets  packets a CTS   pgn(3)      to one: is asked for, acknowledged
           CTS    17  packets  next     FF FF           pgn(3)
           EOM    19  size(2)  packets  FF              pgn(3)
           BAM    32  size(2)  packets  FF              pgn(3)      to all: just comes
           ABORT 255  reason   FF FF FF                 pgn(3)
    TP.DT  number from 1, then seven bytes

    RTS 5 bytes too many:  10 0d 00 02 ff ca fe 00  →  CTS 11 02 01 ff ff ca fe 00

One source has one transfer to all and one to us open at most: so memory is bounded by MAX_OPEN of MAX_BYTES each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from gateway.config.can_j1939 import GLOBAL, MAX_BYTES

PACKET = 7
MAX_OPEN = 64  # transfers at a time; with 200 ms between packets at most, more are no bus any longer
WINDOW = 16  # packets that we ask for at once: 112 bytes, some 9 ms of a bus of 250 kbit/s
MAX_RETRIES = 2  # of asking for a packet again (5.10.2.4)
# 5.10.3.5, in seconds: between packets, after a CTS, for an answer, for the next CTS after one that says "wait"
T1, T2, T3, T4 = 0.75, 1.25, 1.25, 1.05
BAM_PAUSE_S = 0.05  # least time between the packets of a BAM
_UNUSED = 0xFF


class Control(IntEnum):
    """First byte of TP.CM."""

    RTS = 16
    CTS = 17
    END = 19
    BAM = 32
    ABORT = 255


class Reason(IntEnum):
    """Why a transfer was given up (SAE J1939-21, table 7)."""

    BUSY = 1
    RESOURCES = 2
    TIMEOUT = 3
    CTS_DURING_DATA = 4
    RETRIES = 5
    UNEXPECTED_DATA = 6
    BAD_SEQUENCE = 7
    DUPLICATE = 8
    TOO_LONG = 9


REASONS = {
    Reason.BUSY: "it is busy with another transfer",
    Reason.RESOURCES: "it lacks the resources",
    Reason.TIMEOUT: "it waited too long",
    Reason.CTS_DURING_DATA: "it was told to go on while it went on",
    Reason.RETRIES: "too many packets were lost",
    Reason.UNEXPECTED_DATA: "a packet came that it did not expect",
    Reason.BAD_SEQUENCE: "a packet had the wrong number",
    Reason.DUPLICATE: "a packet came twice",
    Reason.TOO_LONG: "the message is too long for it",
}


def reason_text(reason: int) -> str:
    """Why, for an operator."""
    return REASONS.get(Reason(reason), "") if reason in set(Reason) else f"reason {reason}"


def control(kind: Control, pgn: int, *octets: int) -> bytes:
    """A TP.CM frame's bytes; up to four ``octets`` stand between its kind and the group."""
    return bytes((kind, *octets)).ljust(5, b"\xff") + pgn.to_bytes(3, "little")


def packets_of(size: int) -> int:
    return -(-size // PACKET)


def announcement(kind: Control, pgn: int, size: int) -> bytes:
    """RTS, or BAM."""
    return control(kind, pgn, size & 0xFF, size >> 8, packets_of(size), _UNUSED)


def packet(data: bytes, number: int) -> bytes:
    """TP.DT ``number``, from 1; the last one is filled up."""
    part = data[(number - 1) * PACKET : number * PACKET]
    return bytes((number,)) + part.ljust(PACKET, b"\xff")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came, from one frame or many. ``destination`` is GLOBAL or our address."""

    pgn: int
    source: int
    destination: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A TP.CM that we have to send."""

    destination: int
    data: bytes


@dataclass(slots=True)
class _Open:
    pgn: int
    size: int
    packets: int
    window: int  # packets a CTS; 0: nobody is asked (BAM)
    until_s: float
    parts: list[bytes] = field(default_factory=list)
    asked_to: int = 0  # last packet that was asked for
    retries: int = 0


class Receiver:
    """Puts transfers to all and to us together again."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Open] = {}  # by source and destination
        self.broken = 0

    @property
    def is_idle(self) -> bool:
        return not self._open

    def clear(self) -> None:
        """The bus broke, or our address is another: nothing will be finished."""
        self.broken += len(self._open)
        self._open.clear()

    def on_control(self, source: int, destination: int, data: bytes, now_s: float) -> list[Reply]:
        """A TP.CM. What is for our sender (CTS, END) is not looked at here."""
        if len(data) < 8:
            return []
        kind, pgn = data[0], int.from_bytes(data[5:8], "little")
        if kind == Control.ABORT:
            known = self._open.get((source, destination))
            if known is not None and known.pgn == pgn:
                self._drop(source, destination)
            return []
        if kind == Control.BAM and destination == GLOBAL:
            self._announced(source, destination, data, pgn, 0, now_s)
            return []
        if kind == Control.RTS and destination != GLOBAL:
            return self._asked(source, destination, data, pgn, now_s)
        return []

    def on_data(
        self, source: int, destination: int, data: bytes, now_s: float
    ) -> tuple[Message | None, list[Reply]]:
        """A TP.DT: the whole message with the last one."""
        known = self._open.get((source, destination))
        if known is None or len(data) < 8:
            return None, []
        expected = len(known.parts) + 1
        number = data[0]
        if number != expected:
            return None, self._out_of_order(known, source, destination, number, now_s)
        known.parts.append(bytes(data[1:8]))
        known.until_s = now_s + T1
        if expected < known.packets:
            if known.window and expected == known.asked_to:
                return None, [self._clear_to_send(known, source, now_s)]
            return None, []
        del self._open[source, destination]
        message = Message(known.pgn, source, destination, b"".join(known.parts)[: known.size])
        if not known.window:
            return message, []
        end = control(Control.END, known.pgn, known.size & 0xFF, known.size >> 8, known.packets)
        return message, [Reply(source, end)]

    def expire(self, now_s: float) -> list[Reply]:
        """Give up what waits too long."""
        replies: list[Reply] = []
        for (source, destination), known in list(self._open.items()):
            if now_s >= known.until_s:
                replies += self._abort(known, source, destination, Reason.TIMEOUT)
        return replies

    def _announced(
        self, source: int, destination: int, data: bytes, pgn: int, window: int, now_s: float
    ) -> _Open | None:
        size, packets = int.from_bytes(data[1:3], "little"), data[3]
        if (source, destination) in self._open:
            self._drop(source, destination)  # who begins anew does not go on with what was
        if not 8 < size <= MAX_BYTES or packets != packets_of(size) or len(self._open) >= MAX_OPEN:
            self.broken += 1
            return None
        known = self._open[source, destination] = _Open(pgn, size, packets, window, now_s + T1)
        return known

    def _asked(self, source: int, destination: int, data: bytes, pgn: int, now_s: float) -> list[Reply]:
        before = self._open.get((source, destination))
        if before is not None and before.pgn != pgn:
            return [Reply(source, control(Control.ABORT, pgn, Reason.BUSY))]
        window = min(WINDOW, data[4] or 1)
        known = self._announced(source, destination, data, pgn, window, now_s)
        if known is None:
            return [Reply(source, control(Control.ABORT, pgn, Reason.RESOURCES))]
        return [self._clear_to_send(known, source, now_s)]

    def _clear_to_send(self, known: _Open, source: int, now_s: float) -> Reply:
        had = len(known.parts)
        count = min(known.window, known.packets - had)
        known.asked_to = had + count
        known.until_s = now_s + T2
        return Reply(source, control(Control.CTS, known.pgn, count, had + 1))

    def _out_of_order(
        self, known: _Open, source: int, destination: int, number: int, now_s: float
    ) -> list[Reply]:
        if 0 < number <= len(known.parts):
            return []  # once more; it is there
        if not known.window:
            self._drop(source, destination)
            return []
        if number > known.asked_to or number == 0:
            return self._abort(known, source, destination, Reason.BAD_SEQUENCE)
        if number < known.asked_to:
            return []  # those that follow the lost one; the last of them tells that it is asked for again
        known.retries += 1
        if known.retries > MAX_RETRIES:
            return self._abort(known, source, destination, Reason.RETRIES)
        return [self._clear_to_send(known, source, now_s)]

    def _abort(self, known: _Open, source: int, destination: int, reason: Reason) -> list[Reply]:
        self._drop(source, destination)
        return [Reply(source, control(Control.ABORT, known.pgn, reason))] if known.window else []

    def _drop(self, source: int, destination: int) -> None:
        del self._open[source, destination]
        self.broken += 1


class Outcome(IntEnum):
    """How a transfer of ours stands."""

    OPEN = 0
    DONE = 1
    REFUSED = 2  # given up by the other side, or never begun: the message is not there
    UNKNOWN = 3  # all of it was sent, and nobody said that it came


class Sending:
    """One transfer of ours to one destination; ask `frames` for what is to be sent after each event."""

    def __init__(self, pgn: int, data: bytes, now_s: float) -> None:
        self.pgn = pgn
        self.outcome = Outcome.OPEN
        self.why = ""
        self.until_s = now_s + T3
        self._data = data
        self._packets = packets_of(len(data))
        self._sent_to = 0  # highest packet that was sent
        self._budget = self._packets * (MAX_RETRIES + 1)

    def start(self) -> bytes:
        """The RTS."""
        return announcement(Control.RTS, self.pgn, len(self._data))

    def on_control(self, data: bytes, now_s: float) -> tuple[list[bytes], bytes | None]:
        """A TP.CM of the destination: packets to be sent, and perhaps an abort."""
        if len(data) < 8 or int.from_bytes(data[5:8], "little") != self.pgn:
            return [], None
        if self.outcome is not Outcome.OPEN:
            return [], None
        if data[0] == Control.END:
            return [], self._ended()
        if data[0] == Control.ABORT:
            self._end(Outcome.REFUSED, reason_text(data[1]))
            return [], None
        if data[0] != Control.CTS:
            return [], None
        count, first = data[1], data[2]
        if count == 0:
            self.until_s = now_s + T4
            return [], None
        if not 1 <= first <= self._packets:
            return [], self._give_up(Reason.BAD_SEQUENCE)
        last = min(first + count - 1, self._packets)
        self._budget -= last - first + 1
        if self._budget < 0:
            return [], self._give_up(Reason.RETRIES)
        self._sent_to = max(self._sent_to, last)
        self.until_s = now_s + T3
        return [packet(self._data, number) for number in range(first, last + 1)], None

    def on_time(self, now_s: float) -> bytes | None:
        """An abort where nothing came in time."""
        if self.outcome is not Outcome.OPEN or now_s < self.until_s:
            return None
        if self._sent_to == self._packets:
            self._end(Outcome.UNKNOWN, "nobody said that the message came")
        else:
            self._end(Outcome.REFUSED, "the destination does not take the message")
        return control(Control.ABORT, self.pgn, Reason.TIMEOUT)

    def _ended(self) -> bytes | None:
        if self._sent_to < self._packets:  # it can not have what it says
            return self._give_up(Reason.BAD_SEQUENCE)
        self._end(Outcome.DONE, "")
        return None

    def _give_up(self, reason: Reason) -> bytes:
        self._end(Outcome.REFUSED, f"the destination broke the rules of a transfer: {reason_text(reason)}")
        return control(Control.ABORT, self.pgn, reason)

    def _end(self, outcome: Outcome, why: str) -> None:
        self.outcome, self.why = outcome, why
