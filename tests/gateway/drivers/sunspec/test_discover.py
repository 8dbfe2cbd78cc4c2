"""Devices that pysunspec2 encoded: discovered, then polled, every point as its own client has it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sunspec2.modbus.client
from pymodbus import FramerType

from gateway.config.load import load_site
from gateway.config.site import Site, Tag
from gateway.node.cli import main
from gateway.tags.quality import Quality

PEERS = Path(__file__).parent / "peers"
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


async def discovered(device: Any, path: Path, *options: str) -> str:
    """A device written as a whole site to ``path``, and its text."""
    arguments = ("127.0.0.1", "--port", str(device.port), "--site", "plant", "--output", str(path), *options)
    assert await tieline("discover", "sunspec", *arguments) == 0
    assert await tieline("check", str(path)) == 0
    return await asyncio.to_thread(path.read_text, encoding="utf-8")


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
async def test_the_map_is_found_at_each_base(serve, new_image, tmp_path: Path, base: int) -> None:
    device = await serve(new_image([1, 103], {}), base)
    text = await discovered(device, tmp_path / "site.yaml")
    assert f"Model 1 at {base + 2}, Common" in text
    assert f"Model 103 at {base + 70}, " in text


async def test_rtu_over_tcp_and_small_reads_find_the_same(serve, new_image, polled, tmp_path: Path) -> None:
    image = new_image([1, 103, 160], {160: {"N": 2, "module": 2}})
    plain = await serve(image)
    wrapped = await serve(image, framer=FramerType.RTU)
    one = await discovered(plain, tmp_path / "tcp.yaml")
    options = ("--transport", "rtu-over-tcp", "--max-registers", "20")
    other = await discovered(wrapped, tmp_path / "rtu.yaml", *options)
    assert "transport: rtu-over-tcp" in other
    assert "max_registers: 20" in other
    assert one.partition("    points:\n")[2] == other.partition("    points:\n")[2]
    async with polled(tmp_path / "rtu.yaml") as site:
        await site.until_polled()


async def test_a_serial_line_is_scanned_and_polled(new_image, polled, tmp_path: Path) -> None:
    outer, inner = os.openpty()
    tty.setraw(outer)
    tty.setraw(inner)
    image = new_image([1, 102], {})
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        PEERS / "rtu_server.py",
        str(outer),
        image.hex(),
        pass_fds=[outer],
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert await server.stdout.readline() == b"ready\n"
        path = tmp_path / "serial.yaml"
        options = (
            "--transport",
            "rtu",
            "--serial",
            os.ttyname(inner),
            "--baud",
            "115200",
            "--parity",
            "none",
        )
        status = await tieline("discover", "sunspec", *options, "--site", "plant", "--output", str(path))
        assert status == 0
        assert "baud: 115200, parity: none" in path.read_text(encoding="utf-8")
        async with polled(path) as site:
            await site.until_polled()
    finally:
        server.kill()
        await server.wait()
        os.close(outer)
        os.close(inner)


async def test_a_scale_factor_that_changes_while_it_is_polled_counts_at_once(
    serve, new_image, polled, tmp_path: Path
) -> None:
    device = await serve(new_image([1, 103], {}, seed=3))
    model = 40_070
    await device.set(model + 14, 1234)  # W
    await device.set(model + 15, 0xFFFF)  # W_SF: -1
    await discovered(device, tmp_path / "site.yaml")
    async with polled(tmp_path / "site.yaml") as site:
        [point] = [point for point in site.points.values() if point.address == model + 14]
        await site.until(lambda: site.sample(point.name).value == pytest.approx(123.4))
        await device.set(model + 14, 12, 1)
        await site.until(lambda: site.sample(point.name).value == 120.0)


async def test_what_the_device_does_not_implement_is_left_out_and_told_unless_all_is_asked_for(
    serve, new_image, tmp_path: Path
) -> None:
    device = await serve(new_image([1, 103], {}))
    model = 40_070
    await device.set(model + 33, 0x8000)  # TmpCab
    await device.set(model + 24, 0, 0)  # WH: an accumulator that is not there
    some = await discovered(device, tmp_path / "some.yaml")
    every = await discovered(device, tmp_path / "all.yaml", "--all")
    assert "(103.TmpCab)" not in some
    assert "(103.WH)" not in some
    assert "not implemented, left out" in some
    assert "(103.TmpCab)" in every
    assert "(103.WH)" in every
    assert "left out" not in every


def by_model(site: Site) -> dict[str, Tag]:
    """The device's tags by where the models have them, as `704.WMaxLimPct`."""
    return {
        tag.description.rpartition("(")[2].rstrip(")"): tag for tag in site.tags if tag.device == "device1"
    }


