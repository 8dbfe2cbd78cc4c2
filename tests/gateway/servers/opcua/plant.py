"""A small plant behind a real OPC UA server on a free port of the loopback, and clients of the library's for it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.config.site import (
    Area,
    HistorianSettings,
    OpcUaSettings,
    Role,
    Site,
    Tag,
    Trust,
    User,
    WriteLimits,
)
from gateway.servers.opcua.certificates import TrustList, own_identity
from gateway.servers.opcua.server import OpcUaServer
from gateway.servers.opcua.sign_in import SignIn
from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.command import Command, Done, Outcome, Refusal, Refused
from gateway.tags.history import Modified, Series
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType
from historian.query.aggregates.intervals import intervals
from historian.query.aggregates.known import Known
from historian.query.aggregates.table import calculate
from historian.query.at_time import at_time

PASSWORD = "correct horse battery staple"
RANK = {role: rank for rank, role in enumerate(Role)}
SETPOINT = WriteLimits(Role.OPERATOR, -50.0, 50.0, 0.1, 2000)
TAGS = (
    Tag(
        "battery1.power_kw",
        ValueType.DOUBLE,
        "drivers",
        "storage",
        "battery1",
        "Positive when it discharges",
        "kW",
        -60.0,
        60.0,
        decimals=1,
    ),
    Tag(
        "battery1.power_setpoint_kw",
        ValueType.DOUBLE,
        "drivers",
        "storage",
        "battery1",
        unit="kW",
        write=SETPOINT,
    ),
    Tag(
        "battery1.state",
        ValueType.INT64,
        "drivers",
        "storage",
        "battery1",
        states={0: "standby", 1: "charging", 3: "fault"},
    ),
    Tag(
        "battery1.grid_forming",
        ValueType.BOOL,
        "drivers",
        "storage",
        "battery1",
        states={0: "following", 1: "forming"},
    ),
    Tag(
        "battery1.serial_number",
        ValueType.STRING,
        "drivers",
        "storage",
        "battery1",
        string_bytes=32,
        history=False,
    ),
    Tag("battery1.cycles", ValueType.UINT64, "drivers", "storage", "battery1"),
    Tag(
        "feeder1.breaker_close_command",
        ValueType.BOOL,
        "drivers",
        "loads/feeders",
        "feeder1",
        write=WriteLimits(Role.ENGINEER, None, None, 0.0, 2000),
    ),
    Tag("_system.battery1.connected", ValueType.BOOL, "drivers", "_system", "battery1", history=False),
)
AREAS = (Area("storage", "Battery"), Area("loads/feeders", "Feeders"))
USERS = (User("operator", Role.OPERATOR), User("viewer", Role.VIEWER), User("engineer", Role.ENGINEER))


def site_of(
    tags: tuple[Tag, ...] = TAGS, settings: OpcUaSettings | None = None, stale_after_ms: int = 60_000
) -> Site:
    """The plant's site; its values are written once, so they stay current for longer than a test."""
    tags = tuple(replace(tag, stale_after_ms=stale_after_ms) for tag in tags)
    return Site(
        name="testbed",
        description="",
        areas=AREAS,
        tags=tags,
        modbus=(),
        users=USERS,
        historian=HistorianSettings(),
        opcua=settings or OpcUaSettings(port=0, trust=Trust.ALL),
        hmi=None,
        simulator=None,
        journal_records=1 << 12,
        files=(),
        digest="",
    )


class KnownPasswords:
    """Every user's password is PASSWORD; a check takes a while, as a real one does."""

    def __init__(self) -> None:
        self.asked = 0

    def verify(self, user: str, password: str) -> bool:
        self.asked += 1
        return password == PASSWORD


@dataclass
class Devices:
    """Stands in for the router and the devices: takes commands and reports the new value into the image."""

    plant: Plant
    delay_s: float = 0.0
    outcome: Outcome | None = None
    commands: list[Command] = field(default_factory=list)

    async def send(self, command: Command) -> Outcome:
        self.commands.append(command)
        await asyncio.sleep(self.delay_s)
        if self.outcome is not None:
            return self.outcome
        tag = next(tag for tag in self.plant.site.tags if tag.name == command.tag)
        role = next(user.role for user in USERS if user.name == command.user)
        if tag.write is None:
            return Refused(Refusal.NOT_WRITABLE, "a measurement")
        if RANK[role] < RANK[tag.write.role]:
            return Refused(Refusal.NOT_AUTHORISED, role)
        if tag.write.low is not None and not tag.write.low <= command.value <= tag.write.high:
            return Refused(Refusal.OUT_OF_LIMITS, "")
        self.plant.write(tag.name, command.value)
        return Done(command.value, time.time_ns())


