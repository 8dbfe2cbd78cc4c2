"""The `anomalies` section: which tags a detector looks at, and which it adds."""

from __future__ import annotations

from gateway.config.anomaly import OUTPUTS, DetectorKind
from gateway.config.site import Site
from gateway.node.effects import Act, effects
from gateway.node.parts import parts_of
from historian.anomaly import DETECTORS

SITE = """\
site: {name: plant}
areas: {loads: Demand}
devices:
  feeder:
    area: loads
    repeat: 1..3
    protocol: modbus
    connection: {host: 192.0.2.1, port: "${n + 1000}"}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: float64, unit: kW}
      connected: {table: discrete, address: 0}
"""
SPIKES = 'anomalies:\n  spikes: {detector: gaussian, tags: ["feeder*.power_kw"], area: loads%s}\n'


def names(site: Site, *places: int) -> list[str]:
    return [site.tags[place].name for place in places]


def test_a_detector_of_tags_has_a_score_and_an_alarm_of_each(load):
    site = load(SITE + SPIKES % ", limit: 6, hold_off_s: 5")
    (found,) = site.anomalies
    assert found.names == ("feeder1.power_kw", "feeder2.power_kw", "feeder3.power_kw")
    assert found.parameters == (("limit", 6.0),)
    assert (found.learns, found.hold_off_s, found.threshold) == (False, 5.0, 0.5)
    second = found.outputs[1]
    assert names(site, second.score, second.alarm, found.state) == [
        "anomaly.spikes.feeder2.power_kw.score",
        "anomaly.spikes.feeder2.power_kw.alarm",
        "anomaly.spikes.state",
    ]
    trouble = site.tags[found.trouble]
    assert trouble.name == "anomaly.spikes.trouble"
    assert trouble.alert is not None
    assert trouble.alert.holds("cannot learn: no space")
    assert not trouble.alert.holds("")
    score = site.tags[second.score]
    assert (score.owner, score.area, score.low, score.high) == ("anomaly", "loads", 0.0, 1.0)
    assert "anomaly" in [part.name for part in parts_of(site)]


def test_a_detector_of_a_group_has_its_own_outputs(load):
    site = load(
        SITE
        + "anomalies:\n"
        + "  split: {detector: balance, sources: [feeder1.power_kw], loads: ['feeder[23].power_kw'], area: loads}\n"
        + "  together: {detector: pca, tags: ['feeder*'], area: loads}\n"
    )
    split, together = site.anomalies
    assert split.parameters == (
        ("sources", ("feeder1.power_kw",)),
        ("loads", ("feeder2.power_kw", "feeder3.power_kw")),
    )
    assert names(site, *(each.score for each in split.outputs)) == ["anomaly.split.residual.score"]
    assert names(site, *(each.score for each in together.outputs)) == [
        "anomaly.together.t2.score",
        "anomaly.together.q.score",
    ]
    assert split.learns
    assert len(together.names) == 6
    assert not [name for name in together.names if name.startswith("anomaly.")]


def test_shapes_are_always_learned_and_have_a_length(load):
    limit = "anomalies:\n  beat: {detector: shape, tags: ['feeder*.power_kw'], length: 30, limit: 2, area: loads}\n"
    (found,) = load(SITE + limit).anomalies
    assert found.parameters == (("limit", 2.0), ("length", 30))
    assert found.learns
    assert names(load(SITE + limit), found.outputs[0].score) == ["anomaly.beat.feeder1.power_kw.score"]


def test_an_alarm_begins_an_event(load):
    site = load(SITE + SPIKES % "" + "events:\n  odd: {while: anomaly.spikes.feeder1.power_kw.alarm}\n")
    (event,) = site.events
    assert names(site, *event.flag.formula.tags) == ["anomaly.spikes.feeder1.power_kw.alarm"]


def test_a_site_without_anomalies_has_no_part_for_them(load):
    assert "anomaly" not in [part.name for part in parts_of(load(SITE))]


def test_a_change_of_a_detector_restarts_the_part_alone(load):
    before, after = load(SITE + SPIKES % ""), load(SITE + SPIKES % ", limit: 7")
    (effect,) = effects(before, after)
    assert (effect.part, effect.act) == ("anomaly", Act.RESTARTS)


def test_site_files_and_the_library_have_the_same_detectors():
    assert {str(kind) for kind in DetectorKind} == set(DETECTORS)
    assert set(OUTPUTS) <= set(DetectorKind)
