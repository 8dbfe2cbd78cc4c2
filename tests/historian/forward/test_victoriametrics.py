"""History forwarded by the v2 write API to a real VictoriaMetrics: what it can hold, and what a crash of it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from historian_folder import SECOND, Clock, Folder

from gateway.config.forward import Secret

MS = 10**6


def options(victoria: Any, **more: Any) -> dict[str, Any]:
    victoria.ensure()
    return {"kind": "victoriametrics", "url": victoria.url, "samples_per_s": 0, **more}


@pytest.fixture(autouse=True)
def own_site(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A label of the test's own, as all share one store."""
    import forward_lanes

    name = f"s{abs(hash(request.node.nodeid))}"
    monkeypatch.setattr(forward_lanes, "SITE", name)
    return name


def write(folder: Folder, start: int, count: int) -> None:
    for first in range(0, count, 50):
        times = [start + (first + i) * SECOND for i in range(50)]
        folder.clock.now = times[-1]
        folder.write("a.power_kw", times, [(first + i) / 10 for i in range(50)])


def test_numbers_arrive_and_what_it_cannot_hold_is_as_documented(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], victoria: Any, own_site: str
) -> None:
    at = clock.now
    folder.write("a.power_kw", [at, at + MS + 1], [0.1, -2.5])
    folder.write("a.on", [at, at + MS], [True, False])
    folder.write("a.count", [at], [2**53 + 1])
    folder.write("a.energy_wh", [at], [2**63])
    folder.write("a.name", [at], ["text"], 0x8000_0000)
    lane = make_lane(**options(victoria))
    lane.drain()
    assert victoria.samples("a.power_kw_value", site=own_site) == [(at // MS, 0.1), (at // MS + 1, -2.5)]
    assert victoria.samples("a.on_value", site=own_site) == [(at // MS, 1.0), (at // MS + 1, 0.0)]
    assert victoria.samples("a.count_value", site=own_site) == [(at // MS, 2.0**53)], "rounded"
    assert victoria.samples("a.energy_wh_value", site=own_site) == [(at // MS, 2.0**63)]
    assert victoria.samples("a.name_value", site=own_site) == [], "no strings"
    assert victoria.samples("a.name_status", site=own_site) == [(at // MS, float(0x8000_0000))]
    assert lane.sender.set_aside == 0


def test_what_it_forgot_by_a_crash_is_sent_again(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], victoria: Any, own_site: str
) -> None:
    start = clock.now
    lane = make_lane(**options(victoria, batch_samples=100))
    lane.meanwhile = lambda: victoria.ensure() is not None
    write(folder, start, 500)
    lane.drain()
    victoria.stop()  # what it has is on its disk now, as it is some seconds after it took it
    victoria.ensure()
    lane.settle()
    write(folder, start + 500 * SECOND, 500)
    lane.drain()  # acknowledged, and not on its disk yet
    sent = lane.sender.link.sent
    victoria.kill()
    victoria.ensure()
    assert len(victoria.samples("a.power_kw_value", site=own_site)) < 1000, "it did forget"
    write(folder, start + 1000 * SECOND, 50)
    lane.settle()
    assert sent + 550 <= lane.sender.link.sent < sent + 1050, "what is sure is not sent again"
    expected = [((start + i * SECOND) // MS, i % 500 / 10) for i in range(1050)]
    assert victoria.samples("a.power_kw_value", site=own_site) == expected


def test_forwarder_killed_after_a_crash_of_the_target_sends_again_too(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], victoria: Any, own_site: str
) -> None:
    start = clock.now
    lane = make_lane(**options(victoria))
    write(folder, start, 500)
    lane.drain()
    victoria.kill()
    victoria.ensure()
    lane.start()  # nothing of the one before was closed
    lane.drain()
    assert len(victoria.samples("a.power_kw_value", site=own_site)) == 500


def test_names_are_as_configured_and_only_tags_that_match_are_sent(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], victoria: Any, own_site: str
) -> None:
    from gateway.config.forward import Label, SeriesNames

    names = SeriesNames("{device}", (Label.SITE, Label.TAG), "{point}_{type}", "{point}_status")
    write(folder, clock.now, 50)
    folder.write("b.power_kw", [clock.now], [1.5])
    lane = make_lane(**options(victoria, names=names, tags=("b.*",)))
    lane.drain()
    assert victoria.samples("d_power_kw_float", site=own_site, tag="b.power_kw") == [(clock.now // MS, 1.5)]
    assert victoria.samples("d_power_kw_float", site=own_site, tag="a.power_kw") == []
    assert lane.sender.link.sent == 1


def test_a_secret_that_is_not_there_is_told_and_read_once_it_is(
    folder: Folder, clock: Clock, make_lane: Callable[..., Any], victoria: Any, own_site: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    write(folder, clock.now, 50)
    lane = make_lane(**options(victoria, secret=Secret(file=file)))
    said: list[str] = []

    def mend() -> bool:
        said.append(lane.sender.link.last_error)
        file.write_text("s3cret\n")
        return False

    lane.meanwhile = mend
    lane.drain()
    assert "token cannot be read" in said[0]
    assert len(victoria.samples("a.power_kw_value", site=own_site)) == 50
