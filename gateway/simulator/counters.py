"""The registers of simulated meters over restarts: no meter of a plant forgets, and who bills by it counts on that.

They are kept every few seconds with what could flow until the next time, and as they are at the end. So after a
simulator that was killed they go on a little above where they stood, and never below what somebody has read.

``simulator-counters.json`` in the state folder: ``{"format": 1, "kwh": {"feeder1.energy": 61000.0, …}}``.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import SECONDS_PER_HOUR

FILE = "simulator-counters.json"
FORMAT = 1
KEEP_S = 2.0
LATE = 2.0  # a busy machine keeps them so many times later

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Register:
    """``most_kw`` is more than can flow through it."""

    name: str
    of: object
    attribute: str
    most_kw: float

    @property
    def kwh(self) -> float:
        return float(getattr(self.of, self.attribute))


def registers(grid: Microgrid) -> Iterator[Register]:
    """All that count energy."""
    yield Register("pcc.import", grid.tie, "import_kwh", 1_000.0)
    yield Register("pcc.export", grid.tie, "export_kwh", 1_000.0)
    yield Register("pv1.energy", grid.solar, "energy_kwh", 200.0)
    yield Register("wind1.energy", grid.wind, "energy_kwh", 100.0)
    yield Register("battery1.charge", grid.battery, "charge_kwh", 400.0)
    yield Register("battery1.discharge", grid.battery, "discharge_kwh", 400.0)
    yield Register("genset1.energy", grid.genset, "energy_kwh", 200.0)
    for number, feeder in enumerate(grid.feeders, 1):
        yield Register(f"feeder{number}.energy", feeder, "energy_kwh", 150.0)
    for number, charger in enumerate(grid.chargers, 1):
        yield Register(f"ev{number}.charge", charger, "charge_kwh", 25.0)
        yield Register(f"ev{number}.discharge", charger, "discharge_kwh", 25.0)


class Counters:
    """Of one plant, whose time goes ``speed`` times as fast as the wall's."""

    def __init__(self, state: Path, grid: Microgrid, speed: float = 1.0) -> None:
        self._file = state / FILE
        self._registers = tuple(registers(grid))
        self._ahead_h = LATE * KEEP_S * speed / SECONDS_PER_HOUR
        self._is_lost = False

    def recall(self) -> None:
        """Go on where they stood; a file that cannot be read is left out, and said."""
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}")
            known = {name: float(kwh) for name, kwh in content["kwh"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("meters begin anew: %s cannot be read (%s)", self._file, error)
            return
        for register in self._registers:
            kwh = known.get(register.name, math.nan)
            if math.isfinite(kwh) and kwh >= 0.0:
                setattr(register.of, register.attribute, kwh)

    def keep(self, *, is_last: bool = False) -> None:
        """Write them, ahead of what can flow until the next time. A full disk is said once."""
        ahead_h = 0.0 if is_last else self._ahead_h
        kwh = {register.name: register.kwh + register.most_kw * ahead_h for register in self._registers}
        beside = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"format": FORMAT, "kwh": kwh}), encoding="utf-8")
            beside.replace(self._file)
            self._is_lost = False
        except OSError as error:
            if not self._is_lost:
                log.error("what the meters show is not kept for the next start: %s", error)
            self._is_lost = True
