"""Random bytes, right bytes cut short or changed, and all that the fuzzers ever found: a value or the one error."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
MEMORY_BYTES = (
    16 << 20
)  # of one input of a few hundred bytes; the history's frames may hold as much by themselves


def _load() -> dict[str, object]:
    """By their path: tests are no package."""
    spec = importlib.util.spec_from_file_location("fuzz_targets", HERE / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_targets"] = module
    spec.loader.exec_module(module)
    return module.TARGETS


TARGETS = _load()


@pytest.fixture(params=sorted(TARGETS))
def target(request):
    return TARGETS[request.param]


def test_what_was_found_stays_mended(target):
    for file in HERE.glob(f"found/{target.name}.*.bin"):
        target(file.read_bytes())


def test_right_bytes_are_taken_in_any_part_of_them(target):
    for seed in target.seeds:
        target.run(seed)
        for end in range(len(seed)):
            target(seed[:end])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_garbage(target, data):
    seed = data.draw(st.sampled_from(target.seeds))
    places = st.integers(0, len(seed) - 1)
    changes = data.draw(st.dictionaries(places, st.integers(0, 255), max_size=4))
    changed = bytes(changes.get(at, octet) for at, octet in enumerate(seed))
    target(data.draw(st.sampled_from((changed, changed + seed))) + data.draw(st.binary(max_size=200)))
    target(data.draw(st.binary(max_size=400)))


def test_memory_is_bounded(target):
    for seed in target.seeds:
        target(seed)  # what is made once
    tracemalloc.start()
    try:
        for seed in target.seeds:
            for at in range(min(len(seed), 30)):
                target(seed[:at] + b"\xff" + seed[at + 1 :] * 2)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEMORY_BYTES
