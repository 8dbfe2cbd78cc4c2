"""``tieline ledger``: open bills, results, earnings, reconciliation, points, certificates, statements as PDF."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_town import FIRST_US, NOON_US, QUARTER_US, Town

from historian.ledger import cli
from historian.ledger.billing import Bill, BillLine
from historian.ledger.entry import Account
from historian.ledger.facts import (
    NO_DIGEST,
    Approval,
    Device,
    DeviceKind,
    MeterBinding,
    Reading,
    ReadingQuality,
    Reversal,
    Side,
    Tariff,
)
from historian.ledger.payment_facts import Cost, CostCategory, Payment, Terms
from historian.ledger.reward_facts import (
    Award,
    Batch,
    CertifiedSource,
    Retirement,
    RewardKind,
    RewardRule,
    Stake,
    StakeRule,
)
from historian.ledger.rewards import batch_evidence
from historian.ledger.statement import as_html, statement_of
from historian.ledger.statement_pdf import as_pdf

DAY_US = 86_400 * 1_000_000
WEEK_US = 7 * DAY_US
TARIFF = Tariff("flat", NOON_US + 2 * QUARTER_US, "UTC", 100_000, 0, 0, 1_000_000, 0)


def ran(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, list[dict[str, str]], str]:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["ledger", *map(str, words)])
    status = args.run(args)
    said = capsys.readouterr()
    return status, list(csv.DictReader(io.StringIO(said.out))), said.out + said.err


@pytest.fixture
def used(town: Town) -> Town:
    """pv1 sold home1 a kWh; home1 has a bill of an hour; a sub-meter of home1 shows what it takes."""
    town.desk.demand(TARIFF, Terms(86_400, 86_400, 86_400, 0, 0, 0))
    town.must("home1", Device("home1.oven", DeviceKind.METER, "X1", "kitchen", NO_DIGEST, "f1", 0, 20_000, 0))
    town.desk.demand(
        Approval("home1.oven", is_device=True),
        MeterBinding("home1.oven", "oven.in_wh", "oven.out_wh", "market", is_main=False),
    )
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.price()
    town.now_us = FIRST_US + 8 * QUARTER_US
    for index in range(7):
        at_us = FIRST_US + (index - 2) * QUARTER_US
        town.read("home1", at_us, 1_000 * index, 0)
        town.desk.demand(Reading("home1.oven", at_us, 985 * index, 0, ReadingQuality.MEASURED))
    for name in ("pv1", "pv2", "home2", "bat", "ev"):
        town.read(name, FIRST_US, 0, 0)
        town.read(name, FIRST_US + QUARTER_US, 0, 1_000 if name == "pv1" else 0)
    for outcome in (
        town.desk.settle(FIRST_US),
        town.desk.bill("home1", "flat", TARIFF.valid_from_us, FIRST_US + 2 * QUARTER_US),
    ):
        assert outcome.refused is None, outcome
    return town


def test_open_bills_and_where_their_dunning_stands(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    _, (row,), _ = ran(capsys, "receivables", used.file)
    assert (row["participant"], row["amount"], row["state"]) == ("home1", row["open"], "open")
    amount = int(row["amount"])
    used.now_us += 2 * DAY_US
    used.desk.demand(Payment("home1", amount - 5, "EUR", "line 1"))
    _, (row,), _ = ran(capsys, "receivables", used.file)
    assert (row["open"], row["state"]) == ("5", "overdue")
    used.desk.demand(Payment("home1", 5, "EUR", "line 2"))
    assert not ran(capsys, "receivables", used.file)[1]
    assert ran(capsys, "receivables", used.file, "--all")[1][0]["state"] == "paid"


def test_profit_and_loss_by_period(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    used.desk.demand(Cost(CostCategory.SUPPORT, NOON_US, 300_000, "EUR", "invoice 1"))
    _, rows, _ = ran(capsys, "pnl", used.file)
    found = {(row["section"], row["account"]): int(row["EUR_millionths"]) for row in rows}
    balances = used.book.state.balances()
    assert found["income", "fees.tariff"] == balances["fees.tariff"] > 0
    assert found["cost", "costs.support"] == found["cost", "total"] == -300_000
    assert found["result", ""] == found["income", "total"] - 300_000
    _, weeks, _ = ran(capsys, "pnl", used.file, "--by", "week", "--zone", "Europe/Vienna")
    assert {row["period"] for row in weeks} == {"2026-W47"}
    assert ran(capsys, "pnl", used.file, "--by", "month", "--from", "2026-11-01")[1][0]["period"] == "2026-11"
    assert not ran(capsys, "pnl", used.file, "--from", "2026-12-01")[1]
    assert not ran(capsys, "pnl", used.file, "--to", "2026-11-21")[1]


def test_what_each_earned_by_week(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    _, rows, _ = ran(capsys, "finance", used.file)
    assert {row["participant"]: row["earned"] for row in rows}["pv1"] == "195000"
    assert {row["week_before"] for row in rows} == {""}


def test_what_agrees_and_what_does_not(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    status, rows, said = ran(capsys, "reconcile", used.file)
    assert (status, rows) == (cli.SOUND, [])
    assert "0 do not agree" in said
    _, rows, _ = ran(capsys, "reconcile", used.file, "--all")
    assert {row["verdict"] for row in rows} == {"agreed"}
    assert {row["sub_wh"] for row in rows if row["participant"] == "home1"} == {"-985"}
    status, rows, _ = ran(capsys, "reconcile", used.file, "--tolerance", "0.5")
    assert status == cli.FAULTY
    assert {(row["participant"], row["verdict"]) for row in rows} == {("home1", "sub-meters")}
    kept = used.community.meters.reading("pv1.meter", FIRST_US + QUARTER_US)
    assert kept is not None
    used.desk.demand(Reversal("pv1.meter", FIRST_US + QUARTER_US, kept.entry, "register"))
    assert verdicts(capsys, used) == [("pv1", "unread")]
    used.read("pv1", FIRST_US + QUARTER_US, 0, 900)
    assert verdicts(capsys, used) == [("pv1", "restate")]
    assert used.desk.settle(FIRST_US).refused is None
    assert not verdicts(capsys, used)


def verdicts(capsys: pytest.CaptureFixture[str], town: Town) -> list[tuple[str, str]]:
    return [(row["participant"], row["verdict"]) for row in ran(capsys, "reconcile", town.file)[1]]


def test_a_trade_that_is_not_settled_shows(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.trade("pv1", Side.SELL, 1_000, 200_000)
    town.trade("home1", Side.BUY, 1_000, 250_000)
    town.now_us = FIRST_US
    town.desk.close_gates()
    town.now_us = FIRST_US + 2 * QUARTER_US
    for name in ("pv1", "home1"):
        town.read(name, FIRST_US, 0, 0)
        town.read(name, FIRST_US + QUARTER_US, 0, 0)
    assert verdicts(capsys, town) == [("home1", "unsettled"), ("pv1", "unsettled")]


def test_points_and_certificates_to_see(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.desk.demand(
        CertifiedSource("pv1.dev", "pv1.meter", "photovoltaics", 30 * 86_400),
        RewardRule(RewardKind.RENEWABLE, 1, 10**6, 10**6, 86_400, 86_400, 0),
        StakeRule(60, 86_400),
    )
    town.read("pv1", NOON_US, 0, 0)
    town.now_us = NOON_US + WEEK_US
    town.read("pv1", NOON_US + WEEK_US, 0, 3_200_000)
    batch = Batch("w1", "pv1.dev", NOON_US, NOON_US + WEEK_US, 3_200_000)
    town.desk.demand(batch)
    award = Award("pv1", RewardKind.RENEWABLE, "w1", 0, 0, 3_200_000, batch_evidence(batch))
    town.desk.demand(award)
    town.must("pv1", Retirement("pv1.dev", 1, 1, "pv1"), Stake(200, town.now_us + 3_600 * 10**6))
    _, (row,), _ = ran(capsys, "rewards", town.file)
    assert (row["participant"], row["points"], row["staked"], row["expired"]) == ("pv1", "3000", "200", "0")
    _, (row,), _ = ran(capsys, "rewards", town.file, "--awards")
    assert (row["kind"], row["points"], row["evidence"]) == ("renewable", "3200", award.evidence.hex())
    status, _, said = ran(capsys, "rewards", town.file, "--check")
    assert (status, said) == (cli.SOUND, "1 awards, 0 that the readings do not give\n")
    _, rows, _ = ran(capsys, "certificates", town.file)
    assert [(row["first"], row["last"], row["status"]) for row in rows] == [
        ("1", "1", "retired"),
        ("2", "3", "valid"),
    ]
    _, (row,), _ = ran(capsys, "certificates", town.file, "--batches")
    assert (row["batch"], row["wh"], row["left_wh"]) == ("w1", "3200000", "200000")
    town.read("pv1", NOON_US + WEEK_US // 2 // QUARTER_US * QUARTER_US, 0, 1_000_000)
    kept = town.community.meters.reading("pv1.meter", NOON_US + WEEK_US)
    assert kept is not None
    town.desk.demand(Reversal("pv1.meter", NOON_US + WEEK_US, kept.entry, "register"))
    town.read("pv1", NOON_US + WEEK_US, 0, 3_000_000)
    town.desk.demand(replace(batch, wh=3_000_000))
    status, _, said = ran(capsys, "rewards", town.file, "--check")
    assert status == cli.FAULTY
    assert "said 0/0/3200000, the readings give 0/0/3000000" in said


# ---------------------------------------------------------------- PDF


def test_a_pdf_is_the_same_bytes_each_time_and_says_what_the_page_says(
    used: Town, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ((entry, bill),) = used.community.billing.bills
    status, _, said = ran(capsys, "statement", used.file, str(entry), "--pdf", tmp_path / "bill.pdf")
    content = (tmp_path / "bill.pdf").read_bytes()
    assert (status, said.strip()) == (cli.SOUND, hashlib.sha256(content).hexdigest())
    assert content.startswith(b"%PDF-")
    statement = statement_of(bill, "EUR", entry, used.book.id)
    as_pdf(replace(statement, title="another in between"))
    assert as_pdf(statement) == content
    status, _, said = ran(capsys, "statement", used.file, str(entry), "--pdf", tmp_path / "bill.pdf")
    assert status == cli.USAGE, "what is there is not written over"
    assert statement.digest in content.decode("latin-1"), "its subject is the bill's hash"


def test_a_pdf_made_by_another_process_is_the_same() -> None:
    bill = Bill("home1", "flat", 0, NOON_US, NOON_US + DAY_US, (BillLine("paid", 1, "", 5_000_000),))
    here = as_pdf(statement_of(bill, "EUR", 1, bytes(32)))
    code = (
        "import hashlib; from historian.ledger.billing import *; from historian.ledger.statement import *;"
        " from historian.ledger.statement_pdf import *;"
        f" bill = {bill!r};"
        " print(hashlib.sha256(as_pdf(statement_of(bill, 'EUR', 1, bytes(32)))).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_a_long_bill_has_pages_and_a_text_of_any_script_does_no_harm() -> None:
    lines = tuple(
        BillLine(f"tariff: incentive, {reason}", 5, "Wh", 7_000 * i)
        for i, reason in enumerate(["Lastabwurf über Mittag, 5 €", "x" * 300, "Ελλάδα 日本", ""] * 8)
    )
    bill = Bill("home1", "flat", 0, NOON_US, NOON_US + DAY_US, lines)
    content = as_pdf(statement_of(bill, "EUR", 1, bytes(32)))
    assert len(re.findall(rb"/Type /Page\b", content)) > 1
    assert as_html(statement_of(bill, "EUR", 1, bytes(32))).count("<tr>") == len(lines) + 2


def test_a_question_that_is_wrong_is_told(used: Town, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("pnl", "--from", "yesterday"),
        ("pnl", "--zone", "Moon"),
        ("reconcile", "--tolerance", "101"),
        ("reconcile", "--tolerance", "nan"),
    ):
        with pytest.raises(SystemExit):
            ran(capsys, words[0], used.file, *words[1:])
        assert words[2] in capsys.readouterr().err
    assert ran(capsys, "pnl", used.file.with_name("none"))[0] == cli.USAGE


def test_an_account_that_somebody_opened_by_that_name_is_no_income(town: Town) -> None:
    town.post(Account("costs.network", "EUR", "market", may_be_negative=True))
    (outcome,) = town.desk.say(Cost(CostCategory.NETWORK, NOON_US, 5, "EUR", "r"))
    assert outcome.refused is not None
    assert "costs.network is open" in str(outcome.refused)
