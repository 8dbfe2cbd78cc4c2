"""What rules of a market are fit to be in force, and a price by them. Pure."""

from __future__ import annotations

from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import Price, Rules
from historian.ledger.market.price import (
    MOST_RATE,
    ONE,
    Band,
    demand_factor,
    energy_price,
    stress_factor,
)
from historian.ledger.registry import MOST_STORAGE_WH

DAY_S = 86_400
LEAST_INTERVAL_S = 5  # an auction, its readings and its settlement take looks of a second each
MOST_HORIZON_S = 14 * DAY_S
MOST_SHARE = 10 * ONE


def check_rules(rules: Rules, before: Rules | None) -> None:
    """``Refused`` where a market could not work by them."""
    if not LEAST_INTERVAL_S <= rules.interval_s <= DAY_S or DAY_S % rules.interval_s:
        why = f"intervals of {rules.interval_s} s: {LEAST_INTERVAL_S} or more that make up a day"
        raise Refused(Reason.MALFORMED, why)
    if before is not None and (before.interval_s, before.currency) != (rules.interval_s, rules.currency):
        raise Refused(Reason.NOT_ALLOWED, "interval and currency stay as they are for a ledger's life")
    _between("gate_lead_s", rules.gate_lead_s, 0, DAY_S)
    _between("horizon_s", rules.horizon_s, rules.interval_s, MOST_HORIZON_S)
    _between("price_low", rules.price_low, 0, MOST_RATE)
    _between("price_high", rules.price_high, rules.price_low, MOST_RATE)
    _between("max_order_wh", rules.max_order_wh, 1, MOST_STORAGE_WH)
    _between("proven_after", rules.proven_after, 0, 1_000_000)
    for what, fee in (
        ("cover", rules.cover),
        ("community_fee", rules.community_fee),
        ("grid_fee", rules.grid_fee),
    ):
        _between(what, fee, 0, MOST_RATE)
    _between("proven_share", rules.proven_share, 0, MOST_SHARE)
    _between("loss_share", rules.loss_share, 0, ONE)
    # Whoever is short must not be better off than one who bought, nor who is long than one who sold.
    _between("short_share", rules.short_share, ONE, MOST_SHARE)
    _between("long_share", rules.long_share, 0, ONE)
    for name, low, high in (
        ("demand", rules.demand_low, rules.demand_high),
        ("stress", rules.stress_low, rules.stress_high),
        ("time", rules.time_low, rules.time_high),
    ):
        _between(f"{name}_low", low, 0, MOST_SHARE)
        _between(f"{name}_high", high, low, MOST_SHARE)


def check_price(fact: Price, rules: Rules) -> None:
    """``Refused`` where a price is not what the formula gives for what it says it was made of."""
    if fact.interval_us % (rules.interval_s * 1_000_000):
        raise Refused(Reason.MALFORMED, f"{fact.interval_us} µs is no start of an interval")
    if fact != (made := price_of(rules, fact)):
        raise Refused(
            Reason.CONFLICT,
            f"a price of {fact.price} by the factors {fact.demand_factor} and {fact.stress_factor}; the formula gives"
            f" {made.price} by {made.demand_factor} and {made.stress_factor}",
        )


def price_of(rules: Rules, measured: Price) -> Price:
    """The price of what was measured; its factors and price are not looked at."""
    demand = demand_factor(measured.load_w, measured.rated_w, Band(rules.demand_low, rules.demand_high))
    stress = stress_factor(
        measured.frequency_deviation_mhz,
        measured.voltage_deviation,
        measured.line_loading,
        Band(rules.stress_low, rules.stress_high),
    )
    time_of_day = measured.time_of_day
    _between("time_of_day", time_of_day, rules.time_low, rules.time_high)
    return Price(
        measured.interval_us,
        measured.base_rate,
        measured.load_w,
        measured.rated_w,
        measured.frequency_deviation_mhz,
        measured.voltage_deviation,
        measured.line_loading,
        time_of_day,
        demand,
        stress,
        energy_price(measured.base_rate, demand, stress, time_of_day),
    )


def _between(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Refused(
            Reason.NEGATIVE if value < 0 else Reason.OVERFLOW, f"{what} is {value}: from {low} to {high}"
        )