@dataclass
class Memory:
    """A history in memory."""

    series: dict[str, Series] = field(default_factory=dict)
    replaced: dict[str, Modified] = field(default_factory=dict)

    def raw(
        self, tag: str, start_ns: int, end_ns: int, *, limit: int | None = None, newest_first: bool = False
    ) -> Series:
        kept = self.series[tag]
        rows = np.flatnonzero((kept.source_times >= start_ns) & (kept.source_times < end_ns))
        rows = rows[::-1] if newest_first else rows
        is_cut = limit is not None and len(rows) >= limit
        rows = rows[:limit]
        low, high = start_ns, end_ns
        if is_cut and len(rows):
            last = int(kept.source_times[rows[-1]])
            low, high = (last, high) if newest_first else (low, last)
        damaged = tuple((max(a, low), min(b, high)) for a, b in kept.damaged if a < high and b > low)
        return Series(kept.type, kept.source_times[rows], kept.values[rows], kept.statuses[rows], damaged)

    def modified(self, tag: str, start_ns: int, end_ns: int) -> Modified:
        kept = self.replaced[tag]
        times = kept.series.source_times
        rows = np.flatnonzero((times >= start_ns) & (times < end_ns))
        series = Series(kept.series.type, times[rows], kept.series.values[rows], kept.series.statuses[rows])
        return Modified(series, kept.modified[rows], kept.kinds[rows])

    def known(self, tag: str) -> Known:
        kept = self.series[tag]
        numbers = np.zeros(len(kept)) if kept.type is ValueType.STRING else kept.values.astype(float)
        return Known(kept.source_times, numbers, kept.statuses, np.ones(len(kept), bool), kept.values)

    def aggregate(
        self,
        tag: str,
        aggregate: Aggregate,
        start_ns: int,
        end_ns: int,
        interval_ns: int,
        configuration: AggregateConfiguration,
    ) -> Processed:
        return calculate(
            aggregate,
            self.known(tag),
            self.series[tag].type,
            intervals(start_ns, end_ns, interval_ns),
            stepped=False,
            configuration=configuration,
        )

    def at_time(
        self, tag: str, times_ns: Any, configuration: AggregateConfiguration, *, use_simple_bounds: bool
    ) -> Processed:
        return at_time(
            self.known(tag),
            self.series[tag].type,
            times_ns,
            stepped=False,
            configuration=configuration,
            use_simple_bounds=use_simple_bounds,
        )


class Plant:
    """A region with its writer, and the server of it while `running`."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.pki = folder / "pki"
        self.region = Region.create(
            f"opcua-test-{secrets.token_hex(4)}",
            [tag.spec() for tag in site.tags],
            journal_records=site.journal_records,
            spare=8,
        )
        self.writer: Writer = self.region.claim("drivers")
        self.devices = Devices(self)
        self.history = Memory()
        self.passwords = KnownPasswords()
        self.server: OpcUaServer | None = None

    def write(
        self, name: str, value: Value, status: int = Quality.GOOD, at_ns: int | None = None, late_ns: int = 0
    ) -> int:
        """Report a value as a driver does; returns its source time."""
        tag = self.region.index_of(name)
        at_ns = time.time_ns() if at_ns is None else at_ns
        type = self.region.type_of(tag)
        tags = np.array([tag], np.uint32)
        if type is ValueType.STRING:
            self.writer.write_texts(tags, [str(value)], int(status), at_ns, at_ns + late_ns)
        else:
            self.writer.write(tags, to_bits(np.array([value]), type), int(status), at_ns, at_ns + late_ns)
        return at_ns

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OpcUaServer]:
        identity = own_identity(self.pki, self.site.name, "127.0.0.1")
        trust = TrustList(self.pki, self.site.opcua.trust is Trust.ALL)
        trust.prepare()
        sign_in = SignIn(USERS, self.passwords)
        server = OpcUaServer(self.site, self.region, self.devices, self.history, identity, trust, sign_in)
        await server.open()
        await server.start()
        following = asyncio.create_task(server.follow())
        self.server = server
        try:
            yield server
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await server.stop()
            sign_in.close()

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"opc.tcp://127.0.0.1:{self.server.port}/"

    def close(self) -> None:
        self.region.close()


APPLICATION_URI = "urn:test:client"


@dataclass(frozen=True)
class ClientIdentity:
    certificate: Path
    key: Path


def make_identity(
    folder: Path, name: str = "client", uri: str = APPLICATION_URI, days: int = 30
) -> ClientIdentity:
    """A client's self-signed certificate and key, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = ClientIdentity(folder / f"{name}.der", folder / f"{name}.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


async def until(claim: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(within_s):
        while True:
            if claim():
                return
            await asyncio.sleep(0.01)


def node_id(name: str) -> ua.NodeId:
    return ua.NodeId(name, 2)
