"""What a pair of master and outstation can do together, tried: each feature as YES, or why not, as it answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dnp3_interop_ours import PATIENCE_S, OurMaster, OurOutstation, our_master, our_outstation, until
from dnp3_interop_peers import Peer, peer
from dnp3_interop_wire import (
    CON,
    DIRECT_OPERATE,
    DISABLE,
    ENABLE,
    OPERATE,
    READ,
    RESPONSE,
    SELECT,
    UNSOLICITED,
    Fragment,
    Relay,
)

from gateway.servers.dnp3.objects import Kind

YES = "yes"
QUIET_S = 0.5  # in which that does not come which is known not to come
_AGAIN = "unconfirmed events after a lost link, the same"
FEATURES = (
    "integrity poll",
    "class 1 events",
    "class 2 events",
    "class 3 events",
    "unsolicited responses",
    "times of events",
    "CROB, direct",
    "CROB, select before operate",
    "analog output 42.5, direct",
    "analog output 42.5, select before operate",
    "analog input 42.5",
    "time sync",
    "double-bit",
    "counter",
    "frozen counter",
    "octet string",
    _AGAIN,
)
_STATUS = "yes, but it does not tell the status that was answered"
_CLASS_1 = "no: every point is of class 1; "
# What others have not, by our role, their name and the feature: how their answer begins. All else has to be YES.
LIMITS: dict[tuple[str, str], dict[str, str]] = {
    ("master", "ours"): {},
    ("master", "opendnp3"): {
        "class 2 events": _CLASS_1 + "DatabaseConfig.analog_input: ",
        "class 3 events": _CLASS_1 + "DatabaseConfig.analog_input: ",
        "times of events": "no: it sends g2v1, without a time",
        "analog input 42.5": "no: it sends 42.0",
        "octet string": "no: UpdateBuilder.Update(octet_string): ",
    },
    ("master", "dnp3_python"): {
        "class 2 events": _CLASS_1 + "set to Class2, ",
        "class 3 events": _CLASS_1 + "set to Class2, ",
        "times of events": "no: it sends g2v1, without a time",
        "analog input 42.5": "no: it sends 42.0",
        "octet string": "no: UpdateBuilder.Update has no octet strings",
    },
    ("master", "dnp3py"): {
        "unsolicited responses": "no: it enables them and sends none",
        "times of events": "no: it sends g2v1, without a time",
        "analog input 42.5": "no: it sends 42.0",
        "double-bit": "no: Database has no double bits",
        "octet string": "no: Database has no octet strings",
        _AGAIN: "no: it asks for no confirm, ",
    },
    ("outstation", "opendnp3"): {},
    ("outstation", "dnp3_python"): {"octet string": "no: what its master hands over is not to be read: "},
    ("outstation", "dnp3py"): {
        "CROB, direct": _STATUS,
        "CROB, select before operate": _STATUS,
        "analog output 42.5, direct": "no: it sends g41v1, 42",
        "analog output 42.5, select before operate": "no: it sends g41v1, 42",
        "time sync": "yes, when its application writes g50v1; not by itself",
        "octet string": "no: its master has no type for g110",
    },
}
_OF_CLASS = {1: ("binary", 2), 2: ("analog", 32), 3: ("counter", 22)}  # point type, and group of its events
_KINDS = {"binary": Kind.BINARY, "analog": Kind.ANALOG, "counter": Kind.COUNTER}
_VALUES: dict[str, Any] = {"binary": False, "analog": 7, "counter": 78}
Column = dict[str, str]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _comes(condition: Callable[[], Any], limits: dict[str, str], feature: str) -> bool:
    """Whether it comes at all; what is known not to come is not waited for as long."""
    end = time.monotonic() + (QUIET_S if feature in limits else PATIENCE_S)
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.01)
    return bool(condition())


def _is_repeated(relay: Relay, first: Fragment, since: int) -> bool:
    """Whether the objects of a response came again, octet for octet, at the head of a later one."""
    return any(one.objects.startswith(first.objects) for one in relay.fragments[since:] if one.has_events)


def _is_left_quiet(relay: Relay) -> bool:
    """Whether the master has disabled unsolicited responses after it had enabled them."""
    functions = [one.function for one in relay.fragments if one.function in (ENABLE, DISABLE)]
    return ENABLE in functions and functions[-1] == DISABLE


# ── our master ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def our_master_with(name: str, folder: Path, relays: list[Relay]) -> Column:
    """Before an outstation of somebody else's."""
    limits = LIMITS["master", name]
    found: Column = {}
    port = _free_port()
    async with peer(name, "outstation", port) as station:
        await until(lambda: station.told("ready"), f"{name}'s outstation")
        refused = await _fill(station)
        relay = Relay(port)
        relays.append(relay)
        await relay.open()
        try:
            async with our_master(folder, relay.port, unsolicited=False, select=False) as master:
                await until(lambda: master.is_good("counter"), "the integrity poll")
                _look_at_values(found, master, refused)
                await until(lambda: station.told("time"), "the time")
                found["time sync"] = YES
                await until(lambda: _is_left_quiet(relay), "unsolicited responses off")
                await _poll_classes(found, master, station, relay)
                await _command(found, master, station, "direct")
                await _lose_the_confirm(found, master, station, relay, limits)
            since = len(relay.fragments)
            async with our_master(folder, relay.port, unsolicited=True, select=True) as master:
                await until(lambda: master.is_good("counter"), "the second integrity poll")
                await until(lambda: relay.found(ENABLE, 60, since=since), "unsolicited responses enabled")
                await _command(found, master, station, "select before operate")
                station.wish("update", row=["binary", 0, not master.sample("binary").value, _now_ms()])
                told = await _comes(
                    lambda: any(
                        one.has_events and one.function == UNSOLICITED for one in relay.fragments[since:]
                    ),
                    limits,
                    "unsolicited responses",
                )
                found["unsolicited responses"] = YES if told else "no: it enables them and sends none"
        finally:
            await relay.close()
    return found


