"""Whatever is asked: units are conserved, nothing is overdrawn, a request is done once, bytes are one."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from historian.ledger.book import Book
from historian.ledger.bundle import sign
from historian.ledger.entry import (
    INT64_HIGH,
    INT64_LOW,
    Account,
    Posting,
    Statement,
    Transfer,
    balanced,
    decode_statement,
    encode_statement,
)
from historian.ledger.errors import Refused
from historian.ledger.pen import Pen, client_id
from historian.ledger.verify import verify
from historian.signing import SigningKey

KEY = SigningKey.generate()
UNITS = {"bank": "EUR", "a": "EUR", "b": "EUR", "grid": "Wh", "x": "Wh", "y": "Wh"}
DEBTORS = {"bank", "grid"}
AMOUNTS = st.one_of(
    st.integers(1, 100), st.sampled_from([INT64_HIGH, INT64_HIGH // 2 + 1]), st.integers(1, INT64_HIGH)
)


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """Most are balanced; some forget a posting, mix units or repeat an account."""
    postings = []
    for _ in range(draw(st.integers(1, 3))):
        unit = draw(st.sampled_from(["EUR", "Wh"]))
        names = st.sampled_from([name for name, of in UNITS.items() if of == unit])
        amount = draw(AMOUNTS)
        postings += [Posting(draw(names), unit, -amount), Posting(draw(names), unit, amount)]
    if draw(st.integers(0, 7)) == 0:
        postings.pop(draw(st.integers(0, len(postings) - 1)))
    return balanced("", postings)


REQUESTS = st.lists(st.lists(st.tuples(st.integers(0, 12), transfers()), min_size=1, max_size=3), max_size=12)


@settings(max_examples=25, deadline=None)
@given(REQUESTS)
def test_units_are_conserved_nothing_is_overdrawn_and_requests_are_done_once(
    batches: list[list[tuple[int, Transfer]]],
) -> None:
    expected = dict.fromkeys(UNITS, 0)
    done: dict[int, Transfer] = {}
    with tempfile.TemporaryDirectory() as folder, Book.create(Path(folder) / "l", "p", "market", KEY) as book:
        pen = Pen(KEY, book.id)
        book.append(
            [pen.sign([Account(name, unit, "market", name in DEBTORS) for name, unit in UNITS.items()])]
        )
        for batch in batches:
            before = book.state.encode()
            try:
                bundles = [sign(KEY, [pen.statement(t, client_id(str(n)))]) for n, t in batch]
                receipts = book.append(bundles)
            except Refused:
                assert book.state.encode() == before
                continue
            for receipt, (number, transfer) in zip(receipts, batch, strict=True):
                assert receipt.is_new == (number not in done)
                assert done.setdefault(number, transfer) == transfer
                if receipt.is_new:
                    for posting in transfer.postings:
                        expected[posting.account] += posting.amount
        sums: dict[str, int] = defaultdict(int)
        for name, balance in book.state.accounts.items():
            assert balance.amount == expected[name]
            assert INT64_LOW <= balance.amount <= INT64_HIGH
            assert balance.amount >= 0 or name in DEBTORS
            sums[balance.unit] += balance.amount
        assert not any(sums.values())
        verdict = verify(book.file)
        assert verdict.is_sound, verdict.faults
        assert verdict.state.encode() == book.state.encode()


U64, I64 = st.integers(0, 2**64 - 1), st.integers(INT64_LOW, INT64_HIGH)
STATEMENTS = st.builds(
    Statement,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    U64,
    st.binary(min_size=16, max_size=16),
    I64,
    I64,
    transfers(),
)


@settings(deadline=None)
@given(STATEMENTS, st.data())
def test_a_statement_has_one_encoding_and_garbage_is_refused(
    statement: Statement, data: st.DataObject
) -> None:
    encoded = encode_statement(statement)
    accounts = [posting.account for posting in statement.body.postings]  # type: ignore[union-attr]  # transfers only
    if len(accounts) > 1 and accounts == sorted(set(accounts)):
        assert decode_statement(encoded) == statement
    at = data.draw(st.integers(0, len(encoded) - 1))
    garbage = encoded[:at] + data.draw(st.binary(max_size=5)) + encoded[at + data.draw(st.integers(0, 5)) :]
    with suppress(Refused):
        assert encode_statement(decode_statement(garbage)) == garbage
