"""A plausible quarter of an hour of the demo microgrid, written straight into a region: what the HMI's tests look at.

Powers balance: pcc + pv + wind + battery + genset + chargers = feeders. No simulator and no driver is needed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.site import Area, HistorianSettings, HmiSettings, Role, Site, Tag, User, WriteLimits
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType

BOOL, UINT64, DOUBLE, STRING = ValueType.BOOL, ValueType.UINT64, ValueType.DOUBLE, ValueType.STRING
BREAKER = {0: "open", 1: "closed"}
AREAS = (
    Area("grid", "Point of common coupling"),
    Area("generation", "PV, wind and genset"),
    Area("storage", "Battery"),
    Area("loads/feeders", "Feeders"),
    Area("ev", "Chargers"),
)


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    type: ValueType
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    states: tuple[tuple[int, str], ...] = ()
    description: str = ""
    writable: bool = False


def analog(
    name: str, unit: str, low: float, high: float, decimals: int, description: str = "", w: bool = False
) -> Point:
    return Point(name, DOUBLE, unit, low, high, decimals, description=description, writable=w)


def status(name: str, off: str, on: str, w: bool = False) -> Point:
    return Point(name, BOOL, states=((0, off), (1, on)), writable=w)


def counter(name: str) -> Point:
    return Point(name, DOUBLE, "kWh", decimals=1)


def state(*names: str) -> Point:
    return Point("state", UINT64, states=tuple(enumerate(names)))


DEVICES: dict[str, tuple[str, tuple[Point, ...]]] = {
    "pcc": (
        "grid",
        (
            analog("power_kw", "kW", -250, 250, 1, "Active power, positive when importing"),
            analog("reactive_power_kvar", "kvar", -150, 150, 1, "Reactive power"),
            analog("voltage_v", "V", 0, 500, 1, "Voltage of the bus"),
            analog("frequency_hz", "Hz", 45, 55, 3, "Frequency of the bus"),
            analog("grid_voltage_v", "V", 0, 500, 1, "Voltage of the utility"),
            analog("grid_frequency_hz", "Hz", 45, 55, 3, "Frequency of the utility"),
            status("breaker_closed", "open", "closed"),
            status("breaker_close_command", "open", "close", w=True),
            status("islanded", "grid-connected", "islanded"),
            counter("import_energy_kwh"),
            counter("export_energy_kwh"),
        ),
    ),
    "pv1": (
        "generation",
        (
            analog("power_kw", "kW", 0, 150, 1, "Active power"),
            analog("power_limit_kw", "kW", 0, 150, 1, "Curtailment", w=True),
            analog("irradiance_w_m2", "W/m²", 0, 1400, 0),
            analog("temperature_c", "°C", -40, 90, 1),
            counter("energy_kwh"),
            state("off", "starting", "running", "curtailed", "fault"),
        ),
    ),
    "wind1": (
        "generation",
        (
            analog("power_kw", "kW", 0, 80, 1, "Active power"),
            analog("power_limit_kw", "kW", 0, 80, 1, "Curtailment", w=True),
            analog("wind_speed_m_s", "m/s", 0, 40, 1),
            counter("energy_kwh"),
            state("stopped", "starting", "running", "curtailed", "fault"),
        ),
    ),
    "battery1": (
        "storage",
        (
            analog("power_kw", "kW", -100, 100, 1, "Active power, positive when discharging"),
            analog("power_setpoint_kw", "kW", -100, 100, 1, "Asked power", w=True),
            analog("state_of_charge_pct", "%", 0, 100, 1),
            analog("voltage_v", "V", 0, 1000, 1),
            analog("current_a", "A", -200, 200, 1),
            analog("temperature_c", "°C", -20, 60, 1),
            status("grid_forming", "no", "yes"),
            state("off", "idle", "charging", "discharging", "fault"),
            counter("charge_energy_kwh"),
            counter("discharge_energy_kwh"),
            Point("serial_number", STRING),
        ),
    ),
    "genset1": (
        "generation",
        (
            analog("power_kw", "kW", 0, 120, 1, "Active power"),
            analog("power_setpoint_kw", "kW", 0, 120, 1, "Asked power", w=True),
            status("run_command", "stop", "run", w=True),
            status("running", "stopped", "running"),
            analog("speed_rpm", "1/min", 0, 1800, 0),
            analog("fuel_pct", "%", 0, 100, 0),
            counter("energy_kwh"),
            state("stopped", "cranking", "warming up", "running", "cooling down", "fault"),
        ),
    ),
}
FEEDER = (
    analog("power_kw", "kW", 0, 100, 1, "Demand"),
    analog("voltage_v", "V", 0, 500, 1),
    status("breaker_closed", "open", "closed"),
    status("breaker_close_command", "open", "close", w=True),
    Point("priority", UINT64),
    counter("energy_kwh"),
)
CHARGER = (
    analog("power_kw", "kW", -22, 22, 1, "Active power, positive when it gives back"),
    analog("power_setpoint_kw", "kW", -22, 22, 1, "Asked power", w=True),
    status("connected", "free", "connected"),
    analog("state_of_charge_pct", "%", 0, 100, 0),
    counter("charge_energy_kwh"),
    counter("discharge_energy_kwh"),
    state("free", "idle", "charging", "giving back", "fault"),
    Point("vehicle_id", STRING),
)
DEVICES |= {f"feeder{n}": ("loads/feeders", FEEDER) for n in range(1, 5)}
DEVICES |= {f"ev{n}": ("ev", CHARGER) for n in range(1, 13)}

PARKED = {1: -11.0, 2: -7.4, 4: 9.8, 5: 0.0, 7: -22.0, 8: -11.0, 11: 6.5, 12: -3.7}  # kW; the others are free


def site(port: int, extra: tuple[Tag, ...] = (), only_extra: bool = False) -> Site:
    """The demo as a typed site, with no YAML. ``extra`` tags follow; ``only_extra`` leaves the demo's out."""
    tags = () if only_extra else (*_device_tags(), *_system_tags())
    return Site(
        name="demo",
        description="Twelve chargers and an island",
        areas=AREAS,
        tags=(*tags, *extra),
        modbus=(),
        users=(User("operator", Role.OPERATOR), User("visitor", Role.VIEWER)),
        historian=HistorianSettings(),
        opcua=None,
        hmi=HmiSettings(port=port),
        simulator=None,
        journal_records=1 << 14,
        files=(Path("demo.yaml"),),
        digest=f"scene-{len(extra)}",
    )


