"""Frames as they are kept: found in history, once, whoever was away meanwhile."""

from __future__ import annotations

import dataclasses
import logging
import random

import pytest
from historian_folder import NOON, SECOND

from gateway.config.events import Summary
from historian.events import Events
from historian.events.part import Follower
from historian.events.store import EventStore
from historian.store.frame import GapFrame


def test_a_frame_is_kept_while_it_goes_on_and_then_with_its_end(watched):
    watched.flag(0, False)
    watched.look(1)
    watched.flag(2, True)
    watched.look(3)
    assert watched.spans() == [], "it is not two seconds old"
    watched.look(4)
    assert watched.spans() == [(2, None, True)]
    watched.flag(8, False)
    watched.look(9)
    assert watched.spans() == [(2, 8, True)]
    (frame,) = watched.frames()
    assert (frame.event, frame.device, frame.severity, frame.description) == ("run", "a", 200, "It runs")


def test_its_summaries_are_what_the_tag_did(watched):
    watched.power(-5, 10.0)
    watched.flag(0, False)
    watched.flag(2, True)
    for second, value in ((4, 30.0), (6, -10.0), (20, 99.0)):
        watched.power(second, value)
    watched.flag(10, False)
    watched.look(30)
    watched.look(31)
    (frame,) = watched.frames()
    found = {each.summary: (each.value, each.status) for each in frame.summaries}
    # 10 for 2 s, 30 for 2 s, -10 for 4 s
    assert found == {
        Summary.START: (10.0, 0),
        Summary.END: (-10.0, 0),
        Summary.DELTA: (-20.0, 0),
        Summary.MINIMUM: (-10.0, 0),
        Summary.MAXIMUM: (30.0, 0),
        Summary.AVERAGE: (5.0, 0),
    }


def test_bad_values_are_in_no_summary_and_make_it_uncertain(watched):
    watched.power(0, 10.0)
    watched.flag(0, False)
    watched.flag(2, True)
    watched.power(4, 1e9, 0x8005_0000)
    watched.power(5, 20.0)
    watched.flag(10, False)
    watched.look(30)
    watched.look(31)
    found = {each.summary: (each.value, each.status) for each in watched.frames()[0].summaries}
    assert found[Summary.MAXIMUM] == (20.0, 0x40A4_0000)
    assert found[Summary.AVERAGE] == (pytest.approx((2 * 10 + 5 * 20) / 7), 0x40A4_0000)


def test_a_tag_without_history_gives_no_value(watched):
    watched.flag(0, False)
    watched.flag(2, True)
    watched.flag(10, False)
    watched.look(30)
    watched.look(31)
    assert {(each.value, each.status) for each in watched.frames()[0].summaries} == {(None, 0x809B_0000)}


def test_what_ended_while_nobody_followed_is_found_in_history(watched):
    watched.flag(0, False)
    watched.flag(2, True)
    watched.look(5)
    watched.stop()
    watched.flag(9, False)
    watched.flag(20, True)
    watched.flag(25, False)
    watched.start()
    watched.look(30)
    assert watched.spans() == [(2, 9, True), (20, 25, True)]


def test_what_ended_while_the_site_stood_still_is_uncertain(watched):
    watched.flag(0, False)
    watched.flag(2, True)
    watched.look(5)
    watched.stop()
    watched.folder.recorder.offer(GapFrame("stopped", NOON + 6 * SECOND, NOON + 99 * SECOND, 0))
    watched.flag(100, False)
    watched.start()
    watched.look(101)
    assert watched.spans() == [(2, 100, False)]
    assert watched.frames()[0].end_from == NOON + 6 * SECOND


def test_a_flag_that_is_not_in_history_yet_is_looked_at_again(watched):
    watched.flag(0, False)
    watched.look(1)
    watched.image["source_time"] = watched.image["receipt_time"] = NOON + 5 * SECOND
    watched.look(6)
    image = watched.image.copy()
    watched.flag(5, True)
    watched.image[:] = image
    watched.look(8)
    assert watched.spans() == [(5, None, True)]


