"""The forecast part of a running site: ready at once, gone within its time, alone with its tags."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.tags.image import RegionError
from gateway.tags.quality import is_good
from historian.forecast_job.part import run

PATIENCE_S = 60


@pytest.fixture
def context(trained):
    """Of a part beside the plant of the tests, which lets go of the tags."""
    trained._writer.release()
    return PartContext(
        trained.site,
        RunPaths(trained.state, trained.state),
        trained.region.name,
        asyncio.Event(),
        asyncio.Event(),
    )


async def test_it_is_ready_before_it_forecasts_and_ends_within_three_seconds(trained, context):
    part = asyncio.create_task(run(context))
    await asyncio.wait_for(context.ready.wait(), PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while trained.said("state").value == "" and time.monotonic() < deadline:  # noqa: ASYNC110 - an image has no event
        await asyncio.sleep(0.02)
    assert is_good(trained.said("state").status), (
        "the real clock is past that history: it says what is missing"
    )
    context.stop.set()
    await asyncio.wait_for(part, PATIENCE_S)
    trained._writer = trained.region.claim("forecast")


async def test_another_that_forecasts_the_same_site_ends_at_once(trained, context):
    writer = trained.region.claim("forecast")
    with pytest.raises(RegionError):
        await asyncio.wait_for(run(context), PATIENCE_S)
    writer.release()
