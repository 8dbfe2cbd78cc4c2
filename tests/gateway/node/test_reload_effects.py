"""What a changed site does to each part: taken in place, started again, or not touched; and what cannot be had."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_site
from gateway.config.site import NO_TAG, HmiSettings, Role, Site, TimeResolution, User
from gateway.node.effects import Act, effects, impossible, unknown_fields
from gateway.node.parts import RUNNERS, SCAN

DEMO = Path(__file__).parents[3] / "config" / "sites" / "demo" / "site.yaml"
TAKES, RESTARTS = Act.TAKES, Act.RESTARTS


@pytest.fixture(scope="module")
def demo() -> Site:
    return load_site(DEMO)


def acts(old: Site, new: Site) -> dict[str, Act]:
    return {each.part: each.act for each in effects(old, new)}


def with_tag(site: Site, name: str, **changes: Any) -> Site:
    tags = tuple(replace(tag, **changes) if tag.name == name else tag for tag in site.tags)
    assert tags != site.tags
    return replace(site, tags=tags)


def test_every_field_of_a_site_is_thought_of() -> None:
    assert unknown_fields() == set()


def test_the_same_site_concerns_nobody(demo: Site) -> None:
    assert effects(demo, replace(demo, digest="a comment more")) == []


CASES: dict[str, tuple[Callable[[Site], Site], dict[str, Act]]] = {
    "a Modbus device": (
        lambda site: replace(site, modbus=(replace(site.modbus[0], timeout_ms=7), *site.modbus[1:])),
        {"drivers": TAKES},
    ),
    "a CAN device": (
        lambda site: replace(site, can_devices=site.can_devices[1:]),
        {"drivers": TAKES},
    ),
    "a DNP3 device": (
        lambda site: replace(
            site, dnp3_devices=tuple(replace(each, timeout_ms=7) for each in site.dnp3_devices)
        ),
        {"drivers": TAKES, "dnp3_master": RESTARTS},
    ),
    "a calculated tag": (
        lambda site: replace(site, calculated=replace(site.calculated, tags=site.calculated.tags[1:])),
        {"calculated": RESTARTS},
    ),
    "an event": (
        lambda site: replace(site, events=site.events[1:]),
        {"calculated": RESTARTS, "events": RESTARTS},
    ),
    "a description": (
        lambda site: with_tag(site, "ev1.state", description="said anew"),
        {"historian": TAKES, "drivers": TAKES, "opcua": TAKES, "hmi": TAKES},
    ),
    "the unit of an input of the logic": (
        lambda site: with_tag(site, "pcc.frequency_hz", unit="s"),
        {
            "historian": TAKES,
            "drivers": TAKES,
            SCAN: RESTARTS,
            "dnp3": RESTARTS,
            "opcua": TAKES,
            "hmi": TAKES,
        },
    ),
    "users": (
        lambda site: replace(site, users=(User("operator", Role.VIEWER),)),
        {"drivers": TAKES, "dnp3": RESTARTS, "opcua": RESTARTS, "hmi": TAKES},
    ),
    "areas": (lambda site: replace(site, areas=site.areas[1:]), {"opcua": TAKES, "hmi": TAKES}),
    "history": (
        lambda site: replace(site, historian=replace(site.historian, flush_ms=77)),
        {"historian": RESTARTS},
    ),
    "the page's door": (lambda site: replace(site, hmi=HmiSettings(port=7)), {"hmi": RESTARTS}),
    "the outstation": (
        lambda site: replace(site, dnp3=replace(site.dnp3, events=7) if site.dnp3 else None),
        {"dnp3": RESTARTS},
    ),
    "the simulator": (
        lambda site: replace(site, simulator=replace(site.simulator, seed=7) if site.simulator else None),
        {"simulator": RESTARTS},
    ),
    "the logic": (
        lambda site: replace(site, logic=replace(site.logic, watchdog_ms=77) if site.logic else None),
        {"drivers": TAKES, SCAN: RESTARTS},
    ),
    "no page": (lambda site: replace(site, hmi=None), {"hmi": Act.ENDS}),
    "no logic": (lambda site: replace(site, logic=None), {SCAN: Act.ENDS, "drivers": TAKES}),
}


@pytest.mark.parametrize("what", CASES)
def test_only_the_parts_concerned_are(demo: Site, what: str) -> None:
    change, expected = CASES[what]
    found = acts(demo, change(demo))
    assert found.keys() <= {*RUNNERS, SCAN}
    # DNP3 devices and a wired point may or may not be in the demo: parts that it has not are not asked for.
    has = {part for part in expected if part != "dnp3_master" or demo.dnp3_devices}
    has -= {"drivers"} if what == "a DNP3 device" and not demo.dnp3_devices else set()
    wired = demo.dnp3 is not None and any(point.name == "pcc.frequency_hz" for point in demo.dnp3.points)
    if what == "the unit of an input of the logic" and not wired:
        has -= {"dnp3"}
    assert found == {part: act for part, act in expected.items() if part in has}


def test_a_part_that_is_new_starts(demo: Site) -> None:
    without = replace(demo, hmi=None)
    [effect] = effects(without, demo)
    assert (effect.part, effect.act) == ("hmi", Act.STARTS)


def test_history_is_ready_before_anybody_writes_and_those_who_show_come_last(demo: Site) -> None:
    gone = replace(demo, tags=(NO_TAG, *demo.tags[1:]), modbus=demo.modbus[1:], logic=None)
    order = [each.part for each in effects(demo, gone)]
    assert order.index("historian") < order.index("drivers") < order.index("opcua") < order.index("hmi")
    assert order[0] == SCAN  # what ends, first


def test_reasons_name_a_few_tags_and_count_the_rest(demo: Site) -> None:
    tags = tuple(NO_TAG if tag.device == "ev1" else tag for tag in demo.tags)
    historian = next(each for each in effects(demo, replace(demo, tags=tags)) if each.part == "historian")
    [why] = historian.why
    assert why.startswith("tags gone: ev1.power_kw, ")
    assert " and " in why
    assert why.endswith(" more")


def test_what_the_region_and_the_state_folder_are_made_for_cannot_change(demo: Site) -> None:
    assert impossible(demo, demo) == []
    [name] = impossible(demo, replace(demo, name="another"))
    assert "'another'" in name
    [journal] = impossible(demo, replace(demo, journal_records=1024))
    assert "1,024" in journal
    [resolution] = impossible(demo, replace(demo, time_resolution=TimeResolution.MILLISECOND))
    assert "1us → 1ms" in resolution
