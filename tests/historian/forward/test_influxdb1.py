"""History forwarded to a real InfluxDB 1.x: the very samples, whatever is down or killed on the way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from historian_folder import SECOND, Clock, Folder

from gateway.tags.quality import Quality
from historian.forward import state as states
from historian.forward.delivery import Stopped

BAD = int(Quality.BAD_COMMUNICATION_ERROR)


def in_history(folder: Folder, name: str) -> list[tuple[int, Any, int]]:
    return folder.raw(name)


def fill(folder: Folder, start: int, count: int, step: int = SECOND) -> None:
    """A stretch of every type, in frames of a minute; the clock goes with it."""
    rng = np.random.default_rng(start // SECOND % 2**32)
    for first in range(0, count, 60):
        times = start + step * np.arange(first, min(first + 60, count), dtype=np.int64)
        n = len(times)
        folder.clock.now = int(times[-1])
        folder.write("a.power_kw", times, rng.normal(size=n) * 10.0 ** rng.integers(-300, 300), flush=False)
        folder.write("a.count", times, 2**53 + 1 + np.arange(n), flush=False)
        folder.write("a.energy_wh", times, 2**62 + np.arange(n, dtype=np.uint64), flush=False)
        folder.write("a.on", times, rng.integers(0, 2, n).astype(bool), flush=False)
        folder.write("a.name", times, [f'"n", {i}=\\ é\n' for i in range(n)], flush=False)
        folder.write("b.power_kw", times, np.round(rng.normal(size=n), 2), rng.choice([0, BAD], n))


def bits(samples: list[tuple[int, Any, int]]) -> list[tuple[int, Any, int]]:
    """Doubles by their bits; 1.x writes a double without decimals as a whole number."""
    return [(at, value.hex() if isinstance(value, float) else value, status) for at, value, status in samples]


NAMES = ("a.power_kw", "a.count", "a.energy_wh", "a.on", "a.name", "b.power_kw")


def assert_same(folder: Folder, influxd: Any, database: str) -> int:
    """Every tag, bit for bit; how many samples."""
    total = 0
    for name in NAMES:
        expected = in_history(folder, name)
        found = influxd.samples(database, name)
        assert len(found) == len(expected), name
        if name.endswith("power_kw"):  # 1.x writes a double without decimals as a whole number
            found = [(at, float(value), status) for at, value, status in found]
        assert bits(found) == bits(expected), name
        total += len(found)
    return total


def test_every_type_arrives_bit_for_bit(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 150)
    lane = make_lane(url=influxd.url, database=database, batch_samples=77)
    lane.drain()
    assert assert_same(folder, influxd, database) == 6 * 150
    assert lane.sender.link.sent == 6 * 150
    assert lane.sender.set_aside == 0


def test_an_hour_without_the_target_is_made_good_in_order(
    folder: Folder,
    clock: Clock,
    make_lane: Callable[..., Any],
    influxd: Any,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lane = make_lane(url=influxd.url, database=database, samples_per_s=0)
    fill(folder, clock.now, 60)
    lane.drain()
    influxd.kill()
    begun = clock.now

    def an_hour_passes() -> bool:
        if clock.now - begun < 3600 * SECOND:
            fill(folder, clock.now + SECOND, 300)
            lane.keep()
            folder.pack()
        else:
            influxd.ensure()
        return False

    fill(folder, clock.now + SECOND, 60)
    lane.meanwhile = an_hour_passes
    lane.drain()
    assert clock.now - begun >= 3600 * SECOND
    assert "the journal is gone" not in caplog.text, "all of it was kept, and sent in order"
    assert assert_same(folder, influxd, database) > 6 * 3000
    tries = [seconds for seconds in lane.waited if seconds > 0.5]
    assert tries[0] < 2, "it tries again soon"
    assert max(tries) <= 75, "it never waits much longer than a minute"
    lane.keep()
    assert len(lane.spool.segments()) <= 2, "what is sent is let go of"


def test_target_killed_in_mid_batch_and_started_again_has_all(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 900)
    lane = make_lane(url=influxd.url, database=database, batch_samples=200, samples_per_s=0)
    lane.meanwhile = lambda: influxd.ensure() is not None
    for _ in range(4):
        blow = threading.Timer(0.02, influxd.process.kill)
        blow.start()
        for _ in range(8):
            lane.sender.turn()
        blow.join()
        influxd.kill()
        influxd.ensure()
    lane.drain()
    assert_same(folder, influxd, database)


def test_forwarder_killed_in_mid_batch_goes_on_where_it_was(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 1200)
    program = Path(__file__).with_name("forward_process.py")
    for after in (3, 8):
        command = [sys.executable, program, folder.directory, influxd.url, database]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(after):
                assert process.stdout.readline()
            process.kill()
    place = states.load(folder.directory / "forward" / "plant.json").cursor
    assert place > states.BEGINNING, "the place was written down on the way"
    lane = make_lane(url=influxd.url, database=database)
    lane.drain()
    assert_same(folder, influxd, database)
    assert lane.sender.link.sent < 6 * 1200, "it did not begin anew"


def test_late_and_corrected_samples_end_as_they_do_in_history(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    start = clock.now
    lane = make_lane(url=influxd.url, database=database, batch_samples=3)
    folder.write("a.count", [start + i * SECOND for i in range(10)], list(range(10)))
    lane.drain()
    folder.pack()
    folder.write("a.count", [start + 3 * SECOND, start + 3 * SECOND, start - 86_400 * SECOND], [-3, 33, 7])
    folder.pack()
    folder.write("a.count", [start + 3 * SECOND], [333], BAD)
    lane.drain()
    assert influxd.samples(database, "a.count") == in_history(folder, "a.count")
    assert (start + 3 * SECOND, 333, BAD) in influxd.samples(database, "a.count")


def test_points_that_are_refused_are_set_aside_and_block_nobody(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    at = clock.now + 1  # the same shard, which is what keeps types
    influxd.write(database, f'a.count,site=demo,tag=a.count value="a text first",status=0i {at}\n')
    lane = make_lane(url=influxd.url, database=database)
    fill(folder, clock.now, 60)
    lane.drain()
    fill(folder, clock.now + SECOND, 60)
    lane.drain()
    influxd.ask('DROP MEASUREMENT "a.count"', database, method="POST")
    others = [name for name in NAMES if name != "a.count"]
    assert all(influxd.samples(database, name) == in_history(folder, name) for name in others)
    assert lane.sender.set_aside == 120
    text = (folder.directory / "forward" / "plant.aside.lp").read_text()
    assert "field type conflict" in text
    assert "conflict" in lane.sender.link.last_error
    influxd.write(database, text)
    assert influxd.samples(database, "a.count") == in_history(folder, "a.count"), (
        "the file can be sent as it is"
    )
    lane.restart()
    assert lane.sender.set_aside == 120, "it is still said after a restart"


def test_a_database_that_is_missing_is_told_and_waited_for(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 5)
    lane = make_lane(url=influxd.url, database=database)
    influxd.ask(f'DROP DATABASE "{database}"', method="POST")
    said: list[str] = []

    def mend() -> bool:
        said.append(lane.sender.link.last_error)
        assert not lane.sender.link.is_connected
        influxd.ask(f'CREATE DATABASE "{database}"', method="POST")
        return False

    lane.meanwhile = mend
    lane.drain()
    assert "404" in said[0]
    assert "is there such a database" in said[0]
    assert lane.sender.link.is_connected
    assert_same(folder, influxd, database)


def test_what_is_asked_for_again_is_sent_from_what_is_stored(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    start = clock.now
    fill(folder, start - 86_400 * SECOND, 120)
    folder.pack()
    fill(folder, start, 120)
    folder.pack()
    lane = make_lane(url=influxd.url, database=database, batch_samples=50)
    lane.drain()
    assert not influxd.samples(database, "a.count"), "a new target begins with what the journal holds"
    states.ask_again(lane.place.own, "plant", start - 2 * 86_400 * SECOND, clock.now + 1)
    lane.meanwhile = lambda: True
    lane.sender.turn()
    assert not list(lane.place.own.glob("*.request")), "it is taken up"
    assert states.load(lane.place.state("plant")).ranges
    lane.start()  # as after a kill
    lane.drain()
    assert assert_same(folder, influxd, database) == 6 * 240
    assert not states.load(lane.place.state("plant")).ranges


def test_a_correction_made_while_history_is_sent_again_counts(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    start = clock.now
    fill(folder, start, 240)
    folder.pack()
    lane = make_lane(url=influxd.url, database=database, batch_samples=10)
    states.ask_again(lane.place.own, "plant", start, clock.now + 1)
    for i in range(0, 240, 20):
        folder.write("a.count", [start + i * SECOND], [-i])
        lane.sender.turn()
    lane.drain()
    assert_same(folder, influxd, database)


def test_journal_that_is_gone_is_made_good_from_day_files(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    lane = make_lane(url=influxd.url, database=database, batch_samples=100)
    start = clock.now
    fill(folder, start, 60)
    lane.drain()
    lane.sender.close()
    for i in range(1, 4):  # nobody keeps the journal meanwhile
        fill(folder, start + 60 * i * SECOND, 60)
        folder.pack()
    folder.write("a.count", [start], [-1])
    folder.pack()
    fill(folder, start + 240 * SECOND, 60)
    lane.start()
    lane.drain()
    assert assert_same(folder, influxd, database) == 6 * 300


def test_journal_beyond_its_bound_is_let_go_of_and_nothing_is_missing(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    lane = make_lane(url=influxd.url, database=database, samples_per_s=0)
    lane.drain()
    start = clock.now
    for i in range(6):
        fill(folder, start + 300 * i * SECOND, 300)
        lane.spool.refresh()
        folder.pack()
    kept = set(lane.spool.segments())
    dropped = lane.spool.trim(lane.sender.needed, 40_000)
    assert dropped
    assert set(dropped) < kept
    lane.drain()
    assert assert_same(folder, influxd, database) == 6 * 1800


def test_not_more_is_sent_in_a_second_than_asked_for(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 600)
    lane = make_lane(url=influxd.url, database=database, batch_samples=100, samples_per_s=300)
    before = clock.now
    lane.drain()
    assert (clock.now - before) / SECOND == pytest.approx(3600 / 300, abs=2)


def test_stopping_does_not_wait_for_a_target_that_is_away(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    fill(folder, clock.now, 5)
    lane = make_lane(url="http://127.0.0.1:1", database=database)
    lane.meanwhile = lambda: True
    with pytest.raises(Stopped):
        lane.sender.turn()
    assert "refused" in lane.sender.link.last_error
    lane.settings = replace(lane.settings, url=influxd.url)
    lane.restart()
    lane.meanwhile = lambda: False
    lane.drain()
    assert_same(folder, influxd, database)


def test_values_that_line_protocol_has_no_form_for_go_without(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], influxd: Any, database: str
) -> None:
    start = clock.now
    odd = [float("nan"), float("inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1]
    folder.write("b.power_kw", [start + i for i in range(6)], odd)
    folder.write("a.energy_wh", [start, start + 1], [2**63 - 1, 2**63])
    folder.write("a.count", [start, start + 1], [-(2**63), 2**63 - 1])
    lane = make_lane(url=influxd.url, database=database)
    lane.drain()
    found = influxd.samples(database, "b.power_kw")
    assert [value for _, value, _ in found[:2]] == [None, None], "the status alone"
    assert np.array([value for _, value, _ in found[2:]], float).tobytes() == np.array(odd[2:]).tobytes()
    assert influxd.samples(database, "a.energy_wh") == [(start, 2**63 - 1, 0)]
    assert [value for _, value, _ in influxd.samples(database, "a.count")] == [-(2**63), 2**63 - 1]
    assert lane.sender.set_aside == 1, "1.x has no form for a whole number from 2^63 on"
