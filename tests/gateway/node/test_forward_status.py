"""What `tieline status` says of stores that history is forwarded to."""

import os
import time

import numpy as np
import pytest

from gateway.config.system import forward_tags
from gateway.node.state import RunRecord
from gateway.node.status import status_of
from gateway.tags.image import Region

NOW = time.time_ns()
RECORD = RunRecord("small", "region", 1, NOW, (), ())


@pytest.mark.parametrize(
    ("is_connected", "set_aside", "error", "troubles"),
    [
        (True, 0, "", ()),
        (True, 0, "it was away once", ()),
        (
            False,
            0,
            "401: no (is the token or password right?)",
            ("forwarding to plant: 401: no (is the token",),
        ),
        (True, 1234, "400: no", ("forwarding to plant: 1,234 points were refused",)),
    ],
)
def test_a_target_is_no_device_and_its_troubles_are_told(is_connected, set_aside, error, troubles):
    tags = forward_tags("plant")
    with Region.create(f"test_forward_status_{os.getpid()}", [tag.spec() for tag in tags]) as region:
        writer = region.claim("forward")
        numbers = region.indexes_of([f"_system.forward.plant.{name}" for name in ("connected", "set_aside")])
        writer.write(numbers, np.array([is_connected, set_aside], np.uint64), 0, NOW, NOW)
        writer.write_texts(region.indexes_of(["_system.forward.plant.last_error"]), [error], 0, NOW, NOW)
        status = status_of(region, RECORD, NOW)
    assert status.devices == ()
    assert len(status.troubles) == len(troubles)
    assert all(said.startswith(start) for said, start in zip(status.troubles, troubles, strict=True))
