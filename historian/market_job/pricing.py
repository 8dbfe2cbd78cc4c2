"""The tariff's price of an interval out of a site's tags. Pure but for the two ways to read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from gateway.config.market import PriceFormula
from historian.ledger.facts import Price, Rules
from historian.ledger.market.price import ONE
from historian.ledger.metering import MICROS
from historian.ledger.rules import price_of
from historian.query.history import History

MOST_MHZ = 10_000  # what is beyond is full stress fifty times over
MOST_PART = 100 * ONE
MOST_LOAD_W = 10**12


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Why there is none."""

    why: str


def price_now(
    formula: PriceFormula,
    rules: Rules,
    read: Callable[[int], float | None],
    names: Mapping[int, str],
    interval_us: int,
    zone: tzinfo,
    base_rate: int | None = None,
) -> Price | NoPrice:
    """By the tags as ``read`` tells them; none where one of them is not Good. ``base_rate``: a feed's."""
    bad = [names[tag] for tag in _tags(formula) if read(tag) is None]
    if bad:
        return NoPrice(f"no price: {', '.join(bad)} {'is' if len(bad) == 1 else 'are'} not Good")

    def told(tag: int | None) -> float | None:
        return None if tag is None else read(tag)

    load = told(formula.load)
    assert load is not None
    return price_of(
        rules,
        Price(
            interval_us=interval_us,
            base_rate=formula.base_rate if base_rate is None else base_rate,
            load_w=min(max(round(load * formula.load_w), 0), MOST_LOAD_W),
            rated_w=formula.rated_w,
            frequency_deviation_mhz=_off(told(formula.frequency), formula.nominal_hz, 1_000, MOST_MHZ),
            voltage_deviation=_off(
                told(formula.voltage), formula.nominal_v, ONE / formula.nominal_v, MOST_PART
            ),
            line_loading=max(_off(told(formula.line_loading), 0.0, ONE / 100, MOST_PART), 0),
            time_of_day=multiplier(formula, interval_us, zone),
            demand_factor=0,
            stress_factor=0,
            price=0,
        ),
    )


def price_again(last: Price, rules: Rules, formula: PriceFormula, interval_us: int, zone: tzinfo) -> Price:
    """What was measured last, in the hours of another interval."""
    return price_of(
        rules, replace(last, interval_us=interval_us, time_of_day=multiplier(formula, interval_us, zone))
    )


def multiplier(formula: PriceFormula, interval_us: int, zone: tzinfo) -> int:
    """Of the hour at which an interval begins."""
    local = datetime.fromtimestamp(interval_us / MICROS, UTC).astimezone(zone)
    hour = local.hour + local.minute / 60
    return next((each.multiplier for each in formula.hours if each.holds(hour, local.weekday())), ONE)


def means(
    history: History, names: Mapping[int, str], from_us: int, to_us: int
) -> Callable[[int], float | None]:
    """Reads tags as their means over a time, by history."""

    def read(tag: int) -> float | None:
        try:
            found = history.time_average(names[tag], from_us * 1000, to_us * 1000, (to_us - from_us) * 1000)
        except KeyError:
            return None
        value = float(found.values[0]) if len(found.values) else math.nan
        return value if math.isfinite(value) else None

    return read


def _tags(formula: PriceFormula) -> list[int]:
    each = (formula.load, formula.frequency, formula.voltage, formula.line_loading)
    return [tag for tag in each if tag is not None]


def _off(value: float | None, nominal: float, scale: float, most: int) -> int:
    """How far a value is from what it should be; 0 where it is not measured at all."""
    return 0 if value is None else min(max(round((value - nominal) * scale), -most), most)
