"""SHEDDING with breakers that obey it or do not: who is open, who is held, and why."""

from __future__ import annotations

from typing import Any

import pytest

from plc import load
from plc.library import FILES

MAIN = """
PROGRAM main
    VAR
        shedding : SHEDDING;
    END_VAR
    shedding();
END_PROGRAM
"""
NOT_SHED, CONTINGENCY, UNDER_FREQUENCY, IN_PLACE, CLEARED, OWN_RELAY, OVERLOAD = range(7)
LOADS = [30.0, 40.0, 50.0, 35.0, 60.0, 0.0, 0.0, 0.0]
ORDER = [0, 2, 3, 4, 5, -1, -1, -1]
STAGES = [0, 3, 2, 1, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def bench() -> Any:
    return load(*FILES, MAIN)


class Site:
    """Five blocks whose breakers follow within 50 ms, but for those in ``jammed``; 10 ms a scan."""

    def __init__(self, bench: Any, **inputs: Any) -> None:
        bench.restart()
        self._bench = bench
        self.closed = [True] * 5 + [False] * 3
        self.jammed: set[int] = set()
        self._pending = [0] * 8
        self.load_kw = list(LOADS)
        self.told: list[tuple[int, bool]] = []  # every change of a command, block from 1
        self._open = [False] * 8
        self.set(
            shed_order=ORDER, stage_of_load=STAGES, frequency_hz=60.0, is_bus_live=True, import_kw=120.0,
            reserve_kw=200.0,
            restore_reserve_kw=200.0, settings__restore_delay=1_000_000_000, **inputs,
        )  # fmt: skip
        self.run(2.0)

    def __getitem__(self, name: str) -> Any:
        return self._bench[f"main.shedding.{name}"]

    def set(self, **inputs: Any) -> None:
        for name, value in inputs.items():
            self._bench[f"main.shedding.{name.replace('__', '.')}"] = value

    def run(self, seconds: float, **inputs: Any) -> None:
        self.set(**inputs)
        for _ in range(round(seconds * 100)):
            loads = [kw if closed else 0.0 for kw, closed in zip(self.load_kw, self.closed, strict=True)]
            self.set(is_closed=self.closed, load_kw=loads)
            self._bench.scan(period_us=10_000)
            is_open, is_held = self["open"], self["is_held"]
            for block in range(5):
                if is_open[block] != self._open[block]:
                    self.told.append((block + 1, not is_open[block]))
                wrong = is_held[block] and is_open[block] == self.closed[block]
                self._pending[block] = self._pending[block] + 1 if wrong else 0
                if self._pending[block] >= 5 and block + 1 not in self.jammed:
                    self.closed[block] = not is_open[block]
            self._open = is_open

    @property
    def open_blocks(self) -> list[int]:
        return [number for number, is_open in enumerate(self["open"], 1) if is_open]


@pytest.fixture
def site(bench: Any) -> Site:
    return Site(bench)


def test_what_is_missing_goes_in_the_scan_of_the_separation_the_least_important_first(site: Site) -> None:
    site.run(2.0, reserve_kw=40.0)  # 120 + 5 - 40: blocks 5 and 4 cover 85
    assert site["armed"][:5] == [False, False, False, True, True]
    assert site.open_blocks == []
    site.run(0.01, is_separating=True)
    assert site.open_blocks == [4, 5]
    assert list(site["why"])[:5] == [NOT_SHED, NOT_SHED, NOT_SHED, CONTINGENCY, CONTINGENCY]
    assert site["shed_kw"] == 95.0


def test_under_frequency_sheds_by_stages_only_while_separated(site: Site) -> None:
    site.run(1.0, frequency_hz=58.0)
    assert site.open_blocks == []
    site.run(1.5, frequency_hz=60.0, is_separating=True)
    site.run(0.2, frequency_hz=59.4)
    assert site.open_blocks == [4, 5]
    site.run(0.2, frequency_hz=58.9)
    assert site.open_blocks == [3, 4, 5]
    assert site["why"][2] == UNDER_FREQUENCY
    site.run(0.2, frequency_hz=58.0)
    assert site.open_blocks == [2, 3, 4, 5], "the critical one is never shed"


def test_a_breaker_that_sticks_is_replaced_by_the_next(site: Site) -> None:
    site.jammed = {4}
    site.run(2.0, reserve_kw=40.0)
    site.run(0.45, is_separating=True)
    assert site.open_blocks == [3, 4, 5]
    assert site["why"][2] == IN_PLACE
    assert site["has_failed"][3]


def test_overload_takes_one_block_after_another(site: Site) -> None:
    site.run(0.5, is_separating=True)
    site.run(3.1, is_overloaded=True)
    assert site.open_blocks == [5]
    assert site["why"][4] == OVERLOAD
    site.run(3.1)
    assert site.open_blocks == [4, 5]
    site.run(2.0, is_overloaded=False)
    site.run(2.0, is_overloaded=True)
    assert site.open_blocks == [4, 5]
    site.run(60.0)
    assert site.open_blocks == [2, 3, 4, 5]


def test_all_come_back_one_by_one_each_told_once(site: Site) -> None:
    site.run(2.0, reserve_kw=-20.0)
    site.run(1.0, is_separating=True)
    assert site.open_blocks == [3, 4, 5]
    site.run(10.0, is_restorable=True)
    assert site.open_blocks == []
    assert [change for change in site.told if change[1]] == [(3, True), (4, True), (5, True)]
    assert len(site.told) == 6
    assert site["restored"] == 3
    assert not any(site["is_held"]), "in operators' hands again"


def test_restoration_waits_for_reserve_and_no_lesser_block_overtakes(site: Site) -> None:
    site.run(2.0, reserve_kw=-20.0)
    site.run(1.0, is_separating=True)
    site.run(10.0, is_restorable=True, restore_reserve_kw=1.5 * 50.0 + 14.0)
    assert site.open_blocks == [3, 4, 5]
    assert site["is_short"]
    assert site["waits"] == 3
    site.run(1.2, restore_reserve_kw=1.5 * 50.0 + 16.0)
    assert site.open_blocks == [4, 5]


def test_a_closing_is_not_called_back_for_a_dip_of_what_permits_it(site: Site) -> None:
    site.run(2.0, reserve_kw=40.0)
    site.run(1.0, is_separating=True)
    site.run(1.01, is_restorable=True)
    assert site.open_blocks == [5]
    assert not site.closed[3]
    site.run(1.0, is_restorable=False)
    assert site.closed[3]
    assert site.told.count((4, True)) == 1
    assert site.told.count((4, False)) == 1


def test_what_an_operator_has_opened_is_not_closed(site: Site) -> None:
    site.closed[2] = False
    site.run(2.0, reserve_kw=40.0)
    site.run(1.0, is_separating=True)
    site.run(20.0, is_restorable=True)
    assert site.closed[2] is False
    assert not site["is_held"][2]


def test_what_its_own_relay_has_opened_is_acknowledged_and_brought_back(site: Site) -> None:
    site.closed[1] = False
    site.run(0.1, is_tripped=[False, True] + [False] * 6, is_separating=True)
    assert site.open_blocks == [2]
    assert site["is_held"][1]
    assert site["why"][1] == OWN_RELAY
    site.run(3.0, is_tripped=[False] * 8, is_restorable=True)
    assert site.closed[1]


def test_a_dead_bus_opens_everything_and_the_critical_block_is_the_first_back(site: Site) -> None:
    site.run(0.5, is_separating=True, clear=True, is_bus_live=False, frequency_hz=0.0)
    assert site.open_blocks == [1, 2, 3, 4, 5]
    assert site["why"][0] == CLEARED
    site.run(20.0, clear=False, is_bus_live=True, frequency_hz=60.0, is_restorable=True)
    assert [block for block, is_close in site.told if is_close] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("flag", ["is_good", "is_frequency_good"])
def test_bad_measurements_shed_nothing_and_keep_what_is_armed(site: Site, flag: str) -> None:
    site.run(2.0, reserve_kw=40.0)
    site.run(2.0, reserve_kw=200.0 if flag == "is_good" else 40.0, frequency_hz=0.0, **{flag: False})
    assert site.open_blocks == []
    site.run(0.01, is_separating=True)
    assert site.open_blocks == [4, 5]
