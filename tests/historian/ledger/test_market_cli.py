"""``tieline ledger audit`` and ``market``: what anyone sees who has the file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from ledger_town import FIRST_US, QUARTER_US, Town

from historian.ledger import cli
from historian.ledger.coding import record_of
from historian.ledger.entry import transfer
from historian.ledger.facts import Gate, Side, Venue
from historian.ledger.pen import Pen


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["ledger", *map(str, words)])
    status = args.run(args)
    return status, capsys.readouterr().out


@pytest.fixture
def traded(town: Town) -> Town:
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    town.trade("pv2", Side.SELL, 500, 100_000, venue=Venue.AUCTION)
    town.trade("home2", Side.BUY, 500, 300_000, venue=Venue.AUCTION)
    town.say("pv1", town.order("pv1", Side.SELL, 0, 200_000))
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.price()
    town.now_us = FIRST_US + 2 * QUARTER_US
    for at in (FIRST_US, FIRST_US + QUARTER_US):
        for name in town.KINDS:
            town.read(name, at, 0, 0)
    town.desk.settle(FIRST_US)
    return town


def test_an_audit_follows_all_and_names_what_is_void(
    traded: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = run(capsys, "audit", traded.file, "--void")
    assert status == cli.SOUND
    assert "6 participants, 3 trades, 1 intervals settled, 1 void facts, 0 refusals" in out
    assert "is void: negative: an order of 0 Wh" in out


def test_an_audit_finds_what_is_owed_and_what_nobody_asked_for(
    traded: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    traded.post(transfer("mine", "home1.deposit", "bank", "EUR", 5))
    traded.trade("home1", Side.BUY, 10, 250_000, interval_us=FIRST_US + 4 * QUARTER_US, good_until_us=2**62)
    traded.trade("pv1", Side.SELL, 10, 250_000, interval_us=FIRST_US + 4 * QUARTER_US, good_until_us=2**62)
    traded.now_us = FIRST_US + 4 * QUARTER_US
    pen = Pen(traded.key, traded.book.id, traded.clock)
    pen.follow(traded.book.state.authors["market"].number)
    traded.book.follow = None
    traded.book.append([pen.sign([record_of(Gate(FIRST_US + 4 * QUARTER_US))])])
    status, out = run(capsys, "audit", traded.file)
    assert status == cli.FAULTY
    assert "home1.deposit that no fact asked for" in out
    assert "2 postings are owed" in out


def test_trades_clearings_settlements_and_participants_as_tables(
    traded: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {
        what: run(capsys, "market", traded.file, what)[1].splitlines()
        for what in ("trades", "clearings", "settlements", "participants")
    }
    assert rows["trades"][1].endswith("2026-11-21T13:00:00Z,home1,pv1,1000,200000,200000")
    assert {row.split(",")[3:5][0] for row in rows["trades"][2:]} == {"auction", "home2"}
    assert rows["clearings"][1:] == ["2026-11-21T13:00:00Z,200000,500,1000,200000"]
    assert len(rows["settlements"]) == 5
    assert "home1,prosumer,active,2,1,99800000,0" in rows["participants"]


def test_an_entry_that_says_a_fact_is_shown_in_words(
    traded: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = traded.community.trades[0].entry
    shown = json.loads(run(capsys, "show", traded.file, str(entry))[1])
    assert shown["fact"]["side"] == "buy"
    assert (shown["topic"], shown["fact"]["wh"], shown["fact"]["device"]) == (
        "market.order",
        1_000,
        "home1.dev",
    )
