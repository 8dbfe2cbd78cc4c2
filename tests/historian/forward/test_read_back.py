"""What was forwarded is read back from a real InfluxDB as it is in history, by the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from historian_folder import SECOND, TAGS, Clock, Folder

from gateway.config.forward import ForwardKind, ForwardTarget, Label, SeriesNames
from gateway.tags.quality import Quality
from historian.forward import read_back
from historian.forward.read_back import InfluxHistory

BAD = int(Quality.BAD_COMMUNICATION_ERROR)
NAMES = [tag.name for tag in TAGS]
WIDE = SeriesNames("{area}-of-{site}", (Label.TAG, Label.SITE), "{type}-value", "status")


@pytest.fixture(params=[SeriesNames(), WIDE], ids=["a measurement a tag", "one for all"])
def both(
    request: pytest.FixtureRequest,
    folder: Folder,
    clock: Clock,
    make_lane: Callable[..., Any],
    influxd: Any,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Any, InfluxHistory]]:
    """The site's own history, and the same at the target; a page is short."""
    monkeypatch.setattr(read_back, "PAGE_ROWS", 7)
    rng = np.random.default_rng(5)
    times = clock.now + np.cumsum(rng.integers(1, 3 * SECOND, 50))
    doubles = [-0.0, 5e-324, 1.7976931348623157e308, 1e20, 0.1, -3.0, *rng.normal(size=44)]
    folder.write("a.power_kw", times, doubles, rng.choice([0, 0, BAD, 0x4000_0000], 50))
    folder.write("a.count", times, [2**53 + 1, -(2**63), 2**63 - 1, *range(47)])
    folder.write("a.energy_wh", times[:3], [0, 2**53 + 1, 2**63 - 1])
    folder.write("a.on", times, rng.integers(0, 2, 50).astype(bool))
    folder.write("a.name", times[:2], ['it\'s "quoted"\\', ""])
    clock.now = int(times[-1]) + 5 * SECOND
    settings = {"url": influxd.url, "database": database, "names": request.param}
    make_lane(**settings).drain()
    there = InfluxHistory(ForwardTarget("plant", ForwardKind.INFLUXDB1, **settings), "demo", TAGS, clock)
    here = folder.history()
    yield here, there
    here.close()
    there.close()


def assert_alike(found: Any, expected: Any) -> None:
    assert found.type is expected.type
    assert found.source_times.tolist() == expected.source_times.tolist()
    assert found.statuses.tolist() == expected.statuses.tolist()
    assert found.values.dtype == expected.values.dtype
    assert list(map(repr, found.values.tolist())) == list(map(repr, expected.values.tolist()))


def test_raw_and_last_are_as_in_history(both: tuple[Any, InfluxHistory]) -> None:
    here, there = both
    first = int(here.raw("a.count", -(2**62), 2**62).source_times[10])
    for name in NAMES:
        for start, end in ((-(2**63), 2**63), (first, first + 30 * SECOND), (first, first), (0, 1)):
            for limit in (None, 1, 7, 20):
                for newest_first in (False, True):
                    how = {"limit": limit, "newest_first": newest_first}
                    assert_alike(there.raw(name, start, end, **how), here.raw(name, start, end, **how))
        assert_alike(there.last(name), here.last(name))


def test_time_averages_are_as_in_history(both: tuple[Any, InfluxHistory], clock: Clock) -> None:
    here, there = both
    for name in ("a.count", "a.on", "a.power_kw", "b.power_kw"):
        end = clock.now + 10 * SECOND
        found = there.time_average(name, end - 120 * SECOND, end, 7 * SECOND)
        expected = here.time_average(name, end - 120 * SECOND, end, 7 * SECOND)
        assert found.values.tolist() == pytest.approx(expected.values.tolist(), rel=1e-12, nan_ok=True)
        assert found.statuses.tolist() == expected.statuses.tolist()
        assert found.percent_good.tolist() == pytest.approx(expected.percent_good.tolist())
    with pytest.raises(ValueError, match="string"):
        there.time_average("a.name", 0, 1, 1)


def test_what_cannot_be_asked_is_told(folder: Folder, influxd: Any, database: str) -> None:
    influxd.ensure()
    victoria = ForwardTarget("plant", ForwardKind.VICTORIAMETRICS, influxd.url)
    with pytest.raises(ValueError, match="answers no InfluxQL"):
        InfluxHistory(victoria, "demo", TAGS)
    some = ForwardTarget("plant", ForwardKind.INFLUXDB1, influxd.url, database, tags=("a.*",))
    there = InfluxHistory(some, "demo", TAGS)
    with pytest.raises(KeyError):
        there.raw("b.power_kw", 0, 1)
    away = InfluxHistory(
        ForwardTarget("plant", ForwardKind.INFLUXDB1, "http://127.0.0.1:1", "x"), "demo", TAGS
    )
    with pytest.raises(OSError, match="refused"):
        away.raw("a.count", 0, 1)