def _device_tags() -> Iterator[Tag]:
    for device, (area, points) in DEVICES.items():
        for point in points:
            tag = Tag(
                name=f"{device}.{point.name}",
                type=point.type,
                owner="drivers",
                area=area,
                device=device,
                description=point.description,
                unit=point.unit,
                low=point.low,
                high=point.high,
                decimals=point.decimals,
                stale_after_ms=2000,
                string_bytes=32 if point.type is STRING else 0,
                states=dict(point.states),
            )
            yield (
                replace(tag, write=WriteLimits(Role.OPERATOR, point.low, point.high, 0.1, 2000))
                if point.writable
                else tag
            )


def _system_tags() -> Iterator[Tag]:
    for device in DEVICES:
        base = Tag("", BOOL, "drivers", "_system", device, states={0: "no", 1: "yes"})
        yield replace(base, name=f"_system.{device}.connected")
        yield replace(base, name=f"_system.{device}.requests", type=UINT64, states={})
        yield replace(
            base, name=f"_system.{device}.latency_p99_ms", type=DOUBLE, unit="ms", decimals=2, states={}
        )
    for part in ("simulator", "drivers", "historian", "opcua", "hmi"):
        yield Tag(f"_system.parts.{part}.running", BOOL, "node", "_system", part, states={0: "no", 1: "yes"})


