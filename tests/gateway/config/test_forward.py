"""The `forward` section of the historian becomes targets; a secret is read where it is, never in the site file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.forward import ForwardKind, Label, Secret, SecretError, SeriesNames
from gateway.config.series import SeriesName, clash, series_name
from gateway.config.site import Site
from gateway.node.effects import effects
from gateway.node.parts import parts_of

SITE = """
site: {name: plant}
areas: {storage: Battery}
devices:
  battery1:
    area: storage
    protocol: modbus
    connection: {host: 192.0.2.10}
    groups: {fast: {period_ms: 200}}
    points:
      power_kw: {table: input, address: 0, type: float32, unit: kW}
      count: {table: input, address: 2, type: int16}
"""
FORWARD = """
historian:
  flush_ms: 100
  forward:
    cluster:
      kind: influxdb2
      url: https://influx.example:8086/base
      database: microgrid
      organisation: acme
      secret_variable: INFLUX_TOKEN
      tags: ["battery1.*"]
      labels: [site, device]
      measurement: "{tag}"
    here: {kind: victoriametrics, url: "http://[::1]:8428", samples_per_s: 0}
"""


def test_targets_are_typed_and_have_tags_of_their_own(load: Callable[..., Site]) -> None:
    site = load(SITE + FORWARD)
    cluster, here = site.forward
    assert cluster.kind is ForwardKind.INFLUXDB2
    assert (cluster.url, cluster.database, cluster.organisation) == (
        "https://influx.example:8086/base",
        "microgrid",
        "acme",
    )
    assert cluster.secret == Secret(variable="INFLUX_TOKEN")
    assert cluster.names == SeriesNames(labels=(Label.SITE, Label.DEVICE))
    assert (here.name, here.samples_per_s, here.tags, here.secret) == ("here", 0, ("*",), None)
    assert site.tags[cluster.system.connected].name == "_system.forward.cluster.connected"
    assert site.tags[here.system.last_error].name == "_system.forward.here.last_error"
    assert {site.tags[here.system.sent].owner} == {"forward"}
    assert site.historian.flush_ms == 100


def test_the_part_is_there_where_there_is_a_target(load: Callable[..., Site]) -> None:
    without, site = load(SITE), load(SITE + FORWARD)
    assert "forward" not in [part.name for part in parts_of(without)]
    assert "forward" in [part.name for part in parts_of(site)]
    begun = [(effect.part, str(effect.act)) for effect in effects(without, site) if effect.part == "forward"]
    assert begun == [("forward", "starts")]
    other = load(SITE + FORWARD.replace("acme", "other"))
    changed = [(effect.part, str(effect.act)) for effect in effects(site, other)]
    assert changed == [("forward", "restarts")]


def test_a_series_is_named_by_its_tag(load: Callable[..., Site]) -> None:
    site = load(SITE)
    tag = next(tag for tag in site.tags if tag.name == "battery1.power_kw")
    assert series_name(tag, SeriesNames(), "plant") == SeriesName(
        "battery1.power_kw",
        (("site", "plant"), ("tag", "battery1.power_kw"), ("unit", "kW")),
        "value",
        "status",
    )
    wide = SeriesNames("{site}/{area}/{device}", (Label.AREA,), "{point}.{type}", "{point}.status")
    assert series_name(tag, wide, "plant") == SeriesName(
        "plant/storage/battery1", (("area", "storage"),), "power_kw.float", "power_kw.status"
    )
    target = load(SITE + FORWARD).forward[1]
    assert clash(site.tags, target, "plant") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\n", "holds no token"),
        (b"\xff\xfe", "is no text"),
        (b"a\nb", "no"),
    ],
)
def test_a_secret_that_is_none_is_told_without_it(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretError, match=said):
        Secret(file=path).read()


def test_a_secret_is_read_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    assert Secret(file=path).read() == "first"
    path.write_text(" second ")
    assert Secret(file=path).read() == "second"
    monkeypatch.setenv("TIELINE_TEST_TOKEN", "third")
    assert Secret(variable="TIELINE_TEST_TOKEN").read() == "third"
    with pytest.raises(SecretError, match="TIELINE_TEST_NONE holds no token"):
        Secret(variable="TIELINE_TEST_NONE").read()
