"""A small site, a device in memory that behaves as told, and a router over them."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.router import Router
from gateway.config.site import HistorianSettings, Role, Site, Tag, User, WriteLimits
from gateway.tags.command import Command
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

TAGS = (
    Tag("battery1.power_kw", ValueType.DOUBLE, "drivers", "storage", "battery1", unit="kW"),
    Tag(
        "battery1.power_setpoint_kw", ValueType.DOUBLE, "drivers", "storage", "battery1", unit="kW",
        write=WriteLimits(Role.OPERATOR, -100.0, 100.0, 0.1, 600),
    ),
    Tag(
        "pcc.breaker_close_command", ValueType.BOOL, "drivers", "grid", "pcc",
        write=WriteLimits(Role.ENGINEER, None, None, 0.0, 600), states={0: "open", 1: "close"},
    ),
    Tag(
        "genset1.mode", ValueType.UINT64, "drivers", "generation", "genset1",
        write=WriteLimits(Role.OPERATOR, 0.0, 10.0, 0.0, 600), states={0: "off", 1: "auto", 5: "test"},
    ),
    Tag(
        "genset1.trim", ValueType.INT64, "drivers", "generation", "genset1",
        write=WriteLimits(Role.OPERATOR, None, None, 0.0, 600),
    ),
    Tag(
        "ev1.display", ValueType.STRING, "drivers", "ev", "ev1", string_bytes=8,
        write=WriteLimits(Role.OPERATOR, None, None, 0.0, 600),
    ),
)  # fmt: skip
SITE = Site(
    name="small",
    description="",
    areas=(),
    tags=TAGS,
    modbus=(),
    users=(User("eve", Role.VIEWER), User("olga", Role.OPERATOR), User("enno", Role.ENGINEER)),
    historian=HistorianSettings(),
    opcua=None,
    hmi=None,
    simulator=None,
    journal_records=1024,
    files=(),
    digest="",
)
_ids = itertools.count(1)


@dataclass(slots=True)
class Device:
    """A driver whose device takes what it is told, unless told otherwise here."""

    operated: list[tuple[int, Value]] = field(default_factory=list)
    registers: dict[int, Value] = field(default_factory=dict)
    on_operate: BaseException | None = None
    on_read: BaseException | None = None
    touched: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    reports: Callable[[Value], Value] = lambda value: value

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def operate(self, tag: int, value: Value) -> None:
        self.operated.append((tag, value))
        self.touched.set()
        await self.may_answer.wait()
        if self.on_operate is not None:
            raise self.on_operate
        self.registers[tag] = value

    async def read_back(self, tag: int) -> Value:
        if self.on_read is not None:
            raise self.on_read
        if tag not in self.registers:
            raise TimeoutError
        return self.reports(self.registers[tag])


@pytest.fixture
def site() -> Site:
    return SITE


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def audit_path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


@pytest.fixture
def wish():
    """A command that would be done, changed by keywords."""

    def wished(**changes) -> Command:
        fields = {
            "id": f"id{next(_ids)}",
            "tag": "battery1.power_setpoint_kw",
            "value": 5.0,
            "user": "olga",
            "origin": "opcua",
            "deadline_ns": time.time_ns() + 5_000_000_000,
            **changes,
        }
        return Command(**fields)

    return wished


@pytest.fixture
def opened(device: Device, audit_path: Path):
    """A router, open for the block; each call is a new one over the same trail, as after a restart."""

    @asynccontextmanager
    async def router(**changes) -> AsyncIterator[Router]:
        drivers = dict.fromkeys(range(len(TAGS)), device)
        made = Router(SITE, changes.get("drivers", drivers), AuditTrail(AuditFile(audit_path)))
        await made.open()
        try:
            yield made
        finally:
            await made.close()

    return router
