"""Two versions of a site file: tags that stay keep their places, and the difference says what is not the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.load import load_site
from gateway.config.plan import Difference, devices_of, difference, difference_text
from gateway.config.renumber import (
    Loaded,
    NotReproducibleError,
    Numbering,
    load_shifted,
    numbering,
    renumbered,
)
from gateway.config.site import NO_TAG, Site

CONFIG = Path(__file__).parents[3] / "config"
SITE = """\
site: {name: plant}
areas: {grid: Tie}
users: {operator: {role: operator}}
templates:
  meter:
    parameters: {host: {type: string}}
    protocol: modbus
    connection: {host: "${host}"}
    groups: {fast: {period_ms: 100}, slow: {period_ms: 1000}}
    points:
      power_kw: {table: input, address: 0, type: int16, unit: kW, group: fast}
      limit_kw:
        {table: holding, address: 1, type: int16, unit: kW, group: slow, write: {role: operator, low: 0, high: 9}}
devices:
  one: {area: grid, template: meter, with: {host: 192.0.2.1}}
  two: {area: grid, template: meter, with: {host: 192.0.2.2}}
  three: {area: grid, template: meter, with: {host: 192.0.2.3}}
servers: {hmi: {}}
"""

Reload = Callable[..., tuple[Site, Site, Numbering]]


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    """The site before, the site after ``changes`` (pairs of texts) in the numbers of the first, and where tags go."""

    def reloaded(*changes: tuple[str, str], before: Site | None = None) -> tuple[Site, Site, Numbering]:
        path = tmp_path / "site.yaml"
        path.write_text(SITE)
        old = load_site(path) if before is None else before
        text = SITE
        for found, instead in changes:
            assert found in text
            text = text.replace(found, instead)
        path.write_text(text)
        loaded = Loaded(load_site(path), load_shifted(path))
        where = numbering(old, loaded.site)
        return old, renumbered(loaded, old, where), where

    return reloaded


def assert_whole(site: Site) -> None:
    """Every device's references lead to the tags of their names."""
    for device in devices_of(site).values():
        for point in device.points:
            assert site.tags[point.tag].name == point.name
        assert site.tags[device.system.requests].name == f"_system.{device.name}.requests"
        assert site.tags[device.system.last_error].name == f"_system.{device.name}.last_error"


def test_the_same_file_is_the_same_site(reload: Reload) -> None:
    old, new, where = reload()
    assert new == old
    assert (where.added, where.retired) == ((), ())
    assert difference(old, new).is_empty
    assert difference_text(difference(old, new)) == []


def test_a_device_in_front_moves_nobody(reload: Reload) -> None:
    old, new, where = reload(
        ("devices:\n", "devices:\n  zero: {area: grid, template: meter, with: {host: 192.0.2.9}}\n")
    )
    assert new.tags[: len(old.tags)] == old.tags
    assert_whole(new)
    assert new.modbus[1:] == old.modbus
    assert [tag.name for tag in where.added][:2] == ["zero.power_kw", "zero.limit_kw"]
    found = difference(old, new)
    assert (found.devices_added, found.devices_changed, found.removed) == (("zero",), (), ())
    text = difference_text(found)
    assert text[:3] == ["device zero: new", "new tag: zero.power_kw", "new tag: zero.limit_kw"]
    assert text[3].startswith("new tag: 9 below _system")


def test_a_device_that_goes_leaves_its_places_empty_for_ever(reload: Reload) -> None:
    without = ("  two: {area: grid, template: meter, with: {host: 192.0.2.2}}\n", "")
    old, new, where = reload(without)
    gone = [place for place, tag in enumerate(old.tags) if tag.device == "two"]
    assert list(where.retired) == gone
    assert all(new.tags[place] is NO_TAG for place in gone)
    assert_whole(new)
    assert new.modbus == (old.modbus[0], old.modbus[2])
    found = difference(old, new)
    assert (found.devices_removed, found.devices_changed) == (("two",), ())
    assert "device two: goes" in difference_text(found)
    _, back, where = reload(before=new)  # it comes again, in new places
    assert len(back.tags) == len(old.tags) + len(gone)
    assert [tag.name for tag in where.added] == [old.tags[place].name for place in gone]
    assert_whole(back)


def test_what_of_a_device_is_another(reload: Reload) -> None:
    old, new, _ = reload(
        ("fast: {period_ms: 100}", "fast: {period_ms: 50}, odd: {period_ms: 5000}"),
        ("address: 0, type: int16, unit: kW, group: fast", "address: 4, type: int32, unit: kW, group: odd"),
        ("host: 192.0.2.3", "host: 192.0.2.33"),
    )
    found = difference(old, new)
    point, *groups = found.devices_changed[0].what
    assert (
        point == "point power_kw (address: 0 → 4, registers: 1 → 2, type: int16 → int32, group: fast → odd)"
    )
    assert groups == ["groups fast.period_ms: 100 → 50", "groups odd comes"]
    assert "host: '192.0.2.3' → '192.0.2.33'" in found.devices_changed[2].what
    assert (found.added, found.removed) == ((), ())


