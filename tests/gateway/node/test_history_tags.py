"""What the historian tells of itself, as tags anybody may read and alarm on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.site import HistorianSettings
from gateway.config.system import NODE_OWNER, history_tags
from gateway.node.history_tags import PERIOD_NS, SILENCE_NS, HistoryTags, values_of
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from historian.store.frame import SamplesFrame
from historian.store.recorder import Progress, Recorder, read_progress

NOW = 1_795_262_400 * 10**9  # 2026-11-21T12:00:00Z


@pytest.fixture
def region() -> Iterator[Region]:
    with Region.create(f"test_history_tags_{os.getpid()}", [tag.spec() for tag in history_tags()]) as region:
        yield region


def told(region: Region) -> dict[str, object]:
    return {tag.name.split(".")[-1]: region.sample(tag.name).value for tag in history_tags()}


def test_a_recorder_that_writes_is_seen_in_the_tags(region: Region, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, HistorianSettings(), lambda: NOW)
    recorder.open()
    recorder.quarantined, recorder.clock_jumps = 7, 2
    recorder.offer(SamplesFrame(1, NOW, {"drivers": (0, 0)}))
    assert recorder.flush()
    recorder.close()
    HistoryTags(region, region.claim(NODE_OWNER), tmp_path).write(NOW + 10**9)
    found = told(region)
    assert found["writing"] is True
    assert (found["quarantined"], found["clock_jumps"], found["days"], found["fault"]) == (7, 2, 0, "")
    assert found["shedding"] is False
    free = found["free_mb"]
    assert isinstance(free, float)
    assert free > 0


def test_a_day_has_its_name_and_a_fault_its_words(region: Region) -> None:
    progress = Progress(NOW, "journal: disk full", 5_000_000, 3, "2026-11-19", 10**9, True, 0, 0)
    numbers, texts = values_of(progress, NOW)
    assert numbers.tolist()[0] == 0
    assert numbers.tolist()[2] == 3
    assert texts == ["2026-11-19", "journal: disk full"]


def test_a_historian_that_is_silent_is_an_alarm() -> None:
    assert values_of(Progress(NOW, ""), NOW + SILENCE_NS - 1)[0].tolist()[0] == 1
    numbers, texts = values_of(Progress(NOW, ""), NOW + SILENCE_NS)
    assert (numbers.tolist()[0], texts[1]) == (0, "the historian is silent")


def test_before_a_historian_ran_nothing_is_known(region: Region, tmp_path: Path) -> None:
    HistoryTags(region, region.claim(NODE_OWNER), tmp_path).write(NOW)
    assert region.sample("_system.history.writing").status == Quality.BAD_WAITING_FOR_INITIAL_DATA


def written_at(region: Region) -> int:
    return region.sample("_system.history.writing").receipt_time - NOW


def test_they_are_written_every_ten_seconds_and_every_time_while_history_is_not(
    region: Region, tmp_path: Path
) -> None:
    tags = HistoryTags(region, region.claim(NODE_OWNER), tmp_path)
    for now in (0, 1, 2):
        tags.write(NOW + now)
        assert written_at(region) == now
    recorder = Recorder(tmp_path, HistorianSettings(), lambda: NOW)
    recorder.open()
    recorder.offer(SamplesFrame(1, NOW, {"drivers": (0, 0)}))
    assert recorder.flush()
    recorder.close()
    for now, seen in ((3, 3), (3 + PERIOD_NS - 1, 3), (3 + PERIOD_NS, 3 + PERIOD_NS)):
        tags.write(NOW + now)
        assert written_at(region) == seen


def test_a_status_that_is_no_json_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(b"garbage")
    assert read_progress(tmp_path) == Progress(0, "")
