"""Readings: registers go up, estimates are marked and replaced, mistakes are reversed and stay on the record."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_town import NOON_US, QUARTER_US, Town

from historian.ledger.coding import fact_of
from historian.ledger.entry import Record
from historian.ledger.errors import Reason, Refused
from historian.ledger.facts import (
    NO_DIGEST,
    Device,
    DeviceKind,
    MeterBinding,
    ParticipantKind,
    Reading,
    ReadingQuality,
    Reversal,
    Status,
    StatusChange,
)
from historian.ledger.metering import Meters
from historian.ledger.registry import Author, Participant, Registered, Registry

MEASURED, ESTIMATED = ReadingQuality.MEASURED, ReadingQuality.ESTIMATED
TIMES = [NOON_US + i * QUARTER_US for i in range(5)]


@pytest.fixture
def later(town: Town) -> Town:
    town.now_us = NOON_US + 10 * QUARTER_US
    return town


def test_energy_of_an_interval_is_the_difference_of_its_registers(later: Town) -> None:
    later.read("home1", TIMES[0], 10_000, 50)
    later.read("home1", TIMES[1], 12_500, 60)
    energy = later.community.meters.energy("home1.meter", TIMES[0], TIMES[1])
    assert energy is not None
    assert (energy.import_wh, energy.export_wh, energy.net_export_wh) == (2_500, 10, -2_490)
    assert not energy.is_estimated
    assert later.community.meters.energy("home1.meter", TIMES[1], TIMES[2]) is None


def test_a_meter_does_not_run_backwards_not_even_between_two_readings(later: Town) -> None:
    later.read("home1", TIMES[0], 1_000, 0)
    later.read("home1", TIMES[2], 3_000, 0)
    for at, imported in ((TIMES[3], 2_999), (TIMES[1], 999), (TIMES[1], 3_001)):
        reading = Reading("home1.meter", at, imported, 0, MEASURED)
        later.refused("market", reading, Reason.NEGATIVE, "backwards")


def test_what_a_meter_cannot_carry_or_know_is_void(later: Town) -> None:
    later.read("home1", TIMES[0], 1_000, 0)
    # 20 kW for a quarter of an hour are 5 kWh; twice that is the limit of what may be.
    later.refused("market", Reading("home1.meter", TIMES[1], 11_001, 0, MEASURED), Reason.OVERFLOW)
    later.refused("market", Reading("home1.meter", TIMES[1] + 1, 1_000, 0, MEASURED), Reason.MALFORMED)
    later.refused("market", Reading("home1.meter", NOON_US + 99 * QUARTER_US, 1, 0, MEASURED), Reason.EARLY)
    later.refused("market", Reading("home1.meter", TIMES[1], -1, 0, MEASURED), Reason.NEGATIVE)
    later.refused("market", Reading("home1.dev", TIMES[1], 1, 0, MEASURED), Reason.UNKNOWN)
    later.refused(
        "home1", Reading("home1.meter", TIMES[1], 1_000, 0, MEASURED), Reason.NOT_ALLOWED, "read by"
    )
    later.read("home1", TIMES[1], 11_000, 0)


def test_the_reader_that_an_operator_named_reads(later: Town) -> None:
    later.desk.demand(MeterBinding("home1.meter", "home1.in_wh", "home1.out_wh", "pv2", is_main=True))
    later.must("pv2", Reading("home1.meter", TIMES[0], 1, 0, MEASURED))


def test_a_suspended_owners_meter_is_still_read_and_a_retired_one_is_not(later: Town) -> None:
    later.suspend("home1")
    later.read("home1", TIMES[0], 5, 0)
    later.desk.demand(StatusChange("home1.meter", True, Status.RETIRED, 0, "exchanged"))
    later.refused("market", Reading("home1.meter", TIMES[1], 6, 0, MEASURED), Reason.NOT_ALLOWED)


def test_an_estimate_is_marked_and_replaced_by_what_was_measured(later: Town) -> None:
    meters = later.community.meters
    later.read("home1", TIMES[0], 1_000, 0)
    later.read("home1", TIMES[2], 3_001, 0)
    estimate = meters.estimate("home1.meter", TIMES[1])
    assert estimate == Reading("home1.meter", TIMES[1], 2_000, 0, ESTIMATED)
    later.desk.demand(estimate)
    for start, end in ((0, 1), (1, 2)):
        energy = meters.energy("home1.meter", TIMES[start], TIMES[end])
        assert energy is not None
        assert energy.is_estimated
    later.refused("market", estimate, Reason.EXISTS)
    later.read("home1", TIMES[1], 1_200, 0)
    energy = meters.energy("home1.meter", TIMES[1], TIMES[2])
    assert energy is not None
    assert (energy.import_wh, energy.is_estimated) == (1_801, False)
    later.refused("market", estimate, Reason.EXISTS)


def test_without_a_later_reading_the_estimate_is_that_the_meter_stood(later: Town) -> None:
    later.read("home1", TIMES[0], 1_000, 7)
    estimate = later.community.meters.estimate("home1.meter", TIMES[3])
    assert (estimate.import_wh, estimate.export_wh) == (1_000, 7)
    with pytest.raises(Refused):
        later.community.meters.estimate("home2.meter", TIMES[3])


def test_a_mistake_is_reversed_and_both_stay_on_the_record(later: Town) -> None:
    later.read("home1", TIMES[0], 0, 0)
    later.read("home1", TIMES[1], 5_000, 0)
    wrong = later.book.state.head.sequence
    later.refused("market", Reading("home1.meter", TIMES[1], 500, 0, MEASURED), Reason.EXISTS, "reverse")
    later.refused("market", Reversal("home1.meter", TIMES[1], wrong, ""), Reason.MALFORMED, "reason")
    later.refused("market", Reversal("home1.meter", TIMES[1], wrong - 1, "typed"), Reason.UNKNOWN)
    later.refused("home1", Reversal("home1.meter", TIMES[1], wrong, "mine"), Reason.NOT_ALLOWED)
    assert later.community.meters.most_import_wh["home1"] == 5_000
    later.desk.demand(Reversal("home1.meter", TIMES[1], wrong, "a digit too many"))
    assert later.community.meters.reading("home1.meter", TIMES[1]) is None
    assert later.community.meters.most_import_wh.get("home1", 0) == 0, "what it proved it proves no more"
    later.read("home1", TIMES[1], 500, 0)
    kept = [
        fact
        for placed in later.book.placed(wrong - 1)
        if isinstance(placed.statement.body, Record)
        and placed.sequence not in later.community.voids
        and (fact := fact_of(placed.statement.body))
    ]
    assert [type(fact) for fact in kept] == [Reading, Reversal, Reading]


def meters_alone() -> Meters:
    registry = Registry()
    registry.participants["h"] = Participant("h", ParticipantKind.CONSUMER, "", NO_DIGEST, Status.ACTIVE)
    manifest = Device("m", DeviceKind.METER, "", "", NO_DIGEST, "f", 10**6, 10**6, 0)
    registry.devices["m"] = Registered("h", manifest, Status.ACTIVE)
    registry.meters["m"] = MeterBinding("m", "i", "e", "market", is_main=True)
    registry.mains["h"] = ["m"]
    return Meters(registry)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3_000), st.booleans(), st.booleans()), max_size=40)
)
def test_whatever_is_read_registers_never_fall_and_intervals_sum_to_their_difference(
    readings: list[tuple[int, int, bool, bool]],
) -> None:
    meters = meters_alone()
    author = Author("market", is_operator=True)
    for entry, (at, imported, is_measured, reverses) in enumerate(readings):
        at_us = NOON_US + at * QUARTER_US
        try:
            if reverses and (known := meters.reading("m", at_us)):
                meters.reverse(author, Reversal("m", at_us, known.entry, "x"), QUARTER_US)
            else:
                quality = MEASURED if is_measured else ESTIMATED
                reading = Reading("m", at_us, imported, 0, quality)
                meters.read(author, reading, entry, 2**62, QUARTER_US)
        except Refused:
            continue
    times = [t for i in range(7) if meters.reading("m", t := NOON_US + i * QUARTER_US)]
    energies = [meters.energy("m", a, b) for a, b in pairwise(times)]
    assert all(energy is not None and energy.import_wh >= 0 for energy in energies)
    if len(times) > 1:
        whole = meters.energy("m", times[0], times[-1])
        assert whole is not None
        assert whole.import_wh == sum(energy.import_wh for energy in energies if energy)
