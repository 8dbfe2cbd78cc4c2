"""One server over time: connected, subscribed and watched; what it tells goes into the image, commands go to it.

What can go wrong, and what finds it:

- Nothing comes any more, on a connection that stands: each subscription tells by itself, keep-alives included, at
  least three times in its group's ``stale_after_ms``. One that is silent for so long is dead.
- Keep-alives come and values do not: values are read beside, every ``verify_s``, and must be those that were told.
  What was not told twice is polled from then on.
- An item is refused: its points alone are Bad_ConfigurationError, and it is tried again each minute.

Whatever ends a session, the next begins with everything made anew: the server may be another one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import PollGroup
from gateway.config.opcua_device import COMMANDED, NodeAddress, OpcUaDevice, OpcUaMethod, OpcUaPoint, ReadBy
from gateway.config.pki import Identity, TrustList
from gateway.drivers.opcua.connection import (
    BAD_TIMEOUT,
    BAD_TOO_MANY_PUBLISH_REQUESTS,
    DATA_TYPE,
    ConnectError,
    Connection,
    Counts,
    Item,
    LostError,
    ServiceFault,
    Subscription,
    Wish,
    status_name,
)
from gateway.drivers.opcua.samples import Samples
from gateway.drivers.opcua.types import DataTypes
from gateway.drivers.opcua.values import NUMBER_TYPES, OVERFLOW, Unfit, is_bad, node_value, typed
from gateway.drivers.opcua.wire import NodeKey, Published, Reading, WireError
from gateway.drivers.session import Backoff, Event, Schedule, Session, State
from gateway.drivers.trace import Ring
from gateway.tags.image import Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

LOOK_S = 0.1  # how often silence is looked for: it is found so late at most
KEEP_ALIVES = 3  # that a subscription owes in the time in which its values go stale
MIN_LIFE_S = 60.0  # a server drops a subscription that nobody asks for, for so long
LEARN_S = 1.0
REFUSED_S = 60.0  # how often refused items are tried again: a node may come with the next download
PUBLISHES = 2  # requests that wait at the server, beside one for each subscription
MAX_PUBLISHES = 10
VERIFIED = 200  # items that are read beside at once
SLACK = 0.01  # of a number that was told
SLOW_SAMPLING_MS = 10_000  # slower ones are not read beside: what they told may well be old
LAST_ERROR_BYTES = 200
STATE: NodeKey = (0, 2259)  # Server.ServerStatus.State, that everybody may read
# Of an item with a deadband, when the server has none for it: it is made without one
_NO_DEADBAND = frozenset({0x8044_0000, 0x8045_0000, 0x8043_0000, 0x808E_0000})
_TOO_MANY_ITEMS = 0x80DB_0000
_NO_SUCH_NODE = frozenset({0x8033_0000, 0x8034_0000, 0x8035_0000, 0x803A_0000, 0x801F_0000})
_FAILURES = (ServiceFault, LostError, TimeoutError, WireError)

log = logging.getLogger(__name__)
_T = TypeVar("_T")


class BrokenError(Exception):
    """The session is at its end; the text says why."""


@dataclass(slots=True, eq=False)
class Watched:
    """A node that points come from. Below the line: of the present session."""

    handle: int
    address: NodeAddress
    group: int
    read: ReadBy
    sampling_ms: int
    queue: int
    absolute: float | None
    percent: float | None
    places: tuple[int, ...]
    quick: int  # the place of its only point, where that takes a number whole; else -1

    node: NodeKey | None = None
    last: Reading | None = None
    heard_s: float = 0.0
    tellings: int = 0
    sampled_ms: float = 0.0
    has_deadband: bool = False


@dataclass(slots=True, eq=False)
class Feed:
    """A subscription and what it owes."""

    subscription: Subscription
    items: list[Watched]
    limit_s: float
    last_s: float
    since_s: float
    refresh_ns: int
    sequence: int | None = None
    refused: list[Watched] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)  # places that have had a value
    rows: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))


@dataclass(slots=True)
class Told:
    """What is told of a device beyond its requests."""

    notifications: int = 0
    monitored: int = 0
    rebuilds: int = 0
    overflows: int = 0
    last_error: str = ""


class Server:
    """A device. ``identity`` gives our certificate, where one is needed; it may raise ConnectError."""

    def __init__(
        self,
        config: OpcUaDevice,
        writer: Writer,
        identity: Callable[[], Awaitable[Identity | None]],
        trust: TrustList,
        chance: random.Random,
    ) -> None:
        self.config = config
        self.counts = Counts()
        self.told = Told()
        self.session = Session(Backoff(config.retry_max_ms / 1000, chance))
        self.ring = Ring("opcua", urlsplit(config.url).netloc)
        self.samples = Samples(config.points, writer, self.note)
        self._identity = identity
        self._trust = trust
        self._items = _items(config)
        self._orders = np.array([i for i, p in enumerate(config.points) if p.node is None], np.intp)
        self._place = {point.tag: place for place, point in enumerate(config.points)}
        self._item_of = {place: item for item in self._items for place in item.places}
        groups = [config.groups[point.group] for point in config.points]
        self._stale_s = np.array([group.stale_after_ms / 1000 for group in groups], np.float64)
        self._limit_s = self._stale_s.copy()
        self._heard_s = np.full(len(config.points), -math.inf)
        self._is_lost = np.zeros(len(config.points), bool)
        self._is_refused = np.zeros(len(config.points), bool)
        self._mute: set[int] = set()  # handles of items that were once not told
        self._polled: set[int] = set()  # and of those that are polled instead
        self._feeds: dict[int, Feed] = {}
        self._confirmed: list[tuple[int, int]] = []
        self._publishes = 0
        self._connection: Connection | None = None
        self._types: DataTypes | None = None
        self._node_types: dict[NodeKey, int] = {}
        self._arguments: dict[NodeKey, list[tuple[str, int, bool]]] = {}
        self._read_back_s = np.full(len(config.points), -math.inf)

    def note(self, why: str) -> None:
        """The last error, cut to what its tag holds."""
        text = why.encode()[:LAST_ERROR_BYTES].decode("utf-8", "ignore")
        if text != self.told.last_error:
            log.warning("%s: %s", self.config.name, why)
        self.told.last_error = text

    @property
    def is_connected(self) -> bool:
        return self.session.is_connected

    # ── the connection ─────────────────────────────────────────────────────────────────────────────────────────
    async def run(self) -> None:
        """Until cancelled."""
        self._heard_s[:] = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name=f"opcua watch {self.config.name}")
            while True:
                self.session.on(Event.RETRY_DUE)
                try:
                    connection = await Connection.connect(
                        self.config, await self._identity(), self._trust, self.counts, self.ring
                    )
                except ConnectError as error:
                    self.session.on(Event.REFUSED)
                    self.counts.losses += 1
                    self.note(str(error))
                    self.ring.note(f"no session: {error}")
                else:
                    self.session.on(Event.OPENED)
                    try:
                        await self._hold(connection)
                    finally:
                        self._forget()
                        await connection.close()
                await asyncio.sleep(self.session.retry_s())

    async def _hold(self, connection: Connection) -> None:
        """One session, to its end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._guarded(self._serve(connection, tasks)))
        except* BrokenError as ends:
            first = ends.exceptions[0]
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            self.counts.losses += 1
            self.note(str(first))
            self.ring.note(str(first))
        if self.session.state is not State.DOWN:
            self.session.on(Event.LOST)

    def _forget(self) -> None:
        """What belonged to the session."""
        self._connection = None
        self._types = None
        self._feeds.clear()
        self._confirmed.clear()
        self._node_types.clear()
        self._arguments.clear()
        self._is_refused[:] = False
        self.told.monitored = 0
        for item in self._items:
            item.node, item.last, item.heard_s, item.tellings = None, None, 0.0, 0

    async def _serve(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        """Make all subscriptions and start what goes on."""
        self._types = DataTypes(connection)
        loop = asyncio.get_running_loop()
        self._resolve(connection)
        await self._learn(connection, self._types)
        self._connection = connection
        self.session.on(Event.ANSWERED)
        self.samples.await_command(self._orders)
        by_group: dict[int, list[Watched]] = {}
        polled: dict[int, list[Watched]] = {}
        for item in self._items:
            if item.node is not None:
                is_polled = item.read is ReadBy.POLL or item.handle in self._polled
                (polled if is_polled else by_group).setdefault(item.group, []).append(item)
        for group, items in by_group.items():
            unwatched = await self._subscribe(connection, self.config.groups[group], items)
            if unwatched:
                polled.setdefault(group, []).extend(unwatched)
        tasks.create_task(self._guarded(connection.keep()))
        tasks.create_task(self._guarded(self._heartbeat(connection)))
        for group, items in polled.items():
            tasks.create_task(self._guarded(self._poll(connection, self.config.groups[group], items)))
        if self._feeds:
            for feed in self._feeds.values():
                feed.last_s = feed.since_s = loop.time()  # making the others took its time
            self._publishes = min(PUBLISHES + len(self._feeds), MAX_PUBLISHES)
            for _ in range(self._publishes):
                tasks.create_task(self._guarded(self._publish(connection)))
            tasks.create_task(self._guarded(self._listen()))
            tasks.create_task(self._guarded(self._try_refused(connection)))
            tasks.create_task(self._guarded(self._learn_later(self._types)))
            if self.config.verify_s:
                tasks.create_task(self._guarded(self._verify(connection)))

    async def _guarded(self, task: Awaitable[None]) -> None:
        """Whatever of the connection's failures ends a task, ends the session."""
        try:
            await task
        except ServiceFault as fault:
            raise BrokenError(f"the server answered {fault}") from fault
        except TimeoutError as error:
            raise BrokenError("no answer in time") from error
        except (LostError, WireError) as error:
            raise BrokenError(f"the connection broke: {error}") from error

    def _resolve(self, connection: Connection) -> None:
        """Nodes by their namespaces' present indexes."""
        for item in self._items:
            item.node = connection.node(item.address)
            if item.node is None:
                self._refuse(item, f"the server has no namespace {item.address.namespace}")

    async def _learn(self, connection: Connection, types: DataTypes) -> None:
        """The structures that points look into."""
        nodes = [item.node for item in self._items if item.node is not None and self._looks_inside(item)]
        if nodes:
            await types.learn([reading.value for reading in await connection.read(nodes)])

    async def _learn_later(self, types: DataTypes) -> None:
        """Structures of a type that was not there when the session began."""
        items = [item for item in self._items if self._looks_inside(item)]
        while items:
            await asyncio.sleep(LEARN_S)
            told = [(item, item.last) for item in items if item.last is not None]
            if await types.learn([reading.value for _, reading in told]):
                self.samples.take(
                    [(place, reading) for item, reading in told for place in item.places], types.definitions
                )

    def _looks_inside(self, item: Watched) -> bool:
        points = self.config.points
        return item.node is not None and any(
            isinstance(step, str) for place in item.places for step in points[place].field
        )

    def _refuse(self, item: Watched, why: str) -> None:
        places = list(item.places)
        if not self._is_refused[places].all():
            if not self.samples.misfits.issuperset(places):
                self.note(f"{self.config.points[places[0]].name}: {item.address}: {why}")
            self.samples.refuse(places)
        self._is_refused[places] = True

    # ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────────
    async def _subscribe(
        self, connection: Connection, group: PollGroup, items: Sequence[Watched]
    ) -> list[Watched]:
        """Make the subscription of a group; returns items that the server has no room for."""
        period_s, stale_s = group.period_ms / 1000, group.stale_after_ms / 1000
        keep_alives = max(1, int(stale_s / KEEP_ALIVES / period_s))
        lifetimes = max(3 * keep_alives, math.ceil(MIN_LIFE_S / period_s))
        made = await connection.subscribe(period_s, keep_alives, lifetimes)
        limit_s = stale_s
        if made.keep_alive_s * 1.5 > stale_s:
            limit_s = made.keep_alive_s * 1.5 + self.config.timeout_ms / 1000
            self.note(
                f"the server tells that it lives every {made.keep_alive_s:g} s only: "
                f"raise stale_after_ms of '{group.name}' above {limit_s * 1000:.0f}"
            )
        now_s = asyncio.get_running_loop().time()
        feed = Feed(made, [], limit_s, now_s, now_s, group.stale_after_ms * 1_000_000 // KEEP_ALIVES)
        self._feeds[made.id] = feed
        unwatched = await self._monitor(connection, feed, items)
        for item in items:
            self._limit_s[list(item.places)] = limit_s
        return unwatched

    async def _monitor(self, connection: Connection, feed: Feed, items: Sequence[Watched]) -> list[Watched]:
        """Make monitored items; returns those that the server has no room for."""
        by_handle = {item.handle: item for item in items}
        results = await connection.monitor(feed.subscription, [_wish(item, True) for item in items])
        plain = [
            by_handle[result.handle]
            for result in results
            if result.status & 0xFFFF_0000 in _NO_DEADBAND and _has_deadband(by_handle[result.handle])
        ]
        if plain:
            why = f"the server has no deadband for {plain[0].address}; every change is told"
            self.note(f"{self.config.points[plain[0].places[0]].name}: {why}")
            without = {item.handle for item in plain}
            results = [result for result in results if result.handle not in without]
            results += await connection.monitor(feed.subscription, [_wish(item, False) for item in plain])
        unwatched: list[Watched] = []
        feed.refused = []
        for result in results:
            item = by_handle[result.handle]
            if not is_bad(result.status):
                self._accept(feed, item, result, item not in plain)
            elif result.status & 0xFFFF_0000 == _TOO_MANY_ITEMS:
                unwatched.append(item)
            else:
                feed.refused.append(item)
                self._refuse(item, status_name(result.status))
        if unwatched:
            self.note(f"the server has no room for {len(unwatched)} monitored items: they are polled")
        return unwatched

    def _accept(self, feed: Feed, item: Watched, result: Item, with_deadband: bool) -> None:
        feed.items.append(item)
        item.sampled_ms = result.sampling_ms
        item.has_deadband = with_deadband and _has_deadband(item)
        self.told.monitored += 1
        self._is_refused[list(item.places)] = False
        self.samples.misfits.difference_update(item.places)

    async def _publish(self, connection: Connection) -> None:
        """Ask for what there is to tell, again and again."""
        while True:
            confirmed, self._confirmed = self._confirmed, []
            try:
                published = await connection.publish(confirmed)
            except ServiceFault as fault:
                if fault.status == BAD_TOO_MANY_PUBLISH_REQUESTS and self._publishes > 1:
                    self._publishes -= 1
                    return
                if fault.status == BAD_TIMEOUT:
                    continue
                raise
            self._take(published)

    def _take(self, published: Published) -> None:
        feed = self._feeds.get(published.subscription)
        if feed is None:
            return
        now_s = asyncio.get_running_loop().time()
        feed.last_s = now_s
        self.session.on(Event.ANSWERED)
        if published.ended is not None:
            self.told.rebuilds += 1
            raise BrokenError(f"the server ended a subscription: {status_name(published.ended)}")
        if published.has_data:
            if feed.sequence is not None and published.sequence != feed.sequence:
                self.counts.garbled += 1
                self.told.rebuilds += 1
                raise BrokenError("messages of a subscription were lost")
            feed.sequence = published.sequence + 1 if published.sequence < 0xFFFF_FFFF else 1
            self._confirmed.append((published.subscription, published.sequence))
            self._take_changes(feed, published.changes, now_s)
        if len(feed.rows):
            self._heard_s[feed.rows] = now_s
            self.samples.confirm(feed.rows, feed.refresh_ns)

    def _take_changes(self, feed: Feed, changes: Sequence[tuple[int, Reading]], now_s: float) -> None:
        items = self._items
        rows: list[int] = []
        numbers: list[float] = []
        statuses: list[int] = []
        sources: list[int | None] = []
        is_quick = True
        settled = len(feed.settled)
        overflows = 0
        for handle, reading in changes:
            if handle >= len(items):
                continue
            item = items[handle]
            if item.last is None:
                feed.settled.extend(item.places)
            item.last = reading
            item.heard_s = now_s
            item.tellings += 1
            value, type, status, source, server = reading
            if status & OVERFLOW == OVERFLOW:
                overflows += 1
            if is_quick and item.quick >= 0 and type in NUMBER_TYPES and not isinstance(value, list):
                rows.append(item.quick)
                numbers.append(value)  # type: ignore[arg-type] # the type says so
                statuses.append(status)
                sources.append(server if source is None else source)
            else:
                is_quick = False
        self.told.notifications += len(changes)
        self.told.overflows += overflows
        if is_quick:
            if rows:
                self.samples.take_numbers(rows, numbers, statuses, sources)
        else:
            assert self._types is not None
            self.samples.take(
                [
                    (place, reading)
                    for handle, reading in changes
                    if handle < len(items)
                    for place in items[handle].places
                ],
                self._types.definitions,
            )
        if len(feed.settled) != settled:
            feed.rows = np.unique(np.array(feed.settled, np.intp))

    async def _listen(self) -> None:
        """Find subscriptions that are silent, and items that were never told."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = loop.time()
            for feed in self._feeds.values():
                if now_s - feed.last_s > feed.limit_s:
                    self.told.rebuilds += 1
                    raise BrokenError(f"a subscription was silent for {feed.limit_s:g} s")
                patience_s = feed.limit_s + 2 * feed.subscription.publishing_s + self.config.timeout_ms / 1000
                if now_s - feed.since_s > patience_s:
                    self._demand([item for item in feed.items if item.last is None])
                    feed.since_s = math.inf

    def _demand(self, mute: Sequence[Watched]) -> None:
        """These should have been told and were not: the first time all is made anew, the second they are polled."""
        if not mute:
            return
        handles = {item.handle for item in mute}
        again = handles & self._mute
        self._polled |= again
        self._mute |= handles
        self.told.rebuilds += 1
        name = self.config.points[mute[0].places[0]].name
        what = f"{len(mute)} values, of {name} first" if len(mute) > 1 else f"the value of {name}"
        raise BrokenError(f"a subscription did not tell {what}{'; polled from now on' if again else ''}")

    async def _verify(self, connection: Connection) -> None:
        """Read what should have been told."""
        loop = asyncio.get_running_loop()
        start = 0
        while True:
            await asyncio.sleep(self.config.verify_s)
            told = [item for feed in self._feeds.values() for item in feed.items if _is_comparable(item)]
            if not told:
                continue
            some = [told[(start + i) % len(told)] for i in range(min(VERIFIED, len(told)))]
            start = (start + len(some)) % len(told)
            begun_s = loop.time()
            readings = await connection.read([item.node for item in some if item.node is not None])
            suspects = [
                item for item, reading in zip(some, readings, strict=True) if _is_other(item, reading)
            ]
            # one that was told a change is not mute, even if it was once
            self._mute.difference_update([item.handle for item in some if item.tellings > 1])
            if not suspects:
                continue
            publishing_s = max(feed.subscription.publishing_s for feed in self._feeds.values())
            await asyncio.sleep(2 * publishing_s + 2 * max(item.sampled_ms for item in suspects) / 1000 + 1.0)
            # a pulse between two samples need not be told: what matters is what stays
            suspects = [item for item in suspects if item.heard_s < begun_s]
            again = await connection.read([item.node for item in suspects if item.node is not None])
            self._demand(
                [
                    item
                    for item, reading in zip(suspects, again, strict=True)
                    if item.heard_s < begun_s and _is_other(item, reading)
                ]
            )

    async def _try_refused(self, connection: Connection) -> None:
        while True:
            await asyncio.sleep(REFUSED_S)
            for feed in self._feeds.values():
                refused = feed.refused
                if refused:
                    await self._monitor(connection, feed, refused)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _poll(self, connection: Connection, group: PollGroup, items: Sequence[Watched]) -> None:
        loop = asyncio.get_running_loop()
        schedule = Schedule(group.period_ms / 1000, loop.time())
        assert self._types is not None
        nodes = [item.node for item in items if item.node is not None]
        refresh_ns = group.stale_after_ms * 1_000_000 // KEEP_ALIVES
        while True:
            begun_s = loop.time()
            readings = await self._answer(connection.read(nodes))
            if readings is not None:
                self._take_poll(items, readings, begun_s, refresh_ns)
            schedule.advance(loop.time())
            await asyncio.sleep(schedule.next_s - loop.time())

    def _take_poll(
        self, items: Sequence[Watched], readings: Sequence[Reading], begun_s: float, refresh_ns: int
    ) -> None:
        assert self._types is not None
        now_s = asyncio.get_running_loop().time()
        fresh: list[tuple[int, Reading]] = []
        same: list[int] = []
        for item, reading in zip(items, readings, strict=True):
            if reading.value is None and reading.status & 0xFFFF_0000 in _NO_SUCH_NODE:
                self._refuse(item, status_name(reading.status))
                continue
            self._is_refused[list(item.places)] = False
            if reading[:4] == (item.last[:4] if item.last is not None else None):
                same.extend(item.places)
            else:
                # what was asked before a command was read back may be from before the command
                fresh += [(place, reading) for place in item.places if self._read_back_s[place] < begun_s]
            item.last = reading
            self._heard_s[list(item.places)] = now_s
        self.samples.take(fresh, self._types.definitions)
        if same:
            self.samples.confirm(np.array(same, np.intp), refresh_ns)

    async def _heartbeat(self, connection: Connection) -> None:
        """A sign of life also where nothing is polled."""
        stale_s = min(group.stale_after_ms for group in self.config.groups) / 1000
        period_s = min(stale_s, connection.patience_s) / KEEP_ALIVES
        while True:
            if await self._answer(connection.read([STATE])) is not None and len(self._orders):
                self._heard_s[self._orders] = asyncio.get_running_loop().time()
                self.samples.confirm(self._orders, int(period_s * 1e9))
            await asyncio.sleep(period_s)

    async def _answer(self, asking: Awaitable[list[Reading]]) -> list[Reading] | None:
        """An answer, or None where one is missing for the first time. Raises TimeoutError for the second."""
        try:
            answer = await asking
        except TimeoutError:
            self.note("no answer in time")
            if self.session.state is State.DOWN or self.session.on(Event.SILENT) is State.DOWN:
                raise
            return None
        if self.session.state is not State.DOWN:
            self.session.on(Event.ANSWERED)
        return answer

    async def _watch(self) -> None:
        """Points that nobody confirmed for too long."""
        loop = asyncio.get_running_loop()
        while True:
            is_old = (loop.time() - self._heard_s > self._limit_s) & ~self._is_refused
            gone = np.flatnonzero(is_old & ~self._is_lost)
            if len(gone):
                self.samples.lose(gone)
            self._is_lost = is_old
            await asyncio.sleep(LOOK_S)

    def lose(self) -> None:
        """Nobody watches any more."""
        if len(self.config.points):
            self.samples.lose()

    # ── commands ───────────────────────────────────────────────────────────────────────────────────────────────
    async def operate(self, point: OpcUaPoint, value: Value) -> None:
        """Call the point's method, or write its node, once. Raises OperateError, NotConnectedError, TimeoutError."""
        connection = self._connection
        if connection is None:
            raise NotConnectedError(f"{self.config.name} is not connected: {self.told.last_error}")
        method = point.method
        if method is not None and point.method_false is not None and value is False:
            method = point.method_false
        try:
            if method is None:
                await self._write(connection, point, value)
            else:
                await self._call(connection, point, method, value)
        except Unfit as error:
            raise OperateError(f"{point.name}: {error}") from None
        if point.node is None:
            self.samples.told(self._place[point.tag], value, time.time_ns())

    async def _write(self, connection: Connection, point: OpcUaPoint, value: Value) -> None:
        assert point.node is not None
        node = connection.node(point.node)
        if node is None:
            raise OperateError(f"the server has no namespace {point.node.namespace}")
        with_type = await self._before(self._type_of(connection, node))
        raw = node_value(point, value, with_type)
        index = point.field[0] if point.field else None
        assert index is None or isinstance(index, int), "the site file was checked for this"
        if index is not None:
            await self._demand_ranges(connection, node, index)
        status = await self._sent(connection.write(node, raw, with_type, index))
        if is_bad(status):
            raise self._refusal(point, status)

    async def _demand_ranges(self, connection: Connection, node: NodeKey, index: int) -> None:
        """A server that knows no ranges of arrays would take an element for the whole. Raises OperateError."""
        reading = (await self._before(connection.read([node], index=index)))[0]
        if is_bad(reading.status) or not isinstance(reading.value, list) or len(reading.value) != 1:
            raise OperateError("the server takes no single elements of arrays")

    async def _call(
        self, connection: Connection, point: OpcUaPoint, method: OpcUaMethod, value: Value
    ) -> None:
        on, node = connection.node(method.object), connection.node(method.method)
        if on is None or node is None:
            raise OperateError(f"the server has no namespace of {method.method}")
        wanted = self._arguments.get(node)
        if wanted is None:
            wanted = self._arguments[node] = await self._before(self._ask_arguments(connection, node))
        if len(wanted) != len(method.arguments):
            names = ", ".join(name for name, _, _ in wanted) or "none"
            raise OperateError(f"{point.name}: the method takes {len(wanted)} arguments: {names}")
        arguments: list[tuple[object, int]] = []
        for given, (name, type, is_array) in zip(method.arguments, wanted, strict=True):
            try:
                made = node_value(point, value, type) if given == COMMANDED else typed(given, type)
            except Unfit as error:
                raise OperateError(f"{point.name}: the argument {name}: {error}") from None
            arguments.append(([made] if is_array else made, type))
        status, each = await self._sent(connection.call(on, node, arguments))
        if is_bad(status):
            wrong = [name for (name, _, _), one in zip(wanted, each, strict=False) if is_bad(one)]
            raise self._refusal(point, status, f" for {', '.join(wrong)}" if wrong else "")

    async def _type_of(self, connection: Connection, node: NodeKey) -> int:
        """The built-in type that a node takes."""
        known = self._node_types.get(node)
        if known is not None:
            return known
        assert self._types is not None
        reading = (await connection.read([node], DATA_TYPE))[0]
        if is_bad(reading.status) or not isinstance(reading.value, tuple):
            raise OperateError(f"the server does not tell the node's type: {status_name(reading.status)}")
        built_in = await self._types.built_in_of(reading.value)
        if built_in not in range(1, 24):  # abstract: what its value is
            built_in = (await connection.read([node]))[0].type
        self._node_types[node] = built_in
        return built_in

    async def _ask_arguments(self, connection: Connection, method: NodeKey) -> list[tuple[str, int, bool]]:
        assert self._types is not None
        told = await connection.arguments(method)
        return [(one.name, await self._types.built_in_of(one.data_type), one.is_array) for one in told]

    async def read_back(self, point: OpcUaPoint) -> Value:
        """What the server says now. Raises OperateError, NotConnectedError, TimeoutError."""
        connection, place = self._connection, self._place[point.tag]
        if connection is None or self._types is None:
            raise NotConnectedError(f"{self.config.name} is not connected: {self.told.last_error}")
        if point.node is None:
            value, status = self.samples.value(place)
            if is_bad(status):
                raise OperateError(f"{point.name} was not commanded since {self.config.name} was connected")
            return value
        node = connection.node(point.node)
        if node is None:
            raise OperateError(f"the server has no namespace {point.node.namespace}")
        definitions = self._types.definitions
        reading = (await self._before(connection.read([node])))[0]
        self._read_back_s[place] = asyncio.get_running_loop().time()
        self.samples.take([(place, reading)], definitions)
        value, status = self.samples.value(place)
        if is_bad(status):
            raise OperateError(f"the server says {status_name(status)} of {point.name}")
        return value

    async def _before(self, asking: Awaitable[_T]) -> _T:
        """What is asked before anything was sent that acts."""
        try:
            return await asking
        except ServiceFault as fault:
            raise OperateError(f"the server answered {fault}") from fault
        except (LostError, WireError) as error:
            raise NotConnectedError(f"{self.config.name} is not connected: {error}") from error

    async def _sent(self, asking: Awaitable[_T]) -> _T:
        """A request that acts: without an answer it is not known whether it did."""
        try:
            return await asking
        except ServiceFault as fault:
            raise OperateError(f"the server answered {fault}") from fault
        except (LostError, WireError) as error:
            raise TimeoutError from error

    def _refusal(self, point: OpcUaPoint, status: int, what: str = "") -> OperateError:
        self.counts.refusals += 1
        why = f"the server answered {status_name(status)}{what}"
        self.note(f"{point.name}: {why}")
        return OperateError(why)


def _items(config: OpcUaDevice) -> list[Watched]:
    """One for each node and way of reading it; points of parts of one node share it."""
    found: dict[tuple[object, ...], list[int]] = {}
    for place, point in enumerate(config.points):
        if point.node is not None:
            key = (point.node, point.group, point.read, point.sampling_ms, point.queue)
            found.setdefault((*key, point.absolute_deadband, point.percent_deadband), []).append(place)
    items: list[Watched] = []
    for places in found.values():
        point = config.points[places[0]]
        assert point.node is not None
        sampling_ms = point.sampling_ms
        if sampling_ms is None:
            sampling_ms = config.groups[point.group].period_ms
        is_quick = len(places) == 1 and not point.field and point.type is ValueType.DOUBLE
        items.append(
            Watched(
                handle=len(items),
                address=point.node,
                group=point.group,
                read=point.read,
                sampling_ms=sampling_ms,
                queue=point.queue,
                absolute=point.absolute_deadband,
                percent=point.percent_deadband,
                places=tuple(places),
                quick=places[0] if is_quick else -1,
            )
        )
    return items


def _wish(item: Watched, with_deadband: bool) -> Wish:
    assert item.node is not None
    return Wish(
        item.handle,
        item.node,
        float(item.sampling_ms),
        item.queue,
        item.absolute if with_deadband else None,
        item.percent if with_deadband else None,
    )


def _has_deadband(item: Watched) -> bool:
    return item.absolute is not None or item.percent is not None


def _is_comparable(item: Watched) -> bool:
    """Whether what was told last should be what is read now."""
    return item.last is not None and not item.has_deadband and item.sampled_ms <= SLOW_SAMPLING_MS


def _is_other(item: Watched, reading: Reading) -> bool:
    """Whether a value read is another than the one told last.

    A NaN is like any other, and numbers may differ a little: there are servers with deadbands of their own.
    """
    assert item.last is not None
    told, read = item.last.value, reading.value
    if item.last.status != reading.status:
        return True
    if isinstance(told, float) and isinstance(read, float):
        return not (math.isclose(told, read, rel_tol=SLACK) or (math.isnan(told) and math.isnan(read)))
    return told != read