async def _fill(station: Peer) -> dict[str, str]:
    """Give the outstation its values; which types it has not, and why."""
    first: dict[str, Any] = {
        "binary": True, "double_bit": 2, "counter": 77, "frozen_counter": 77, "analog": 42.5, "binary_output": True,
        "analog_output": 1.0, "octet_string": "feeder 1",
    }  # fmt: skip
    refused: dict[str, str] = {}
    for kind, value in first.items():
        before = len(station.told("updated"))
        station.wish("update", row=[kind, 0, value, _now_ms()])
        await until(lambda: len(station.told("updated")) > before, f"{kind} updated")  # noqa: B023 - awaited here
        why = station.told("updated")[-1]["refused"]
        if why is not None:
            refused[kind] = why
    return refused


def _look_at_values(found: Column, master: OurMaster, refused: dict[str, str]) -> None:
    wanted = {
        "integrity poll": [("binary", True), ("counter", 77), ("binary_output", True)],
        "double-bit": [("double_bit", 2)],
        "counter": [("counter", 77)],
        "frozen counter": [("frozen_counter", 77)],
        "octet string": [("octet_string", "feeder 1")],
        "analog input 42.5": [("analog", 42.5)],
    }
    for feature, rows in wanted.items():
        kind = rows[0][0]
        got = [(one, master.sample(one).value) for one, _ in rows]
        if kind in refused:
            found[feature] = f"no: {refused[kind]}"
        elif got == rows and all(master.is_good(one) for one, _ in rows):
            found[feature] = YES
        else:
            found[feature] = f"no: it sends {got[0][1]}"


async def _poll_classes(found: Column, master: OurMaster, station: Peer, relay: Relay) -> None:
    refusal = station.told("classes")[0]["refused"]
    for number, (kind, group) in _OF_CLASS.items():
        feature = f"class {number} events"
        has_bit, at_ms = await _event_of(kind, group, 1 << number, master, station, relay)
        if number == 1:
            untimed = relay.found(RESPONSE, group)[-1].objects[1]
            is_timed = at_ms in master.source_times_ms(kind)
            found["times of events"] = YES if is_timed else f"no: it sends g{group}v{untimed}, without a time"
        if has_bit:
            found[feature] = YES
        else:
            found[feature] = f"no: every point is of class 1; {refusal}"


