"""A controller by somebody else (node-opcua), which shares no code with the driver."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opcua_genset import free_port, running, until

from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality

SERVER = Path(__file__).parents[3] / "interop" / "opcua" / "server.js"
NODE = shutil.which("node")
POINTS = """
      power_kw: {node: "NS;s=Power", unit: kW, percent_deadband: 1}
      setpoint_kw: {node: "NS;s=Setpoint", unit: kW, write: {low: 0, high: 50000}}
      limit_c: {node: "NS;s=Limits", field: "[2]", unit: °C, write: {low: 0, high: 200}}
      ramp_kw: {unit: kW, write: {low: 0, high: 400},
                method: {object: "NS;s=Genset", method: "NS;s=Ramp", arguments: [value, "slowly"]}}
      product: {node: "i=2256", field: BuildInfo.ProductName, type: string}
      state: {node: "i=2256", field: State, type: int64}
      started: {node: "i=2256", field: StartTime, type: string}
      nowhere: {node: "NS;s=Nowhere"}
"""
START_S = 200.0  # its start takes 4 s of CPU, and this machine may be busy
USER = {"user": "tieline", "password": "secret"}


class Controller:
    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"opc.tcp://127.0.0.1:{port}/"
        self.calls: list[Any] = []
        self.space = ""

    def kill(self) -> None:
        self._process.kill()

    async def expect(self, about: str, patience_s: float = 30.0) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(patience_s):
            while True:
                line = await self._process.stdout.readline()
                assert line, "the server ended"
                said: dict[str, Any] = json.loads(line)
                if said["about"] == about:
                    return said
                self.calls.append(said["values"])

    async def wish(self, wish: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"wish": wish, **more}).encode() + b"\n")
        return await self.expect(wish)


@asynccontextmanager
async def controller(pki: Path, port: int, **more: str) -> AsyncIterator[Controller]:
    assert NODE is not None, "node is needed: see docs/opcua.md"
    assert (SERVER.parent / "node_modules" / "node-opcua-server").is_dir(), (
        "`npm ci --ignore-scripts` has not been run"
    )
    process = await asyncio.create_subprocess_exec(
        NODE, "--no-warnings", str(SERVER), json.dumps({"port": port, "pki": str(pki), **more}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        made = Controller(process, port)
        made.space = (await made.expect("up", START_S))["uri"]
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(scope="session")
def node_server_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's key and certificate, which it takes seconds to make."""
    return tmp_path_factory.mktemp("node-server-pki")


@pytest.mark.timeout(400)
async def test_a_shift_with_a_foreign_controller(node_server_pki: Path, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "genset.password").write_text(USER["password"])
    async with controller(node_server_pki, port, **USER) as genset:
        options = {
            "security": "Basic256Sha256:SignAndEncrypt",
            "more": "user: tieline, password_file: genset.password, verify_s: 1",
            "stale_ms": 3000,
        }
        points = POINTS.replace("NS", f"nsu={genset.space}")
        async with running(tmp_path, genset.url, points, **options) as plant:
            await until(lambda: "is not trusted" in plant.last_error, "first contact")
            rejected = tmp_path / "pki" / "servers" / "rejected"
            for file in rejected.iterdir():
                file.rename(rejected.parent / "trusted" / file.name)
            await plant.becomes("power_kw", 42.5)
            await plant.becomes("limit_c", 110.0)
            await plant.becomes("state", 0)
            await until(lambda: "NodeOPCUA" in str(plant.sample("product").value), "the product")
            assert str(plant.sample("started").value).startswith("20")
            assert plant.sample("nowhere").status == Quality.BAD_CONFIGURATION_ERROR

            # a change below one percent of the range is not told, one above is, with its own time and status
            at_ms = 1_795_000_000_123
            await genset.wish("set", name="Power", value=43.0)
            await genset.wish(
                "set", name="Power", value=50.0, source=at_ms, status="UncertainLastUsableValue"
            )
            await plant.becomes("power_kw", 50.0, 0x4090_0000)
            assert plant.sample("power_kw").source_time == at_ms * 1_000_000

            await plant.driver.operate(plant.tag("setpoint_kw"), 250.0)
            assert await plant.driver.read_back(plant.tag("setpoint_kw")) == 250.0
            assert (await genset.wish("read", name="Setpoint"))["value"] == [250]
            with pytest.raises(OperateError, match=r"BadOutOfRange|beyond what the node holds"):
                await plant.driver.operate(plant.tag("setpoint_kw"), 40_000.0)
            await plant.driver.operate(plant.tag("limit_c"), 99.5)
            assert await plant.driver.read_back(plant.tag("limit_c")) == 99.5
            assert (await genset.wish("read", name="Limits"))["value"] == [90.0, 95.0, 99.5]
            await plant.driver.operate(plant.tag("ramp_kw"), 120.0)
            with pytest.raises(OperateError, match="the server answered BadOutOfRange"):
                await plant.driver.operate(plant.tag("ramp_kw"), 350.0)
            await genset.wish("read", name="Power")
            assert genset.calls == [[120.0, "slowly"], [350.0, "slowly"]]

            # the server forgets the session: everything is made anew
            await genset.wish("forget")
            await until(lambda: plant.driver.connections(plant.tag("power_kw")) == 2, "another session")
            await genset.wish("set", name="Power", value=60.0)
            await plant.becomes("power_kw", 60.0)

            # and is killed
            genset.kill()
            await plant.becomes("power_kw", 60.0, Quality.BAD_COMMUNICATION_ERROR)
