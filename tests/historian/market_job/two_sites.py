"""Two markets, each with its ledger, history and door; between them real TLS and a relay that can cut the link.

Time in the ledgers is the test's; the links run in threads, as in a site.
"""

from __future__ import annotations

import asyncio
import queue
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from market_bench import SITE, Bench

from gateway.config.load import load_site
from gateway.config.market import MarketStatus
from gateway.config.site import Site
from historian.ledger.bundle import sign as sign
from historian.market_job.door import Door, Inbox, make_inbox
from historian.market_job.peers.client import PeerClient
from historian.market_job.peers.door import PeerDoor
from historian.market_job.peers.link import Link
from historian.market_job.peers.peering import Peering
from historian.signing import SigningKey

PATIENCE_S = 60.0
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def certify(folder: Path, name: str) -> Path:
    """A key and a certificate signed by it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(datetime.now(UTC) + timedelta(days=3_650))
        .sign(key, hashes.SHA256())
    )
    (folder / "peer.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "peer.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "peer.crt"


def site_of(path: Path, name: str, other: str, other_key: SigningKey, port: int = 1) -> Site:
    """The bench's town, where the other site stands in the vehicle's place: its registers are those of the tie."""
    start, vehicle, _ = SITE.partition("    car:\n")
    assert vehicle
    text = start.replace("{name: town,", f"{{name: {name},")
    lines = [line for line in text.splitlines() if "public_key" not in line]
    home = lines.index("    home:")
    lines.insert(home + 1, "      key: keys/home.pem")
    lines.append(f"""    {other}:
      kind: microgrid
      public_key: "{other_key.public.hex()}"
      credit: 100
      devices:
        {other}_in: {{kind: source, feeder: f1, export_max_kw: 20}}
        {other}_out: {{kind: consumer, feeder: f1, import_max_kw: 20}}
      meters: {{{other}_tie: {{import: d.car_in_wh, export: d.car_out_wh, feeder: f1, export_max_kw: 20,
                import_max_kw: 20}}}}
  listen: {{host: 127.0.0.1, port: 0}}
  peers:
    {other}: {{host: 127.0.0.1, port: {port}, certificate: {other}.crt, trader: home, imbalance_price_per_kwh: 0.3,
              tolerance_kwh: 0.02}}
""")
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_site(path)


class Town(Bench):
    """A market, its door, and its link to the other site."""

    def __init__(self, site: Site, state: Path, folder: Any) -> None:
        self.inbox: Inbox = make_inbox()
        self.peering: Peering | None = None
        super().__init__(site, state, folder)
        assert self.settings.listen is not None
        self.local = Door(state / "m.sock", self.inbox)
        self.door = PeerDoor(self.settings.listen, self.settings.peers, state, self.local)
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def key(self, name: str) -> SigningKey:
        return SigningKey.load(self.state / ("market.pem" if name == "market" else f"keys/{name}.pem"))

    def link_to(self, port: int) -> None:
        """Through the relay at this port."""
        (peer,) = self.settings.peers
        assert self.settings.listen is not None
        connect = partial(PeerClient, replace(peer, port=port), self.settings.listen, self.state)
        # Its thread reads the time, and does not move it on as `clock` does.
        self.link = Link(peer.name, connect, clock=lambda: self.now_us, every_s=0.05, pause_s=0.05)
        self.peering = self.answers.peering = Peering(self.settings, {peer.name: self.link})
        self.thread = threading.Thread(target=self.link.run, args=(self.stopping,), daemon=True)
        self.thread.start()

    def restart(self, **settings: Any) -> None:
        """The part is killed and started again, but for the link, which has nothing to remember."""
        super().restart(**settings)
        self.peering = self.answers.peering = Peering(self.settings, {self.link.name: self.link})
        self.look()

    def reopen(self) -> None:
        """The ledger is opened again, as it is after it could not be written."""
        super().restart()
        self.look()

    def tick(self) -> None:
        """What the market's thread does between looks: other sites, and requests."""
        assert self.office is not None
        if self.peering is not None:
            self.peering.look(self.office, self.now_us)
        with suppress(queue.Empty):
            while True:
                asked = self.inbox.get_nowait()
                asked.reply(self.answers.answer(asked.request, self.now_us))

    def look(self) -> None:
        super().look()
        self.answers.status = MarketStatus.OPEN

    async def stop(self) -> None:
        self.stopping.set()
        await self.door.stop()
        await self.local.stop()
        if self.thread is not None:
            await asyncio.to_thread(self.thread.join, PATIENCE_S)
        self.close()
        self.history.close()


class Relay:
    """Bytes to a door and back, until the link is cut."""

    def __init__(self, port: int) -> None:
        self.to = port  # none yet: 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_cut = False
        self.loses_answers: Callable[[], bool] = lambda: False
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self.is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False
        self.loses_answers = lambda: False

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut or not self.to:
            writer.transport.abort()
            return
        self._writers.add(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            self._writers.add(back)
            if self.is_cut:  # meanwhile
                back.transport.abort()
            await asyncio.gather(self._pass(reader, back, False), self._pass(there, writer, True))
            self._writers.discard(back)
        writer.close()
        self._writers.discard(writer)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if is_answer and self.loses_answers():
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()


class Two:
    """South and north; ``to_north`` is the link by which south speaks to it."""

    def __init__(self, south: Town, north: Town) -> None:
        self.south, self.north = south, north
        self.towns = (south, north)
        self.relays: list[Relay] = []

    async def start(self) -> None:
        for town in self.towns:
            town.door.start()
            town.look()
        await self.until(lambda: all(town.door.port for town in self.towns))
        self.to_north, self.to_south = Relay(self.north.door.port), Relay(self.south.door.port)
        self.relays = [self.to_north, self.to_south]
        for relay in self.relays:
            await relay.start()
        self.south.link_to(self.to_north.port)
        self.north.link_to(self.to_south.port)
        await self.until(self.is_up)

    def is_up(self) -> bool:
        return all(self.state(town) == "connected" for town in self.towns)

    def state(self, town: Town) -> str:
        assert town.peering is not None
        (heard,) = town.peering.heard.values()
        return heard.state if heard.is_up else f"down: {heard.state}"

    def cut(self) -> None:
        self.to_north.cut()
        self.to_south.cut()

    def mend(self) -> None:
        self.to_north.mend()
        self.to_south.mend()

    async def until(self, condition: Callable[[], bool], *towns: Town) -> None:
        """The world goes on, in both or in these alone, and the ledgers' time does not."""
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, [self.state(town) for town in self.towns if town.peering]
            for town in towns or self.towns:
                town.tick()
                if town.office.must_register:  # somebody applied
                    town.look()
            await asyncio.sleep(0.02)

    async def pass_to(self, at_us: int) -> None:
        """Time goes on in both, by minutes."""
        while self.south.now_us < at_us:
            for town in self.towns:
                town.until(min(town.now_us // 60_000_000 * 60_000_000 + 60_000_000, at_us))
                town.tick()
            await asyncio.sleep(0)

    async def stop(self) -> None:
        for town in self.towns:
            town.stopping.set()
        await asyncio.gather(*(relay.stop() for relay in self.relays))
        await asyncio.gather(*(town.stop() for town in self.towns))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows: a write is refused as on a full disk (EFBIG for ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def ports(caplog: Any) -> list[int]:
    """Of the doors that were opened, in their order."""
    return [record.args[0] for record in caplog.records if "reach this one at port" in record.msg]
