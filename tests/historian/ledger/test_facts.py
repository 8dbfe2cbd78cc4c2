"""Bytes of facts: each value has one encoding, and what is none is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.ledger.coding import fact_of, record_of
from historian.ledger.entry import Record
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import NO_DIGEST, TOPICS, Cancellation, Fact, Join, ParticipantKind, Withdrawal


def values(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is Annotated:
        _, how = get_args(hint)
        if how == "name":
            return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", fullmatch=True)
        if how == "bytes":
            return st.binary(max_size=100)
        return st.text(max_size=100) if how == "text" else st.binary(min_size=how, max_size=how)
    if hint is bool:
        return st.booleans()
    return st.sampled_from(list(hint)) if issubclass(hint, IntEnum) else st.integers(-(2**63), 2**63 - 1)


def some(of: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(of, include_extras=True)
    return st.builds(of, *(values(hints[field.name]) for field in fields(of)))


@given(st.one_of([some(of) for of in TOPICS.values()]), st.data())
def test_a_fact_has_one_encoding_and_garbage_is_refused(fact: Fact, data: st.DataObject) -> None:
    record = record_of(fact)
    assert fact_of(record) == fact
    at = data.draw(st.integers(0, len(record.content)))
    garbage = record.content[:at] + data.draw(st.binary(max_size=4)) + record.content[at + 2 :]
    with suppress(Refused):
        read = fact_of(Record(record.topic, garbage))
        assert read is not None
        assert record_of(read).content == garbage


def test_what_has_no_encoding_is_refused() -> None:
    for fact, reason in (
        (Withdrawal(2**63), Reason.OVERFLOW),
        (Cancellation(bytes(15)), Reason.MALFORMED),
        (Join(ParticipantKind.VEHICLE, "x" * 513, NO_DIGEST), Reason.OVERSIZED),
    ):
        with pytest.raises(Refused) as refused:
            record_of(fact)
        assert refused.value.reason is reason


def test_a_record_of_another_topic_is_none_of_ours() -> None:
    assert fact_of(Record("readings", b"anything")) is None


def test_another_version_and_bytes_behind_the_end_are_refused() -> None:
    record = record_of(Withdrawal(5))
    for content in (b"\x02" + record.content[1:], record.content + b"\0", record.content[:-1], b""):
        with pytest.raises(Refused):
            fact_of(Record(record.topic, content))


def test_the_format_names_every_topic_and_field() -> None:
    docs = Path(__file__).parents[3] / "docs"
    lines = (docs / "formats" / "ledger.md").read_text().splitlines()
    for topic, of in TOPICS.items():
        (row,) = (line for line in lines if line.startswith(f"| `{topic}` |"))
        assert [part.split()[0] for part in row.split("|")[2].split(",")] == [f.name for f in fields(of)]
