"""The ledger's rules at its file: what is placed, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from historian.ledger.book import Book
from historian.ledger.bundle import Bundle, sign
from historian.ledger.entry import (
    INT64_HIGH,
    Account,
    Body,
    KeyAction,
    KeyChange,
    PeriodClose,
    Posting,
    Record,
    Role,
    Transfer,
    balanced,
    decode_entry,
    decode_statement,
    encode_entry,
    encode_statement,
    transfer,
)
from historian.ledger.errors import NotALedger, Reason, Refused
from historian.ledger.merkle import leaf_hash
from historian.ledger.pen import Pen, client_id
from historian.ledger.state import State
from historian.ledger.verify import verify
from historian.signing import SigningKey

START_US = 1_795_300_000_000_000
MINUTE_US = 60_000_000


class Site:
    """A ledger with a market operator, two members, and 10 EUR and 5 kWh out of what may be negative."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.now_us = START_US
        self.market, self.ev1, self.pv7 = (SigningKey.generate() for _ in range(3))
        self.book = Book.create(file, "demo", "market", self.market, self.clock)
        self.by_market, self.by_ev1, self.by_pv7 = (self.pen(k) for k in (self.market, self.ev1, self.pv7))
        self.say(
            KeyChange(KeyAction.ENROL, "ev1", Role.MEMBER, self.ev1.public),
            KeyChange(KeyAction.ENROL, "pv7", Role.MEMBER, self.pv7.public),
            Account("bank.eur", "EUR", "market", may_be_negative=True),
            Account("grid.wh", "Wh", "market", may_be_negative=True),
            *(
                Account(f"{who}.{unit.lower()}", unit, who)
                for who in ("ev1", "pv7")
                for unit in ("EUR", "Wh")
            ),
            transfer("pay in", "bank.eur", "ev1.eur", "EUR", 10_000_000),
            transfer("metered", "grid.wh", "pv7.wh", "Wh", 5_000),
        )

    def clock(self) -> int:
        self.now_us += 1
        return self.now_us

    def pen(self, key: SigningKey) -> Pen:
        return Pen(key, self.book.id, self.clock)

    def say(self, *bodies: Body) -> None:
        self.book.append([self.by_market.sign(bodies)])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "ledger.db")
    yield site
    site.book.close()


def contents(file: Path) -> list[list[tuple[object, ...]]]:
    connection = sqlite3.connect(file)
    try:
        return [
            connection.execute("SELECT * FROM " + t).fetchall()  # noqa: S608 - our own names
            for t in ("entries", "requests", "snapshots")
        ]
    finally:
        connection.close()


def is_refused(site: Site, reason: Reason, *bundles: Bundle) -> str:
    """Refused for this reason, with nothing of it on file or in memory."""
    before, state = contents(site.file), site.book.state.encode()
    with pytest.raises(Refused) as refused:
        site.book.append(bundles)
    assert refused.value.reason is reason, refused.value
    assert contents(site.file) == before
    assert site.book.state.encode() == state
    return refused.value.why


def test_a_trade_moves_money_and_energy_at_once(site: Site) -> None:
    trade = balanced(
        "trade 1",
        [
            Posting("ev1.eur", "EUR", -250_000),
            Posting("pv7.eur", "EUR", 250_000),
            Posting("pv7.wh", "Wh", -1_000),
            Posting("ev1.wh", "Wh", 1_000),
        ],
    )
    (receipt,) = site.book.append([site.by_market.sign([trade])])
    assert site.book.state.balances() == {
        "bank.eur": -10_000_000,
        "ev1.eur": 9_750_000,
        "ev1.wh": 1_000,
        "grid.wh": -5_000,
        "pv7.eur": 250_000,
        "pv7.wh": 4_000,
    }
    assert verify(site.file, ledger=site.book.id, receipt=(receipt.sequence, receipt.hash)).is_sound


