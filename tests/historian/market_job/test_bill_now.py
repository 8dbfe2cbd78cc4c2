"""A bill before its period is over: the market makes it, the operator signs it, the next goes on from there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from market_bench import FIRST_US, QUARTER_US, START_US, Bench

from historian.ledger.entry import Record
from historian.market_job.wire import AskBill, Told, Turned
from historian.signing import SigningKey

MINUTE_US = 60 * 10**6


def settled(bench: Bench) -> None:
    """An interval in which the sun's meter shows a kWh."""
    bench.look()
    bench.until(FIRST_US + MINUTE_US)
    bench.registers["sun_in_wh"] += 1_000
    bench.until(FIRST_US + QUARTER_US + 2 * MINUTE_US)


def test_a_bill_of_what_is_settled_is_signed_by_the_operator_and_the_next_goes_on_from_there(
    bench: Bench,
) -> None:
    bench.site = replace(
        bench.site, time_zone="Pacific/Guadalcanal"
    )  # where midnight is an hour after the start
    bench.restart()
    settled(bench)
    told = bench.ask(AskBill("1", "sun"))
    assert isinstance(told, Told), told
    made = told.content
    assert (made["from_us"], made["to_us"], made["currency"]) == (FIRST_US, FIRST_US + QUARTER_US, "EUR")
    record = Record("billing.bill", bytes.fromhex(made["record"]))
    (outcome,) = bench.submit(bench.pen(bench.key("sun")).sign([record]))
    assert outcome.reason == "not_allowed", "a member bills nobody"
    (outcome,) = bench.submit(bench.pen(SigningKey.load(bench.state / "market.pem")).sign([record]))
    assert not outcome.reason, outcome
    (claim,) = bench.community.treasury.payments.of("sun")
    assert claim.own == made["amount"]
    again = bench.ask(AskBill("2", "sun"))
    assert isinstance(again, Turned)
    assert again.why == "nothing of sun is settled that was not billed"
    bench.until(START_US + 3_600 * 10**6 + 2 * MINUTE_US)
    first, second = bench.community.treasury.payments.of("sun")
    assert first.entry == claim.entry
    assert second.own >= 1_000_000, "the rest of the day has a standing charge of its own"
    assert bench.office is not None
    assert bench.office.troubles() == []


@pytest.mark.parametrize("name", ["car", "nobody"])
def test_who_has_no_tariff_is_not_billed(bench: Bench, name: str) -> None:
    settled(bench)
    told = bench.ask(AskBill("1", name))
    assert isinstance(told, Turned)
    assert told.why == f"'{name}' is nobody who has a tariff here"
