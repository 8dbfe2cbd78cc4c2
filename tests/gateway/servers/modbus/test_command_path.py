"""A write through the real command path: authorised, limited, operated, read back, audited; then answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.router import Router
from gateway.servers.modbus.server import Door
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.sample import Value


@dataclass
class Device:
    """Takes what it is told, unless ``error``; answers nothing while ``is_silent``."""

    held: dict[int, Value] = field(default_factory=dict)
    operated: list[tuple[int, Value]] = field(default_factory=list)
    error: Exception | None = None
    is_silent: bool = False

    async def operate(self, tag: int, value: Value) -> None:
        self.operated.append((tag, value))
        if self.is_silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.held[tag] = value

    async def read_back(self, tag: int) -> Value:
        if self.is_silent:
            await asyncio.Event().wait()
        return self.held[tag]


@dataclass
class CommandPath:
    """A door before a router before a device."""

    served: object
    device: Device
    audit: Path

    async def ask(self, unit: int, pdu: str) -> str:
        return await self.served.ask(unit, pdu)  # type: ignore[attr-defined]  # the fixture's


@pytest.fixture
async def path(served, tmp_path: Path) -> AsyncIterator[CommandPath]:
    device = Device()
    audit = tmp_path / "state" / "audit.jsonl"
    router = Router(
        served.site, dict.fromkeys(range(len(served.site.tags)), device), AuditTrail(AuditFile(audit))
    )
    await router.open()
    await served.door.close()
    assert served.site.modbus_server is not None
    served.door = Door(replace(served.site.modbus_server.doors[0], port=0), served.site, served.view, router)
    await served.door.open()
    yield CommandPath(served, device, audit)
    await served.door.close()
    await router.close()


async def test_what_the_device_reported_back_is_answered_and_audited(path: CommandPath) -> None:
    assert await path.ask(2, "10 0064 0005 0a 0000c060 00000007 0003") == "1000640005"
    assert sorted(value for _, value in path.device.operated) == [-3.5, 3, 7]
    events = [json.loads(line) for line in path.audit.read_text().splitlines()]
    text = json.dumps(events)
    assert text.count("ems (127.0.0.1), unit 2") == 3
    assert text.count('"dispatcher"') == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [(NotConnectedError("no connection"), 0x0A), (OperateError("exception 4"), 4), (TimeoutError(), 0x0B)],
)
async def test_what_went_wrong_at_the_device(path: CommandPath, error: Exception, code: int) -> None:
    path.device.error = error
    path.device.held = dict.fromkeys(range(20), 1)
    assert await path.ask(2, "06 0068 0003") == f"86{code:02x}"


async def test_a_repetition_while_the_first_is_under_way_is_busy_and_acts_once(path: CommandPath) -> None:
    path.device.is_silent = True
    answers = await asyncio.gather(path.ask(2, "06 0068 0003"), path.ask(2, "06 0068 0003"))
    assert sorted(answers) == ["8606", "860b"]
    assert len(path.device.operated) == 1
