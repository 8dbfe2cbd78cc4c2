"""The command socket: the client, the server, and bytes that are neither."""

import asyncio
import json
import math
import os
import socket
import time
import uuid
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import unix_door
from gateway.commands import client as client_module
from gateway.commands import server as server_module
from gateway.commands import wire
from gateway.commands.client import CommandClient
from gateway.commands.server import CommandServer
from gateway.config.accounts import Accounts
from gateway.tags.command import Command, Done, Failed, Refusal, Refused, TimedOut

PASSWORD = "correct horse battery"


@pytest.fixture
def socket_path(tmp_path):
    return tmp_path / "c.sock"


@pytest.fixture
def accounts(tmp_path):
    accounts = Accounts(tmp_path / "accounts.json")
    accounts.set_password("olga", PASSWORD)
    return accounts


@pytest.fixture
def served(opened, socket_path, accounts):
    """A router behind its socket."""

    @asynccontextmanager
    async def serving(**changes):
        async with opened(**changes) as router:
            server = CommandServer(socket_path, router, accounts)
            await server.start()
            try:
                yield server
            finally:
                await server.stop()

    return serving


@pytest.fixture
async def client(socket_path):
    client = CommandClient(socket_path)
    yield client
    await client.close()


async def test_a_command_and_its_outcome_go_over_the_socket(served, client, device, wish):
    async with served():
        outcome = await client.send(wish(value=7.5))
    assert isinstance(outcome, Done)
    assert outcome.value == 7.5
    assert device.operated == [(1, 7.5)]