class Scene:
    """The values of a moment. `play` writes them until cancelled; devices in ``silent`` are left alone."""

    def __init__(self, site: Site, region: Region) -> None:
        self.site = site
        self.region = region
        self.index = {tag.name: i for i, tag in enumerate(site.tags)}
        owners = {tag.owner for tag in site.tags}
        self.writers = {owner: region.claim(owner) for owner in sorted(owners)}
        self.silent: set[str] = set()
        self.overrides: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}
        self.islanded = False
        self.seconds = 0.0
        self._kwh = {name: 400.0 + 17.3 * i for i, name in enumerate(self.index) if name.endswith("_kwh")}

    async def play(self, period_s: float = 0.1) -> None:
        while True:
            self.write()
            self.seconds += period_s
            await asyncio.sleep(period_s)

    def write(self) -> None:
        """Every tag of every device that is not silent, once."""
        now = time.time_ns()
        values = self.values() | self.overrides
        for owner, writer in self.writers.items():
            for type in ValueType:
                names = [
                    tag.name
                    for tag in self.site.tags
                    if tag.owner == owner
                    and tag.type is type
                    and (tag.device not in self.silent or tag.area == "_system")
                    and tag.name in values
                ]
                if not names:
                    continue
                tags = np.array([self.index[name] for name in names], np.uint32)
                status = np.array([self.statuses.get(name, Quality.GOOD) for name in names], np.uint32)
                if type is STRING:
                    writer.write_texts(tags, [values[name] for name in names], status, now, now)
                else:
                    bits = to_bits(np.array([values[name] for name in names]), type)
                    writer.write(tags, bits, status, now, now)

    def cut(self, device: str) -> None:
        """Its link is lost: Bad_CommunicationError with the last values kept."""
        self.silent.add(device)
        tags = np.array(
            [i for i, tag in enumerate(self.site.tags) if tag.device == device and tag.area != "_system"],
            np.uint32,
        )
        self.writers["drivers"].invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns(), tags)

    def restore(self, device: str) -> None:
        self.silent.discard(device)

    def values(self) -> dict[str, Any]:
        """By tag name, of the present moment of the scene."""
        t = self.seconds
        sway = lambda period, phase=0.0: math.sin(2 * math.pi * t / period + phase)  # noqa: E731 - read as a formula
        v: dict[str, Any] = {}
        feeders = [
            46.2 + 2.0 * sway(97),
            38.5 + 1.4 * sway(61, 1),
            27.9 + 0.9 * sway(43, 2),
            15.3 + 0.5 * sway(31, 3),
        ]
        closed = [True, True, True, not self.islanded]
        feeders = [kw if on else 0.0 for kw, on in zip(feeders, closed, strict=True)]
        chargers = {n: kw + (0.15 * sway(23, n) if kw else 0.0) for n, kw in PARKED.items()}
        pv, wind = 82.4 + 6.0 * sway(140), 21.7 + 4.5 * sway(53, 1.3)
        genset = 34.0 if self.islanded else 0.0
        needed = sum(feeders) - sum(chargers.values()) - pv - wind - genset
        battery = needed if self.islanded else -18.0 + 2.5 * sway(75)
        exchange = needed - battery
        hertz = 50.0 + (0.06 if self.islanded else 0.012) * sway(17) + 0.006 * sway(3.1)
        volts = 400.4 + 0.9 * sway(29)
        v |= {
            "pcc.power_kw": exchange,
            "pcc.reactive_power_kvar": 0.0 if self.islanded else 11.6 + sway(37),
            "pcc.voltage_v": volts,
            "pcc.frequency_hz": hertz,
            "pcc.grid_voltage_v": 0.0 if self.islanded else volts,
            "pcc.grid_frequency_hz": 0.0 if self.islanded else hertz,
            "pcc.breaker_closed": not self.islanded,
            "pcc.breaker_close_command": not self.islanded,
            "pcc.islanded": self.islanded,
            "pv1.power_kw": pv,
            "pv1.power_limit_kw": 150.0,
            "pv1.irradiance_w_m2": 741 + 50 * sway(140),
            "pv1.temperature_c": 41.3,
            "pv1.state": 2,
            "wind1.power_kw": wind,
            "wind1.power_limit_kw": 80.0,
            "wind1.wind_speed_m_s": 8.6 + 0.8 * sway(53, 1.3),
            "wind1.state": 2,
            "battery1.power_kw": battery,
            "battery1.power_setpoint_kw": battery if self.islanded else -20.0,
            "battery1.state_of_charge_pct": 63.4 - t / 900,
            "battery1.voltage_v": 768.2,
            "battery1.current_a": battery / 0.7682,
            "battery1.temperature_c": 27.1,
            "battery1.grid_forming": self.islanded,
            "battery1.state": 3 if battery > 0 else 2,
            "battery1.serial_number": "TL-BAT-00417",
            "genset1.power_kw": genset,
            "genset1.power_setpoint_kw": genset,
            "genset1.run_command": self.islanded,
            "genset1.running": self.islanded,
            "genset1.speed_rpm": 30 * hertz if self.islanded else 0.0,
            "genset1.fuel_pct": 78.0,
            "genset1.state": 3 if self.islanded else 0,
        }
        for n, kw in enumerate(feeders, 1):
            v |= {
                f"feeder{n}.power_kw": kw,
                f"feeder{n}.voltage_v": volts - 0.6 * n if closed[n - 1] else 0.0,
                f"feeder{n}.breaker_closed": closed[n - 1],
                f"feeder{n}.breaker_close_command": closed[n - 1],
                f"feeder{n}.priority": n,
            }
        for n in range(1, 13):
            kw = chargers.get(n)
            v |= {
                f"ev{n}.power_kw": kw or 0.0,
                f"ev{n}.power_setpoint_kw": PARKED.get(n, 0.0),
                f"ev{n}.connected": kw is not None,
                f"ev{n}.state_of_charge_pct": 0.0 if kw is None else 31 + 5 * n,
                f"ev{n}.state": 0 if kw is None else 1 if not kw else 2 if kw < 0 else 3,
                f"ev{n}.vehicle_id": "" if kw is None else f"VEH-{1000 + 37 * n}",
            }
        for i, device in enumerate(DEVICES):
            v |= {
                f"_system.{device}.connected": device not in self.silent,
                f"_system.{device}.requests": int(1000 + 10 * t + i),
                f"_system.{device}.latency_p99_ms": 1.8 + 0.1 * i,
            }
        v |= {
            f"_system.parts.{p}.running": True for p in ("simulator", "drivers", "historian", "opcua", "hmi")
        }
        v |= {name: kwh + t / 60 for name, kwh in self._kwh.items()}
        return {name: value for name, value in v.items() if name in self.index}
