"""What `tieline status` says of tags whose declaration tells that they are not as they should be."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gateway.config.alert import Alert
from gateway.config.market import MarketStatus
from gateway.config.market_alerts import alert_of_market
from gateway.config.site import HistorianSettings, Tag
from gateway.config.system import history_tags
from gateway.node.state import RunRecord, StateLock, read_record
from gateway.node.watch import alert_troubles
from gateway.node.watched import Watched
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.store.frame import Rows, SamplesFrame
from historian.store.recorder import Recorder

NOW = time.time_ns()
SECOND = 10**9
HOUR = 3_600 * SECOND
JUMPS = "_system.history.clock_jumps"
STATES = {status.value: status.text for status in MarketStatus}
TAGS = (
    *(tag for tag in history_tags() if tag.name == JUMPS),
    *(
        Tag(name, type, "node", "grid", "market", alert=alert_of_market(name), **more)
        for name, type, more in (
            ("market.status", ValueType.UINT64, {"states": STATES}),
            ("market.peers.north.link", ValueType.BOOL, {}),
        )
    ),
    Tag(
        "demand_response.peak.event",
        ValueType.UINT64,
        "node",
        "grid",
        "demand_response",
        alert=Alert("", "See its log.", bad="peak is not known"),
    ),
)
WELL = {JUMPS: 0, "market.status": 1, "market.peers.north.link": 1, "demand_response.peak.event": 0}


@dataclass
class Asked:
    paths: Any
    region: Region

    def write(self, value_of: dict[str, int], quality: int = Quality.GOOD) -> None:
        writer = self.region.claim("node")
        bits = np.array(list(value_of.values()), np.uint64)
        writer.write(self.region.indexes_of(value_of), bits, quality, NOW, NOW)
        writer.release()

    def remember(self, name: str, value_at: dict[int, int]) -> None:
        recorder = Recorder(self.paths.history, HistorianSettings(), lambda: NOW)
        recorder.open()
        (tag,) = (tag for tag in TAGS if tag.name == name)
        (entry,) = recorder.catalogue.register((tag,), NOW)
        count = len(value_at)
        times, values = np.array(list(value_at), np.int64), np.array(list(value_at.values()), np.uint64)
        ids, good = np.full(count, entry.id, np.uint32), np.zeros(count, np.uint32)
        rows = Rows(ids, good, times, values, np.empty(0, np.uint32), ())
        recorder.offer(SamplesFrame(1, NOW, {"node": (0, count)}, rows))
        assert recorder.flush()
        recorder.close()

    def troubles(self) -> list[str]:
        """By way of the record, as the command reads it."""
        watched = tuple(Watched(tag.name, tag.alert, tag.states) for tag in TAGS)
        lock = StateLock(self.paths)
        lock.take()
        lock.record(RunRecord("s", self.region.name, os.getpid(), NOW, (), (), watched=watched))
        record = read_record(self.paths)
        lock.release()
        assert record is not None
        assert record.watched == watched
        return list(alert_troubles(self.region, record.watched, self.paths.history, NOW))


@pytest.fixture
def asked(paths):
    with Region.create(f"test_alert_status_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        asked = Asked(paths, region)
        asked.write(WELL)
        yield asked


def test_all_is_well_while_no_alert_holds(asked):
    assert asked.troubles() == []


def test_what_is_wrong_is_told_with_since_when_and_what_to_do(asked):
    asked.remember("market.status", {NOW - 3 * HOUR: 1, NOW - 2 * HOUR: 3, NOW - HOUR: 3})
    asked.write({"market.status": 3})
    (told,) = asked.troubles()
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime((NOW - 2 * HOUR) / SECOND))
    assert told.startswith(f"market is stopped: no ledger, since {since} UTC. Nothing is traded or billed.")


def test_what_is_to_last_a_while_first_is_told_only_then(asked):
    asked.remember("market.peers.north.link", {NOW - HOUR: 1, NOW - 20 * SECOND: 0})
    asked.write({"market.peers.north.link": 0})
    assert asked.troubles() == []
    asked.remember("market.peers.north.link", {NOW - 90 * SECOND: 0})
    (told,) = asked.troubles()
    assert told.startswith("market north cannot be reached, since")


@pytest.mark.parametrize(("hours_ago", "is_told"), [(1, True), (9, False)])
def test_a_jump_of_the_clock_is_news_for_a_shift(asked, hours_ago, is_told):
    asked.remember(JUMPS, {NOW - 20 * HOUR: 0, NOW - hours_ago * HOUR: 2})
    asked.write({JUMPS: 2})
    assert [told.startswith("history the machine's clock jumped (2 times") for told in asked.troubles()] == (
        [True] if is_told else []
    )


def test_a_part_that_knows_nothing_says_so_by_bad_tags(asked):
    asked.write({"demand_response.peak.event": 0}, Quality.BAD_OUT_OF_SERVICE)
    assert asked.troubles() == ["demand_response peak is not known. See its log."]
    asked.write({"demand_response.peak.event": 0}, Quality.BAD_NO_DATA)
    assert asked.troubles() == []
