"""The feed over a real region: what changed, once a tick, and never more than a page can hold."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest

from gateway.tags.image import Region, RegionError
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from hmi.feed import MAX_PAGES, QUEUE_MESSAGES, Feed, Page


async def waiting(page: Page) -> asyncio.Task[str]:
    """The page's sender, waiting for something to send."""
    task = asyncio.create_task(page.next())
    await asyncio.sleep(0)
    return task


async def started(feed: Feed) -> Page:
    """A page that has its hello and its first snapshot."""
    page = feed.join("operator", "operator")
    assert json.loads(await page.next())["type"] == "hello"
    sender = await waiting(page)
    feed.tick()
    assert json.loads(await sender)["type"] == "snapshot"
    return page


def put(scene, name, value):
    now = time.time_ns()
    tags = scene.region.indexes_of([name])
    scene.writers["drivers"].write(tags, to_bits(np.array([value]), ValueType.DOUBLE), 0, now, now)


async def test_a_tick_carries_the_latest_value_of_each_tag_that_changed_and_nothing_else(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        page = await started(feed)
        for kw in (1.0, 2.0, 3.0):
            put(stand.scene, "pv1.power_kw", kw)
        put(stand.scene, "wind1.power_kw", 7.0)
        assert feed.tick() == 2
        message = json.loads(await page.next())
        names = [stand.region.name_of(tag) for tag in message["tags"]]
        assert dict(zip(names, message["values"], strict=True)) == {
            "pv1.power_kw": 3.0,
            "wind1.power_kw": 7.0,
        }
        assert feed.tick() == 0
        assert page.queued == 0


async def test_strings_travel_with_their_text(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        page = await started(feed)
        tag = stand.region.indexes_of(["ev1.vehicle_id"])
        stand.scene.writers["drivers"].write_texts(tag, ["Zoë's van"], 0, time.time_ns(), time.time_ns())
        feed.tick()
        assert json.loads(await page.next())["values"] == ["Zoë's van"]


async def test_a_page_that_does_not_read_holds_a_bounded_queue_and_then_gets_a_fresh_snapshot(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        stalled, quick = await started(feed), await started(feed)
        longest = 0
        for kw in range(5 * QUEUE_MESSAGES):
            put(stand.scene, "pv1.power_kw", float(kw))
            feed.tick()
            feed.beat()
            longest = max(longest, stalled.queued)
            while quick.queued:
                await quick.next()
        assert longest <= QUEUE_MESSAGES
        assert quick.restarts == 0
        assert stalled.restarts == 1  # nothing is queued, nor any snapshot made, until it reads again
        assert stalled.queued == 0
        sender = await waiting(stalled)
        feed.tick()
        message = json.loads(await sender)
        assert message["type"] == "snapshot"
        assert message["values"][stand.region.index_of("pv1.power_kw")] == 5 * QUEUE_MESSAGES - 1.0


async def test_after_losing_changes_every_page_gets_the_whole_image(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        page = await started(feed)
        tags = np.full(5_000, stand.region.index_of("pv1.power_kw"), np.uint32)
        for _ in range(8):  # 40,000 changes in a journal of 16,384
            bits = to_bits(np.arange(5_000.0), ValueType.DOUBLE)
            stand.scene.writers["drivers"].write(tags, bits, 0, time.time_ns(), time.time_ns())
        feed.tick()
        message = json.loads(await page.next())
        assert message["type"] == "snapshot"
        assert len(message["tags"]) == len(stand.site.tags)


async def test_a_joining_page_disturbs_no_other(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        first = await started(feed)
        await started(feed)
        assert first.queued == 0


async def test_no_more_pages_than_the_limit(make_stand):
    async with make_stand() as stand:
        feed = Feed(stand.region, stand.site)
        pages = [feed.join("operator", "operator") for _ in range(MAX_PAGES)]
        assert feed.is_full
        feed.leave(pages[0])
        assert not feed.is_full


async def test_the_feed_ends_when_the_region_is_closed_by_its_creator(make_stand):
    async with make_stand() as stand:
        with Region.attach(stand.region.name) as attached:
            running = asyncio.create_task(Feed(attached, stand.site).run())
            await asyncio.sleep(0)
            stand.region.close()
            with pytest.raises(RegionError, match="absent"):
                await asyncio.wait_for(running, 5)


async def test_the_feed_ends_when_another_region_takes_the_name(make_stand):
    async with make_stand() as stand:
        with Region.attach(stand.region.name) as attached:
            running = asyncio.create_task(Feed(attached, stand.site).run())
            await asyncio.sleep(0)
            stand.region.close()
            with (
                Region.create(stand.region.name, [tag.spec() for tag in stand.site.tags]),
                pytest.raises(RegionError, match="made anew"),
            ):
                await asyncio.wait_for(running, 5)
