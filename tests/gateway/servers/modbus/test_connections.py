"""Who may connect, requests in a row, and clients that stop, hang, or never read."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.servers.modbus import server
from gateway.tags.command import Done, TimedOut

READ = "04 0000 0001"
ANSWER = "0402ff85"


async def test_requests_sent_at_once_are_answered_in_order_each_with_its_id(served, wire) -> None:
    frame, answer = wire
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    ids = [7, 65_535, 0, 7, 300]
    pdus = [READ, "01 0000 0003", "04 0013 0001", "05 0000 ff00", READ]
    served.hold = asyncio.Event()
    writer.write(b"".join(frame(id, 1, pdu) for id, pdu in zip(ids, pdus, strict=True)))
    first = [await answer(reader, id, 1) for id in ids[:3]]
    assert first == [ANSWER, "010102", "8402"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)  # the write is under way: who comes after it waits
    served.hold.set()
    assert [await answer(reader, id, 1) for id in ids[3:]] == ["050000ff00", ANSWER]
    writer.close()


async def test_one_clients_write_does_not_hold_up_another(served, wire, eventually) -> None:
    served.hold = asyncio.Event()
    writing = asyncio.create_task(served.ask(1, "05 0000 ff00"))
    await eventually(lambda: bool(served.commands), "the command")
    assert await served.ask(1, READ) == ANSWER
    served.hold.set()
    assert await writing == "050000ff00"


async def test_a_frame_may_come_octet_by_octet(served, wire) -> None:
    frame, answer = wire
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for octet in frame(5, 1, READ):
        writer.write(bytes((octet,)))
        await writer.drain()
        await asyncio.sleep(0)
    assert await answer(reader, 5, 1) == ANSWER
    writer.close()


@pytest.mark.parametrize(
    "octets",
    [
        "0001 0001 0006 01 040000 0001",  # another protocol
        "0001 0000 0001 01",  # no function
        "0001 0000 00ff 01" + "00" * 254,  # too long
        "474554202f20485454502f312e310d0a0d0a",
    ],
)
async def test_what_is_no_modbus_ends_the_connection(served, octets: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(bytes.fromhex(octets))
    async with asyncio.timeout(5):
        assert await _rest(reader) == b""
    writer.close()


async def test_a_client_that_stops_within_a_frame_is_dropped(
    served, monkeypatch: pytest.MonkeyPatch, eventually
) -> None:
    monkeypatch.setattr(server, "FRAME_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(bytes.fromhex("0001 0000 0006 01 04"))
    async with asyncio.timeout(5):
        assert await _rest(reader) == b""
    await eventually(lambda: served.door.connections == 0, "its place is free")
    writer.close()


async def test_a_client_that_waits_between_frames_is_not(
    served, monkeypatch: pytest.MonkeyPatch, wire
) -> None:
    frame, answer = wire
    monkeypatch.setattr(server, "FRAME_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1)
    writer.write(frame(1, 1, READ))
    assert await answer(reader, 1, 1) == ANSWER
    writer.close()


async def test_a_client_that_reads_no_answers_is_dropped_and_holds_up_nobody(
    served, monkeypatch: pytest.MonkeyPatch, wire, eventually
) -> None:
    frame, _ = wire
    monkeypatch.setattr(server, "UNREAD_S", 0.3)
    monkeypatch.setattr(server, "UNREAD_BYTES", 4096)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    flood = b"".join(frame(i % 65_536, 1, "04 0000 0009") for i in range(2_000))
    is_gone = False
    asked = 0
    async with asyncio.timeout(60):
        while not is_gone:
            try:
                sent = sock.send(flood)
                flood = flood[sent:] + flood[:sent]
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except (ConnectionError, BrokenPipeError):
                is_gone = True
            if asked < 20:
                asked += 1
                assert await served.ask(1, READ) == ANSWER
    await eventually(lambda: served.door.connections == 0, "its place is free")
    sock.close()


async def test_connections_are_bounded(served, wire, eventually) -> None:
    frame, answer = wire
    pairs = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(5)]
    await eventually(lambda: served.door.connections == 5, "all five")
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    async with asyncio.timeout(5):
        assert await _rest(reader) == b""
    writer.close()
    pairs[0][1].write(frame(1, 1, READ))
    assert await answer(pairs[0][0], 1, 1) == ANSWER, "the others go on"
    pairs[1][1].close()
    await eventually(lambda: served.door.connections == 4, "one left")
    assert await served.ask(1, READ) == ANSWER
    for _, one in pairs:
        one.close()


async def test_a_client_that_leaves_before_the_answer_has_still_commanded(served, wire, eventually) -> None:
    frame, _ = wire
    served.hold = asyncio.Event()
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(frame(1, 1, "05 0000 ff00"))
    await eventually(lambda: bool(served.commands), "the command")
    writer.transport.abort()
    served.hold.set()
    await eventually(lambda: served.door.connections == 0, "its place is free")
    assert served.wishes == [("d.close", True)]


CLIENTS = "clients: {ems: {hosts: [127.0.0.0/8], user: dispatcher}}"


@pytest.mark.parametrize(
    ("clients", "read", "write"),
    [
        ("{ems: {hosts: [192.0.2.7], user: dispatcher}}", None, None),
        ("{ems: {hosts: [127.0.0.1]}}", ANSWER, "8501"),  # no user: it reads
        ("{ems: {hosts: [127.0.0.1], user: watcher}}", ANSWER, "8501"),
        ("{ems: {hosts: [127.0.0.1], user: dispatcher, units: [2]}}", "840b", "850b"),
        (
            "{one: {hosts: [10.0.0.0/8, 127.0.0.1/32]}, other: {hosts: [127.0.0.0/8], user: dispatcher}}",
            ANSWER,
            "8501",
        ),
        (
            "{other: {hosts: [127.0.0.0/8], user: dispatcher}, one: {hosts: [127.0.0.1]}}",
            ANSWER,
            "050000ff00",
        ),
    ],
)
async def test_who_may_do_what(
    tmp_path, served, text: str, clients: str, read: str | None, write: str | None
) -> None:
    assert CLIENTS in text
    other = type(served)(tmp_path, text.replace(CLIENTS, f"clients: {clients}"))
    other.fill()
    await other.door.open()
    try:
        assert await _asked(other, READ) == read
        assert await _asked(other, "05 0000 ff00") == write
        assert bool(other.commands) is (write == "050000ff00")
    finally:
        await other.door.close()
        other.writer.release()
        other.region.close()


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.9.9.9", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
    ],
)
async def test_addresses(served, host: str, is_known: bool) -> None:
    assert (served.door.client_at(host) is not None) is is_known


async def test_a_timeout_is_honest_and_bounded(served) -> None:
    served.outcome = lambda command: TimedOut("")
    assert await served.ask(2, "06 0068 0003") == "860b"
    served.outcome = lambda command: Done(command.value, 0)
    assert await served.ask(2, "06 0068 0003") == "0600680003"


PDUS = st.one_of(
    st.binary(min_size=1, max_size=253),
    st.builds(
        lambda function, address, count, rest: (
            bytes((function,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big") + rest
        ),
        st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43]),
        st.one_of(st.integers(0, 12), st.integers(100, 112), st.integers(0, 65_535)),
        st.one_of(st.integers(0, 9), st.sampled_from([0xFF00]), st.integers(0, 65_535)),
        st.one_of(st.just(b""), st.binary(max_size=40)),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pdus=st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 255]), PDUS), min_size=1, max_size=8),
    step=st.integers(1, 60),
)
async def test_any_pdu_gets_one_answer_of_its_own(
    served, wire, pdus: list[tuple[int, bytes]], step: int
) -> None:
    frame, answer = wire
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    stream = b"".join(frame(i, unit, pdu.hex()) for i, (unit, pdu) in enumerate(pdus))
    for at in range(0, len(stream), step):
        writer.write(stream[at : at + step])
    async with asyncio.timeout(20):
        for i, (unit, pdu) in enumerate(pdus):
            told = bytes.fromhex(await answer(reader, i, unit))
            assert told[0] & 0x7F == pdu[0] & 0x7F
            assert 1 <= len(told) <= 253
            if told[0] & 0x80:
                assert told[1:] in {bytes((code,)) for code in (1, 2, 3, 4, 6, 10, 11)}
    writer.close()
    await writer.wait_closed()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=600))
async def test_any_octets_end_the_connection_or_are_answered(served, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(octets)
    writer.write_eof()
    async with asyncio.timeout(20):
        assert len(await _rest(reader)) <= 260 * (len(octets) // 8 + 1)
    writer.close()
    assert await served.ask(1, READ) is not None


async def _asked(served, pdu: str) -> str | None:
    """None where the door is shut."""
    try:
        return str(await served.ask(1, pdu))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """All until the connection ends, by a reset too."""
    octets = b""
    try:
        while piece := await reader.read(4096):
            octets += piece
    except ConnectionError:
        pass
    return octets