PAY = ("ev1.eur", "pv7.eur", "EUR")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (balanced("", [Posting("ev1.eur", "EUR", -2), Posting("pv7.eur", "EUR", 1)]), Reason.NOT_CONSERVED),
        (balanced("", [Posting("ev1.eur", "EUR", -1), Posting("ev1.wh", "Wh", 1)]), Reason.NOT_CONSERVED),
        (balanced("", [Posting("ev1.eur", "Wh", -1), Posting("pv7.eur", "Wh", 1)]), Reason.MIXED_UNITS),
        (transfer("", *PAY, 10_000_001), Reason.NEGATIVE),
        (transfer("", "ev1.eur", "nobody.eur", "EUR", 1), Reason.UNKNOWN),
        (transfer("", "pv7.wh", "ev1.wh", "Wh", 1), Reason.NOT_ALLOWED),
        (Account("mine", "EUR", "ev1"), Reason.NOT_ALLOWED),
        (KeyChange(KeyAction.ENROL, "ev2", Role.MEMBER, bytes(32)), Reason.NOT_ALLOWED),
        (KeyChange(KeyAction.ROTATE, "pv7", Role.MEMBER, bytes(32)), Reason.NOT_ALLOWED),
        (KeyChange(KeyAction.ROTATE, "ev1", Role.OPERATOR, bytes(32)), Reason.NOT_ALLOWED),
        (Transfer("", (Posting("pv7.eur", "EUR", 1), Posting("ev1.eur", "EUR", -1))), Reason.MALFORMED),
        (Transfer("", (Posting("ev1.eur", "EUR", -1), Posting("ev1.eur", "EUR", 1))), Reason.MALFORMED),
        (Transfer("", (Posting("ev1.eur", "EUR", 0), Posting("pv7.eur", "EUR", 0))), Reason.MALFORMED),
        (Transfer("", ()), Reason.MALFORMED),
    ],
)
def test_what_a_member_may_not_say_is_refused_with_all_of_its_batch(
    site: Site, body: Body, reason: Reason
) -> None:
    good = site.by_pv7.sign([Record("note", b"before it")])
    is_refused(site, reason, good, site.by_ev1.sign([transfer("", *PAY, 1), body]))


def test_amounts_beyond_64_bits_are_refused(site: Site) -> None:
    most = transfer("", "bank.eur", "ev1.eur", "EUR", INT64_HIGH)
    is_refused(site, Reason.OVERFLOW, site.by_market.sign([most]))
    with pytest.raises(Refused, match=r"does not fit its 64 bits"):
        site.by_market.sign([transfer("", *PAY, INT64_HIGH + 2)])
    # Below the lowest: the bank's own account, which may be negative, and never is by more than 64 bits.
    site.say(Account("sink", "EUR", "market", may_be_negative=True), Account("sink2", "EUR", "market"))
    site.say(transfer("", "bank.eur", "sink", "EUR", INT64_HIGH - 10_000_000))
    is_refused(site, Reason.OVERFLOW, site.by_market.sign([transfer("", "bank.eur", "sink2", "EUR", 2)]))


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_of_nothing_or_less_is_refused(amount: int) -> None:
    with pytest.raises(Refused, match=r"more than 0"):
        transfer("", *PAY, amount)


def test_a_forged_signature_is_refused(site: Site) -> None:
    good = site.by_ev1.sign([transfer("", *PAY, 1), transfer("", *PAY, 2)])
    is_refused(site, Reason.FORGED, replace(good, signature=bytes(64)))
    is_refused(site, Reason.FORGED, replace(good, statements=good.statements[:1]))
    is_refused(site, Reason.FORGED, replace(good, statements=good.statements[::-1]))
    is_refused(site, Reason.FORGED, replace(good, statements=()))
    other = site.by_pv7.sign([transfer("", *PAY, 1)])
    is_refused(site, Reason.FORGED, replace(good, statements=other.statements))
    stranger = site.pen(SigningKey.generate()).sign([Record("note", b"")])
    is_refused(site, Reason.KEY_NOT_VALID, stranger)


