"""``tieline ledger page``: parsed as HTML, its sums are the ledger's, and nothing of it comes from elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ledger_town import FIRST_US, NOON_US, QUARTER_US, Town

from historian.ledger import cli, page
from historian.ledger.book import Book
from historian.ledger.coding import fact_of
from historian.ledger.entry import Record
from historian.ledger.facts import Reading, ReadingQuality, Reversal, Side, Tariff
from historian.ledger.market_cli import entries_of
from historian.ledger.overview import gather
from historian.ledger.page_cli import page_of_file
from historian.ledger.page_table import money
from historian.ledger.payment_facts import Terms
from historian.signing import SigningKey

TARIFF = Tariff("flat", NOON_US + 2 * QUARTER_US, "UTC", 100_000, 0, 0, 1_000_000, 0)
VIENNA = ZoneInfo("Europe/Vienna")


class Seen(HTMLParser):
    """Tables by id: rows of cells, each its text and its exact value; all tags and attributes; all words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, int | None]]]] = {}
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self._table = ""
        self.feed(text)
        self.close()
        assert self.open == ["html", "meta", "meta"], "every element that is opened is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        said = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "data")]
        if tag != "rect":
            self.open.append(tag)
        if tag == "table":
            self._table = said["id"] or ""
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append(("", None))
        elif tag == "data" and self._table:
            self.tables[self._table][-1][-1] = ("", int(said["value"] or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "html":
            return
        assert self.open.pop() == tag
        if tag == "table":
            self._table = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "rect"
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
        if self._table and {"td", "th"} & set(self.open):
            text, value = self.tables[self._table][-1][-1]
            self.tables[self._table][-1][-1] = (text + data, value)

    def column(self, table: str, head: str) -> list[int]:
        """The exact values under a head, without the sums."""
        heads = [text for text, _ in self.tables[table][0]]
        rows = [row for row in self.tables[table][1:] if row[0][0] != "All"]
        found = [row[heads.index(head)][1] for row in rows]
        assert None not in found, (table, head)
        return [value for value in found if value is not None]

    def total(self, table: str) -> list[int | None]:
        (row,) = [row for row in self.tables[table] if row[0][0] == "All"]
        return [value for _, value in row[1:]]


@pytest.fixture
def used(town: Town) -> Town:
    """pv1 sold home1 a kWh: settled, corrected, billed; an order of home1 is void; a period is closed."""
    town.desk.demand(TARIFF, Terms(86_400, 86_400, 86_400, 0, 0, 0))
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    over = replace(town.order("home1", Side.BUY, 1_000, 250_000), currency="USD")
    (outcome,) = town.say("home1", over)
    assert outcome.refused is not None
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.price()
    town.now_us = FIRST_US + 8 * QUARTER_US
    for index in range(7):
        town.read("home1", FIRST_US + (index - 2) * QUARTER_US, 1_003 * index, 0)
    for name in ("pv1", "pv2", "home2", "bat", "ev"):
        town.read(name, FIRST_US, 0, 0)
        town.read(name, FIRST_US + QUARTER_US, 0, 1_000 if name == "pv1" else 0)
    assert town.desk.settle(FIRST_US).refused is None
    read = [placed.sequence for placed in town.book.placed(-1) if _is_reading(placed.statement.body)]
    town.desk.demand(
        Reversal("pv1.meter", FIRST_US + QUARTER_US, read[-1], "a <wrong> factor"),
        Reading("pv1.meter", FIRST_US + QUARTER_US, 0, 1_200, ReadingQuality.MEASURED),
    )
    assert town.desk.settle(FIRST_US).refused is None
    assert town.desk.bill("home1", "flat", TARIFF.valid_from_us, FIRST_US + 2 * QUARTER_US).refused is None
    town.book.close_period(town.key)
    return town


def _is_reading(body: object) -> bool:
    """Of what pv1 gave."""
    fact = fact_of(body) if isinstance(body, Record) else None
    return isinstance(fact, Reading) and (fact.meter, fact.export_wh) == ("pv1.meter", 1_000)


def test_sums_are_those_of_the_ledger(used: Town) -> None:
    seen = Seen(page_of_file(used.file))
    balances, community = used.book.state.balances(), used.community
    names = sorted(community.registry.participants)
    for head, purpose in (("Deposit", "deposit"), ("Current", "current"), ("Open", "wh")):
        assert seen.column("participants", head) == [balances[f"{name}.{purpose}"] for name in names]
    totals = [sum(seen.column("participants", text)) for text, _ in seen.tables["participants"][0][3:]]
    assert seen.total("participants") == totals
    bought = sum(trade.wh for trade in community.trades)
    assert seen.column("days", "Traded") == [bought] == [1_000]
    assert sum(seen.column("participants", "Bought")) == sum(seen.column("participants", "Sold")) == bought
    assert seen.column("days", "Mean") == [200_000]
    lines = community.settled[FIRST_US].lines.values()
    assert seen.column("days", "Taken") == [sum(line.imported_wh for line in lines)] == [1_003]
    assert seen.column("days", "Given") == [1_200]
    assert seen.column("days", "Unplanned") == [200 + 3]
    others = dict(
        zip(
            [row[0][0] for row in seen.tables["accounts"][1:]],
            seen.column("accounts", "Balance"),
            strict=True,
        )
    )
    own = {f"{name}.{purpose}" for name in names for purpose in ("deposit", "current", "wh")}
    assert others == {name: amount for name, amount in balances.items() if amount and name not in own}
    assert "sum to 0 in each unit" in seen.text


def test_a_restatement_tells_what_changed(used: Town) -> None:
    seen = Seen(page_of_file(used.file, VIENNA))
    assert seen.column("restated", "Version") == [2]
    ((*_, interval, _, who, before, after, had, has, change),) = seen.tables["restated"][1:]
    assert (interval[0], who[0]) == ("2026-11-21 14:00", "pv1")
    assert (before[1], after[1]) == (1_000, 1_200)
    line = used.community.settled[FIRST_US].lines["pv1"]
    assert has[1] == line.current
    assert (has[1] or 0) - (had[1] or 0) == change[1] == line.imbalance
    assert seen.tables["reversals"][1][3][0] == "a <wrong> factor"


def test_bills_and_what_is_open(used: Town) -> None:
    seen = Seen(page_of_file(used.file))
    (claim,) = used.community.treasury.payments.of("home1")
    assert seen.column("bills", "Billed") == [claim.own]
    assert seen.column("bills", "Open") == seen.column("open-bills", "Open") == [claim.open]
    assert seen.tables["bills"][1][-1][0] == "1 open"
    assert seen.tables["open-bills"][1][-1][0].startswith("2026-11-22 ")
    used.now_us += 2 * 86_400 * 10**6
    used.desk.demand(Reading("ev.meter", FIRST_US + 2 * QUARTER_US, 0, 0, ReadingQuality.MEASURED))
    assert Seen(page_of_file(used.file)).tables["bills"][1][-1][0] == "1 overdue"


def test_it_says_how_the_ledger_is_verified_and_the_command_holds(
    used: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Seen(page_of_file(used.file))
    words = next(line for line in seen.text.splitlines() if line.startswith("tieline ledger verify")).split()
    words[3] = str(used.file)
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args([*words[1:], "--processes", "1"])
    assert args.run(args) == 0
    assert "is sound" in capsys.readouterr().out
    (close,) = gather(entries_of(used.file)).closes
    assert seen.tables["periods"][1][-1][0] == close.close.root.hex()


def test_void_facts_are_told_and_nothing_of_a_ledger_becomes_markup(used: Town) -> None:
    text = page_of_file(used.file)
    seen = Seen(text)
    assert len(seen.tables["refusals"]) == 1 + len(used.community.voids) == 2
    assert "an order in USD" in seen.tables["refusals"][1][-1][0]
    assert not {"script", "link", "img", "iframe", "wrong"} & seen.tags
    assert not seen.links
    assert "url(" not in text
    assert "@import" not in text


def test_what_is_beyond_a_bound_is_left_out_and_counted(used: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Seen(page_of_file(used.file))
    monkeypatch.setattr(page, "MOST_PARTICIPANTS", 2)
    monkeypatch.setattr(page, "MOST_OF_RARE", 1)
    seen = Seen(page_of_file(used.file))
    assert len(seen.column("participants", "Deposit")) == 2
    assert "4 participants are left out here, and counted" in seen.text
    assert seen.total("participants") == whole.total("participants")


def test_a_ledger_without_a_market_has_a_page_too(tmp_path: Path) -> None:
    file = tmp_path / "bare.ledger"
    Book.create(file, "bare", "market", SigningKey.generate()).close()
    seen = Seen(page_of_file(file))
    assert "Ledger bare" in seen.text
    assert not seen.tables


def test_the_command_writes_a_page_into_a_folder_or_a_file(
    used: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())

    def ran(output: Path) -> int:
        args = parser.parse_args(
            ["ledger", "page", str(used.file), "--output", str(output), "--zone", "Europe/Vienna"]
        )
        return int(args.run(args))

    (tmp_path / "out").mkdir()
    assert ran(tmp_path / "out") == 0
    assert ran(tmp_path / "out" / "it.html") == 0
    first, second = sorted((tmp_path / "out").iterdir())
    assert {first.name, second.name} == {"it.html", f"{used.file.stem}.html"}
    assert first.read_bytes() == second.read_bytes() == page_of_file(used.file, VIENNA).encode()
    assert ran(tmp_path / "out" / "it.html") == 0, "over an earlier one"
    capsys.readouterr()
    assert ran(used.file) == 2, "a ledger is never written over"
    assert "DIR or FILE.html" in capsys.readouterr().err


def test_amounts_are_rounded_as_on_a_statement() -> None:
    shown = [
        money(amount).split(">")[2].split("<")[0]
        for amount in (5_000, 4_999, -5_000, -5_001, 1_234_567_890_000)
    ]
    assert shown == ["0.01", "0.00", "0.00", "-0.01", "1,234,567.89"]