async def _event_of(
    kind: str, group: int, bit: int, master: OurMaster, station: Peer, relay: Relay
) -> tuple[bool, int]:
    """Change a point and poll: whether the indications had named its class, and its time.

    The class shows in the answer to something else, between the change and the poll.
    """
    others = 0x0E & ~bit
    await master.poll()  # nothing else waits
    updates, at_ms, value = len(station.told("updated")), _now_ms(), _VALUES[kind]
    station.wish("update", row=[kind, 0, value, at_ms])
    await until(lambda: len(station.told("updated")) > updates, "the update")
    since = len(relay.fragments)

    def shown() -> list[int]:
        return [one.indications for one in relay.fragments[since:] if one.function == RESPONSE]

    end = time.monotonic() + PATIENCE_S
    while not any(
        one & (bit | others) for one in shown()
    ):  # the library takes an update in a thread of its own
        assert time.monotonic() < end, f"no answer said that there is an event of {kind}"
        await master.driver.read_back(master.tag("analog_output"))
    named = shown()[-1]
    await master.poll_until(lambda: relay.found(RESPONSE, group, since=since), f"the event of {kind}")
    await until(lambda: master.sample(kind).value == value, f"{kind} {value}")
    return bool(named & bit and not named & others), at_ms


async def _command(found: Column, master: OurMaster, station: Peer, how: str) -> None:
    wire = {"direct": "DIRECT_OPERATE", "select before operate": "SELECT_BEFORE_OPERATE"}[how]
    for kind, value, feature, wanted in (
        ("binary_output", True, f"CROB, {how}", "LATCH_ON"),
        ("analog_output", 42.5, f"analog output 42.5, {how}", 42.5),
    ):
        before = len(station.told("operated"))
        await master.driver.operate(master.tag(kind), value)
        await until(lambda: len(station.told("operated")) > before, f"{feature}")  # noqa: B023 - awaited here
        row = station.told("operated")[-1]["row"]
        found[feature] = YES if row == [kind, 0, wanted, wire] else f"no: it took {row[2]} by {row[3]}"


async def _lose_the_confirm(
    found: Column, master: OurMaster, station: Peer, relay: Relay, limits: dict[str, str]
) -> None:
    """The master reads an event; its confirm is lost, and the link with it."""
    await until(lambda: not relay.awaits_confirm(), "the confirm before, which is not the one to lose")
    connections = relay.connections
    since = len(relay.fragments)
    relay.withhold = True
    wanted = not master.sample("binary").value
    station.wish("update", row=["binary", 0, wanted, _now_ms()])
    await master.poll_until(lambda: relay.connections > connections, "the link lost and found")
    first = next(one for one in relay.fragments[since:] if one.has_events)
    assert master.sample("binary").value == wanted
    end = relay.fragments.index(first, since) + 1
    await master.poll_until(lambda: relay.found(READ, 60, since=end), "the next poll")
    if await _comes(lambda: _is_repeated(relay, first, end), limits, _AGAIN):
        found[_AGAIN] = YES
    else:
        asks = "asks for a confirm" if first.control & CON else "asks for no confirm"
        found[_AGAIN] = f"no: it {asks}, and does not tell the event again"


