"""The price of the community's tariff: a pure function in whole numbers, monotone in each factor, bounded.

``energyPrice = baseRate × (demandFactor + gridStressFactor) × timeOfDayMultiplier``

Rates and prices are millionths of money a kWh; factors and shares are ppm: 1,000,000 is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from historian.ledger.entry import INT64_HIGH
from historian.ledger.errors import Reason, Refused

ONE = 1_000_000
# What is full stress: 200 mHz is where the continental system's reserves are all out (SO GL, maximum steady-state
# frequency deviation), 10 % is the end of EN 50160's band.
FULL_FREQUENCY_DEVIATION_MHZ = 200
FULL_VOLTAGE_DEVIATION = 100_000
MOST_RATE = 10**9  # a thousand of money a kWh


@dataclass(frozen=True, slots=True)
class Band:
    """A factor's least and most."""

    low: int
    high: int

    def at(self, part: int, whole: int) -> int:
        """Between them in proportion, rounded down; never outside."""
        return self.low + (self.high - self.low) * min(max(part, 0), whole) // whole


def demand_factor(load_w: int, rated_w: int, band: Band) -> int:
    """How much of what the community's connection is rated for is drawn."""
    if rated_w <= 0:
        raise Refused(Reason.NEGATIVE, f"a connection rated {rated_w} W")
    return band.at(load_w, rated_w)


def stress_factor(frequency_deviation_mhz: int, voltage_deviation: int, line_loading: int, band: Band) -> int:
    """The worst of frequency, voltage and line loading; deviations either way from what is nominal."""
    stress = max(
        abs(frequency_deviation_mhz) * ONE // FULL_FREQUENCY_DEVIATION_MHZ,
        abs(voltage_deviation) * ONE // FULL_VOLTAGE_DEVIATION,
        line_loading,
    )
    return band.at(stress, ONE)


def energy_price(base_rate: int, demand: int, stress: int, time_of_day: int) -> int:
    """The formula, rounded down to a millionth."""
    for what, value, most in (
        ("the base rate", base_rate, MOST_RATE),
        ("the demand factor", demand, 100 * ONE),
        ("the stress factor", stress, 100 * ONE),
        ("the time-of-day multiplier", time_of_day, 100 * ONE),
    ):
        if value < 0:
            raise Refused(Reason.NEGATIVE, f"{what} is {value}")
        if value > most:
            raise Refused(Reason.OVERFLOW, f"{what} is {value}: {most} at most")
    price = base_rate * (demand + stress) * time_of_day // ONE**2
    if price > INT64_HIGH:
        raise Refused(Reason.OVERFLOW, f"a price of {price}: more than 64 bits")
    return price


def amount_down(wh: int, price: int) -> int:
    """Millionths of money for so much energy, rounded down."""
    return wh * price // 1_000


def amount_up(wh: int, price: int) -> int:
    """The same rounded up."""
    return -(-wh * price // 1_000)


def share(value: int, part: int, whole: int = ONE) -> int:
    """A part of a value, rounded down."""
    return value * part // whole
