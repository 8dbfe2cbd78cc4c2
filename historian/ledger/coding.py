"""The bytes of facts (docs/formats/ledger.md): one encoding for one value, from the fields of their types."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from itertools import groupby
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
_I64, _U16 = struct.Struct(">q"), struct.Struct(">H")


def _put_integer(value: int) -> bytes:
    try:
        return _I64.pack(value)
    except struct.error:
        raise Refused(Reason.OVERFLOW, f"{value} does not fit its 64 bits") from None


def _take_integer(content: bytes, at: int) -> tuple[int, int]:
    return _I64.unpack_from(content, at)[0], at + 8


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


def _coder(hint: Any) -> tuple[_Put, _Take]:
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
        return _put_integer, _take_integer
    assert issubclass(hint, int), hint  # bool or IntEnum
    choices = {int(choice): choice for choice in (hint if issubclass(hint, IntEnum) else (False, True))}

    def take(content: bytes, at: int) -> tuple[Any, int]:
        value = choices.get(content[at])
        if value is None:
            raise Refused(Reason.MALFORMED, f"{content[at]} is no {hint.__name__}")
        return value, at + 1

    return lambda value: bytes((value,)), take


def _bytes_coder(size: int) -> tuple[_Put, _Take]:
    def put(value: bytes) -> bytes:
        if len(value) != size:
            raise Refused(Reason.MALFORMED, f"{len(value)} bytes, not {size}")
        return value

    return put, lambda content, at: (content[at : at + size], at + size)


def _plan(of: type[Any]) -> list[tuple[str, _Put, _Take]]:
    hints = get_type_hints(of, include_extras=True)
    return [(field.name, *_coder(hints[field.name])) for field in fields(of)]


_PLANS = {of: _plan(of) for of in TOPICS.values()}


def _integers_taker(count: int) -> _Take:
    form = struct.Struct(f">{count}q")
    return lambda content, at: (form.unpack_from(content, at), at + form.size)


def _takers(of: type[Any]) -> list[tuple[bool, _Take]]:
    """One for each field, but one (True) for all integers in a row: orders come by the thousand."""
    takers: list[tuple[bool, _Take]] = []
    for is_run, fields_of in groupby(_PLANS[of], key=lambda field: field[2] is _take_integer):
        takes = [take for _, _, take in fields_of]
        takers += [(True, _integers_taker(len(takes)))] if is_run else [(False, take) for take in takes]
    return takers


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
