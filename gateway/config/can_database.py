"""CAN databases (DBC, KCD, ARXML, SYM) behind one module: cantools reads them, and only this file knows cantools."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from gateway.config.can import CanMessage, CanSelector, CanSignal
from gateway.config.can_bits import end_byte, insert, raw_limits
from gateway.config.units import SPELLINGS, unit_of
from gateway.tags.tag import ValueType

if TYPE_CHECKING:
    from cantools.database.can import Message, Signal

FORMATS = ("dbc", "kcd", "arxml", "sym")
MAX_BYTES = 64 << 20  # a vehicle's whole ARXML is some 20 MB
MAX_KEPT = 64  # databases in memory: a site has a few, and an editor reads the same ones again and again
MAX_MULTIPLEXERS = 8  # one inside the other; the deepest that is known has three
# in the order in which they are tried: what is never negative is unsigned
_WHOLE = {ValueType.UINT64: (0, 2**64 - 1), ValueType.INT64: (-(2**63), 2**63 - 1)}


class DatabaseError(Exception):
    """A database that cannot be read, or a signal that cannot be a tag; the text is a clause."""


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """A signal with what the database says of it. ``unit`` is a symbol of gateway.config.units, or None."""

    name: str
    signal: CanSignal
    selectors: tuple[CanSelector, ...]
    unit: str | None
    low: float | None
    high: float | None
    states: Mapping[int, str]


class Database:
    """One file; compared by identity, so that what was read of it may be shared."""

    def __init__(self, messages: Mapping[str, Message], digest: str) -> None:
        self._messages = messages
        self.digest = digest

    def messages(self) -> tuple[str, ...]:
        return tuple(self._messages)

    def signals(self, message: str) -> tuple[str, ...]:
        return tuple(signal.name for signal in self._messages[message].signals)

    def cycle_ms(self, message: str) -> int | None:
        """How often the database says that it is sent."""
        return self._messages[message].cycle_time

    def message(self, name: str, fill: int = 0) -> CanMessage:
        """``fill``: each byte of which nothing is said. Raises KeyError, DatabaseError for one without signals."""
        message = self._messages[name]
        if message.is_container:
            raise DatabaseError("is a container of other messages, which is not supported")
        initial = bytes((fill,)) * message.length
        for signal in message.signals:
            if signal.raw_initial is not None and not signal.is_float and not signal.multiplexer_ids:
                layout = _layout(signal)
                if end_byte(layout) <= message.length:
                    initial = insert(initial, layout, int(signal.raw_initial))
        return CanMessage(name, message.frame_id, message.is_extended_frame, bool(message.is_fd), initial)

    def page(self, name: str, selectors: tuple[CanSelector, ...], fill: int = 0) -> bytes:
        """A message as it is where its multiplexers choose a page, before anything was commanded."""
        message = self._messages[name]
        payload = self.message(name, fill).initial
        for selector in selectors:
            payload = insert(payload, selector.signal, selector.ids[0])
        for signal in message.signals:
            if signal.raw_initial is None or signal.is_float or not signal.multiplexer_ids:
                continue
            info = self.signal(name, signal.name)
            if info.selectors == selectors:
                payload = insert(payload, info.signal, int(signal.raw_initial))
        return payload

    def signal(self, message: str, name: str) -> SignalInfo:
        """Raises KeyError, and DatabaseError for one that cannot be a tag."""
        signals = {signal.name: signal for signal in self._messages[message].signals}
        signal = signals[name]
        layout = _layout(signal)
        if layout.length > 64:
            raise DatabaseError(f"has {layout.length} bits; a tag holds 64")
        if layout.is_float and layout.length not in (16, 32, 64):
            raise DatabaseError(f"is a float of {layout.length} bits")
        length = self._messages[message].length
        if end_byte(layout) > length:
            raise DatabaseError(f"reaches beyond the {length} bytes of its message")
        selectors: list[CanSelector] = []
        inner = signal
        while inner.multiplexer_ids is not None and inner.multiplexer_signal is not None:
            if len(selectors) == MAX_MULTIPLEXERS or inner.multiplexer_signal not in signals:
                raise DatabaseError(f"is multiplexed by {inner.multiplexer_signal!r}, which does not end")
            outer = signals[inner.multiplexer_signal]
            selectors.append(CanSelector(_layout(outer), tuple(sorted(set(inner.multiplexer_ids)))))
            inner = outer
        low, high = signal.minimum, signal.maximum
        if low is None or high is None or not low < high:
            low = high = None
        return SignalInfo(
            name,
            layout,
            tuple(reversed(selectors)),
            _unit(signal.unit),
            None if low is None else float(low),
            None if high is None else float(high),
            _states(signal, layout),
        )


def load_database(path: Path) -> Database:
    """The database in a file. Raises DatabaseError with a clause such as "does not exist"."""
    try:
        real = Path(os.path.realpath(path))
        status = real.stat()
    except OSError as error:
        raise DatabaseError(
            "does not exist" if isinstance(error, FileNotFoundError) else str(error)
        ) from None
    except ValueError:
        raise DatabaseError("is no path") from None
    if real.suffix[1:].lower() not in FORMATS:
        raise DatabaseError(f"is none of: {', '.join(FORMATS)}")
    if status.st_size > MAX_BYTES:
        raise DatabaseError(f"has {status.st_size:,} bytes, more than {MAX_BYTES:,}")
    return _load(real, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=MAX_KEPT)
def _load(path: Path, _changed_ns: int, _size: int) -> Database:
    # a third of a second, which only sites with CAN should spend
    import cantools.database
    from cantools import Error

    try:
        raw = path.read_bytes()
        # Not strict: one message that overlaps itself must not cost the hundred sound ones beside it.
        read = cantools.database.load_file(str(path), strict=False)
    except (
        Error, OSError, ParseError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
        AssertionError, RecursionError,
    ) as error:  # cantools lets its parsers' errors through  # fmt: skip
        words = " ".join(str(error).split()) or type(error).__name__
        raise DatabaseError(f"cannot be read: {words[:300]}") from None
    messages: dict[str, Message] = {}
    for message in getattr(read, "messages", ()):
        messages.setdefault(message.name, message)
    if not messages:
        raise DatabaseError("has no messages")
    return Database(messages, hashlib.sha256(raw).hexdigest())


def _layout(signal: Signal) -> CanSignal:
    return signal_of(
        start=signal.start,
        length=signal.length,
        is_big_endian=signal.byte_order == "big_endian",
        is_signed=bool(signal.is_signed),
        is_float=bool(signal.is_float),
        scale=signal.conversion.scale,
        offset=signal.conversion.offset,
    )


def signal_of(
    *,
    start: int,
    length: int,
    scale: float,
    offset: float,
    is_big_endian: bool = False,
    is_signed: bool = False,
    is_float: bool = False,
) -> CanSignal:
    """A signal with the narrowest type that holds all its values."""
    layout = CanSignal(start, length, is_big_endian, is_signed, is_float, scale, offset, ValueType.DOUBLE)
    if layout.is_float or not float(scale).is_integer() or not float(offset).is_integer():
        return layout
    whole = replace(layout, scale=int(scale), offset=int(offset))
    ends = sorted(int(raw * whole.scale + whole.offset) for raw in raw_limits(whole))
    if (whole.length, whole.is_signed, whole.scale, whole.offset) == (1, False, 1, 0):
        return replace(whole, type=ValueType.BOOL)
    for kind, (low, high) in _WHOLE.items():
        if low <= ends[0] and ends[1] <= high:
            return replace(whole, type=kind)
    return layout  # beyond 64 bits


def _unit(written: str | None) -> str | None:
    text = (written or "").strip()
    unit = unit_of(SPELLINGS.get(text, text))
    return None if unit is None else unit.symbol


def _states(signal: Signal, layout: CanSignal) -> dict[int, str]:
    """The value table as values of the tag; a tag of numbers with decimals has none."""
    if not signal.choices or layout.type is ValueType.DOUBLE:
        return {}
    states: dict[int, str] = {}
    low, high = (0, 1) if layout.type is ValueType.BOOL else _WHOLE[layout.type]
    for raw, choice in sorted(signal.choices.items()):
        value = int(raw) * int(layout.scale) + int(layout.offset)
        name = str(choice).strip()
        if name and low <= value <= high:
            states[value] = f"{name} ({value})" if name in states.values() else name
    return states
