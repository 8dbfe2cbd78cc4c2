"""Every model that pysunspec2 defines: points lie where its own encoder puts them; garbage stays in its place."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sunspec2.device
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.load import load_site
from gateway.drivers.sunspec.definitions import Form, definition_of
from gateway.drivers.sunspec.device_map import Place, device_map
from gateway.drivers.sunspec.layout import NOT_IMPLEMENTED, Model, lay_out
from gateway.drivers.sunspec.scan import Scan

MODELS = sorted(
    int(path.stem.partition("_")[2])
    for path in (Path(sunspec2.device.__file__).parent / "models" / "json").glob("model_*.json")
)
# how often each group is there, by the name of its count or its own
MANY = {
    "NPt": 3, "NCrv": 2, "NCrvSet": 2, "NCtl": 2, "NPrt": 2, "NMod": 2, "NStr": 2, "NProf": 2, "IVLen": 2, "N": 2,
    "module": 2, "string": 2, "repeating": 2, "curve": 2,
}  # fmt: skip
PLACE = Place("d", "plant", {"host": "192.0.2.1"}, "s")


def test_there_are_models_to_try() -> None:
    assert len(MODELS) > 100
    assert definition_of(12345) is None


@pytest.mark.parametrize("number", MODELS)
def test_points_lie_where_pysunspec2_puts_them_and_the_map_loads(
    number: int, seeded_model, tmp_path: Path
) -> None:
    octets = seeded_model(number, random.Random(number), MANY)
    theirs = sunspec2.device.Model(number, model_len=len(octets) // 2 - 2, data=octets)
    expected: dict[int, object] = {}

    def walk(group, is_top: bool) -> None:
        for name, point in group.points.items():
            if point.pdef["type"] not in ("pad", "sunssf") and not (is_top and name in ("ID", "L")):
                expected[100 + point.offset] = point
        for inner in group.groups.values():
            for one in inner if isinstance(inner, list) else [inner]:
                walk(one, False)

    walk(theirs, True)
    definition = definition_of(number)
    assert definition is not None
    model = Model(number, 100, octets)
    laid = lay_out(model, definition)
    assert not laid.trouble
    assert {point.address for point in laid.points} == expected.keys()
    for point in laid.points:
        other = expected[point.address]
        is_unscaled = other.sf_required and other.cvalue is not None and point.power is None
        assert is_unscaled or point.is_implemented == (other.value is not None), point
    path = tmp_path / "site.yaml"
    path.write_text(device_map(Scan(40_000, (model,)), PLACE, keep_all=True), encoding="utf-8")
    site = load_site(path)
    held = [
        point
        for point in laid.points
        if point.definition.form is not Form.IPV6ADDR and point.definition.registers <= 125
    ]
    assert [point.address for point in site.modbus[0].points] == [point.address for point in held]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(MODELS), st.binary(max_size=400), st.booleans())
def test_garbage_gives_points_within_the_model_and_a_readable_map(
    number: int, octets: bytes, keep_all: bool
) -> None:
    octets = octets[: len(octets) // 2 * 2]
    model = Model(number, 500, number.to_bytes(2, "big") + (len(octets) // 2).to_bytes(2, "big") + octets)
    definition = definition_of(number)
    assert definition is not None
    for point in lay_out(model, definition).points:
        assert point.address >= 502
        assert point.address + len(point.octets) // 2 <= 502 + model.length
    yaml.safe_load(device_map(Scan(0, (model,)), PLACE, keep_all=keep_all))


def test_every_type_says_somehow_that_it_is_not_implemented() -> None:
    assert NOT_IMPLEMENTED.keys() == set(Form) - {Form.PAD, Form.SUNSSF}
