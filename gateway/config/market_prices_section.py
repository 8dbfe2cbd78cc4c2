"""What a market's energy costs: the formula of its price, tariffs, and feeds from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.fault import quote
from gateway.config.kinds import Settings
from gateway.config.market import (
    FeedKind,
    MarketFeed,
    MarketHours,
    MarketTariff,
    MarketWindow,
    PriceFormula,
)
from gateway.config.market_reading import W_OF_UNIT, WATTS, MarketReading, UnitOfRole, micro
from gateway.config.site_keys.market.feeds import MARKET_FEEDS
from gateway.config.site_keys.market.prices import MARKET_HOURS, MARKET_TARIFFS, MARKET_WINDOWS

_MOST_FACTOR = 10
_LOAD, _HERTZ, _VOLT, _PERCENT = (
    UnitOfRole(("kW", "W", "MW")),
    UnitOfRole(("Hz",)),
    UnitOfRole(("V", "kV")),
    UnitOfRole(("%",)),
)
_SOURCES = {FeedKind.TARIFF: "tariff", FeedKind.FILE: "file", FeedKind.HTTP: "url"}


def read_price(reading: MarketReading) -> PriceFormula | None:
    """The formula of the price."""
    s = reading.settings["price"]
    if not isinstance(s, Settings):
        return None
    for name in ("demand", "stress"):
        if s.is_sound(name) and not (s[name][0] >= 0 and s[name][1] <= _MOST_FACTOR):
            low, high = s[name]
            reading.faults.add(
                s.at(name), f"{quote(name)} goes from {low:g} to {high:g}", "keep it within 0..10"
            )
    load = reading.tag(s, "load", _LOAD)
    hours = []
    for _, each in reading.entries(s, "hours", MARKET_HOURS):
        if each.is_sound("from_h", "to_h", "multiplier", "days"):
            days = frozenset(day.number for day in each["days"])
            hours.append(MarketHours(each["from_h"], each["to_h"], days, micro(each["multiplier"])))
    frequency, loading = reading.tag(s, "frequency", _HERTZ), reading.tag(s, "line_loading", _PERCENT)
    voltage = reading.tag(s, "voltage", _VOLT)
    if load is None or not s.is_sound(
        "base_rate_per_kwh", "rated_kw", "nominal_hz", "nominal_v", "demand", "stress"
    ):
        return None
    # A voltage in kV has its nominal value in V all the same.
    kilo = 1e3 if voltage is not None and reading.tags[voltage].unit == "kV" else 1.0
    return PriceFormula(
        base_rate=micro(s["base_rate_per_kwh"]),
        feed=s["base_rate_feed"],
        load=load,
        load_w=W_OF_UNIT[reading.tags[load].unit or "kW"],
        rated_w=round(s["rated_kw"] * WATTS),
        frequency=frequency,
        nominal_hz=s["nominal_hz"],
        voltage=voltage,
        nominal_v=s["nominal_v"] / kilo,
        line_loading=loading,
        demand=(micro(s["demand"][0]), micro(s["demand"][1])),
        stress=(micro(s["stress"][0]), micro(s["stress"][1])),
        hours=tuple(hours),
    )


def read_tariffs(reading: MarketReading) -> Iterator[tuple[str, MarketTariff | None]]:
    """What is billed, by name; None where it has faults."""
    for key, s in reading.entries(reading.settings, "tariffs", MARKET_TARIFFS):
        tariff = None
        windows = tuple(_windows(reading, s))
        if s.is_sound("base_rate_per_kwh"):
            tariff = MarketTariff(
                name=key.text,
                base_rate=micro(s["base_rate_per_kwh"]),
                export_credit=micro(s["export_credit_per_kwh"] or 0),
                demand_charge=micro(s["demand_charge_per_kw"] or 0),
                standing_charge=micro(s["standing_charge"] or 0),
                incentive_rate=micro(s["incentive_per_kwh"] or 0),
                windows=windows,
            )
        yield key.text, tariff


def _windows(reading: MarketReading, s: Settings) -> Iterator[MarketWindow]:
    for _, each in reading.entries(s, "windows", MARKET_WINDOWS):
        if not each.is_sound("from_h", "to_h", "multiplier", "days", "months"):
            continue
        minutes = [each["from_h"] * 60, each["to_h"] * 60]
        if minutes[0] >= minutes[1] or any(minute != round(minute) for minute in minutes):
            reading.faults.add(
                each.at("to_h"),
                f"a window from {each['from_h']:g} to {each['to_h']:g} h",
                "write whole minutes, the lower first; one over midnight is two",
            )
        elif not each["days"] or not each["months"]:
            reading.faults.add(each.place, "a window of no day", "name days and months")
        else:
            yield MarketWindow(
                months=sum(1 << (month - 1) for month in set(each["months"])),
                weekdays=sum(1 << day.number for day in set(each["days"])),
                from_minute=round(minutes[0]),
                to_minute=round(minutes[1]),
                multiplier=micro(each["multiplier"]),
            )


def read_feeds(reading: MarketReading, tariffs: Mapping[str, object]) -> Iterator[MarketFeed]:
    """Prices from outside; and whether the price's own feed is one of them."""
    known: dict[str, None] = {}
    for key, s in reading.entries(reading.settings, "feeds", MARKET_FEEDS):
        known[key.text] = None
        reading.known(s, "tariff", tariffs, "tariff")
        kind = s["kind"]
        if kind is None or not s.is_sound(_SOURCES[kind]):
            continue
        yield MarketFeed(
            name=key.text,
            kind=kind,
            source=s[_SOURCES[kind]],
            per_kwh=1_000 if s["unit"] == "MWh" else 1,
            every_s=s["every_s"] or 0,
            max_age_s=round((s["max_age_h"] or 0) * 3_600),
            import_fee=micro(s["import_fee_per_kwh"]),
            export_fee=micro(s["export_fee_per_kwh"]),
            capacity=micro(s["capacity_per_kw"]),
        )
    if isinstance(reading.settings["price"], Settings):
        reading.known(reading.settings["price"], "base_rate_feed", known, "feed")
