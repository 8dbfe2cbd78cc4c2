"""`tieline sim lose-utility` beside the running demo: every part real, the logic in its scan, in real time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.tags.image import Region
from gateway.tags.sample import value_from_bits

pytestmark = pytest.mark.timeout(
    400
)  # the demo starts, and its programs are compiled, on a machine that others load

CONFIG = Path(__file__).parents[2] / "config"
TIELINE = Path(sys.executable).with_name("tieline")
CONNECTED = 0
# The demo waits a minute for its utility; that is sat out in no test.
# By plan the battery might give in the evening all that the tie would carry.
NO_PLAN = {"area: grid, initial: true": "area: grid, initial: false"}
SHORTER = {"return_delay := T#60s": "return_delay := T#4s", "restore_delay := T#5s": "restore_delay := T#1s"}
NADIR_HZ = 59.0
AWAY_S = 6


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    start_site: Callable[[Path, Path], Any],
    find_ports: Callable[[], int],
) -> Iterator[Any]:
    """The demo on ports of its own, in the evening: little sun, so that it imports."""
    folder = tmp_path_factory.mktemp("lose")
    shutil.copytree(CONFIG, folder / "config")
    place = folder / "config" / "sites" / "demo"
    first = find_ports()
    for file in place.glob("*.yaml"):
        text = re.sub(r"\b150(\d\d)\b", lambda match: str(first - 20 + int(match[1])), file.read_text())
        text = (
            text.replace("4840", str(first + 90))
            .replace("8080", str(first + 91))
            .replace("20000", str(first + 92))
        )
        for shipped, without in NO_PLAN.items():
            text = text.replace(shipped, without)
        file.write_text(text.replace("simulator: {", "simulator: {start_hour: 19, "))
    for file in (place / "logic").glob("*.st"):
        text = file.read_text()
        for shipped, short in SHORTER.items():
            text = text.replace(shipped, short)
        file.write_text(text)
    demo = start_site(place / "site.yaml", folder / "state")
    try:
        demo.read_until("all parts run", 240)
        yield demo
    finally:
        demo.end()


def sim(site: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TIELINE, "sim", *arguments, "--state", site.state],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def ready(region: Region) -> bool:
    """Connected, and what would have to be shed has been reckoned."""
    names = ("island.state", "shed.armed_kw", "pcc.power_kw", "battery1.power_kw")
    return (
        all(region.sample(name).status == 0 for name in names)
        and region.sample("island.state").value == CONNECTED
    )


def test_the_island_forms_lives_and_comes_back(site: Any) -> None:
    with Region.attach(site.region_name) as region:
        site.until(lambda: ready(region), 60)
        site.until(lambda: abs(float(region.sample("pcc.power_kw").value)) > 50.0, 30)
        before_kw = float(region.sample("pcc.power_kw").value)
        assert before_kw > 50.0, "it imports"
        reader = region.reader("now")
        said = sim(site, "lose-utility", "--for", str(AWAY_S), "--patience", "90")
        assert said.returncode == 0, said.stdout + said.stderr
        told = [line.split(" s  ", 1)[1] for line in said.stdout.splitlines() if " s  " in line]
        assert told[0] == "the utility is lost"
        assert (
            told.index("pcc open")
            < told.index("islanded (bus formed)")
            < told.index("the utility is restored")
        )
        assert (
            told.index("resynchronising (utility is back)")
            < told.index("pcc closed")
            < told.index("connected (settled)")
        )
        feeders = [f"feeder{number}.breaker_closed" for number in (1, 2, 3, 4)]
        site.until(lambda: all(region.sample(name).value is True for name in feeders), 60)
        frequency, critical = region.index_of("pcc.frequency_hz"), region.index_of("feeder1.breaker_closed")
        records = reader.take(1_000_000).records
        good = records[records["status"] == 0]
        hertz = [
            float(value_from_bits(int(bits), region.type_of(frequency)))
            for bits in good[good["tag"] == frequency]["value"]
        ]
        live = [hz for hz in hertz if hz > 0.0]  # a dead meter reads 0
        assert min(live) >= NADIR_HZ
        assert not [bits for bits in good[good["tag"] == critical]["value"] if bits == 0], "never opened"
        lowest = re.search(r"lowest frequency of the bus: ([\d.]+) Hz", said.stdout)
        assert lowest is not None
        assert float(lowest[1]) >= NADIR_HZ
        assert region.sample("island.unplanned").value == 1
        assert region.sample("island.reconnections").value == 1


def test_operators_command_the_battery_while_the_logic_has_let_go_of_it(site: Any) -> None:
    with Region.attach(site.region_name) as region:
        site.until(lambda: ready(region), 60)
        password = site.passwords["operator"]
        place = ("--site", str(site.site_path), "--state", str(site.state))
        write = ("write", "battery1.power_setpoint_kw")
        said = site.run(*write, "30", "--user", "operator", *place, input=password + "\n")
        assert said.returncode == 0, said.stdout + said.stderr
        site.until(lambda: abs(float(region.sample("battery1.power_kw").value) - 30.0) < 1.0, 20)
        site.run(*write, "0", "--user", "operator", *place, input=password + "\n")


def test_there_is_nothing_to_follow_where_nothing_runs(tmp_path: Path) -> None:
    said = subprocess.run(
        [TIELINE, "sim", "restore-utility", "--state", tmp_path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == 1
    assert "no site runs" in said.stderr
