"""The tariff's formula: by hand, monotone in each factor, within its bounds, and kept with what it was made of."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import FIRST_US, RULES, Town

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Price
from historian.ledger.market.price import (
    ONE,
    Band,
    amount_down,
    amount_up,
    demand_factor,
    energy_price,
    stress_factor,
)
from historian.ledger.rules import price_of

RATE = st.integers(0, 10**9)
FACTOR = st.integers(0, 10 * ONE)
BANDS = st.tuples(FACTOR, FACTOR).map(lambda of: Band(min(of), max(of)))
DEVIATION = st.integers(-(10**6), 10**6)


def test_a_price_by_hand() -> None:
    # 0.20 a kWh × (0.9 + 0.25) × 1.5 = 0.345
    assert energy_price(200_000, 900_000, 250_000, 1_500_000) == 345_000


@given(RATE, FACTOR, FACTOR, FACTOR, st.integers(0, 10**6))
def test_the_price_is_exact_but_for_one_unit_and_monotone_in_each_factor(
    base: int, demand: int, stress: int, time: int, more: int
) -> None:
    price = energy_price(base, demand, stress, time)
    exact = Fraction(base) * Fraction(demand + stress, ONE) * Fraction(time, ONE)
    assert exact - 1 < price <= exact
    assert energy_price(min(base + more, 10**9), demand, stress, time) >= price
    assert energy_price(base, demand + more, stress, time) >= price
    assert energy_price(base, demand, stress + more, time) >= price
    assert energy_price(base, demand, stress, time + more) >= price


@given(BANDS, st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.integers(0, 10**6))
def test_the_demand_factor_is_bounded_and_monotone(band: Band, load: int, rated: int, more: int) -> None:
    factor = demand_factor(load, rated, band)
    assert band.low <= factor <= band.high
    assert demand_factor(load + more, rated, band) >= factor


@given(BANDS, DEVIATION, DEVIATION, st.integers(0, 3 * ONE), st.integers(0, 10**5))
def test_the_stress_factor_is_bounded_monotone_and_the_same_either_way(
    band: Band, frequency: int, voltage: int, loading: int, more: int
) -> None:
    factor = stress_factor(frequency, voltage, loading, band)
    assert band.low <= factor <= band.high
    assert stress_factor(-frequency, -voltage, loading, band) == factor
    assert stress_factor(abs(frequency) + more, voltage, loading, band) >= factor
    assert stress_factor(frequency, abs(voltage) + more, loading, band) >= factor
    assert stress_factor(frequency, voltage, loading + more, band) >= factor


def test_full_stress_is_200_mhz_or_a_tenth_of_the_voltage_or_a_full_line() -> None:
    band = Band(0, ONE)
    assert stress_factor(-200, 0, 0, band) == stress_factor(0, 100_000, 0, band) == ONE
    assert stress_factor(0, 0, ONE, band) == stress_factor(900, 900_000, 5 * ONE, band) == ONE
    assert stress_factor(50, 10_000, 0, band) == 250_000


@given(st.integers(0, 10**9), RATE)
def test_an_amount_rounds_to_the_unit_beside_it(wh: int, price: int) -> None:
    exact = Fraction(wh * price, 1000)
    assert exact - 1 < amount_down(wh, price) <= exact <= amount_up(wh, price) < exact + 1


@pytest.mark.parametrize("args", [(-1, 1, 1, 1), (1, -1, 1, 1), (1, 1, -1, 1), (1, 1, 1, -1)])
def test_nothing_of_a_price_is_negative(args: tuple[int, int, int, int]) -> None:
    with pytest.raises(Refused, match="negative"):
        energy_price(*args)


def test_a_price_is_kept_with_its_factors_and_one_that_is_not_the_formulas_is_void(town: Town) -> None:
    fact = price_of(RULES, Price(FIRST_US, 200_000, 60_000, 100_000, -50, 0, 0, 1_500_000, 0, 0, 0))
    # 0.5 + 0.6 of 1 is 1.1; 50 of 200 mHz is 0.25
    assert (fact.demand_factor, fact.stress_factor, fact.price) == (1_100_000, 250_000, 405_000)
    town.desk.demand(fact)
    assert town.community.market.prices[FIRST_US] == fact
    town.refused("market", replace(fact, price=405_001), Reason.CONFLICT, "the formula gives 405000")
    town.refused("market", replace(fact, demand_factor=1_100_001), Reason.CONFLICT)
    town.refused("market", replace(fact, time_of_day=2_000_001), Reason.OVERFLOW, "time_of_day")
    town.refused("market", replace(fact, rated_w=0), Reason.NEGATIVE)
    town.refused("market", replace(fact, interval_us=FIRST_US + 1), Reason.MALFORMED)
    town.refused("pv1", fact, Reason.NOT_ALLOWED)
