"""What is promised is kept for as long as leaving it costs more than it brings; each step as a hand reckons it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from historian.dispatch import BadSite, Battery, Commitment, GridTie, Load, Plan, Site, solve
from historian.dispatch.naive import naive

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEP = timedelta(minutes=15)
END = START + 2 * STEP
TIE = GridTie("grid", np.array([0.5, 0.1, 0.1, 0.1]), 0.0, 100.0, 100.0)
STORE = Battery("store", 40.0, 20.0, 20.0, 20.0, 1.0, 1.0)
BASE = Site((TIE, STORE, Load("house", 10.0)))


def planned(*commitments: Commitment) -> Plan:
    plan = solve(replace(BASE, commitments=commitments), START, STEP, 4, gap=1e-9)
    assert plan.is_usable, plan
    assert plan.costs.total == pytest.approx(plan.bound, abs=1e-6), "what is minimised is what is told"
    return plan


def to_import(kilowatts: float, cost: float) -> Commitment:
    return Commitment("grid", START, END, kilowatts, above_cost=cost, below_cost=cost)


def test_a_tie_keeps_to_what_it_promised_where_leaving_it_costs_more_than_it_saves() -> None:
    assert planned().powers_kw["grid"] == pytest.approx([0, 0, 0, 0], abs=1e-6), (
        "the store gives all, as it is full enough"
    )
    kept = planned(to_import(10.0, 0.6))
    assert kept.powers_kw["grid"][:2] == pytest.approx([10, 10]), (
        "a kWh off it costs more than the dearest import"
    )
    assert kept.costs.commitments == 0.0
    cheap = planned(to_import(10.0, 0.05))
    assert cheap.powers_kw["grid"][:2] == pytest.approx([0, 0], abs=1e-6)
    assert cheap.costs.commitments == pytest.approx(2 * 10 * 0.25 * 0.05)
    assert cheap.costs.money == pytest.approx(planned().costs.money + cheap.costs.commitments)


def test_each_side_has_its_price_and_only_steps_within_the_time_count() -> None:
    dear_above = Commitment("grid", START, START + STEP, 2.0, above_cost=9.0, below_cost=0.0)
    assert planned(dear_above).powers_kw["grid"][0] <= 2.0 + 1e-6
    dear_below = Commitment("grid", START, START + STEP, 30.0, above_cost=0.0, below_cost=9.0)
    plan = planned(dear_below)
    assert plan.powers_kw["grid"][0] == pytest.approx(30.0)
    assert plan.powers_kw["store"][0] == pytest.approx(-20.0), "what nobody needs is stored"
    half = Commitment("grid", START + STEP / 2, START + STEP, 30.0, above_cost=9.0, below_cost=9.0)
    assert planned(half).costs.money == planned().costs.money, "no step lies wholly in it"


def test_a_battery_gives_what_it_promised_and_one_that_cannot_takes_no_plan_away() -> None:
    plan = planned(Commitment("store", START, END, 15.0, above_cost=1.0, below_cost=1.0))
    assert plan.powers_kw["store"][:2] == pytest.approx([15.0, 15.0])
    beyond = planned(Commitment("store", START, END, 50.0, above_cost=1.0, below_cost=1.0))
    assert beyond.powers_kw["store"][:2] == pytest.approx([20.0, 20.0])
    assert beyond.costs.commitments == pytest.approx(2 * 30 * 0.25 * 1.0)


def test_the_rule_is_reckoned_by_the_same_prices() -> None:
    site = replace(BASE, commitments=(to_import(50.0, 1.0),))
    without = naive(BASE, START, STEP, 4)
    off_kw = 50.0 - without.powers_kw["grid"][:2]
    assert naive(site, START, STEP, 4).costs.commitments == pytest.approx(float(off_kw.sum()) * 0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"asset": "house"}, "a commitment of 'house', which is no tie or battery of the site"),
        ({"above_cost": -1.0}, "above_cost is -1.0: it must be 0 or more"),
        ({"power_kw": float("nan")}, "power_kw is nan: it must be a number"),
        ({"end": START}, "before it begins"),
    ],
)
def test_what_is_no_commitment_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadSite, match=words):
        replace(BASE, commitments=(replace(to_import(1.0, 1.0), **change),))


def test_a_full_battery_does_not_charge_and_discharge_at_once_to_keep_its_word() -> None:
    full = replace(STORE, energy_kwh=40.0, charge_efficiency=0.7, discharge_efficiency=0.7)
    promised = Commitment("store", START, END, -10.0, above_cost=5.0, below_cost=5.0)
    site = replace(BASE, assets=(TIE, full, Load("house", 10.0)), commitments=(promised,))
    plan = solve(site, START, STEP, 4, gap=1e-9)
    assert plan.costs.total == pytest.approx(plan.bound, abs=1e-6)
    assert plan.energies_kwh["store"].max() <= 40.0 + 1e-6, "what it takes it holds"
    assert plan.powers_kw["store"][1] == pytest.approx(-10.0), "it makes room first: half of the word is kept"
