"""Who trades in a market: participants with their devices and meters, and the feeders that these are on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from gateway.config.document import ScalarNode
from gateway.config.fault import quote
from gateway.config.kinds import Settings
from gateway.config.market import MarketDevice, MarketFeeder, MarketMember, MarketMeter, MarketRenewable
from gateway.config.market_reading import DAY_S, WH_OF_UNIT, MarketReading, UnitOfRole, micro, watts
from gateway.config.market_tags import FOLDER
from gateway.config.site_keys.market.members import (
    MARKET_DEVICES,
    MARKET_FEEDERS,
    MARKET_METERS,
    MARKET_PARTICIPANTS,
)

_LEVEL, _REGISTER = UnitOfRole(("kWh", "Wh", "MWh", "%")), UnitOfRole(tuple(WH_OF_UNIT), has_history=True)


def read_feeders(reading: MarketReading) -> Iterator[tuple[str, MarketFeeder | None]]:
    """What carries the energy, by name; None where it has faults."""
    for key, s in reading.entries(reading.settings, "feeders", MARKET_FEEDERS):
        feeder = None
        if s.is_sound("export_max_kw", "import_max_kw"):
            feeder = MarketFeeder(key.text, watts(s["export_max_kw"]), watts(s["import_max_kw"]))
        yield key.text, feeder


class MarketMembers:
    """The participants; no two devices, meters, keys or registers of theirs are the same."""

    def __init__(
        self,
        reading: MarketReading,
        feeders: Mapping[str, object],
        tariffs: Mapping[str, object],
        forecasts: Collection[str],
    ) -> None:
        self._reading = reading
        self._feeders = feeders
        self._tariffs = tariffs
        self._forecasts = dict.fromkeys(forecasts)
        self._names: dict[str, str] = {}  # devices and meters: whose
        self._registers: dict[str, str] = {}  # tags of registers: of which meter

    def read(self) -> Iterator[MarketMember]:
        """Each participant."""
        keys: dict[str, str] = {}
        for key, s in self._reading.entries(self._reading.settings, "participants", MARKET_PARTICIPANTS):
            name = key.text
            if name in (self._reading.settings["operator"], FOLDER):
                self._reading.faults.add(
                    key.place, f"a participant {quote(name)}", "the operator has that name; rename it"
                )
            if ("public_key" in s) == ("key" in s):
                found = "both 'public_key' and 'key'" if "key" in s else "neither 'public_key' nor 'key'"
                self._reading.faults.add(
                    s.place,
                    f"{quote(name)} with {found}",
                    "name its public key, or a file that holds its key",
                )
            for which in ("public_key", "key"):
                if which in s and s.is_sound(which):
                    if s[which] in keys or s[which] == self._reading.settings["key"]:
                        other = keys.get(s[which], "the operator")
                        found = f"{quote(which)} is that of {other}"
                        self._reading.faults.add(s.at(which), found, "give each a key of its own")
                    keys[s[which]] = name
            self._reading.known(s, "tariff", self._tariffs, "tariff")
            devices = tuple(self._devices(name, s))
            meters = tuple(self._meters(name, s))
            self._check_renewables(s, meters)
            if s.is_sound("kind"):
                yield MarketMember(
                    name=name,
                    kind=s["kind"],
                    location=s["location"] or "",
                    public_key=s["public_key"] or "",
                    key=s["key"] or "",
                    credit=micro(s["credit"] or 0),
                    tariff=s["tariff"] or "",
                    devices=devices,
                    meters=meters,
                )

    def _devices(self, owner: str, s: Settings) -> Iterator[MarketDevice]:
        for key, each in self._reading.entries(s, "devices", MARKET_DEVICES):
            self._name(owner, key)
            self._reading.known(each, "feeder", self._feeders, "feeder")
            self._reading.known(each, "forecast", self._forecasts, "forecast")
            level = self._reading.tag(each, "level", _LEVEL)
            connected = self._reading.tag(each, "connected", None)
            if not each.is_sound("kind", "feeder"):
                continue
            storage_wh = round((each["storage_kwh"] or 0) * 1_000)
            unit = "" if level is None else self._reading.tags[level].unit or ""
            level_wh = storage_wh / 100 if unit == "%" else float(WH_OF_UNIT.get(unit, 0))
            yield MarketDevice(
                name=key.text,
                kind=each["kind"],
                feeder=each["feeder"],
                export_w=watts(each["export_max_kw"] or 0),
                import_w=watts(each["import_max_kw"] or 0),
                storage_wh=storage_wh,
                model=each["model"] or "",
                level=level,
                level_wh=level_wh,
                connected=connected,
                stay_s=round((each["stay_h"] or 0) * 3_600),
                keep_wh=round((each["keep_kwh"] or 0) * 1_000),
                forecast=each["forecast"],
                forecast_share=each["forecast_share"] or 0.0,
                renewable=self._renewable(each),
            )

    def _renewable(self, s: Settings) -> MarketRenewable | None:
        each = s["renewable"]
        if not isinstance(each, Settings) or not each.is_sound("technology", "meter", "valid_days"):
            return None
        return MarketRenewable(each["technology"], each["meter"], each["valid_days"] * DAY_S)

    def _check_renewables(self, s: Settings, meters: Sequence[MarketMeter]) -> None:
        """Each has a meter of its owner, and of its own."""
        counted: dict[str, str] = {}
        known = {meter.name: None for meter in meters}
        for key, each in self._reading.entries(s, "devices", MARKET_DEVICES):
            renewable = each["renewable"]
            meter = renewable["meter"] if isinstance(renewable, Settings) else None
            if meter is None:
                continue
            self._reading.known(renewable, "meter", known, "meter")
            if not all(other.export_tag for other in meters if other.name == meter):
                found = f"{quote(meter)} has no 'export'"
                self._reading.faults.add(
                    renewable.at("meter"), found, "name the register of what the source gives"
                )
            if meter in counted:
                found = f"{quote(meter)} counts what {quote(counted[meter])} gives already"
                self._reading.faults.add(
                    renewable.at("meter"), found, "give each renewable source a meter of its own"
                )
            counted[meter] = key.text

    def _meters(self, owner: str, s: Settings) -> Iterator[MarketMeter]:
        for key, each in self._reading.entries(s, "meters", MARKET_METERS):
            self._name(owner, key)
            self._reading.known(each, "feeder", self._feeders, "feeder")
            registers = [self._reading.tag(each, role, _REGISTER) for role in ("import", "export")]
            for role in ("import", "export"):
                tag = each[role]
                if tag in self._registers:
                    self._reading.faults.add(
                        each.at(role),
                        f"{quote(tag)} is a register of {quote(self._registers[tag])} already",
                        "name the register of this meter and this direction",
                    )
                elif tag is not None:
                    self._registers[tag] = key.text
            is_known = registers[0] is not None and (registers[1] is not None or "export" not in each)
            if not is_known or not each.is_sound("feeder", "export_max_kw", "import_max_kw"):
                continue
            yield MarketMeter(
                name=key.text,
                import_tag=each["import"],
                export_tag=each["export"] or "",
                feeder=each["feeder"],
                export_w=watts(each["export_max_kw"]),
                import_w=watts(each["import_max_kw"]),
                is_main=each["main"] is not False,
            )

    def _name(self, owner: str, key: ScalarNode) -> None:
        if key.text in self._names:
            self._reading.faults.add(
                key.place,
                f"{quote(key.text)} a second time (of {quote(self._names[key.text])})",
                "give each device and meter a name of its own",
            )
        self._names[key.text] = owner
