"""The wire against a peer that misbehaves: late, wrong, doubled, partial and senseless answers."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress

import pytest

from gateway.config.modbus import Table
from gateway.drivers.modbus.client import (
    BadAnswerError,
    Connection,
    ExceptionAnswerError,
    LinkLostError,
    NoAnswerError,
    NotOpenError,
    Request,
    connect,
    mask_write_request,
    read_request,
    write_coil_request,
    write_register_request,
    write_registers_request,
)

LONG_S = 5.0  # never waited for
SHORT_S = 0.05  # waited for in full
READ = read_request(Table.HOLDING, 0x10, 2)
READ_PDU = "03 0010 0002"
ANSWER = "03 04 AABBCCDD"
DATA = bytes.fromhex("AABBCCDD")


async def ask(connection: Connection, timeout_s: float = LONG_S, request: Request = READ) -> bytes:
    return await connection.ask(request, 1, timeout_s)


@pytest.fixture
async def pair(peer):
    connection = await connect("127.0.0.1", peer.port, LONG_S)
    yield connection, await peer.visit()
    connection.close()


@pytest.mark.parametrize(
    ("request_", "pdu", "answer", "data"),
    [
        (read_request(Table.COIL, 3, 10), "01 0003 000A", "01 02 FF03", "FF03"),
        (read_request(Table.DISCRETE, 3, 8), "02 0003 0008", "02 01 81", "81"),
        (read_request(Table.HOLDING, 0xFFFF, 1), "03 FFFF 0001", "03 02 1234", "1234"),
        (read_request(Table.INPUT, 0, 125), "04 0000 007D", "04 FA " + "5A" * 250, "5A" * 250),
        (write_coil_request(7, True), "05 0007 FF00", "05 0007 FF00", "FF00"),
        (write_coil_request(7, False), "05 0007 0000", "05 0007 0000", "0000"),
        (write_register_request(9, b"\x12\x34"), "06 0009 1234", "06 0009 1234", "1234"),
        (write_registers_request(9, b"\1\2\3\4"), "10 0009 0002 04 01020304", "10 0009 0002", ""),
        (mask_write_request(9, 0xFFF7, 8), "16 0009 FFF7 0008", "16 0009 FFF7 0008", "FFF70008"),
    ],
)
async def test_each_function_sends_the_bytes_of_the_protocol(pair, request_, pdu, answer, data) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection, request=request_))
    asked = await visit.asked()
    assert (asked.unit, asked.pdu) == (1, bytes.fromhex(pdu))
    await visit.send(asked.answer(answer))
    assert await waiting == bytes.fromhex(data)


async def test_an_answer_may_come_byte_by_byte(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    for octet in (await visit.asked()).answer(ANSWER):
        await visit.send(bytes([octet]))
        await asyncio.sleep(0)
    assert await waiting == DATA


async def test_an_exception_answer_has_its_code_and_keeps_the_connection(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    await visit.send((await visit.asked()).answer("83 02"))
    with pytest.raises(ExceptionAnswerError, match=r"exception 2 \(illegal address\)") as caught:
        await waiting
    assert caught.value.code == 2
    assert connection.is_open


async def test_a_late_answer_never_shifts_the_next(pair) -> None:
    connection, visit = pair
    with pytest.raises(NoAnswerError):
        await ask(connection, SHORT_S)
    late = await visit.asked()
    for number in range(3):
        waiting = asyncio.ensure_future(ask(connection))
        asked = await visit.asked()
        if number == 1:  # it comes before the right one, in one piece with it
            await visit.send(late.answer("03 04 00000BAD") + asked.answer(ANSWER))
        else:
            await visit.send(asked.answer(ANSWER))
        assert await waiting == DATA


async def test_a_late_answer_cut_in_the_middle_by_a_request_never_shifts_the_next(pair) -> None:
    connection, visit = pair
    with pytest.raises(NoAnswerError):
        await ask(connection, SHORT_S)
    late = (await visit.asked()).answer("03 04 00000BAD")
    await visit.send(late[:9])
    waiting = asyncio.ensure_future(ask(connection))
    asked = await visit.asked()
    await visit.send(late[9:] + asked.answer(ANSWER))
    assert await waiting == DATA


async def test_a_request_that_was_cancelled_is_abandoned(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    first = await visit.asked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    waiting = asyncio.ensure_future(ask(connection))
    second = await visit.asked()
    await visit.send(first.answer("03 04 00000BAD") + second.answer(ANSWER))
    assert await waiting == DATA


async def test_a_cancelled_requests_answer_before_the_next_request_is_dropped(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    first = await visit.asked()
    waiting.cancel()
    await visit.send(first.answer("03 04 00000BAD"))
    await asyncio.gather(waiting, return_exceptions=True)
    waiting = asyncio.ensure_future(ask(connection))
    await visit.send((await visit.asked()).answer(ANSWER))
    assert await waiting == DATA


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("another transaction", lambda asked: asked.answer(ANSWER, transaction=asked.transaction + 1)),
        (
            "transaction 0, which pymodbus takes for the right one",
            lambda asked: asked.answer(ANSWER, transaction=0),
        ),
        ("another unit", lambda asked: asked.answer(ANSWER, unit=2)),
        ("another function", lambda asked: asked.answer("04 04 AABBCCDD")),
        ("an exception of another function", lambda asked: asked.answer("84 02")),
        ("fewer registers than asked", lambda asked: asked.answer("03 02 AABB")),
        ("more registers than asked", lambda asked: asked.answer("03 06 AABBCCDDEEFF")),
        ("a byte count that lies", lambda asked: asked.answer("03 04 AABB")),
        ("an odd byte count", lambda asked: asked.answer("03 03 AABBCC")),
        ("no data at all", lambda asked: asked.answer("03")),
        ("another protocol", lambda asked: b"\0\1\0\1" + asked.answer(ANSWER)[4:]),
        ("a length of nothing", lambda asked: b"\0\1\0\0\0\0\1\3"),
        ("a length past any frame", lambda asked: b"\0\1\0\0\1\0\1\3"),
        ("a line of text", lambda asked: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
)
async def test_what_is_no_answer_ends_the_connection_at_once(pair, name, frame) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    await visit.send(frame(await visit.asked()))
    with pytest.raises(BadAnswerError):
        await waiting
    assert not connection.is_open
    assert await visit.ended()
    with pytest.raises(NotOpenError):
        await ask(connection)


async def test_a_second_answer_to_one_request_ends_the_connection(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    frame = (await visit.asked()).answer(ANSWER)
    await visit.send(frame + frame)
    assert await waiting == DATA
    assert await visit.ended()
    assert isinstance(connection.end, BadAnswerError)


async def test_an_answer_nobody_asked_for_ends_the_connection(pair) -> None:
    connection, visit = pair
    await visit.send(bytes.fromhex("0001 0000 0007 01 03 04 AABBCCDD"))
    assert await visit.ended()
    assert isinstance(connection.end, BadAnswerError)


async def test_garbage_never_gives_data_nor_anything_but_the_package_errors(peer) -> None:
    chance = random.Random(11)
    for _ in range(200):
        connection = await connect("127.0.0.1", peer.port, LONG_S)
        visit = await peer.visit()
        waiting = asyncio.ensure_future(ask(connection, SHORT_S))
        frame = bytearray((await visit.asked()).answer(ANSWER))
        for _ in range(chance.randint(1, 3)):
            frame[chance.randrange(9)] ^= 1 << chance.randrange(8)  # the head; nothing guards the data
        await visit.send(bytes(frame))
        with suppress(BadAnswerError, NoAnswerError, ExceptionAnswerError):
            assert await waiting == DATA, frame.hex()  # two flips of one bit
        connection.close()


async def test_a_reset_is_a_lost_link(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    await visit.asked()
    visit.reset()
    with pytest.raises(LinkLostError):
        await waiting


async def test_a_close_by_the_device_is_a_lost_link(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection))
    await visit.asked()
    visit.close()
    with pytest.raises(LinkLostError, match="the device closed the connection"):
        await waiting


async def test_a_request_between_the_end_and_its_news_is_not_sent(pair) -> None:
    connection, _ = pair
    connection._transport.abort()  # connection_lost comes with the loop's next turn
    with pytest.raises(NotOpenError):
        await ask(connection)


async def test_a_refused_connection_says_where(unused_tcp_port) -> None:
    with pytest.raises(LinkLostError, match=f"no connection to 127.0.0.1:{unused_tcp_port}"):
        await connect("127.0.0.1", unused_tcp_port, LONG_S)


async def test_a_shorter_timeout_after_a_longer_one_is_kept(pair) -> None:
    connection, visit = pair
    waiting = asyncio.ensure_future(ask(connection, LONG_S))
    await visit.send((await visit.asked()).answer(ANSWER))
    await waiting
    async with asyncio.timeout(LONG_S / 2):
        with pytest.raises(NoAnswerError):
            await ask(connection, SHORT_S)


async def test_transactions_go_round_without_meeting_one_still_awaited(pair) -> None:
    connection, visit = pair
    with pytest.raises(NoAnswerError):
        await ask(connection, SHORT_S)
    late = await visit.asked()
    assert late.transaction == 1
    connection._transaction = 0xFFFF  # as after 65,535 requests
    waiting = asyncio.ensure_future(ask(connection))
    asked = await visit.asked()
    assert asked.transaction == 2
    await visit.send(late.answer("03 04 00000BAD") + asked.answer(ANSWER))
    assert await waiting == DATA


async def test_the_library_keeps_quiet(pair, caplog) -> None:
    connection, visit = pair
    with caplog.at_level(logging.WARNING):
        waiting = asyncio.ensure_future(ask(connection))
        await visit.send((await visit.asked()).answer(ANSWER, unit=9))
        with pytest.raises(BadAnswerError):
            await waiting
    assert caplog.records == []
