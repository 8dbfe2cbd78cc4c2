"""The desk: what is refused is on the record, what is asked twice is done once, and what is owed is posted once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_town import FIRST_US, QUARTER_US, Town

from historian.ledger.book import Book
from historian.ledger.bundle import Bundle, sign
from historian.ledger.coding import record_of
from historian.ledger.community import Community
from historian.ledger.desk import MOST_REFUSALS, Desk
from historian.ledger.entry import Record, transfer
from historian.ledger.errors import LedgerError, Reason
from historian.ledger.facts import Gate, Side
from historian.ledger.pen import Pen, client_id
from historian.ledger.verify import verify
from historian.signing import SigningKey

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def busy(town: Town) -> Iterator[Town]:
    """Some orders rest, some have traded."""
    town.trade("pv1", SELL, 1_000, 200_000)
    town.trade("home1", BUY, 400, 250_000)
    town.trade("home2", BUY, 300, 100_000)
    yield town
    town.book.close()


def on_record(town: Town, bundle: Bundle, reason: Reason) -> None:
    """Refused, noted with what it was, nothing else changed."""
    before = town.picture()
    last = town.book.state.head.sequence
    (outcomes,) = town.desk.submit([bundle])
    assert {outcome.refused.reason for outcome in outcomes if outcome.refused} == {reason}
    assert all(outcome.receipt is None for outcome in outcomes)
    sequence, noted = town.community.refusals[-1]
    assert (sequence, noted.reason) == (last + 1, reason.value)
    assert town.picture() == before
    assert verify(town.file).is_sound


def test_forged_reordered_late_and_foreign_orders_are_refused_on_the_record(busy: Town) -> None:
    fact = record_of(busy.order("pv1", SELL, 1, 300_000))
    pen, key = busy.pens["pv1"], busy.keys["pv1"]
    good = busy.request("pv1", busy.order("pv1", SELL, 1, 300_000), client_id("new"))
    statement = bytearray(good.statements[0])
    statement[-20] ^= 1
    on_record(busy, Bundle((bytes(statement),), good.signature), Reason.FORGED)
    on_record(busy, replace(good, signature=bytes(64)), Reason.FORGED)
    on_record(busy, _by_nobody(busy), Reason.KEY_NOT_VALID)
    number = busy.book.state.authors["pv1"].number
    on_record(busy, sign(key, [replace(pen.statement(fact), number=number)]), Reason.REORDERED)
    late = replace(pen.statement(fact), good_until_us=busy.now_us - 1, made_at_us=busy.now_us - 9)
    on_record(busy, sign(key, [late]), Reason.LATE)
    ahead = pen.statement(fact)
    skewed = replace(ahead, made_at_us=busy.now_us + 10**9, good_until_us=busy.now_us + 10**9)
    on_record(busy, sign(key, [skewed]), Reason.EARLY)
    foreign = replace(pen.statement(fact), ledger=bytes(32))
    on_record(busy, sign(key, [foreign]), Reason.WRONG_LEDGER)
    on_record(busy, Bundle((b"garbage",), bytes(64)), Reason.FORGED)


def _by_nobody(town: Town) -> Bundle:
    key = SigningKey.generate()
    return Pen(key, town.book.id, town.clock).sign([record_of(town.order("pv1", SELL, 1, 300_000))])


def test_bytes_that_are_no_order_are_void_and_on_the_record(busy: Town) -> None:
    for content in (b"", b"\x01", b"\x02" + bytes(60), bytes(400)):
        bundle = busy.pens["pv1"].sign([Record("market.order", content)])
        before = busy.picture()
        ((outcome,),) = busy.desk.submit([bundle])
        assert outcome.refused is not None
        assert outcome.refused.reason is Reason.MALFORMED
        assert busy.picture() == before


def test_of_many_bundles_only_the_bad_ones_are_left_out(busy: Town) -> None:
    bundles = [
        busy.request(name, busy.order(name, BUY, 10 + i, 50_000), client_id(f"many {name} {i}"))
        for i in range(4)
        for name in ("home1", "home2")
    ]
    bundles[3] = replace(bundles[3], signature=bytes(64))
    outcomes = busy.desk.submit(bundles)
    assert [outcome.refused is None for (outcome,) in outcomes] == [i != 3 for i in range(8)]


def test_an_order_sent_again_is_done_once_and_another_by_its_id_is_refused(busy: Town) -> None:
    client = client_id("mine")
    bundle = busy.request("home1", busy.order("home1", BUY, 100, 210_000), client)
    ((first,),) = busy.desk.submit([bundle])
    before, last = busy.picture(), busy.book.state.head.sequence
    signed_again = busy.request("home1", busy.order("home1", BUY, 100, 210_000), client)
    for again in (bundle, signed_again):
        ((outcome,),) = busy.desk.submit([again])
        assert first.receipt is not None
        assert (outcome.receipt, outcome.refused) == (first.receipt._replace(is_new=False), None)
    assert (busy.picture(), busy.book.state.head.sequence) == (before, last)
    on_record(busy, busy.request("home1", busy.order("home1", BUY, 999, 210_000), client), Reason.CONFLICT)


def test_a_void_order_sent_again_is_still_void(busy: Town) -> None:
    bundle = busy.request("pv1", busy.order("pv1", SELL, 99_999, 200_000), client_id("big"))
    ((first,),) = busy.desk.submit([bundle])
    ((again,),) = busy.desk.submit([bundle])
    assert first.refused is again.refused is not None


def test_a_flood_of_forgeries_does_not_fill_the_ledger(busy: Town) -> None:
    last = busy.book.state.head.sequence
    forged = [Bundle((b"forged",), bytes(64)) for _ in range(3 * MOST_REFUSALS)]
    busy.desk.submit(forged)
    assert busy.book.state.head.sequence == last + MOST_REFUSALS
    busy.now_us += 61 * 1_000_000
    busy.desk.submit(forged[:1])
    assert busy.community.refusals[-1][1].untold == 2 * MOST_REFUSALS


def test_all_of_it_is_in_the_ledger_and_comes_back_from_it(busy: Town) -> None:
    busy.now_us = FIRST_US
    busy.desk.close_gates()
    busy.trade("home2", BUY, 100, 250_000, interval_us=FIRST_US + 4 * QUARTER_US)
    busy.refused("pv1", busy.order("pv1", SELL, 0, 200_000), Reason.LATE)
    before, voids = busy.picture(), dict(busy.community.voids)
    busy.desk.book.close_period(busy.key)
    busy.book.close()
    busy.open()
    assert busy.picture() == before
    assert busy.community.voids.keys() == voids.keys()
    assert busy.community.strays == []


def test_what_a_dead_desk_owed_is_posted_by_the_next_once(busy: Town, tmp_path: Path) -> None:
    # The ledger as it is after the gate's entry and before its postings.
    busy.now_us = FIRST_US
    busy.book.follow = None
    pen = Pen(busy.key, busy.book.id, busy.clock)
    pen.follow(busy.book.state.authors["market"].number)
    busy.book.append([pen.sign([record_of(Gate(FIRST_US))])])
    assert busy.book.state.balances()["market.escrow"] == 0
    busy.book.close()
    busy.open()
    assert busy.book.state.balances()["market.escrow"] == 80_000
    after, last = busy.picture(), busy.book.state.head.sequence
    busy.book.close()
    busy.open()
    assert (busy.picture(), busy.book.state.head.sequence) == (after, last)


def test_two_desks_of_one_operator_see_each_other(busy: Town) -> None:
    with Book.open(busy.file, busy.clock) as book:
        other = Desk(book, busy.key, busy.clock)
        other.start()
        busy.trade("home2", BUY, 10, 60_000)
        bundle = busy.request("pv2", busy.order("pv2", SELL, 10, 60_000), client_id("there"))
        ((outcome,),) = other.submit([bundle])
        assert outcome.refused is None
        assert [trade.wh for trade in other.community.trades] == [400, 10]
        busy.desk.submit([])
        busy.trade("home2", BUY, 10, 50_000)
        assert busy.community.trades == other.community.trades
        busy.now_us = FIRST_US
        busy.desk.close_gates()
        other.submit([busy.request("pv2", busy.order("pv2", SELL, 1, 1), client_id("poke"))])
        assert not other.community.owed
        assert other.community.strays == busy.community.strays == []


def test_only_the_operators_key_runs_the_desk(busy: Town) -> None:
    with Book.open(busy.file, busy.clock) as book, pytest.raises(LedgerError, match="not the key of market"):
        Desk(book, busy.keys["pv1"], busy.clock).start()


def test_an_operator_that_posts_what_no_fact_asked_for_is_told_of(busy: Town) -> None:
    busy.post(transfer("mine", "home1.deposit", "bank", "EUR", 5))
    (stray,) = busy.community.strays
    assert "home1.deposit" in stray[1]
    assert busy.community.market.deposits["home1"] == 100_000_000 - 5
    fresh = Community()
    for placed in busy.book.placed(-1):
        fresh.take(placed)
    assert fresh.strays == [stray]
