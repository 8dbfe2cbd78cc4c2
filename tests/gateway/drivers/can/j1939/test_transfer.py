"""Transfers of many packets, by hand-made frames of SAE J1939-21 5.10, and by garbage."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.can_j1939 import GLOBAL, MAX_BYTES
from gateway.drivers.can.j1939.transfer import (
    MAX_OPEN,
    T1,
    T2,
    T3,
    T4,
    Outcome,
    Receiver,
    Reply,
    Sending,
    packet,
    reason_text,
)

UNHURRIED = settings(  # a loaded machine is no failure
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

US, THEM = 0xF9, 0x00
BAM_20 = bytes.fromhex("20 14 00 03 ff ca fe 00")  # 20 bytes of group 65226 in 3 packets
RTS_20 = bytes.fromhex("10 14 00 03 ff ca fe 00")
DATA = bytes(range(1, 21))
DT = [bytes((n, *DATA[7 * n - 7 : 7 * n])).ljust(8, b"\xff") for n in (1, 2, 3)]
TIMEOUT = bytes.fromhex("ff 03 ff ff ff ca fe 00")


def test_a_broadcast_is_put_together_without_its_filling() -> None:
    receiver = Receiver()
    assert receiver.on_control(THEM, GLOBAL, BAM_20, 0.0) == []
    assert receiver.on_data(THEM, GLOBAL, DT[0], 0.05) == (None, [])
    assert receiver.on_data(THEM, GLOBAL, DT[1], 0.10) == (None, [])
    message, replies = receiver.on_data(THEM, GLOBAL, DT[2], 0.15)
    assert message is not None
    assert (message.pgn, message.source, message.data) == (65226, THEM, DATA)
    assert replies == []
    assert receiver.is_idle


def test_a_transfer_to_us_is_asked_for_in_windows_and_acknowledged() -> None:
    receiver = Receiver()
    two_at_a_time = bytes.fromhex("10 14 00 03 02 ca fe 00")
    replies = receiver.on_control(THEM, US, two_at_a_time, 0.0)
    assert replies == [Reply(THEM, bytes.fromhex("11 02 01 ff ff ca fe 00"))]
    assert receiver.on_data(THEM, US, DT[0], 0.1) == (None, [])
    message, replies = receiver.on_data(THEM, US, DT[1], 0.1)
    assert replies == [Reply(THEM, bytes.fromhex("11 01 03 ff ff ca fe 00"))]
    message, replies = receiver.on_data(THEM, US, DT[2], 0.1)
    assert replies == [Reply(THEM, bytes.fromhex("13 14 00 03 ff ca fe 00"))]
    assert message is not None
    assert message.data == DATA


def test_two_sources_and_two_destinations_do_not_mix() -> None:
    receiver = Receiver()
    others = [bytes((n,)) + bytes((0xA0 + n,)) * 7 for n in (1, 2, 3)]
    receiver.on_control(1, GLOBAL, BAM_20, 0.0)
    receiver.on_control(2, GLOBAL, BAM_20, 0.0)
    receiver.on_control(1, US, RTS_20, 0.0)
    whole = []
    for mine, other in zip(DT, others, strict=True):
        for source, destination, data in ((2, GLOBAL, other), (1, GLOBAL, mine), (1, US, other)):
            message, _ = receiver.on_data(source, destination, data, 0.1)
            whole += [message] if message is not None else []
    theirs = bytes([0xA1] * 7 + [0xA2] * 7 + [0xA3] * 6)
    assert [(one.source, one.destination, one.data) for one in whole] == [
        (2, GLOBAL, theirs), (1, GLOBAL, DATA), (1, US, theirs),
    ]  # fmt: skip


def test_a_broadcast_with_a_packet_lost_is_dropped_and_one_that_comes_twice_is_not() -> None:
    receiver = Receiver()
    receiver.on_control(THEM, GLOBAL, BAM_20, 0.0)
    receiver.on_data(THEM, GLOBAL, DT[0], 0.1)
    assert receiver.on_data(THEM, GLOBAL, DT[0], 0.1) == (None, [])
    receiver.on_data(THEM, GLOBAL, DT[1], 0.1)
    assert receiver.on_data(THEM, GLOBAL, DT[2], 0.1)[0] is not None
    receiver.on_control(THEM, GLOBAL, BAM_20, 0.2)
    receiver.on_data(THEM, GLOBAL, DT[0], 0.2)
    assert receiver.on_data(THEM, GLOBAL, DT[2], 0.2) == (None, [])
    assert receiver.on_data(THEM, GLOBAL, DT[1], 0.2) == (None, [])
    assert (receiver.is_idle, receiver.broken) == (True, 1)


def test_a_packet_lost_on_its_way_to_us_is_asked_for_again_and_not_for_ever() -> None:
    receiver = Receiver()
    receiver.on_control(THEM, US, RTS_20, 0.0)
    receiver.on_data(THEM, US, DT[0], 0.1)
    again = [Reply(THEM, bytes.fromhex("11 02 02 ff ff ca fe 00"))]
    assert receiver.on_data(THEM, US, DT[2], 0.1) == (None, again)
    assert receiver.on_data(THEM, US, DT[2], 0.2) == (None, again)
    gave_up = [Reply(THEM, bytes.fromhex("ff 05 ff ff ff ca fe 00"))]
    assert receiver.on_data(THEM, US, DT[2], 0.3) == (None, gave_up)
    assert receiver.is_idle


@pytest.mark.parametrize("number", [0, 4, 200])
def test_a_packet_that_was_not_asked_for_ends_the_transfer(number: int) -> None:
    receiver = Receiver()
    receiver.on_control(THEM, US, RTS_20, 0.0)
    _, replies = receiver.on_data(THEM, US, bytes((number,)) + bytes(7), 0.1)
    assert replies == [Reply(THEM, bytes.fromhex("ff 07 ff ff ff ca fe 00"))]


def test_what_stops_is_given_up_in_time_and_its_sender_told_where_one_asks() -> None:
    receiver = Receiver()
    receiver.on_control(THEM, GLOBAL, BAM_20, 0.0)
    assert receiver.expire(T1 - 0.01) == []
    assert not receiver.is_idle
    assert receiver.expire(T1) == []
    assert receiver.is_idle
    receiver.on_control(THEM, US, RTS_20, 10.0)
    assert receiver.expire(10.0 + T2 - 0.01) == []
    assert receiver.expire(10.0 + T2) == [Reply(THEM, TIMEOUT)]
    assert (receiver.is_idle, receiver.broken) == (True, 2)
    assert receiver.on_data(THEM, US, DT[0], 12.0) == (None, [])  # too late


def test_an_abort_of_the_sender_ends_its_transfer_and_no_other() -> None:
    receiver = Receiver()
    receiver.on_control(THEM, US, RTS_20, 0.0)
    receiver.on_control(THEM, US, bytes.fromhex("ff 01 ff ff ff cb fe 00"), 0.0)
    receiver.on_control(7, US, TIMEOUT, 0.0)
    assert not receiver.is_idle
    receiver.on_control(THEM, US, TIMEOUT, 0.0)
    assert receiver.is_idle


def test_who_begins_anew_begins_anew_and_another_group_has_to_wait() -> None:
    receiver = Receiver()
    receiver.on_control(THEM, US, RTS_20, 0.0)
    receiver.on_data(THEM, US, DT[0], 0.0)
    other = bytes.fromhex("10 14 00 03 ff cb fe 00")
    busy = [Reply(THEM, bytes.fromhex("ff 01 ff ff ff cb fe 00"))]
    assert receiver.on_control(THEM, US, other, 0.1) == busy
    receiver.on_control(THEM, US, RTS_20, 0.1)
    for one in DT[:2]:
        receiver.on_data(THEM, US, one, 0.2)
    assert receiver.on_data(THEM, US, DT[2], 0.2)[0] is not None


@pytest.mark.parametrize(
    "announced",
    [
        "20 08 00 02 ff ca fe 00",  # fits one frame
        "20 fa 06 00 ff ca fe 00",  # 1786 bytes
        "20 ff ff ff ff ca fe 00",
        "20 14 00 04 ff ca fe 00",  # 20 bytes in 4 packets
    ],
)
def test_sizes_that_can_not_be_are_not_believed(announced: str) -> None:
    receiver = Receiver()
    data = bytes.fromhex(announced)
    receiver.on_control(THEM, GLOBAL, data, 0.0)
    assert receiver.is_idle
    refused = receiver.on_control(THEM, US, b"\x10" + data[1:], 0.0)
    assert refused == [Reply(THEM, bytes.fromhex("ff 02 ff ff ff ca fe 00"))]


def test_no_more_transfers_are_open_than_memory_was_meant_for() -> None:
    receiver = Receiver()
    for source in range(MAX_OPEN):
        receiver.on_control(source, GLOBAL, BAM_20, 0.0)
    assert receiver.on_control(200, US, RTS_20, 0.0)[0].data[:2] == b"\xff\x02"
    receiver.clear()
    assert (receiver.is_idle, receiver.broken) == (True, MAX_OPEN + 1)


FRAME = st.one_of(
    st.binary(max_size=8),
    st.tuples(
        st.sampled_from((16, 17, 19, 32, 255)), st.integers(0, 40), st.integers(0, 1), st.integers(0, 6),
        st.integers(0, 255), st.just(0xCA), st.just(0xFE), st.just(0),
    ).map(bytes),
    st.tuples(st.integers(0, 6), *([st.integers(0, 255)] * 7)).map(bytes),
)  # fmt: skip


@UNHURRIED
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 3),
            st.sampled_from((GLOBAL, US)),
            FRAME,
            st.floats(0, 2),
        ),
        max_size=60,
    )
)
def test_whatever_comes_memory_is_bounded_and_messages_are_whole(
    events: list[tuple[bool, int, int, bytes, float]],
) -> None:
    receiver = Receiver()
    now_s = 0.0
    for is_control, source, destination, data, later_s in events:
        now_s += later_s
        if is_control:
            replies = receiver.on_control(source, destination, data, now_s)
        else:
            message, replies = receiver.on_data(source, destination, data, now_s)
            if message is not None:
                assert 8 < len(message.data) <= MAX_BYTES
        receiver.expire(now_s)
        assert all(len(reply.data) == 8 and reply.destination == source for reply in replies)
        assert len(receiver._open) <= 8
        assert all(len(one.parts) < one.packets for one in receiver._open.values())
    receiver.expire(now_s + 10)
    assert receiver.is_idle


@UNHURRIED
@given(st.binary(min_size=9, max_size=MAX_BYTES), st.integers(1, 255))
def test_what_is_sent_is_what_is_received(data: bytes, window: int) -> None:
    receiver, sending = Receiver(), Sending(0xEF00, data, 0.0)
    begin = bytearray(sending.start())
    begin[4] = window
    replies = receiver.on_control(THEM, US, bytes(begin), 0.0)
    message = None
    for _ in range(300):
        packets, abort = sending.on_control(replies[0].data, 0.0)
        assert abort is None
        for one in packets:
            message, replies = receiver.on_data(THEM, US, one, 0.0)
        if message is not None:
            break
    assert message is not None
    assert (message.pgn, message.data) == (0xEF00, data)
    sending.on_control(replies[0].data, 0.0)
    assert sending.outcome is Outcome.DONE


def cts(count: int, first: int) -> bytes:
    return bytes((0x11, count, first, 0xFF, 0xFF, 0x00, 0xEF, 0x00))


END = bytes.fromhex("13 14 00 03 ff 00 ef 00")


def test_our_transfer_goes_as_it_is_asked_for() -> None:
    sending = Sending(0xEF00, DATA, 0.0)
    assert sending.start() == bytes.fromhex("10 14 00 03 ff 00 ef 00")
    assert sending.on_control(cts(0, 1), 1.0) == ([], None)  # wait
    assert sending.until_s == 1.0 + T4
    assert sending.on_control(cts(2, 1), 2.0) == (DT[:2], None)
    assert sending.on_control(cts(1, 2), 2.1) == (DT[1:2], None)  # that one again
    assert sending.on_control(cts(9, 3), 2.2) == (DT[2:], None)
    assert sending.outcome is Outcome.OPEN
    sending.on_control(END, 2.3)
    assert sending.outcome is Outcome.DONE
    assert sending.on_control(cts(1, 1), 3.0) == ([], None)
    assert packet(DATA, 3) == DT[2]


def test_a_destination_that_says_nothing_did_not_get_it_or_perhaps_did() -> None:
    never = Sending(0xEF00, DATA, 0.0)
    assert never.on_time(T3 - 0.01) is None
    assert never.on_time(T3) == bytes.fromhex("ff 03 ff ff ff 00 ef 00")
    assert never.outcome is Outcome.REFUSED
    perhaps = Sending(0xEF00, DATA, 0.0)
    perhaps.on_control(cts(3, 1), 1.0)
    perhaps.on_time(1.0 + T3)
    assert perhaps.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("heard", "aborted"),
    [
        ([bytes.fromhex("ff 02 ff ff ff 00 ef 00")], False),
        ([cts(1, 4)], True),
        ([cts(1, 0)], True),
        ([END], True),
        ([cts(3, 1)] * 4, True),
    ],
)
def test_a_destination_that_refuses_or_breaks_the_rules_is_told_as_refused(
    heard: list[bytes], aborted: bool
) -> None:
    sending = Sending(0xEF00, DATA, 0.0)
    abort = None
    for one in heard:
        _, abort = sending.on_control(one, 0.0)
    assert sending.outcome is Outcome.REFUSED
    assert (abort is not None) == aborted
    assert sending.why


@UNHURRIED
@given(st.lists(FRAME, max_size=30))
def test_no_answer_makes_our_transfer_endless(heard: list[bytes]) -> None:
    sending = Sending(0xFECA, DATA, 0.0)
    count = sum(len(sending.on_control(one, 0.0)[0]) for one in heard)
    assert count <= 9
    sending.on_time(100.0)
    assert sending.outcome is not Outcome.OPEN


def test_every_reason_has_words() -> None:
    texts = [reason_text(reason) for reason in range(1, 12)]
    assert len(set(texts)) == 11
    assert all(a != b for a, b in pairwise(texts))