def test_a_historian_that_is_behind_ends_nothing_too_early(watched):
    watched.event = dataclasses.replace(watched.event, hold_off_ns=10 * SECOND)
    watched.stop()
    watched.start()
    watched.flag(0, False)
    watched.flag(2, True)
    watched.flag(8, False)
    watched.look(9)
    watched.image["source_time"] = watched.image["receipt_time"] = NOON + 12 * SECOND
    watched.look(60)
    watched.flag(12, True)
    watched.flag(70, False)
    watched.look(90)
    assert watched.spans() == [(2, 70, True)]


def test_whoever_goes_on_begins_where_it_stopped(watched):
    watched.flag(0, False)
    watched.flag(2, True)
    watched.look(5)
    watched.stop()
    store = EventStore(watched.folder.directory)
    track = store.track(watched.event)
    store.close()
    watched.start()
    assert (track.cursor, track.start) == (NOON + 2 * SECOND, NOON + 2 * SECOND)


def test_an_event_that_the_site_has_no_more_ends(watched):
    watched.flag(0, False)
    watched.flag(2, True)
    watched.look(5)
    watched.stop()
    other, watched.event = (
        watched.event,
        watched.event.__class__("other", "", watched.event.flag, "a.on", 1, 0, 0, "", ()),
    )
    watched.folder.clock.now = NOON + 50 * SECOND
    watched.start()
    assert watched.spans() == [(2, 50, False)]
    assert other.name == "run"


@pytest.mark.parametrize("seed", range(5))
def test_whoever_is_killed_again_and_again_keeps_each_frame_once(watched, seed):
    dice = random.Random(seed)
    expected, second, is_on, begun = [], 1.0, False, 0.0
    watched.flag(0, False)
    for _ in range(60):
        second += dice.uniform(0.1, 6)
        is_on = not is_on
        watched.flag(second, is_on)
        if is_on:
            begun = second
        elif second - begun >= 2:
            expected.append((round(begun, 6), round(second, 6), True))
        if dice.random() < 0.5:
            watched.look(second + 0.05)
        if dice.random() < 0.2:  # whatever it held in memory is gone
            watched.stop()
            watched.start()
        if dice.random() < 0.1:
            watched.folder.pack()
    watched.look(second + 100)
    found = [(round(a, 6), None if b is None else round(b, 6), c) for a, b, c in watched.spans()]
    assert found[: len(expected)] == expected
    assert len(found) == len(expected) + is_on


def test_frames_are_asked_for_by_time_name_and_device(watched):
    watched.flag(0, False)
    for start in (10, 20, 30):
        watched.flag(start, True)
        watched.flag(start + 5, False)
    watched.look(50)
    events = Events(watched.folder.directory)
    assert events.names() == ["run"]
    touched = events.frames(NOON + 15 * SECOND, NOON + 20 * SECOND)
    assert [frame.start for frame in touched] == [NOON + 10 * SECOND]
    assert len(watched.frames(name="run", device="a")) == 3
    assert watched.frames(name="walk") == []
    assert watched.frames(device="b") == []
    assert len(watched.frames(limit=2)) == 2


def test_where_no_frame_was_ever_kept_there_is_none(tmp_path):
    assert Events(tmp_path).frames(0, 2**62) == []
    assert Events(tmp_path).names() == []


def test_on_a_full_disk_it_says_so_once_and_keeps_all_when_there_is_room(watched, disk, caplog) -> None:
    caplog.set_level(logging.INFO, "historian.events.part")
    follower = Follower(disk.path, [watched.event], watched.history, watched.folder.clock)
    disk.fill()
    follower.open()
    watched.flag(0, False)
    watched.flag(2, True)
    watched.flag(8, False)
    watched.folder.clock.now = NOON + 20 * SECOND
    follower.look(watched.image)
    follower.look(watched.image)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    disk.free()
    follower.look(watched.image)
    follower.look(watched.image)
    assert caplog.messages[1:] == ["event frames are kept again"]
    assert [frame.start for frame in Events(disk.path).frames(0, 2**62)] == [NOON + 2 * SECOND]
    disk.fill()
    watched.flag(30, True)
    watched.folder.clock.now = NOON + 40 * SECOND
    follower.look(watched.image)
    disk.free()
    follower.look(watched.image)
    assert len(Events(disk.path).frames(0, 2**62)) == 2
    follower.close()
