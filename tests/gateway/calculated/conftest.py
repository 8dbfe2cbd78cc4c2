"""A small plant with calculated tags, and something to reckon them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.calculated.evaluate import Evaluator
from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.tags.sample import SAMPLE, to_bits, value_from_bits

START = 1_795_262_400 * 10**9  # 2026-11-21T12:00:00Z
SECOND = 10**9

PLANT = """\
site: {name: plant}
areas: {grid: Tie}
devices:
  m:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100, stale_after_ms: 1000}}
    points:
      a_kw: {table: input, address: 0, type: float64, unit: kW}
      b_kw: {table: input, address: 4, type: float64, unit: kW}
      x: {table: input, address: 8, type: float64}
      count: {table: input, address: 12, type: int64}
      closed: {table: discrete, address: 0}
"""


class Plant:
    """An image of one's own: set tags, let time pass, and see what was calculated."""

    def __init__(self, site: Site) -> None:
        assert site.calculated is not None
        self.site = site
        self.places = {tag.name: place for place, tag in enumerate(site.tags)}
        self.image = np.zeros(len(site.tags), SAMPLE)
        self.image["status"] = 0x8032_0000
        self.now = START
        self.evaluator = self._new()

    def _new(self) -> Evaluator:
        assert self.site.calculated is not None
        flags = (event.flag for event in self.site.events)
        return Evaluator((*self.site.calculated.tags, *flags), self.site.tags)

    def restart(self) -> None:
        """A new process: all it knows is in the image."""
        self.evaluator = self._new()
        self.evaluator.restore(self.image[self.evaluator.own])

    def set(self, name: str, value: Any, status: int = 0, at: int | None = None) -> None:
        place = self.places[name]
        tag = self.site.tags[place]
        bits = to_bits(np.array([value]), tag.type)[0]
        self.image[place] = (place, status, bits, self.now if at is None else at, self.now)

    def reckon(self, after_s: float = 0.1) -> list[str]:
        """Reckon after some time; the names of what was written."""
        self.now += round(after_s * SECOND)
        results = self.evaluator.reckon(self.image[self.evaluator.inputs], self.now, self.now)
        for tag, bits, status, source in zip(
            results.tags, results.values, results.statuses, results.source_times, strict=True
        ):
            self.image[tag] = (tag, status, bits, source, self.now)
        return [self.site.tags[tag].name for tag in results.tags]

    def get(self, name: str) -> tuple[Any, int]:
        """Value and status."""
        row = self.image[self.places[name]]
        return value_from_bits(int(row["value"]), self.site.tags[self.places[name]].type), int(row["status"])

    def source(self, name: str) -> int:
        return int(self.image[self.places[name]]["source_time"])


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[str], Plant]:
    """A plant with these calculated tags, all of them numbers without a unit unless said otherwise."""

    def make(calculated: str) -> Plant:
        path = tmp_path / "site.yaml"
        path.write_text(PLANT + "calculated:\n" + calculated)
        return Plant(load_site(path))

    return make
