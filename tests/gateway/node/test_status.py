"""What `tieline status` says of a history that is not written."""

import json
import time

import pytest

from gateway.node.state import RunRecord
from gateway.node.status import HISTORY_SILENCE_S, history_troubles

SECOND = 10**9
NOW = time.time_ns()
RECORD = RunRecord("small", "region", 1, NOW - 3600 * SECOND, ("drivers", "historian"), ())


@pytest.mark.parametrize(
    ("silent_s", "fault", "trouble"),
    [
        (1, "", None),
        (HISTORY_SILENCE_S + 10, "", "last written"),
        (1, "journal: No space left on device", "No space left"),
    ],
)
def test_a_history_that_is_not_written_is_a_trouble(paths, silent_s, fault, trouble):
    paths.history.mkdir()
    told = {"taken_at": NOW - int(silent_s * SECOND), "fault": fault}
    (paths.history / "status.json").write_text(json.dumps(told))
    found = history_troubles(RECORD, paths, NOW)
    assert [trouble in each for each in found] == ([] if trouble is None else [True])


def test_a_history_that_never_began_is_a_trouble(paths):
    assert len(history_troubles(RECORD, paths, NOW)) == 1


def test_a_history_that_is_shed_is_a_trouble(paths):
    paths.history.mkdir()
    told = {"taken_at": NOW, "fault": "", "is_shedding": True, "free": 1_500_000_000}
    (paths.history / "status.json").write_text(json.dumps(told))
    assert history_troubles(RECORD, paths, NOW) == ["history is shed: only 1.5 GB of its disk are free"]