# ── our outstation ─────────────────────────────────────────────────────────────────────────────────────────────────
async def our_outstation_with(name: str, folder: Path, relays: list[Relay]) -> Column:
    """Before a master of somebody else's."""
    limits = LIMITS["outstation", name]
    found: Column = {}
    with_strings = True
    trouble = await _try_strings(name, relays)
    if trouble is not None:
        with_strings = False
        found["octet string"] = trouble
    async with our_outstation(unsolicited=False, with_strings=with_strings) as station:
        relay = Relay(station.server.port)
        relays.append(relay)
        await relay.open()
        try:
            async with peer(name, "master", relay.port) as master:
                await until(lambda: _has_started(master), f"{name}'s start-up")
                _look_at_rows(found, master)
                await _sync(found, master, station, limits)
                await _poll_each_class(found, master, station, relay)
                await _take_commands(found, master, station, relay, limits)
                await _freeze(found, master, station)
                await _withhold(found, master, station, relay)
        finally:
            await relay.close()
    async with our_outstation(unsolicited=True, with_strings=with_strings) as station:
        relay = Relay(station.server.port)
        relays.append(relay)
        await relay.open()
        try:
            async with peer(name, "master", relay.port) as master:
                await until(lambda: _has_enabled(master), "unsolicited responses enabled")
                since = len(master.said)
                station.tell(Kind.BINARY, False, _now_ms())
                await until(lambda: len(station.association.events) == 0, "the confirm")
                told = relay.found(UNSOLICITED, 2) and await _comes(
                    lambda: master.rows("binary", since), limits, "unsolicited responses"
                )
                found["unsolicited responses"] = YES if told else "no"
        finally:
            await relay.close()
    return found


def _has_started(master: Peer) -> bool:
    return any(one["name"] == "STARTUP_INTEGRITY_POLL" for one in master.told("task"))


def _has_enabled(master: Peer) -> bool:
    return any(one["name"] == "ENABLE_UNSOLICITED" for one in master.told("task"))


async def _try_strings(name: str, relays: list[Relay]) -> str | None:
    """What a master makes of an octet string; None: it takes it."""
    async with our_outstation(unsolicited=False, with_strings=True) as station:
        relay = Relay(station.server.port)
        relays.append(relay)
        await relay.open()
        try:
            async with peer(name, "master", relay.port) as master:
                await until(lambda: _has_started(master) or master.told("trouble"), f"{name}'s start-up")
                if master.told("trouble"):
                    return f"no: an answer with g110 ends with {master.told('trouble')[0]['why']}"
                answer = next(
                    one["answer"] for one in master.told("task") if one["name"] == "STARTUP_INTEGRITY_POLL"
                )
                if answer != "SUCCESS":
                    return f"no: an answer with g110 ends with {answer}"
                if master.told("unreadable"):
                    return f"no: what its master hands over is not to be read: {master.told('unreadable')[0]['why']}"
                if not master.rows("octet_string"):
                    return "no: its master has no type for g110, and tells nothing of it"
        finally:
            await relay.close()
    return None


def _look_at_rows(found: Column, master: Peer) -> None:
    wanted = {
        "integrity poll": [("binary", True), ("counter", 77), ("binary_output", True)],
        "double-bit": [("double_bit", 2)],
        "counter": [("counter", 77)],
        "octet string": [("octet_string", "feeder 1")],
        "analog input 42.5": [("analog", 42.5)],
    }
    for feature, rows in wanted.items():
        got = [(kind, [row[2] for row in master.rows(kind)]) for kind, _ in rows]
        if all(value in values for (_, value), (_, values) in zip(rows, got, strict=True)):
            found[feature] = YES
        else:
            found.setdefault(feature, f"no: it tells {got[0][1]}")


async def _sync(found: Column, master: Peer, station: OurOutstation, limits: dict[str, str]) -> None:
    if await _comes(lambda: station.association.clock_offset_ms is not None, limits, "time sync"):
        found["time sync"] = YES
        return
    master.wish("time")
    await until(lambda: station.association.clock_offset_ms is not None, "the time")
    found["time sync"] = "yes, when its application writes g50v1; not by itself"


