"""The region from Python: arrays in and out, ownership, life, journal and bell, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tags import image
from gateway.tags.directory import spare_for
from gateway.tags.image import Presence, Region, RegionError
from gateway.tags.quality import Quality
from gateway.tags.sample import SAMPLE, from_bits, to_bits, value_from_bits
from gateway.tags.tag import TagSpec, ValueType

SPECS = (
    TagSpec("pcc.power_kw", ValueType.DOUBLE, "drivers"),
    TagSpec("pcc.breaker_closed", ValueType.BOOL, "drivers"),
    TagSpec("pcc.import_energy_kwh", ValueType.UINT64, "drivers"),
    TagSpec("battery1.offset", ValueType.INT64, "drivers"),
    TagSpec("ev1.vehicle_id", ValueType.STRING, "drivers", 24),
    TagSpec("_system.parts.drivers.running", ValueType.BOOL, "node"),
)


@pytest.fixture
def name() -> str:
    return f"test-image-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def region(name: str) -> Iterator[Region]:
    with Region.create(name, SPECS, journal_records=1024) as region:
        yield region


def tags(*indexes: int) -> np.ndarray:
    return np.array(indexes, np.uint32)


def test_source_times_are_multiples_of_the_step_in_image_and_journal(name: str) -> None:
    with Region.create(name, SPECS, journal_records=1024, time_step_ns=1000) as region:
        writer, reader = region.claim("drivers"), region.reader()
        given = np.array([1_795_262_400_123_456_789, 1_795_262_400_123_456_999, -1], np.int64)
        writer.write(tags(0, 2, 3), np.zeros(3, np.uint64), 0, given, given)
        writer.write_texts(tags(4), ["a"], 0, given[0], given[0])
        writer.invalidate(Quality.BAD, int(given[1]), tags(1))
        records = reader.take().records
        kept = [1_795_262_400_123_456_000] * 2 + [0, 1_795_262_400_123_456_000, 1_795_262_400_123_456_000]
        assert records["source_time"].tolist() == kept
        assert records["receipt_time"].tolist() == [*given, given[0], given[1]]
        assert region.read(tags(0, 2, 3, 4, 1))["source_time"].tolist() == kept


def test_every_type_comes_back_as_it_was_written(region: Region) -> None:
    writer = region.claim("drivers")
    writer.write(tags(0), to_bits(np.array([-12.5]), ValueType.DOUBLE), 0, 11, 12)
    writer.write(tags(1), to_bits(np.array([True]), ValueType.BOOL), 0, 11, 12)
    writer.write(tags(2), to_bits(np.array([2**64 - 1], np.uint64), ValueType.UINT64), 0, 11, 12)
    writer.write(tags(3), to_bits(np.array([-(2**63)]), ValueType.INT64), Quality.BAD_SENSOR_FAILURE, 11, 12)
    writer.write_texts(tags(4), ["Škoda Ω"], 0, 11, 12)
    with Region.attach(region.name) as other:
        assert other.sample("pcc.power_kw").value == -12.5
        assert other.sample("pcc.breaker_closed").value is True
        assert other.sample("pcc.import_energy_kwh").value == 2**64 - 1
        sample = other.sample("battery1.offset")
        assert (sample.value, sample.status) == (-(2**63), Quality.BAD_SENSOR_FAILURE)
        assert (sample.source_time, sample.receipt_time) == (11, 12)
        assert other.sample("ev1.vehicle_id").value == "Škoda Ω"
        assert other.sample("_system.parts.drivers.running").status == Quality.BAD_WAITING_FOR_INITIAL_DATA


def test_names_types_and_owners_are_in_the_region(region: Region) -> None:
    with Region.attach(region.name) as other:
        assert [other.name_of(i) for i in range(other.tag_count)] == [spec.name for spec in SPECS]
        assert [other.type_of(i) for i in range(other.tag_count)] == [spec.type for spec in SPECS]
        assert [other.owners[i] for i in other.tag_owners] == [spec.owner for spec in SPECS]
        assert list(other.indexes_of(["battery1.offset", "pcc.power_kw"])) == [3, 0]
        assert other.instance == region.instance
        with pytest.raises(KeyError, match=r"pcc\.powr_kw"):
            other.index_of("pcc.powr_kw")
        with pytest.raises(IndexError):
            other.name_of(6)


def test_a_snapshot_is_one_structured_array(region: Region) -> None:
    region.claim("drivers").write(tags(3, 0), np.array([7, 8], np.uint64), 0, np.array([1, 2]), 3)
    everything = region.read()
    assert everything.dtype == SAMPLE
    assert list(everything["tag"]) == [0, 1, 2, 3, 4, 5]
    assert list(region.read(tags(3, 0))["value"]) == [7, 8]
    out = np.zeros(2, SAMPLE)
    assert region.read(tags(0, 3), out) is out
    assert list(out["source_time"]) == [2, 1]


def test_a_batch_that_touches_a_foreign_tag_is_refused_whole(region: Region) -> None:
    writer = region.claim("drivers")
    with pytest.raises(RegionError, match="row 1: tag belongs to another owner"):
        writer.write(tags(0, 5), np.array([1, 1], np.uint64), 0, 1, 1)
    with pytest.raises(RegionError, match="row 0: a number was written to a string tag"):
        writer.write(tags(4), np.array([1], np.uint64), 0, 1, 1)
    with pytest.raises(RegionError, match="row 1: string is longer"):
        writer.write_texts(tags(4, 4), ["fits", "x" * 25], 0, 1, 1)
    with pytest.raises(RegionError, match="row 1: tag index past the table"):
        writer.invalidate(0, 1, tags(0, 6))
    with pytest.raises(ValueError, match="status: 3 items, expected 1 or 2"):
        writer.write(tags(0, 3), np.array([1, 1], np.uint64), np.zeros(3, np.uint32), 1, 1)
    assert set(region.read()["status"]) == {Quality.BAD_WAITING_FOR_INITIAL_DATA}
    assert len(region.reader("oldest").take().records) == 0


def test_only_one_writer_holds_an_owner(region: Region) -> None:
    writer = region.claim("drivers")
    with Region.attach(region.name) as other:
        with pytest.raises(RegionError, match="claimed by another writer"):
            other.claim("drivers")
        other.claim("node").write(tags(5), np.array([1], np.uint64), 0, 1, 1)
        writer.release()
        other.claim("drivers")
    with pytest.raises(RegionError, match="not claimed"):
        writer.write(tags(0), np.array([1], np.uint64), 0, 1, 1)
    with pytest.raises(KeyError, match="historian"):
        region.claim("historian")


def test_a_closed_region_says_so(region: Region) -> None:
    reader = region.reader()
    other = Region.attach(region.name)
    writer = other.claim("drivers")
    other.close()
    other.close()
    for use in (other.read, other.bell, lambda: other.name_of(0), lambda: other.claim("node")):
        with pytest.raises(RegionError, match="is closed"):
            use()
    with pytest.raises(RegionError, match="is closed"):
        writer.write(tags(0), np.array([1], np.uint64), 0, 1, 1)
    writer.release()
    assert len(reader.take().records) == 0


def test_a_region_closed_under_a_sleeper_lives_until_it_wakes(region: Region) -> None:
    other = Region.attach(region.name)
    other.claim("node")
    bell = other.bell()
    woken: list[int | str] = []

    def sleep() -> None:
        try:
            woken.append(other.wait(bell, 30.0))
        except RegionError as error:  # closed before it could fall asleep
            woken.append(str(error))

    thread = threading.Thread(target=sleep)
    thread.start()
    other.close()
    region.claim("drivers").write(tags(0), np.array([1], np.uint64), 0, 1, 1)
    thread.join(10)
    assert len(woken) == 1


def test_a_reader_sees_each_change_in_order_and_strings_with_it(region: Region) -> None:
    reader = region.reader()
    writer = region.claim("drivers")
    writer.write(tags(0), np.array([1], np.uint64), 0, 1, 1)
    writer.write_texts(tags(4), ["first"], 0, 2, 2)
    writer.write_texts(tags(4), ["second"], 0, 3, 3)
    writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, 9, tags(4))
    taken = reader.take()
    assert list(taken.records["source_time"]) == [1, 2, 3, 9]
    assert taken.texts == {1: "first", 2: "second", 3: "second"}
    assert taken.records["status"][3] == Quality.BAD_COMMUNICATION_ERROR
    assert taken.lost == 0
    assert len(reader.take().records) == 0


def test_a_reader_goes_on_from_positions_kept_elsewhere(region: Region) -> None:
    writer = region.claim("drivers")
    writer.write(tags(0, 3), np.array([1, 2], np.uint64), 0, 1, 1)
    reader = region.reader("oldest")
    reader.take()
    kept = reader.positions
    writer.write(tags(0), np.array([3], np.uint64), 0, 1, 1)
    assert list(region.reader(kept).take().records["value"]) == [3]
    with pytest.raises(RegionError, match="never written"):
        region.reader({"drivers": 99}).take()
    with pytest.raises(ValueError, match="'now', 'oldest'"):
        region.reader("sometime")


def test_a_reader_that_fell_behind_is_told_how_many_it_lost(region: Region) -> None:
    reader = region.reader()
    writer = region.claim("drivers")
    for i in range(3):
        values = np.arange(1000 * i, 1000 * i + 1000, dtype=np.uint64)
        writer.write(np.zeros(1000, np.uint32), values, 0, 1, 1)
    taken = reader.take()
    assert taken.lost == 3000 - 1024
    assert list(taken.records["value"]) == list(range(3000 - 1024, 3000))


@pytest.mark.parametrize("poll_s", [0.0, 0.001])
def test_a_sleeping_reader_is_woken_by_a_write(region: Region, poll_s: float) -> None:
    reader = region.reader()
    assert not reader.wait(0.01, poll_s)
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(reader.wait(30.0, poll_s)))
    thread.start()
    region.claim("drivers").write(tags(0), np.array([1], np.uint64), 0, 1, 1)
    thread.join(10)
    assert woken == [True]


CREATOR = """
import sys, time
from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType
region = Region.create(sys.argv[1], [TagSpec("a.b", ValueType.BOOL, "drivers")], journal_records=1024)
print("made", flush=True)
sys.stdin.read()
"""


def creator_of(name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CREATOR, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    return process


def test_the_region_of_a_killed_run_is_recognised_and_cleaned(name: str) -> None:
    with creator_of(name) as process:
        assert image.presence_of(name) is Presence.LIVE
        assert not image.remove_stale(name)
        with pytest.raises(RegionError, match="in use"):
            Region.create(name, SPECS)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert image.presence_of(name) is Presence.STALE
    assert name in image.stale_regions()
    with pytest.raises(RegionError, match="stale: its creator is gone"):
        Region.attach(name)
    assert image.remove_stale(name)
    assert image.presence_of(name) is Presence.ABSENT
    with pytest.raises(RegionError, match="nothing runs under this name"):
        Region.attach(name)


def test_a_new_run_takes_the_name_of_a_killed_one_and_leaves_nothing_behind(name: str) -> None:
    with creator_of(name) as process:
        process.kill()
        process.wait(10)
    with Region.create(name, SPECS, journal_records=1024):
        assert image.presence_of(name) is Presence.LIVE
    assert not list(Path("/dev/shm").glob(f"*{name}*"))


def test_unfit_specs_are_refused_with_their_reason(name: str) -> None:
    double = TagSpec("a.b", ValueType.DOUBLE, "drivers")
    with pytest.raises(RegionError, match="two tags have one name"):
        Region.create(name, [double, double])
    with pytest.raises(RegionError, match="out of its limits"):
        Region.create(name, [TagSpec("a.c", ValueType.STRING, "drivers", 0)])
    with pytest.raises(RegionError, match="out of its limits"):
        Region.create(name, [TagSpec("x" * 256, ValueType.BOOL, "drivers")])
    with pytest.raises(RegionError, match=r"expected 1\.\.100 letters"):
        Region.create("a/b", [double])
    with pytest.raises(RegionError, match="does not fit"):
        Region.create(name, [double], journal_records=1 << 28, extra_owners=[f"o{i}" for i in range(200)])
    assert image.presence_of(name) is Presence.ABSENT


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_int64_bits_round_trip(values: list[int]) -> None:
    assert from_bits(to_bits(np.array(values, np.int64), ValueType.INT64), ValueType.INT64).tolist() == values


@given(st.lists(st.floats(width=64)))
def test_double_bits_round_trip_to_the_bit(values: list[float]) -> None:
    array = np.array(values, np.float64)
    bits = to_bits(array, ValueType.DOUBLE)
    assert from_bits(bits, ValueType.DOUBLE).tobytes() == array.tobytes()


def test_a_single_word_becomes_a_python_value() -> None:
    assert value_from_bits(1, ValueType.BOOL) is True
    assert value_from_bits(2**64 - 1, ValueType.INT64) == -1
    assert value_from_bits(2**64 - 1, ValueType.UINT64) == 2**64 - 1
    with pytest.raises(ValueError, match="string"):
        value_from_bits(0, ValueType.STRING)


NEW = (
    TagSpec("ev2.power_kw", ValueType.DOUBLE, "drivers"),
    TagSpec("ev2.vehicle_id", ValueType.STRING, "drivers", 200),
    TagSpec("_system.parts.hmi.running", ValueType.BOOL, "node"),
)


@pytest.fixture
def roomy(name: str) -> Iterator[Region]:
    with Region.create(name, SPECS, journal_records=1024, spare=4) as region:
        yield region


def test_tags_added_to_a_live_region_are_written_read_and_followed(roomy: Region) -> None:
    with Region.attach(roomy.name) as drivers, Region.attach(roomy.name) as other:
        writer = drivers.claim("drivers")
        reader = other.reader("now")
        assert list(roomy.change(NEW)) == [6, 7, 8]
        drivers.refresh()
        other.refresh()
        writer.write(tags(6, 0), to_bits(np.array([-7.5, 1.5]), ValueType.DOUBLE), 0, 11, 12)
        writer.write_texts(tags(7), ["x" * 200], 0, 11, 12)
        assert other.sample("ev2.power_kw").value == -7.5
        assert other.sample("ev2.vehicle_id").value == "x" * 200
        assert other.sample("_system.parts.hmi.running").status == Quality.BAD_WAITING_FOR_INITIAL_DATA
        assert [other.name_of(i) for i in range(6, 9)] == [spec.name for spec in NEW]
        assert other.type_of(6) is ValueType.DOUBLE
        taken = reader.take()
        assert list(taken.records["tag"]) == [6, 0, 7]
        assert taken.texts == {2: "x" * 200}
        assert len(other.read()) == 9
        with pytest.raises(RegionError, match="belongs to another owner"):
            writer.write(tags(8), np.array([1], np.uint64), 0, 1, 1)


def test_who_has_not_looked_knows_nothing_of_new_tags(roomy: Region) -> None:
    with Region.attach(roomy.name) as drivers, Region.attach(roomy.name) as other:
        writer = drivers.claim("drivers")
        reader = other.reader("now")
        roomy.change(NEW)
        drivers.refresh()
        writer.write(tags(6, 0, 6), np.array([1, 2, 3], np.uint64), 0, 11, 12)
        writer.write_texts(tags(7), ["new"], 0, 11, 12)
        taken = reader.take()
        assert (list(taken.records["tag"]), taken.texts, taken.lost) == ([0], {}, 0)
        assert len(reader.take().records) == 0
        assert (other.tag_count, len(other.read()), len(other.types)) == (6, 6, 6)
        out = np.zeros(6, SAMPLE)
        assert other.read(out=out) is out
        assert out["value"][0] == 2
        with pytest.raises(KeyError):
            other.index_of("ev2.power_kw")
        with pytest.raises(IndexError):
            other.name_of(6)


def test_a_retired_tag_is_found_no_more_and_its_name_may_come_again(roomy: Region) -> None:
    with Region.attach(roomy.name) as other:
        again = TagSpec("pcc.power_kw", ValueType.INT64, "drivers")
        assert list(roomy.change([again], [0])) == [6]
        other.refresh()
        assert other.index_of("pcc.power_kw") == 6
        assert other.type_of(6) is ValueType.INT64
        assert other.name_of(0) == ""
        roomy.change([], [1, 6])
        for name in ("pcc.power_kw", "pcc.breaker_closed"):
            with pytest.raises(KeyError):
                other.index_of(name)
        assert other.index_of("battery1.offset") == 3
        assert (roomy.tag_count, roomy.spare) == (7, 3)


def test_what_does_not_fit_is_refused_and_nothing_is_changed(roomy: Region) -> None:
    def tag(name: str, owner: str = "drivers", type: ValueType = ValueType.BOOL, text: int = 0) -> TagSpec:
        return TagSpec(name, type, owner, text)

    for unfit, why in (
        ([tag("a" * 129)], "more than 128 bytes"),
        ([tag("a", type=ValueType.STRING, text=257)], "more than 256 bytes"),
        ([tag("a", owner="dnp3")], "no tag of dnp3 was there"),
        ([tag(f"a{i}") for i in range(5)], "5 new tags, but 4 places"),
    ):
        assert why in str(roomy.room_for(unfit))
        with pytest.raises(RegionError, match=why):
            roomy.change(unfit, [0])
    assert roomy.index_of("pcc.power_kw") == 0
    assert roomy.change([tag(f"a{i}") for i in range(4)]).tolist() == [6, 7, 8, 9]
    assert roomy.spare == 0
    with Region.create(f"{roomy.name}-full", SPECS, journal_records=1024) as full:
        assert full.room_for([tag("a")]) == "1 new tags, but 0 places are left for them"
    assert spare_for(10) == 512
    assert spare_for(80_000) == 10_000


@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), unique=True, max_size=40)
)
def test_every_added_name_is_found_whatever_its_hash(names: list[str]) -> None:
    """Ours against the C core's search, which finds what was laid out here."""
    added = [TagSpec(name, ValueType.BOOL, "drivers") for name in names]
    name = f"test-image-{os.getpid()}-{time.monotonic_ns()}"
    with Region.create(name, SPECS, journal_records=1024, spare=40) as region:
        indexes = region.change(added).tolist()
        assert [region.index_of(spec.name) for spec in added] == indexes
        assert [region.index_of(spec.name) for spec in SPECS] == list(range(len(SPECS)))