def test_a_tag_of_another_type_is_a_new_one(reload: Reload) -> None:
    old, new, where = reload(
        ("address: 0, type: int16, unit: kW", "address: 0, type: int16, scale: 0.1, unit: kW")
    )
    found = difference(old, new)
    assert [each.name for each in found.retyped] == ["one.power_kw", "two.power_kw", "three.power_kw"]
    assert "type: int64 → double" in found.retyped[0].what
    assert set(found.added) == set(found.removed) == {each.name for each in found.retyped}
    assert len(where.added) == len(where.retired) == 3
    assert_whole(new)
    assert "tag one.power_kw is a new one (type: int64 → double)" in difference_text(found)


def test_renamed_points_and_devices_are_told(reload: Reload) -> None:
    old, new, _ = reload(("limit_kw:", "ceiling_kw:"))
    names = [(each.old, each.new) for each in difference(old, new).renamed]
    assert names[0] == ("one.limit_kw", "one.ceiling_kw")
    assert len(names) == 3
    old, new, _ = reload(("  two:", "  second:"))
    found = difference(old, new)
    assert [(each.old, each.new) for each in found.renamed] == [
        ("two.power_kw", "second.power_kw"),
        ("two.limit_kw", "second.limit_kw"),
    ]
    assert "tag two.limit_kw is called second.limit_kw; its history stays where it is" in difference_text(
        found
    )


def test_sections_and_tags_that_are_said_anew(reload: Reload) -> None:
    old, new, where = reload(
        ("users: {operator: {role: operator}}", "users: {operator: {role: engineer}}"),
        ("name: plant", "name: plant, description: New"),
        ("high: 9", "high: 8"),
        ("hmi: {}", "hmi: {port: 8081}"),
        ("areas:", "journal: {records: 2048}\nareas:"),
    )
    found = difference(old, new)
    assert set(found.sections) == {"users", "description", "hmi", "journal"}
    assert [each.name for each in found.tags_changed] == ["one.limit_kw", "two.limit_kw", "three.limit_kw"]
    assert found.tags_changed[0].what == ("write.high: 9.0 → 8.0",)
    assert found.devices_changed == ()
    assert (where.added, where.retired) == ((), ())
    assert set(found.as_json()) >= {"devices_added", "retyped", "sections"}


def test_every_reference_of_the_demo_is_found_whatever_its_protocol() -> None:
    """The demo with its tags in another order: each device, server, program and rule refers to the same names."""
    path = CONFIG / "sites" / "demo" / "site.yaml"
    loaded = Loaded(load_site(path), load_shifted(path))
    site = loaded.site
    backwards = replace(site, tags=tuple(reversed(site.tags)))
    where = numbering(backwards, site)
    turned = renumbered(loaded, backwards, where)
    assert turned.tags == backwards.tags
    assert_whole(turned)
    assert site.logic is not None
    assert turned.logic is not None
    for one, other in zip(site.logic.outputs, turned.logic.outputs, strict=True):
        assert turned.tags[other.demand].name == site.tags[one.demand].name
    assert turned.dnp3 is not None
    assert all(turned.tags[point.tag].name == point.name for point in turned.dnp3.points)
    back = renumbered(loaded, site, numbering(site, site))
    assert back == site


def test_a_file_that_is_changed_between_the_readings_is_refused(reload: Reload, tmp_path: Path) -> None:
    old, _, _ = reload()
    path = tmp_path / "site.yaml"
    first = load_site(path)
    path.write_text(SITE + "# another\n")
    where = numbering(old, first)
    with pytest.raises(NotReproducibleError, match="changed while they were read"):
        renumbered(Loaded(first, load_shifted(path)), old, where)


def test_two_readings_that_differ_otherwise_are_refused(reload: Reload, tmp_path: Path) -> None:
    old, _, _ = reload()
    path = tmp_path / "site.yaml"
    loaded = Loaded(load_site(path), load_shifted(path))
    where = numbering(old, loaded.site)
    for wrong, why in (
        (replace(loaded.shifted, description="another"), "site.description is '', then 'another'"),
        (replace(loaded.shifted, modbus=loaded.shifted.modbus[1:]), r"site\.modbus"),
        (replace(loaded.shifted, hmi=None), r"site\.hmi"),
        (replace(loaded.shifted, journal_records=loaded.site.journal_records + 3), "journal_records"),
        (replace(loaded.shifted, tags=loaded.shifted.tags[1:]), "tags, then"),
    ):
        with pytest.raises(NotReproducibleError, match=why):
            renumbered(replace(loaded, shifted=wrong), old, where)


def test_the_demo_says_what_a_changed_template_changes(tmp_path: Path) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config" / "sites" / "demo" / "site.yaml"
    old = load_site(path)
    template = tmp_path / "config" / "devices" / "ev_charger.yaml"
    template.write_text(template.read_text().replace("timeout_ms: 1000", "timeout_ms: 900"))
    loaded = Loaded(load_site(path), load_shifted(path))
    found: Difference = difference(old, renumbered(loaded, old, numbering(old, loaded.site)))
    assert {each.name for each in found.devices_changed} >= {"ev1", "ev10"}
    assert {each.what for each in found.devices_changed} == {("timeout_ms: 1000 → 900",)}
    assert (found.added, found.removed, found.sections) == ((), (), ())
