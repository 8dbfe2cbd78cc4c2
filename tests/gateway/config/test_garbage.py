"""Whatever is fed to it, loading ends in a Site or in SiteFaults."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.fault import SiteFaults
from gateway.config.kinds import Key, Later, Named, Section
from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.config.site_keys.root import ROOT

BROKEN = Path(__file__).parent / "broken"
STARTER = Path(__file__).parents[3] / "gateway" / "config" / "starter"
GOOD = [
    path.read_text(encoding="utf-8").replace("include:\n  - devices.yaml", "include: []")
    for path in (
        STARTER / "site.yaml",
        STARTER / "devices.yaml",
        BROKEN / "several_at_once.yaml",
        BROKEN / "logic_output_onto_a_setpoint.yaml",
    )
]
SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(folder: Path, raw: bytes) -> Site | SiteFaults:
    path = folder / "site.yaml"
    path.write_bytes(raw)
    try:
        return load_site(path)
    except SiteFaults as raised:
        faults = raised
    assert faults.faults
    for fault in faults.faults:
        assert fault.line >= 1
        assert fault.column >= 1
        assert fault.found
        assert fault.mend
        assert str(fault).isprintable(), fault
    assert list(faults.faults) == sorted(faults.faults, key=lambda f: (f.line, f.column, f.found, f.mend))
    return faults


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    outcome(tmp_path, raw)


@SETTINGS
@given(st.text(alphabet="ab:-{}[]\"'&*!|>%@`#,?\n \t~<=${}0123.e_\\\u2028é", max_size=80))
def test_any_yaml_like_text(tmp_path: Path, text: str) -> None:
    outcome(tmp_path, text.encode())


def _names(key: Key, found: set[str]) -> set[str]:
    found.add(key.name)
    kind: Any = key.kind
    while isinstance(kind, Later | Named):
        kind = kind.kind if isinstance(kind, Later) else kind.value
    if isinstance(kind, Section):
        for inner in kind.keys:
            _names(inner, found)
    return found


KEYS = sorted(set().union(*(_names(key, set()) for key in ROOT.keys)))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [*KEYS, "kW", "input", "holding", "int16", "modbus", "${n}", "${x + 1}", "1..3", "fast", "operator"]
    ),
)


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from([key.name for key in ROOT.keys]),
        st.recursive(
            SCALARS,
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(KEYS) | st.text(max_size=6) | st.integers(), inner, max_size=6
                )
            ),
            max_leaves=30,
        ),
    )
)
def test_any_tree_under_known_keys(tmp_path: Path, tree: dict[str, Any]) -> None:
    outcome(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text", GOOD, ids=["site", "templates", "broken", "logic"])
@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_mutilated_good_files(tmp_path: Path, text: str, seed: int) -> None:
    chance = random.Random(seed)
    raw = bytearray(text.encode())
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(raw))
        match chance.randrange(5):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randint(1, 40)]
            case 2:
                raw[at:at] = chance.choice(
                    [b"{", b"]", b": ", b"\n", b'"', b"${", b"- ", b"*", b"&a ", b"0", b"\t", b"!!x "]
                )
            case 3:
                other = chance.randrange(len(raw))
                raw[at:at] = raw[other : other + chance.randint(1, 60)]
            case _:
                raw[at : at + 5] = chance.choice(KEYS).encode()
        if not raw:
            return
    outcome(tmp_path, bytes(raw))


@SETTINGS
@given(st.data())
def test_good_devices_with_any_values(tmp_path: Path, data: st.DataObject) -> None:
    """Trees that are right but for a few values reach the checks behind the reader."""
    point: dict[str, Any] = {"table": "holding", "address": 0, "type": "int16"}
    body: dict[str, Any] = {
        "area": "grid",
        "protocol": "modbus",
        "connection": {"host": "a"},
        "groups": {"fast": {"period_ms": 100}},
        "points": {"x": point},
    }
    tree = {"site": {"name": "a"}, "areas": {"grid": "g"}, "devices": {"d": body}}
    values = st.one_of(
        SCALARS,
        st.integers(-70_000, 70_000),
        st.lists(st.integers(-5, 5) | st.floats(-1e3, 1e3), max_size=3),
        st.dictionaries(st.integers(-2, 3), st.text(max_size=3), max_size=3),
        st.fixed_dictionaries(
            {}, optional={"low": SCALARS, "high": st.integers(-9, 9), "role": st.just("engineer")}
        ),
    )
    options = {
        "table": st.sampled_from(["coil", "discrete", "input", "holding"]),
        "type": st.sampled_from(["bool", "int16", "uint64", "float32", "float64", "bcd16", "string"]),
        "registers": st.integers(0, 130),
        "scale": st.floats(allow_nan=False, allow_infinity=False),
        "offset": st.floats(allow_nan=False, allow_infinity=False),
    }
    for name in data.draw(st.lists(st.sampled_from([*POINT_KEYS]), max_size=5)):
        point[name] = data.draw(options.get(name, values) | values if name in options else values)
    if data.draw(st.booleans()):
        body[data.draw(st.sampled_from([*body, "repeat", "template", "with", "addressing"]))] = data.draw(
            values
        )
    outcome(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


POINT_KEYS = sorted(_names(next(key for key in ROOT.keys if key.name == "devices"), set()))