def test_the_same_request_is_done_once_and_another_by_its_id_is_refused(site: Site) -> None:
    first = site.by_ev1.request("bill 7", transfer("bill 7", *PAY, 5))
    (receipt,) = site.book.append([first])
    (again,) = site.book.append([first])
    (signed_anew,) = site.book.append([site.by_ev1.request("bill 7", transfer("bill 7", *PAY, 5))])
    assert receipt.is_new
    assert again == signed_anew == receipt._replace(is_new=False)
    assert site.book.state.balances()["pv7.eur"] == 5
    is_refused(site, Reason.CONFLICT, site.by_ev1.request("bill 7", transfer("bill 7", *PAY, 6)))
    site.book.append([site.by_pv7.request("bill 7", Record("note", b"another author's own id"))])


def test_the_same_request_twice_in_a_batch_is_done_once(site: Site) -> None:
    first = site.by_ev1.request("bill 8", transfer("", *PAY, 5))
    receipts = site.book.append([first, first])
    assert [receipt.is_new for receipt in receipts] == [True, False]
    assert receipts[0].sequence == receipts[1].sequence
    twice = [site.by_ev1.statement(Record("note", b""), client_id("same")) for _ in range(2)]
    is_refused(site, Reason.CONFLICT, sign(site.ev1, twice))


def test_a_bundle_that_is_placed_in_part_is_refused(site: Site) -> None:
    site.book.append([site.by_ev1.request("a", transfer("", *PAY, 5))])
    a = site.by_ev1.statement(transfer("", *PAY, 5), client_id("a"))
    b = site.by_ev1.statement(transfer("", *PAY, 5), client_id("b"))
    is_refused(site, Reason.CONFLICT, sign(site.ev1, [a, b]))


def test_reordered_late_early_and_endless_messages_are_refused(site: Site) -> None:
    first, second = (site.by_ev1.sign([transfer("", *PAY, n)]) for n in (1, 2))
    site.book.append([second])
    assert "reordered" in is_refused(site, Reason.REORDERED, first)
    waits = site.by_ev1.sign([transfer("", *PAY, 1)])
    site.now_us += 61 * MINUTE_US
    is_refused(site, Reason.LATE, waits)
    ahead = replace(site.by_ev1.statement(Record("note", b"")), made_at_us=site.now_us + 6 * MINUTE_US)
    is_refused(site, Reason.EARLY, sign(site.ev1, [replace(ahead, good_until_us=ahead.made_at_us + 1)]))
    endless = site.by_ev1.statement(Record("note", b""), validity_us=8 * 24 * 60 * MINUTE_US)
    is_refused(site, Reason.MALFORMED, sign(site.ev1, [endless]))


def test_a_message_for_another_ledger_is_refused(site: Site, tmp_path: Path) -> None:
    with Book.create(tmp_path / "twin.db", "demo", "market", site.market, site.clock) as twin:
        assert twin.id != site.book.id
        is_refused(site, Reason.WRONG_LEDGER, Pen(site.market, twin.id, site.clock).sign([Record("n", b"")]))


def test_oversized_statements_and_batches_are_refused(site: Site) -> None:
    with pytest.raises(Refused, match=r"oversized"):
        site.by_ev1.sign([Record("note", bytes(65_536))])
    (small,) = site.by_ev1.sign([Record("note", b"")]).statements
    huge = small + bytes(65_536)
    bundle = sign(site.ev1, [site.by_ev1.statement(Record("note", b""))])
    is_refused(site, Reason.FORGED, replace(bundle, statements=(huge,)))
    is_refused(site, Reason.OVERSIZED, *[bundle] * 10_241)


