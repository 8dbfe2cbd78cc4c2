"""Messages of OPC UA, as a ring of a session holds them (gateway.drivers.opcua.tapped), as a line of text each."""

from __future__ import annotations

import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from asyncua.ua.object_ids import ObjectIdNames
from asyncua.ua.status_codes import get_name_and_doc

from gateway.drivers.opcua.tapped import HEAD, MESSAGE_BYTES
from gateway.drivers.opcua.wire import (
    QUALIFIED_NAME,
    STATUS_CODE,
    Cursor,
    Moment,
    NodeKey,
    Raw,
    Reading,
    WireError,
    data_changes,
    node_text,
)
from gateway.drivers.trace import Way

SHOWN = 4  # nodes or values of a message
TEXT = 40  # letters of a value
_ENCODING = "_Encoding_DefaultBinary"
_FAULT = "ServiceFault"
_DATA_CHANGE, _STATUS_CHANGE = (0, 811), (0, 820)
_VALUE_ATTRIBUTE = 13
_UNREADABLE = (WireError, struct.error, UnicodeDecodeError, OverflowError)


class OpcUaDescriber:
    """Each message stands for itself: its type says which service it is of, and its number which request."""

    def restart(self) -> None:
        """Nothing is kept."""

    def describe(self, way: Way, octets: bytes) -> str:
        """Number of the request, service, result, and the most telling of what it holds."""
        if len(octets) < HEAD.size:
            return "no message"
        *_, request = HEAD.unpack_from(octets)
        at = Cursor(octets[HEAD.size :])
        try:
            service, is_request = _service(at.node_id())
            said = [f"#{request} {service}"]
            try:
                (_ask if is_request else _answer)(at, service, said)
            except _UNREADABLE:
                is_cut = len(at.body) >= MESSAGE_BYTES
                said.append("... (cut)" if is_cut else "... (not readable)")
        except _UNREADABLE:
            return f"#{request} not readable"
        return _line(" ".join(said))


def _service(kind: NodeKey) -> tuple[str, bool]:
    """Its name, and whether it is a request."""
    number = kind[1] if kind[0] == 0 and isinstance(kind[1], int) else 0
    name = ObjectIdNames.get(number, "")
    if not name.endswith(_ENCODING):
        return f"type {node_text(kind)}", False
    name = name.removesuffix(_ENCODING)
    return name.removesuffix("Request").removesuffix("Response"), name.endswith("Request")


def _ask(at: Cursor, service: str, said: list[str]) -> None:
    at.node_id()  # the token, which is not told
    at.skip(16)  # time, handle, wished diagnostics
    at.string()  # the entry for the server's audit
    at.u32()
    _, at.position = at.extension()
    if service in _ASKED:
        _ASKED[service](at, said)


def _answer(at: Cursor, service: str, said: list[str]) -> None:
    at.skip(12)  # time and handle
    said.append(_name(at.u32()))
    if service == _FAULT:
        return
    at.diagnostics(0)
    for _ in range(at.count()):
        at.string()
    _, at.position = at.extension()
    if service in _ANSWERED:
        _ANSWERED[service](at, said)


def _several(count: int, one: Callable[[], str], said: list[str]) -> None:
    """The first of many."""
    said += [one() for _ in range(min(max(count, 0), SHOWN))]
    if count > SHOWN:
        said.append(f"and {count - SHOWN} more")


def _attribute_of(at: Cursor) -> str:
    """A node's attribute with its index range, as in Read and Write."""
    node, attribute, part = at.node_id(), at.u32(), at.string()
    shown = node_text(node) if attribute == _VALUE_ATTRIBUTE else f"{node_text(node)} attribute {attribute}"
    return f"{shown}[{part}]" if part else shown


def _ask_read(at: Cursor, said: list[str]) -> None:
    at.skip(12)  # greatest age, which times

    def one() -> str:
        shown = _attribute_of(at)
        at.value(QUALIFIED_NAME, 0)
        return shown

    _several(at.count(), one, said)


def _ask_write(at: Cursor, said: list[str]) -> None:
    _several(at.count(), lambda: f"{_attribute_of(at)} = {_reading(at.data_value(0))}", said)


def _ask_call(at: Cursor, said: list[str]) -> None:
    def one() -> str:
        owner, method = at.node_id(), at.node_id()
        values = [_value(at.variant(0)[0]) for _ in range(max(at.count(), 0))]
        return f"{node_text(method)} of {node_text(owner)} ({', '.join(values)})"

    _several(at.count(), one, said)


def _ask_browse(at: Cursor, said: list[str]) -> None:
    at.node_id()  # view
    at.skip(16)  # its time and version, most references a node
    _several(at.count(), lambda: _browsed(at), said)


def _browsed(at: Cursor) -> str:
    node = at.node_id()
    at.skip(4)
    at.node_id()
    at.skip(9)
    return node_text(node)


def _ask_subscription(at: Cursor, said: list[str]) -> None:
    interval_ms, lifetimes, keep_alives = at.value(11, 0), at.u32(), at.u32()
    said.append(f"every {interval_ms:g} ms, keep-alive after {keep_alives}, gone after {lifetimes}")


