"""Readings out of history: exact where the register is whole, refused where it is not Good, fresh and of energy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from historian_folder import NOON, SECOND, tag
from ledger_town import NOON_US

from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import MeterBinding, Reading, ReadingQuality
from historian.ledger.from_history import reading
from historian.query.history import History

BINDING = MeterBinding("m", "m.in", "m.out", "market", is_main=True)


@pytest.fixture
def meter(folder: Any) -> Any:
    tags = (tag("m.in", ValueType.UINT64, unit="Wh"), tag("m.out", unit="kWh"), tag("m.power", unit="kW"))
    for entry in folder.recorder.catalogue.register(tags, folder.clock()):
        folder.entries[entry.path] = entry
    folder.write("m.in", [NOON - 60 * SECOND, NOON, NOON + 1], [10**15, 10**15 + 7, 10**15 + 8])
    folder.write("m.out", [NOON - 5 * SECOND], [1.001])
    folder.write("m.power", [NOON], [1.0])
    return folder


@pytest.fixture
def history(meter: Any) -> Iterator[History]:
    history = meter.history()
    yield history
    history.close()


def test_registers_are_as_they_stood_at_the_end_of_the_interval(history: History) -> None:
    assert reading(history, BINDING, NOON_US) == Reading(
        "m", NOON_US, 10**15 + 7, 1_001, ReadingQuality.MEASURED
    )


def test_a_meter_without_a_register_of_export_gives_nothing(history: History) -> None:
    binding = MeterBinding("m", "m.in", "", "market", is_main=True)
    assert reading(history, binding, NOON_US) == Reading("m", NOON_US, 10**15 + 7, 0, ReadingQuality.MEASURED)


@pytest.mark.parametrize(
    ("tags", "at_us", "reason"),
    [
        (("m.in", "m.out"), NOON_US + 200 * 10**6, Reason.UNKNOWN),
        (("m.in", "m.out"), NOON_US - 100 * 10**6, Reason.UNKNOWN),
        (("m.in", "m.power"), NOON_US, Reason.MIXED_UNITS),
        (("a.energy_wh", "m.out"), NOON_US, Reason.MIXED_UNITS),
    ],
)
def test_what_is_old_or_no_energy_is_no_reading(
    history: History, tags: tuple[str, str], at_us: int, reason: Reason
) -> None:
    with pytest.raises(Refused) as refused:
        reading(history, MeterBinding("m", *tags, "market", is_main=True), at_us)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [(2.0, Quality.BAD, Reason.UNKNOWN), (-1.0, 0, Reason.NEGATIVE), (float("nan"), 0, Reason.MALFORMED)],
)
def test_what_is_not_good_or_no_register_is_no_reading(
    meter: Any, value: float, status: int, reason: Reason
) -> None:
    meter.write("m.out", [NOON - SECOND], [value], int(status))
    history = meter.history()
    with pytest.raises(Refused) as refused:
        reading(history, BINDING, NOON_US)
    history.close()
    assert refused.value.reason is reason