def test_after_a_rotation_the_old_key_signs_nothing_and_the_new_one_does(site: Site) -> None:
    new = SigningKey.generate()
    waits = site.by_ev1.sign([transfer("", *PAY, 1)])
    site.book.append([site.by_ev1.sign([KeyChange(KeyAction.ROTATE, "ev1", Role.MEMBER, new.public)])])
    assert "rotated or revoked" in is_refused(
        site, Reason.KEY_NOT_VALID, site.by_ev1.sign([Record("n", b"")])
    )
    is_refused(site, Reason.KEY_NOT_VALID, waits)
    site.book.append([site.pen(new).sign([transfer("", *PAY, 1)])])
    back = KeyChange(KeyAction.ROTATE, "ev1", Role.MEMBER, site.ev1.public)
    is_refused(site, Reason.EXISTS, site.pen(new).sign([back]))
    assert verify(site.file).is_sound


def test_a_revoked_author_says_nothing_until_enrolled_with_a_new_key(site: Site) -> None:
    site.say(KeyChange(KeyAction.REVOKE, "ev1", Role.MEMBER, site.ev1.public))
    is_refused(site, Reason.KEY_NOT_VALID, site.by_ev1.sign([transfer("", *PAY, 1)]))
    new = SigningKey.generate()
    is_refused(site, Reason.KEY_NOT_VALID, site.pen(new).sign([transfer("", *PAY, 1)]))
    site.say(KeyChange(KeyAction.ENROL, "ev1", Role.MEMBER, new.public))
    site.book.append([site.pen(new).sign([transfer("", *PAY, 1)])])
    last = KeyChange(KeyAction.REVOKE, "market", Role.OPERATOR, site.market.public)
    is_refused(site, Reason.NOT_ALLOWED, site.by_market.sign([last]))


def test_a_key_rotated_within_a_bundle_signs_no_more_of_it(site: Site) -> None:
    new = SigningKey.generate()
    rotate = KeyChange(KeyAction.ROTATE, "ev1", Role.MEMBER, new.public)
    is_refused(site, Reason.KEY_NOT_VALID, site.by_ev1.sign([rotate, transfer("", *PAY, 1)]))


def test_a_period_closes_as_the_ledger_stands_and_is_where_a_restart_begins(site: Site) -> None:
    expected = site.book.state.close_now()
    receipt = site.book.close_period(site.market)
    assert (expected.number, expected.first, expected.count) == (1, 0, receipt.sequence)
    site.book.append([site.by_ev1.sign([transfer("", *PAY, 1)])])
    stale = site.by_market.sign([expected])
    is_refused(site, Reason.WRONG_PERIOD, stale)
    is_refused(site, Reason.NOT_ALLOWED, site.by_ev1.sign([site.book.state.close_now()]))
    with Book.open(site.file) as other:
        assert other.state.encode() == site.book.state.encode()
    connection = sqlite3.connect(site.file)
    connection.execute("UPDATE snapshots SET state = replace(CAST(state AS TEXT), '10000000', '90000000')")
    connection.commit()
    connection.close()
    with pytest.raises(NotALedger, match=r"snapshot is damaged"):
        Book.open(site.file)
    assert "snapshot of period 1" in verify(site.file).faults[0].why


def test_a_batch_refused_after_a_period_closed_in_it_leaves_that_period_open(site: Site) -> None:
    expected = site.book.state.close_now()
    close, paid = site.by_market.sign([expected]), site.by_ev1.sign([transfer("", *PAY, 1)])
    is_refused(site, Reason.NEGATIVE, close, paid, site.by_ev1.sign([transfer("", *PAY, 10_000_000)]))
    assert site.book.state.close_now() == expected
    site.book.append([close, paid])
    site.book.close_period(site.market)
    with Book.open(site.file) as other:
        assert other.state.encode() == site.book.state.encode()
    verdict = verify(site.file)
    assert verdict.is_sound, verdict.faults
    assert verdict.state.encode() == site.book.state.encode()