async def test_only_what_the_models_say_is_writable_by_engineers_and_within_limits(
    serve, new_image, polled, tmp_path: Path
) -> None:
    counts = {705: {"NPt": 2, "NCrv": 2}}
    device = await serve(new_image([1, 702, 704, 705], counts, seed=5))
    await discovered(device, tmp_path / "first.yaml", "--all")
    first = load_site(tmp_path / "first.yaml")
    limit = {point.name: point for point in first.modbus[0].points}[by_model(first)["704.WMaxLimPct"].name]
    assert limit.scale_factor is not None
    await device.set(limit.scale_factor, 0xFFFF)  # tenths of a percent
    await device.set(limit.address, 1000)
    await discovered(device, tmp_path / "site.yaml", "--all")
    site = load_site(tmp_path / "site.yaml")
    points = {point.name: point for point in site.modbus[0].points}
    tags = by_model(site)
    write = tags["704.WMaxLimPct"].write
    assert write is not None
    assert (write.role, write.low, write.high, write.tolerance) == ("engineer", 0, 100, 0.1)
    assert tags["1.Mn"].write is None
    assert tags["1.DA"].write is None, "the unit id is not to be written, though the model says it may"
    assert tags["705.Crv1.Pt2.V"].write is None, "a point of the read-only curve"
    assert tags["705.Crv2.Pt2.V"].write is not None
    written = [points[tag.name].address for tag in tags.values() if tag.write is not None]
    theirs = await by_pysunspec2(device.port)
    allowed = {
        address
        for model in theirs.model_list
        for address, point in all_points(model, model)
        if point.pdef.get("access") == "RW"
    }
    assert set(written) < allowed
    assert device.functions == {3}

    async with polled(tmp_path / "site.yaml") as running:
        name = limit.name
        await running.until(lambda: running.sample(name).value == 100.0)
        await running.driver.operate(running.tag(name), 42.5)
        assert await device.get(limit.address) == [425]
        assert await running.driver.read_back(running.tag(name)) == pytest.approx(42.5)


async def test_a_device_file_is_included_in_a_site(serve, new_image, tmp_path: Path) -> None:
    device = await serve(new_image([1, 203], {}))
    status = await tieline(
        "discover", "sunspec", "127.0.0.1", "--port", str(device.port), "--name", "meter1", "--area", "grid",
        "--output", str(tmp_path / "meter1.yaml"),
    )  # fmt: skip
    assert status == 0
    (tmp_path / "site.yaml").write_text("site: {name: s}\nareas: {grid: Tie}\ninclude: [meter1.yaml]\n")
    site = load_site(tmp_path / "site.yaml")
    assert site.modbus[0].name == "meter1"
    assert len(site.modbus[0].points) > 50


async def test_models_that_come_twice_that_nobody_knows_or_of_odd_length_are_told_and_kept_apart(
    serve, new_image, seeded_model, tmp_path: Path
) -> None:
    chance = random.Random(1)
    common = seeded_model(1, chance)
    odd = seeded_model(103, chance)
    odd = odd[:2] + (40).to_bytes(2, "big") + odd[4:84]
    strange = bytes.fromhex("F000 0003") + b"abcdef"
    image = b"SunS" + common[:2] + b"\0\x41" + common[4:-2] + strange + odd + seeded_model(103, chance)
    device = await serve(image + bytes.fromhex("FFFF"))  # an end model without a length
    text = await discovered(device, tmp_path / "site.yaml", "--all")
    assert "Model 61440 at 40069, unknown: nothing is known of it" in text
    assert "it is 40 registers long, and by its definition 50" in text
    assert "Model 1 at 40002, Common\n" in text, "65 registers are as good as 66"
    names = [point.name for point in load_site(tmp_path / "site.yaml").modbus[0].points]
    assert "device1.inverter_three_phase_watts_w" in names
    assert "device1.inverter_three_phase2_watts_w" in names


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"SunSxxxx", "goes past the last register|illegal address"),
        (b"NoMapHere", "no 'SunS' in the holding registers (40000: 4e 6f 4d 61; 0: exception 2 (illegal address)"),
        (b"SunS" + bytes.fromhex("0001 0002 0000 0000"), "illegal address"),
    ],
)  # fmt: skip
async def test_what_is_no_map_is_refused_with_the_reason(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes, why: str
) -> None:
    device = await serve(octets + b"\0" * (len(octets) % 2))
    status = await tieline("discover", "sunspec", "127.0.0.1", "--port", str(device.port))
    assert status == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert any(part in captured.err for part in why.split("|")), captured.err


async def test_a_chain_without_an_end_is_given_up(serve, capsys: pytest.CaptureFixture[str]) -> None:
    device = await serve(b"SunS" + bytes.fromhex("F000 0000") * 300)
    assert await tieline("discover", "sunspec", "127.0.0.1", "--port", str(device.port)) == 1
    assert "more than 256 models, and no end model" in capsys.readouterr().err


async def test_nobody_there_is_told(unused_tcp_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert await tieline("discover", "sunspec", "127.0.0.1", "--port", str(unused_tcp_port)) == 1
    assert "no connection to" in capsys.readouterr().err


async def test_silence_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(ignore, "127.0.0.1", 0)
    try:
        port = silent.sockets[0].getsockname()[1]
        status = await tieline("discover", "sunspec", "127.0.0.1", "--port", str(port), "--timeout-ms", "200")
        assert status == 1
        told = capsys.readouterr().err
        assert "no answer in time" in told or "within 0.2 s" in told, told  # the latter on a machine so busy
    finally:
        silent.close()


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        ((), "no host: add its name or address"),
        (("--transport", "rtu"), "add --serial /dev/ttyUSB0"),
        (("host", "--serial", "/dev/ttyUSB0"), "--serial is for --transport rtu"),
        (("host", "--unit", "256"), "--unit 1 to 247"),
        (("host", "--unit", "0", "--transport", "rtu-over-tcp"), "--unit 1 to 247"),
        (("host", "--port", "0"), "--port 1 to 65535"),
        (("host", "--max-registers", "126"), "--max-registers 1 to 125"),
        (("host", "--timeout-ms", "5"), "--timeout-ms 10 to 60000"),
    ],
)
async def test_options_that_make_no_sense_are_refused_with_how_to_mend_them(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], mend: str
) -> None:
    assert await tieline("discover", "sunspec", *arguments) == 2
    assert mend in capsys.readouterr().err
