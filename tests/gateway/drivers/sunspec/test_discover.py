"""Devices that pysunspec2 encoded: discovered, then polled, every point as its own client has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sunspec2.modbus.client

from gateway.node.cli import main
from gateway.tags.quality import Quality

DER = [1, *range(701, 715)]  # what IEEE 1547-2018 asks of an interface, and the measurements of DC ports
COUNTS = {
    705: {"NPt": 4, "NCrv": 3},
    706: {"NPt": 4, "NCrv": 3},
    707: {
        "NPt": 5,
        "NCrvSet": 3,
    },  # more than one read: 147 registers of curves, far from their scale factors
    708: {"NPt": 5, "NCrvSet": 3},
    709: {"NPt": 5, "NCrvSet": 2},
    710: {"NPt": 5, "NCrvSet": 2},
    711: {"NCtl": 3},
    712: {"NPt": 6, "NCrv": 2},
    714: {"NPrt": 2},
}


async def tieline(*arguments: str) -> int:
    """The command, as typed; it has an event loop of its own."""
    return await asyncio.to_thread(main, list(arguments))


async def by_pysunspec2(port: int) -> Any:
    """The device as somebody else's client reads it."""

    def scan() -> Any:
        device = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(1, "127.0.0.1", port, timeout=10)
        device.scan()
        device.close()
        return device

    return await asyncio.to_thread(scan)


def all_points(group: Any, model: Any, is_top: bool = True) -> Iterator[tuple[int, Any]]:
    """Address and point of all that are values, pads and scale factors not."""
    for name, point in group.points.items():
        if point.pdef["type"] not in ("pad", "sunssf") and not (is_top and name in ("ID", "L")):
            yield model.model_addr + point.offset, point
    for inner in group.groups.values():
        for one in inner if isinstance(inner, list) else [inner]:
            yield from all_points(one, model, is_top=False)


async def test_an_ieee_1547_device_is_read_completely_and_every_point_is_as_pysunspec2_has_it(
    serve, new_image, polled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = await serve(new_image(DER, COUNTS))
    path = tmp_path / "der.yaml"
    started = time.monotonic()
    status = await tieline(
        "discover", "sunspec", "127.0.0.1", "--port", str(device.port), "--site", "plant", "--all",
        "--output", str(path),
    )  # fmt: skip
    took_s = time.monotonic() - started
    assert status == 0
    assert device.functions == {3}, "discovery only reads"
    assert await tieline("check", str(path)) == 0
    print(f"discovered in {took_s:.3f} s by {device.requests} requests")

    theirs = await by_pysunspec2(device.port)
    expected = {
        address: point
        for models in theirs.models.values()
        for model in models
        for address, point in all_points(model, model)
    }
    assert [model.model_id for model in theirs.model_list] == DER
    async with polled(path) as site:
        points = {point.address: point for point in site.points.values()}
        assert points.keys() == expected.keys()
        assert len(points) > 700
        await site.until_polled()
        differing = []
        absent = 0
        for address, point in points.items():
            sample, value = site.sample(point.name), expected[address].cvalue
            if value is None:
                absent += 1
                is_same = sample.status == Quality.BAD_NOT_SUPPORTED
            elif isinstance(value, str):
                is_same = sample.status == Quality.GOOD and sample.value == value.rstrip()
            else:
                unit = {"varh": 0.001, "Varh": 0.001, "VAh": 0.001}.get(
                    expected[address].pdef.get("units"), 1.0
                )
                is_same = sample.value == pytest.approx(value * unit, rel=1e-9)
                is_same = is_same and sample.status in (
                    Quality.GOOD,
                    Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
                )
            if not is_same:
                differing.append((point.name, value, sample))
        assert not differing
        assert absent > 20
        assert capsys.readouterr().out
