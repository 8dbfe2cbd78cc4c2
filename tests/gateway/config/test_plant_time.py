"""The plant's time: nothing lost, never backwards, the wall's at speed 1, and the same after every start."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.plant_time import FILE, NS, PlantTime, keep_plant_time, plant_time

ANCHOR = 1_795_262_400 * NS  # 2026-11-21T12:00:00Z
YEAR_NS = 366 * 86_400 * NS
walls = st.integers(ANCHOR - YEAR_NS, ANCHOR + YEAR_NS)
fast = st.sampled_from((1.0, 1.5, 7.0, 59.94, 60.0)) | st.floats(1.0, 120.0)
slow = st.sampled_from((0.1, 0.5, 1 / 3)) | st.floats(0.01, 1.0)


@given(fast, walls)
def test_no_moment_of_the_wall_is_lost_where_the_plant_is_faster(speed: float, wall: int) -> None:
    time = PlantTime(ANCHOR, speed)
    assert time.wall_ns(time.plant_ns(wall)) == wall


@given(slow, walls)
def test_no_moment_of_the_plant_is_lost_where_it_is_slower(speed: float, plant: int) -> None:
    time = PlantTime(ANCHOR, speed)
    assert time.plant_ns(time.wall_ns(plant)) == plant


@given(fast | slow, walls, st.integers(1, 10**12))
def test_time_never_goes_backwards_and_the_anchor_is_the_same_in_both(
    speed: float, wall: int, later: int
) -> None:
    time = PlantTime(ANCHOR, speed)
    assert time.plant_ns(wall + later) >= time.plant_ns(wall)
    assert time.wall_ns(wall + later) >= time.wall_ns(wall)
    assert time.plant_ns(ANCHOR) == time.wall_ns(ANCHOR) == ANCHOR


@given(fast | slow, st.lists(walls, min_size=1, max_size=5))
def test_arrays_are_mapped_as_single_moments_are(speed: float, moments: list[int]) -> None:
    time = PlantTime(ANCHOR, speed)
    many = np.array(moments, np.int64)
    assert time.plant_ns(many).tolist() == [time.plant_ns(moment) for moment in moments]
    assert time.wall_ns(many).tolist() == [time.wall_ns(moment) for moment in moments]


def test_at_60_times_a_minute_is_an_hour_and_days_are_the_zone_s_own() -> None:
    time = PlantTime(ANCHOR, 60.0)
    assert time.plant_ns(ANCHOR + 60 * NS) == ANCHOR + 3600 * NS
    assert time.plant_ns(ANCHOR - 24 * 60 * NS) == ANCHOR - 86_400 * NS
    berlin = ZoneInfo("Europe/Berlin")
    assert time.hour(ANCHOR + 30 * NS, berlin) == 13.5
    march = int(datetime(2027, 3, 28, 0, 30, tzinfo=UTC).timestamp()) * NS  # clocks go on at 1:00 UTC
    assert time.hour(time.wall_ns(march), berlin) == 1.5
    assert time.hour(time.wall_ns(march) + 60 * NS, berlin) == 3.5


def test_at_speed_1_there_is_one_time_and_no_file(tmp_path: Path) -> None:
    time = keep_plant_time(tmp_path, 1.0)
    assert time.is_wall
    assert time.plant_ns(5) == time.wall_ns(5) == 5
    assert not (tmp_path / FILE).exists()


def test_who_starts_again_goes_on_in_the_same_time(tmp_path: Path) -> None:
    first = keep_plant_time(tmp_path, 60.0, lambda: ANCHOR)
    assert keep_plant_time(tmp_path, 60.0, lambda: ANCHOR + 9 * NS) == first == PlantTime(ANCHOR, 60.0)
    assert plant_time(tmp_path, 60.0) == first


def test_parts_that_begin_at_once_agree(tmp_path: Path) -> None:
    moments = iter(range(ANCHOR, ANCHOR + 8))
    together = threading.Barrier(8)
    found: list[PlantTime] = []

    def begin() -> None:
        together.wait()
        found.append(keep_plant_time(tmp_path, 60.0, lambda: next(moments)))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_who_only_looks_writes_nothing(tmp_path: Path) -> None:
    assert plant_time(tmp_path, 60.0, lambda: ANCHOR) == PlantTime(ANCHOR, 60.0)
    assert not (tmp_path / FILE).exists()


def test_another_speed_begins_anew_and_says_what_that_costs(tmp_path: Path, caplog) -> None:
    keep_plant_time(tmp_path, 60.0, lambda: ANCHOR)
    again = keep_plant_time(tmp_path, 10.0, lambda: ANCHOR + NS)
    assert again == PlantTime(ANCHOR + NS, 10.0) == plant_time(tmp_path, 10.0)
    assert "BEGINS ANEW" in caplog.text


def test_a_torn_file_begins_anew_and_says_so(tmp_path: Path, caplog) -> None:
    (tmp_path / FILE).write_bytes(b'{"format": 1, "anch')
    assert keep_plant_time(tmp_path, 60.0, lambda: ANCHOR) == PlantTime(ANCHOR, 60.0)
    assert plant_time(tmp_path, 60.0) == PlantTime(ANCHOR, 60.0)
    assert "cannot be read" in caplog.text