async def asked(socket_path, request):
    """Say one line, hear one."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        writer.write(request)
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_is_done_by_hand_is_in_the_audit_trail(served, socket_path, tmp_path):
    note = wire.Note("olga", "force", {"main.level": "1.5"}, "")
    async with served():
        reply = wire.decode_reply(await asked(socket_path, wire.encode_request(note)))
    assert reply == wire.Noted("")
    (path,) = tmp_path.glob("**/audit.jsonl")
    event = json.loads(path.read_text().splitlines()[-1])
    assert {key: event[key] for key in ("event", "user", "uid", "did", "values", "outcome")} == {
        "event": "by_hand", "user": "olga", "uid": os.geteuid(), "did": "force", "values": {"main.level": "1.5"},
        "outcome": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "olga", "did": "force", "values": ["main.level"], "outcome": ""},
        {"user": "olga", "did": "force", "values": {"main.level": 1.5}, "outcome": ""},
        {"user": "olga", "did": "force", "values": {str(n): "" for n in range(257)}, "outcome": ""},
        {"user": "olga", "values": {}, "outcome": ""},
    ],
)
async def test_a_malformed_note_ends_the_connection(served, socket_path, fields):
    async with served():
        reply = await asked(socket_path, json.dumps({"note": fields}).encode() + b"\n")
    assert isinstance(wire.decode_reply(reply), wire.Fault)


async def test_only_this_user_may_open_the_socket(served, socket_path):
    async with served():
        assert socket_path.stat().st_mode & 0o777 == 0o600
    assert not socket_path.exists()


async def test_another_user_is_turned_away(served, socket_path, monkeypatch):
    monkeypatch.setattr(unix_door, "peer_uid", lambda _: 12345)
    async with served():
        reader, writer = await asyncio.open_unix_connection(socket_path)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_no_password_goes_to_a_socket_of_somebody_else(served, socket_path, monkeypatch):
    client, other = CommandClient(socket_path), CommandClient(socket_path)
    async with served():
        with monkeypatch.context() as patch:
            patch.setattr(client_module, "peer_uid", lambda _: 12345)
            with pytest.raises(ConnectionError):
                await client.sign_in("olga", PASSWORD)
        assert await other.sign_in("olga", PASSWORD)
    await client.close()
    await other.close()


async def test_commands_of_many_tags_share_a_connection(served, client, wish):
    commands = [
        wish(),
        wish(tag="genset1.trim", value=3),
        wish(tag="ev1.display", value="hi"),
        wish(user="eve"),
    ]
    async with served():
        outcomes = await asyncio.gather(*(client.send(command) for command in commands))
    assert [type(outcome) for outcome in outcomes] == [Done, Done, Done, Refused]


async def test_nan_is_refused_by_the_router_not_lost_on_the_way(served, client, wish):
    async with served():
        outcome = await client.send(wish(value=math.nan))
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.OUT_OF_LIMITS


async def test_a_terminals_command_needs_a_sign_in(served, client, device, wish):
    async with served():
        before = await client.send(wish(origin="cli"))
        assert isinstance(before, Refused)
        assert before.code is Refusal.NOT_AUTHORISED
        assert not await client.sign_in("olga", "wrong password")
        assert not await client.sign_in("nobody", PASSWORD)
        assert await client.sign_in("olga", PASSWORD)
        assert isinstance(await client.send(wish(origin="cli")), Done)
        other = await client.send(wish(origin="cli", user="enno"))
        assert isinstance(other, Refused)
    assert len(device.operated) == 1


async def test_guessing_passwords_ends_the_connection(served, client, monkeypatch):
    async with served():
        for _ in range(server_module.SIGN_INS):
            assert not await client.sign_in("olga", "wrong password")
        with pytest.raises(ConnectionError):
            await client.sign_in("olga", "wrong password")


async def test_without_a_router_the_command_is_refused(client, wish, monkeypatch):
    monkeypatch.setattr(client_module, "CONNECT_PATIENCE_S", 0.3)
    outcome = await client.send(wish())
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.NOT_CONNECTED


async def test_a_router_that_comes_a_little_later_is_waited_for(served, client, wish):
    sending = asyncio.create_task(client.send(wish()))
    await asyncio.sleep(0.2)
    async with served():
        assert isinstance(await sending, Done)


async def test_a_connection_lost_midway_is_made_again_and_the_command_acts_once(
    served, opened, client, device, wish
):
    device.may_answer.clear()
    async with served() as server:
        sending = asyncio.create_task(client.send(wish()))
        await device.touched.wait()
        for peer in list(server._door.peers):
            peer.cancel()
        await asyncio.sleep(0.2)
        device.may_answer.set()
        assert isinstance(await sending, Done)
    assert len(device.operated) == 1


async def test_after_a_restart_of_the_router_the_outcome_is_told_from_the_trail(
    served, client, device, wish, monkeypatch
):
    monkeypatch.setattr("gateway.commands.router.STOP_PATIENCE_S", 0.05)
    device.may_answer.clear()
    async with served():
        sending = asyncio.create_task(client.send(wish()))
        await device.touched.wait()
    async with served():
        assert isinstance(await sending, TimedOut)
    assert len(device.operated) == 1


async def test_a_client_that_leaves_does_not_cancel_the_command(served, client, socket_path, device, wish):
    device.may_answer.clear()
    command = wish()
    async with served():
        sending = asyncio.create_task(client.send(command))
        await device.touched.wait()
        await client.close()
        sending.cancel()
        device.may_answer.set()
        other = CommandClient(socket_path)
        assert isinstance(await other.send(command), Done)
        await other.close()
    assert len(device.operated) == 1


async def test_a_silent_router_is_not_waited_for_beyond_the_deadline(client, socket_path, wish, monkeypatch):
    monkeypatch.setattr(client_module, "OUTCOME_GRACE_S", 0.2)
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(socket_path))
    silent.listen()
    begin = time.monotonic()
    outcome = await client.send(wish(deadline_ns=time.time_ns() + 200_000_000))
    assert isinstance(outcome, TimedOut)
    assert time.monotonic() - begin < 2
    silent.close()


FAULTS = [
    b"\n",
    b"hello\n",
    b"\xff\xfe\n",
    b"[]\n",
    b'{"command":{},"sign_in":{}}\n',
    b'{"command":[]}\n',
    b'{"command":{}}\n',
    b'{"order":{"id":"x"}}\n',
    b'{"sign_in":{"user":"olga"}}\n',
    b"[" * 60_000 + b"\n",
    b"x" * 200_000,
]


@pytest.mark.parametrize("content", FAULTS, ids=range(len(FAULTS)))
async def test_bytes_that_are_no_request_get_a_fault_and_the_connection_ends(served, socket_path, content):
    async with served():
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(content)
        answer = await reader.read()
        assert answer.startswith(b'{"fault":{"why":')
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_command_with_a_wrong_field_is_refused_by_its_id(served, socket_path):
    async with served():
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(b'{"command":{"id":"x1","tag":5}}\n')
        answer = json.loads(await reader.readline())
        assert answer["outcome"]["id"] == "x1"
        assert answer["outcome"]["code"] == "malformed"
        writer.close()
        await writer.wait_closed()


async def test_a_peer_that_reads_nothing_is_dropped(served, socket_path, monkeypatch, wish):
    monkeypatch.setattr(server_module, "UNSENT_BYTES", 50_000)
    async with served() as server:
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, str(socket_path))
        line = wire.encode_request(wish(user="nobody" * 40))

        async def ask_for_ever() -> None:
            while True:
                await asyncio.get_running_loop().sock_sendall(peer, line)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), 20)
        peer.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*server._door.peers)


texts = st.text(max_size=60)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.booleans() | texts
commands = st.builds(
    Command, id=st.uuids(version=4).map(lambda id: id.hex), tag=texts, value=numbers, user=texts, origin=texts,
    deadline_ns=st.integers(0, 2**63 - 1), reason=texts,
)  # fmt: skip
outcomes = st.one_of(
    st.builds(Done, value=numbers, at_ns=st.integers(0, 2**63 - 1)),
    st.builds(Refused, code=st.sampled_from(Refusal), why=texts),
    st.builds(TimedOut, why=texts),
    st.builds(Failed, why=texts),
)


@given(commands)
def test_a_command_survives_the_wire(command):
    decoded = wire.decode_request(wire.encode_request(command))
    assert decoded == command
    assert type(decoded.value) is type(command.value)


@given(outcomes)
def test_an_outcome_survives_the_wire(outcome):
    answer = wire.Answer(uuid.uuid4().hex, outcome)
    assert wire.decode_reply(wire.encode_reply(answer)) == answer


@given(st.binary(max_size=200))
def test_garbage_gives_a_value_or_the_one_error(content):
    for decode in (wire.decode_request, wire.decode_reply):
        with suppress(wire.WireError):
            decode(content)