def test_the_entries_of_a_batch_after_a_refused_one_are_chained_to_what_is_on_file(site: Site) -> None:
    for amount in (1, 10_000_000, 2, 10_000_000, 3):
        payments = [site.by_ev1.sign([transfer("", *PAY, each)]) for each in (amount, 1, 1)]
        if amount > 3:
            is_refused(site, Reason.NEGATIVE, *payments)
        else:
            site.book.append(payments)
    assert site.book.state.balances()["pv7.eur"] == 12
    assert verify(site.file).is_sound


def test_a_state_is_undone_as_often_as_it_is_changed(site: Site) -> None:
    state = State.decode(site.book.state.encode())
    before = state.encode()
    for is_close in (False, True, False):
        state.take_entry(state.head.sequence + 1, site.clock(), bytes(32), is_close=is_close)
        assert state.encode() != before
        state.undo()
        assert state.encode() == before


@pytest.mark.parametrize("snapshot", [b"[" * 100_000, b"[]", b'{"ledger": 5}', b"", b"\xff"])
def test_a_snapshot_that_is_no_state_is_said_though_its_operator_signed_it(
    site: Site, snapshot: bytes
) -> None:
    site.book.close_period(site.market)
    content, kept = contents(site.file)[0][-1][1:]
    assert isinstance(content, bytes)
    close = decode_statement(decode_entry(content).statement)
    assert isinstance(close.body, PeriodClose)
    forged = replace(close, body=replace(close.body, state=leaf_hash(snapshot)))
    (signed,) = (bundle := sign(site.market, [forged])).statements
    entry = replace(decode_entry(content), signature=bundle.signature, statement=signed)
    connection = sqlite3.connect(site.file)
    connection.execute("UPDATE snapshots SET state = ?", (snapshot,))
    row = encode_entry(entry)
    connection.execute("UPDATE entries SET entry = ?, hash = ? WHERE hash = ?", (row, leaf_hash(row), kept))
    connection.commit()
    connection.close()
    with pytest.raises(NotALedger, match=r"the last snapshot is no state"):
        Book.open(site.file)
    assert "period 1 does not close" in verify(site.file).faults[0].why


def test_two_writers_see_each_other(site: Site) -> None:
    with Book.open(site.file, site.clock) as other:
        other.append([site.by_ev1.request("x", transfer("", *PAY, 9_999_999))])
        with pytest.raises(Refused, match=r"negative"):
            site.book.append([site.by_ev1.sign([transfer("", *PAY, 2)])])
        (again,) = site.book.append([site.by_ev1.request("x", transfer("", *PAY, 9_999_999))])
        assert not again.is_new
    assert verify(site.file).is_sound


def test_a_disk_that_is_full_places_nothing_and_the_next_try_works(site: Site) -> None:
    site.book._connection.execute("PRAGMA max_page_count = 1")  # SQLite takes as many as there are
    bundle = site.by_ev1.sign([Record("note", bytes(60_000))])
    with pytest.raises(Exception, match=r"not written: database or disk is full"):
        site.book.append([bundle])
    site.book._connection.execute("PRAGMA max_page_count = 100000")
    (receipt,) = site.book.append([bundle])
    assert receipt.is_new
    assert verify(site.file).is_sound


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_file_that_is_no_ledger_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(content)
    with pytest.raises(NotALedger):
        Book.open(file)
    with pytest.raises(NotALedger):
        verify(file)


def test_a_ledger_is_not_begun_over_another(site: Site) -> None:
    with pytest.raises(NotALedger, match=r"is there already"):
        Book.create(site.file, "demo", "market", site.market)
    assert verify(site.file).is_sound


def test_signing_refuses_a_statement_in_another_name(site: Site) -> None:
    statement = site.by_ev1.statement(Record("note", b""))
    assert encode_statement(statement)
    with pytest.raises(Refused, match=r"another key"):
        sign(site.pv7, [statement])