def _ask_items(at: Cursor, said: list[str]) -> None:
    subscription = at.u32()
    at.skip(4)
    said.append(f"{at.count()} for subscription {subscription}")


def _ask_publish(at: Cursor, said: list[str]) -> None:
    for _ in range(max(at.count(), 0)):
        subscription, sequence = at.u32(), at.u32()
        said.append(f"confirms message {sequence} of subscription {subscription}")


def _answer_read(at: Cursor, said: list[str]) -> None:
    _several(at.count(), lambda: _reading(at.data_value(0)), said)


def _answer_statuses(at: Cursor, said: list[str]) -> None:
    said.append(_tally(int(str(at.value(STATUS_CODE, 0))) for _ in range(max(at.count(), 0))))


def _answer_call(at: Cursor, said: list[str]) -> None:
    def one() -> str:
        status = _name(at.u32())
        arguments = [_name(at.u32()) for _ in range(max(at.count(), 0))]
        for _ in range(max(at.count(), 0)):
            at.diagnostics(0)
        values = [_value(at.variant(0)[0]) for _ in range(max(at.count(), 0))]
        wrong = [f"argument {i}: {told}" for i, told in enumerate(arguments) if told != "Good"]
        return " ".join((status, *wrong, *([f"gives {', '.join(values)}"] if values else [])))

    _several(at.count(), one, said)


def _answer_subscription(at: Cursor, said: list[str]) -> None:
    number, interval_ms, lifetimes, keep_alives = at.u32(), at.value(11, 0), at.u32(), at.u32()
    said.append(
        f"subscription {number} every {interval_ms:g} ms, keep-alive after {keep_alives}, gone after {lifetimes}"
    )


def _answer_items(at: Cursor, said: list[str]) -> None:
    statuses: list[int] = []
    for _ in range(max(at.count(), 0)):
        statuses.append(at.u32())
        at.skip(16)  # its number, sampling interval, queue
        _, at.position = at.extension()
    said.append(_tally(statuses))


def _answer_publish(at: Cursor, said: list[str]) -> None:
    subscription = at.u32()
    at.skip(4 * max(at.count(), 0))  # kept for Republish
    at.u8()
    said.append(f"subscription {subscription} message {at.u32()}")
    at.skip(8)
    count = max(at.count(), 0)
    if not count:
        said.append("keep-alive")
    for _ in range(count):
        kind, end = at.extension()
        if kind == _DATA_CHANGE:
            changes = _changes(at, end)
            _several(len(changes), iter(changes).__next__, said)
        elif kind == _STATUS_CHANGE:
            said.append(f"ended: {_name(at.u32())}")
        else:
            said.append(f"notification {node_text(kind)}")
        at.position = end


def _changes(at: Cursor, end: int) -> Sequence[str]:
    return [f"item {handle} = {_reading(reading)}" for handle, reading in data_changes(at, end)]


_ASKED: dict[str, Callable[[Cursor, list[str]], None]] = {
    "Read": _ask_read,
    "Write": _ask_write,
    "Call": _ask_call,
    "Browse": _ask_browse,
    "CreateSubscription": _ask_subscription,
    "CreateMonitoredItems": _ask_items,
    "Publish": _ask_publish,
}
_ANSWERED: dict[str, Callable[[Cursor, list[str]], None]] = {
    "Read": _answer_read,
    "Write": _answer_statuses,
    "Call": _answer_call,
    "CreateSubscription": _answer_subscription,
    "CreateMonitoredItems": _answer_items,
    "DeleteMonitoredItems": _answer_statuses,
    "DeleteSubscriptions": _answer_statuses,
    "Publish": _answer_publish,
}


def _name(status: int) -> str:
    """A StatusCode as the standard calls it, with its number where its low bits say more."""
    name: str = get_name_and_doc(status & 0xFFFF_0000)[0]
    return f"{name} ({status:#010x})" if status & 0xFFFF else name


def _tally(statuses: Iterable[int]) -> str:
    counts = Counter(_name(status) for status in statuses)
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"


def _reading(reading: Reading) -> str:
    value = "no value" if reading.type == 0 else _value(reading.value)
    return value if reading.status == 0 else f"{value} {_name(reading.status)}"


def _value(value: object) -> str:
    match value:
        case Moment(None):
            shown = "no time"
        case Moment(int(ns)):
            shown = f"{ns / 1e9:.3f} s since 1970"
        case Raw(kind, body):
            shown = f"structure {node_text(kind)} of {len(body)} octets"
        case bytes():
            shown = value.hex(" ")
        case tuple((int(space), (int() | str() | bytes() | uuid.UUID()) as identifier)):
            shown = node_text((space, identifier))
        case list():
            shown = (
                f"[{', '.join(_value(one) for one in value[:SHOWN])}{', ...' if len(value) > SHOWN else ''}]"
            )
        case str():
            shown = repr(value)
        case _:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= TEXT else shown[:TEXT] + "..."


def _line(text: str) -> str:
    """Nothing that a terminal would take for more than text."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