async def _poll_each_class(found: Column, master: Peer, station: OurOutstation, relay: Relay) -> None:
    for number, (kind, group) in _OF_CLASS.items():
        since, said = len(relay.fragments), len(master.said)
        value, at_ms = _VALUES[kind], _now_ms()
        station.tell(_KINDS[kind], value, at_ms)
        master.wish("poll", classes=[number])
        await until(lambda: master.rows(kind, said), f"the event of {kind}")  # noqa: B023 - awaited here
        row = master.rows(kind, said)[0]
        assert relay.found(READ, 60, number + 1, since), "the class asked for"
        assert relay.found(RESPONSE, group, since=since)
        found[f"class {number} events"] = YES if row[2] == value else f"no: it tells {row[2]}"
        if number == 1:
            found["times of events"] = YES if row[4] == at_ms else f"no: it tells {row[4]} for {at_ms}"


async def _take_commands(
    found: Column, master: Peer, station: OurOutstation, relay: Relay, limits: dict[str, str]
) -> None:
    for how, select in (("direct", False), ("select before operate", True)):
        for wish, feature, wanted, group in (
            ("close", f"CROB, {how}", ("binary_output", True), 12),
            ("analog", f"analog output 42.5, {how}", ("analog_output", 42.5), 41),
        ):
            done, answers = len(station.commands), len(master.told("command"))
            tasks, since = len(master.told("task")), len(relay.fragments)
            master.wish(wish, select=select, value=42.5)
            await until(lambda: len(station.commands) > done, feature)  # noqa: B023 - awaited here
            await until(lambda: len(master.told("task")) > tasks, f"{feature}: the answer")  # noqa: B023
            assert bool(relay.found(SELECT, group, since=since)) is select
            if station.commands[-1] != wanted:
                form = relay.found(OPERATE if select else DIRECT_OPERATE, group)[-1].objects[1]
                found[feature] = f"no: it sends g{group}v{form}, {station.commands[-1][1]:g}"
            elif not await _comes(lambda: len(master.told("command")) > answers, limits, feature):  # noqa: B023
                found[feature] = _STATUS
            else:
                answer = master.told("command")[-1]["answer"]
                found[feature] = YES if answer == "SUCCESS" else f"no: it tells {answer}"


async def _freeze(found: Column, master: Peer, station: OurOutstation) -> None:
    said = len(master.said)
    tasks = len(master.told("task"))
    master.wish("freeze")
    await until(lambda: len(master.told("task")) > tasks, "the freeze")
    answer = master.told("task")[-1]["answer"]
    frozen = station.database.find(Kind.FROZEN_COUNTER, 0)
    assert frozen is not None
    assert frozen.measurement.value == 78
    master.wish("poll", classes=[3])
    await until(lambda: master.rows("frozen_counter", said), "the frozen counter")
    value = master.rows("frozen_counter", said)[0][2]
    if value != 78:
        found["frozen counter"] = f"no: it tells {value}"
    else:
        found["frozen counter"] = (
            YES if answer == "SUCCESS" else f"yes, but its freeze, done, ends with {answer}"
        )


async def _withhold(found: Column, master: Peer, station: OurOutstation, relay: Relay) -> None:
    """The master reads an event; its confirm is lost, and the link with it."""
    await until(lambda: not relay.awaits_confirm(), "the confirm before, which is not the one to lose")
    connections, since, said = relay.connections, len(relay.fragments), len(master.said)
    relay.withhold = True
    station.tell(Kind.BINARY, True, _now_ms())
    master.wish("poll", classes=[1, 2, 3])
    await until(lambda: relay.connections > connections, "the link lost and found")
    first = next(one for one in relay.fragments[since:] if one.has_events)
    end = relay.fragments.index(first, since) + 1
    asked_at = 0.0

    def is_told_again() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at > QUIET_S:  # one asked while the link comes up is lost
            asked_at = time.monotonic()
            master.wish("poll", classes=[1, 2, 3])
        return _is_repeated(relay, first, end)

    await until(is_told_again, "the event again")
    await until(lambda: len(station.association.events) == 0, "the confirm")

    def events() -> list[list[Any]]:
        return [row for row in master.rows("binary", said) if row[4] is not None]

    await until(lambda: len(events()) >= 2, "the event told twice")
    told = events()
    found[_AGAIN] = YES if told[0] == told[1] else f"no: {told}"
