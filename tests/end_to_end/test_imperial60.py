"""The second site as `tieline run` runs it: days of sixty ticks, planned at each, and the plan followed."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.dispatch import Course
from gateway.tags.image import Region

SITE = Path(__file__).parents[2] / "config" / "sites" / "imperial60"
JOBS = (1, 2, 3)


@pytest.fixture
def desk(
    tmp_path: Path, find_ports: Callable[[], int], start_site: Callable[[Path, Path], Any]
) -> Iterator[Any]:
    folder = shutil.copytree(SITE, tmp_path / "site")
    first = find_ports()
    text = (folder / "site.yaml").read_text(encoding="utf-8")
    text = re.sub(
        r"(?m)^servers:\n.*\n", "", text
    )  # the page has tests of its own, and takes seconds to start
    text = re.sub(r"\b151(2\d)\b", lambda match: str(first + int(match[1]) - 20), text)
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    run = start_site(folder / "site.yaml", tmp_path / "state")
    try:
        run.read_until("all parts run")
        yield run
    finally:
        run.end()


def test_each_tick_is_planned_and_the_store_and_jobs_do_as_planned(desk: Any) -> None:
    with Region.attach(desk.region_name) as region:
        desk.until_well(region)

        def known(name: str) -> Any:
            """None while it is Bad."""
            sample = region.sample(name)
            return None if sample.status & 0x8000_0000 else sample.value

        def is_followed() -> bool:
            if known("dispatch.status") != Course.OPTIMAL or known("desk.following") is not True:
                return False
            pairs = [("store.power_setpoint_kw", "dispatch.store_kw")]
            pairs += [(f"job{n}.power_setpoint_kw", f"dispatch.job{n}_kw") for n in JOBS]
            told = [(known(device), known(plan)) for device, plan in pairs]
            return all(did is not None and plan is not None and abs(did - plan) <= 1.0 for did, plan in told)

        desk.until(is_followed, 120)
        first = known("dispatch.sequence")
        desk.until(lambda: (known("dispatch.sequence") or 0) >= first + 2, 120)  # ticks later
        desk.until(is_followed, 120)
        # Nothing is stored yet, so all is foreseen to stay; the plan does no worse than the rule would.
        desk.until(lambda: (known("dispatch.planned_saving") or 0.0) >= -1e-6, 60)
        desk.until(lambda: known("dispatch.saving_today") is not None, 60)
        assert known("dispatch.words") == ""
        assert 0 <= known("tie.tick") < 60
