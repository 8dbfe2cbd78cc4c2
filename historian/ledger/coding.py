"""The bytes of facts (docs/formats/ledger.md): one encoding for one value, from the fields of their types."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from historian.ledger.entry import Record, decode_name, encode_name
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import TOPICS, Fact

VERSION = 1
MOST_TEXT_BYTES = 512  # a place, a model, a reason; not a document
MOST_BYTES = 4096  # a call of a contract has a few hundred
_TOPIC_OF = {of: topic for topic, of in TOPICS.items()}

_Put = Callable[[Any], bytes]
_Take = Callable[[bytes, int], tuple[Any, int]]  # content and offset; value and offset after it


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A field of fixed width: its form in a struct and, of a choice, what its number stands for."""

    form: str
    choices: dict[int, Any] | None = None
    name: str = ""


_I64, _U16 = struct.Struct(">q"), struct.Struct(">H")


def _put_integer(value: int) -> bytes:
    try:
        return _I64.pack(value)
    except struct.error:
        raise Refused(Reason.OVERFLOW, f"{value} does not fit its 64 bits") from None


def _take_name(content: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + content[at]
    return decode_name(content[at + 1 : end]), end


def _put_text(value: str) -> bytes:
    text = value.encode()
    if len(text) > MOST_TEXT_BYTES:
        raise Refused(Reason.OVERSIZED, f"a text of {len(text)} bytes: {MOST_TEXT_BYTES} at most")
    return _U16.pack(len(text)) + text


def _take_text(content: bytes, at: int) -> tuple[str, int]:
    start = at + 2
    end = start + _U16.unpack_from(content, at)[0]
    if end - start > MOST_TEXT_BYTES or end > len(content):
        raise Refused(Reason.MALFORMED, f"a text of {end - start} bytes: {MOST_TEXT_BYTES} at most")
    return content[start:end].decode(), end


def _put_bytes(value: bytes) -> bytes:
    if len(value) > MOST_BYTES:
        raise Refused(Reason.OVERSIZED, f"{len(value)} bytes: {MOST_BYTES} at most")
    return _U16.pack(len(value)) + value


def _take_bytes(content: bytes, at: int) -> tuple[bytes, int]:
    start = at + 2
    end = start + _U16.unpack_from(content, at)[0]
    if end - start > MOST_BYTES or end > len(content):
        raise Refused(Reason.MALFORMED, f"{end - start} bytes: {MOST_BYTES} at most")
    return content[start:end], end


def _coder(hint: Any) -> tuple[_Put, _Take | _Fixed]:
    if get_origin(hint) is Annotated:
        of, how = get_args(hint)
        if how == "name":
            return encode_name, _take_name
        if how == "text":
            return _put_text, _take_text
        assert of is bytes, hint
        if how == "bytes":
            return _put_bytes, _take_bytes
        return _bytes_coder(how)
    if hint is int:
        return _put_integer, _Fixed("q")
    assert issubclass(hint, int), hint  # bool or IntEnum
    choices = {int(choice): choice for choice in (hint if issubclass(hint, IntEnum) else (False, True))}
    return lambda value: bytes((value,)), _Fixed("B", choices, hint.__name__)


def _bytes_coder(size: int) -> tuple[_Put, _Fixed]:
    def put(value: bytes) -> bytes:
        if len(value) != size:
            raise Refused(Reason.MALFORMED, f"{len(value)} bytes, not {size}")
        return value

    return put, _Fixed(f"{size}s")


def _plan(of: type[Any]) -> list[tuple[str, _Put, _Take | _Fixed]]:
    hints = get_type_hints(of, include_extras=True)
    return [(field.name, *_coder(hints[field.name])) for field in fields(of)]


_PLANS = {of: _plan(of) for of in TOPICS.values()}


def _run_taker(run: list[_Fixed]) -> _Take:
    """Takes the values of several fields at once."""
    form = struct.Struct(">" + "".join(field.form for field in run))
    size, unpack_from = form.size, form.unpack_from
    picked = [(i, field.choices, field.name) for i, field in enumerate(run) if field.choices is not None]
    if not picked:
        return lambda content, at: (unpack_from(content, at), at + size)

    def take(content: bytes, at: int) -> tuple[Any, int]:
        values = list(unpack_from(content, at))
        for index, choices, name in picked:
            value = choices.get(values[index])
            if value is None:
                raise Refused(Reason.MALFORMED, f"{values[index]} is no {name}")
            values[index] = value
        return values, at + size

    return take


def _takers(of: type[Any]) -> list[tuple[bool, _Take]]:
    """One for each field, but one (True) for all of fixed width in a row: orders come by the thousand."""
    takers: list[tuple[bool, _Take]] = []
    run: list[_Fixed] = []
    for _, _, how in _PLANS[of]:
        if isinstance(how, _Fixed):
            run.append(how)
            continue
        if run:
            takers.append((True, _run_taker(run)))
            run = []
        takers.append((False, how))
    return [*takers, (True, _run_taker(run))] if run else takers


_TAKERS = {topic: (of, _takers(of)) for topic, of in TOPICS.items()}


def record_of(fact: Fact) -> Record:
    """The record that says it; ``Refused`` where a value has no encoding."""
    parts = [bytes((VERSION,))]
    for name, put, _ in _PLANS[type(fact)]:
        try:
            parts.append(put(getattr(fact, name)))
        except Refused as refused:
            raise Refused(refused.reason, f"{name}: {refused.why}") from None
    return Record(_TOPIC_OF[type(fact)], b"".join(parts))


def fact_of(record: Record) -> Fact | None:
    """What a record says; None where its topic is none of ours; ``Refused`` for bytes ``record_of`` does not make."""
    found = _TAKERS.get(record.topic)
    if found is None:
        return None
    of, takers = found
    content = record.content
    if not content or content[0] != VERSION:
        raise Refused(Reason.MALFORMED, f"a {record.topic} of a version that is not {VERSION}")
    values: list[Any] = []
    at = 1
    try:
        for is_run, take in takers:
            value, at = take(content, at)
            if is_run:
                values += value
            else:
                values.append(value)
    except (struct.error, IndexError):
        raise Refused(Reason.MALFORMED, f"a {record.topic} cut off after {len(content)} bytes") from None
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED, f"a text of a {record.topic} is no UTF-8") from None
    if at != len(content):
        raise Refused(Reason.MALFORMED, f"a {record.topic} of {len(content)} bytes, {at} of them read")
    fact: Fact = of(*values)
    return fact
