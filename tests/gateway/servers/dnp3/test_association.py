"""The outstation's side of a conversation, octet by octet, on a clock of the test (IEEE 1815 clause 4)."""

from __future__ import annotations

import struct

from dnp3_outstations import FIRST, POINTS, T0, outstation, update
from dnp3_talk import INTEGRITY, READ_EVENTS, Talk, indications, quiet

from gateway.config.dnp3 import OutstationMaster
from gateway.servers.dnp3.application import Function, Indication
from gateway.servers.dnp3.association import Broadcast
from gateway.servers.dnp3.control import Status
from gateway.servers.dnp3.objects import Flag, Kind, Measurement

LATCH_ON = bytes.fromhex("0c01 2801 00 0100 0301 00000000 00000000 00")
TRIP = bytes.fromhex("0c01 1701 00 8101 64000000 64000000 00")
SET_42_5 = bytes.fromhex("2903 1701 00") + struct.pack("<f", 42.5) + b"\0"


def test_an_integrity_poll_tells_every_point() -> None:
    answer = quiet().one(Function.READ, INTEGRITY)
    assert answer[:2] == bytes((0xC0, Function.RESPONSE))
    assert indications(answer) == Indication.DEVICE_RESTART
    expected = (
        "010200000081"  # breaker closed, online
        "0302000000 81"  # switch on
        "0a020000010101"  # both outputs off
        "1401000000 014d000000"  # counter 77
        "1505000000 0200000000 000000000000"  # never frozen: RESTART
        "1e05000000 0100002a42"  # 42.5 as a float
        "1e06012c012c01 01" + struct.pack("<d", 1e-9).hex() + "2803000000 0100005040"  # 3.25
        "6e08000000 6665656465722031"  # 'feeder 1'
    )
    assert answer[4:] == bytes.fromhex(expected)


def test_only_a_written_restart_bit_ends_the_restart() -> None:
    talk = quiet()
    assert Indication.PARAMETER_ERROR in indications(
        talk.one(Function.WRITE, bytes.fromhex("50010004040 0".replace(" ", "")))
    )
    assert Indication.PARAMETER_ERROR in indications(
        talk.one(Function.WRITE, bytes.fromhex("500100070701"), 1)
    )
    assert indications(talk.one(Function.WRITE, bytes.fromhex("500100070700"), 2)) == Indication(0)


def test_events_keep_their_order_and_their_times() -> None:
    talk = quiet()
    update(talk.database, Kind.ANALOG, 0, 50.0, T0 + 1)
    update(talk.database, Kind.BINARY, 0, False, T0 + 2)
    update(talk.database, Kind.ANALOG, 0, 60.0, T0 + 3)
    answer = talk.one(Function.READ, bytes.fromhex("3c0306"))  # class 2
    stamps = [struct.pack("<Q", T0 + ms)[:6].hex() for ms in (1, 2, 3)]
    analogs = f"2007 1702 00 01 00004842 {stamps[0]} 00 01 00007042 {stamps[2]}"
    assert answer[0] & 0x20, "events want a confirm"
    assert answer[4:] == bytes.fromhex(analogs)
    assert Indication.CLASS_1_EVENTS in indications(answer)
    assert Indication.CLASS_2_EVENTS not in indications(answer)
    talk.confirm(0)
    everything = talk.one(Function.READ, READ_EVENTS, 1)
    assert everything[4:] == bytes.fromhex(f"0202 1701 00 01 {stamps[1]}")


def test_events_of_all_classes_come_in_the_order_in_which_they_happened() -> None:
    talk = quiet()
    update(talk.database, Kind.ANALOG, 0, 50.0, T0 + 1)  # class 2
    update(talk.database, Kind.BINARY, 0, False, T0 + 2)  # class 1
    update(talk.database, Kind.ANALOG, 0, 60.0, T0 + 3)
    answer = talk.one(Function.READ, READ_EVENTS)
    assert [answer[at : at + 2].hex() for at in (4, 20, 32)] == ["2007", "0202", "2007"]


def test_unconfirmed_events_come_again_exactly() -> None:
    talk = quiet()
    for step in range(20):
        update(talk.database, Kind.ANALOG, 0, 100.0 + 2 * step, T0 + step)
    first = talk.one(Function.READ, READ_EVENTS, 3)
    talk.association.link_down()
    assert talk.up() == []
    again = talk.one(Function.READ, READ_EVENTS, 3)
    assert again == first
    talk.later(6.0)  # no confirm in time
    third = talk.one(Function.READ, READ_EVENTS, 4)
    assert third[4:] == first[4:]
    talk.confirm(3)  # of an old one: no effect
    assert talk.one(Function.READ, READ_EVENTS, 5)[4:] == first[4:]
    talk.confirm(5)
    assert talk.one(Function.READ, READ_EVENTS, 6)[4:] == b""


def test_a_new_request_instead_of_the_confirm_loses_nothing() -> None:
    talk = quiet()
    update(talk.database, Kind.BINARY, 0, False, T0)
    first = talk.one(Function.READ, READ_EVENTS, 1)
    answer = talk.one(Function.DELAY_MEASURE, b"", 2)
    assert Indication.CLASS_1_EVENTS in indications(answer)
    assert talk.one(Function.READ, READ_EVENTS, 3)[4:] == first[4:]


def test_a_long_answer_goes_on_with_each_confirm() -> None:
    talk = quiet()
    for step in range(500):
        update(talk.database, Kind.ANALOG, 0, 10.0 * step, T0 + step)
    fragments = talk.ask(Function.READ, READ_EVENTS, 14)
    while not fragments[-1][0] & 0x40:
        fragments += talk.confirm(fragments[-1][0] & 0x0F)
    assert [one[0] & 0x0F for one in fragments] == [(14 + place) % 16 for place in range(len(fragments))]
    assert [bool(one[0] & 0x80) for one in fragments] == [True] + [False] * (len(fragments) - 1)
    assert all(len(one) <= 2048 for one in fragments)
    values = []
    for one in fragments:
        at = 4
        while at < len(one):
            assert one[at : at + 3] == bytes.fromhex("200717")
            count = one[at + 3]
            values += [struct.unpack_from("<f", one, at + 4 + 12 * i + 2)[0] for i in range(count)]
            at += 4 + 12 * count
    assert values == [10.0 * step for step in range(500)]


def test_the_oldest_events_go_and_the_master_is_told() -> None:
    talk = quiet(events=3)
    for step in range(5):
        update(talk.database, Kind.ANALOG, 0, 100.0 * (step + 1), T0)
    answer = talk.one(Function.READ, READ_EVENTS)
    assert Indication.EVENT_BUFFER_OVERFLOW in indications(answer)
    assert [struct.unpack_from("<f", answer, 10 + 12 * i)[0] for i in range(3)] == [300.0, 400.0, 500.0]
    talk.confirm(0)
    assert Indication.EVENT_BUFFER_OVERFLOW not in indications(talk.one(Function.DELAY_MEASURE, b"", 1))


def test_a_command_is_done_once_however_often_it_is_asked() -> None:
    talk = quiet()
    assert talk.ask(Function.DIRECT_OPERATE, SET_42_5, 7) == []
    assert [wish.value for wish in talk.operates[0].wishes] == [42.5]
    assert talk.ask(Function.DIRECT_OPERATE, SET_42_5, 7) == [], "a retry while it is under way"
    (answer,) = talk.complete(Status.SUCCESS)
    assert answer[4:] == SET_42_5
    assert talk.ask(Function.DIRECT_OPERATE, SET_42_5, 7) == [answer], "a retry after it"
    assert len(talk.operates) == 1
    assert talk.ask(Function.DIRECT_OPERATE, SET_42_5, 8) == []
    assert len(talk.operates) == 2


def test_an_operate_is_the_selected_one_next_in_sequence_and_in_time() -> None:
    def selected(wait_s: float = 0.0, sequence: int = 5, objects: bytes = LATCH_ON) -> Status | None:
        talk = quiet(select_timeout_ms=1000)
        assert talk.one(Function.SELECT, LATCH_ON, 4)[4:] == LATCH_ON
        talk.later(wait_s)
        answers = talk.ask(Function.OPERATE, objects, sequence)
        return Status(answers[0][-1]) if answers else None

    assert selected() is None, "it is operated"
    assert selected(wait_s=1.5) is Status.TIMEOUT
    assert selected(sequence=6) is Status.NO_SELECT
    other = LATCH_ON[:7] + b"\x04" + LATCH_ON[8:]
    assert selected(objects=other) is Status.NO_SELECT
    talk = quiet()
    assert Status(talk.one(Function.OPERATE, LATCH_ON, 1)[-1]) is Status.NO_SELECT


def test_an_operate_spends_its_select() -> None:
    talk = quiet()
    talk.one(Function.SELECT, LATCH_ON, 4)
    talk.ask(Function.OPERATE, LATCH_ON, 5)
    talk.complete(Status.SUCCESS)
    assert Status(talk.one(Function.OPERATE, LATCH_ON, 6)[-1]) is Status.NO_SELECT
    assert len(talk.operates) == 1


def test_control_codes_that_a_point_does_not_take_are_not_taken() -> None:
    talk = quiet()
    talk.ask(Function.DIRECT_OPERATE, TRIP, 1)
    assert [(wish.index, wish.value) for wish in talk.operates[0].wishes] == [(0, False)]
    talk.complete(Status.SUCCESS)
    trip_of_a_latch = TRIP[:4] + b"\x01" + TRIP[5:]
    assert Status(talk.one(Function.DIRECT_OPERATE, trip_of_a_latch, 2)[-1]) is Status.NOT_SUPPORTED
    nowhere = TRIP[:4] + b"\x09" + TRIP[5:]
    assert Status(talk.one(Function.DIRECT_OPERATE, nowhere, 3)[-1]) is Status.NOT_SUPPORTED
    twice = TRIP[:6] + b"\x02" + TRIP[7:]
    assert Status(talk.one(Function.DIRECT_OPERATE, twice, 4)[-1]) is Status.NOT_SUPPORTED
    not_a_number = SET_42_5[:5] + struct.pack("<f", float("nan")) + b"\0"
    assert Status(talk.one(Function.DIRECT_OPERATE, not_a_number, 5)[-1]) is Status.OUT_OF_RANGE
    assert len(talk.operates) == 1


def test_a_master_without_a_user_commands_nothing() -> None:
    talk = Talk(master=OutstationMaster(1, ("127.0.0.1",), None, unsolicited=False))
    talk.up()
    assert Status(talk.one(Function.DIRECT_OPERATE, SET_42_5)[-1]) is Status.NOT_AUTHORIZED
    assert Status(talk.one(Function.SELECT, LATCH_ON, 1)[-1]) is Status.NOT_AUTHORIZED
    assert talk.operates == []


def test_the_restart_is_announced_until_it_is_confirmed() -> None:
    talk = Talk()
    (null,) = talk.up()
    assert null[:2] == bytes((0xF0, Function.UNSOLICITED_RESPONSE))
    assert null[4:] == b""
    update(talk.database, Kind.BINARY, 0, False, T0)
    assert talk.later(5.0) == [null]
    assert talk.confirm(0, unsolicited=True) == []
    assert talk.later(1.0) == [], "nothing is enabled"
    talk.ask(Function.ENABLE_UNSOLICITED, bytes.fromhex("3c0206"), 1)
    assert talk.later(0.0) == [], "held, so that neighbours come along"
    (told,) = talk.later(0.02)
    assert told[0] & 0x0F == 1
    assert told[4:10] == bytes.fromhex("020217010001")
    assert talk.later(5.0) == [told], "the same again"
    assert talk.confirm(1, unsolicited=True) == []
    assert talk.later(60.0) == []


def test_an_unsolicited_response_is_given_up_for_a_while_and_its_events_stay() -> None:
    talk = Talk()
    talk.up()
    talk.confirm(0, unsolicited=True)
    talk.ask(Function.ENABLE_UNSOLICITED, bytes.fromhex("3c0206"), 1)
    update(talk.database, Kind.BINARY, 0, False, T0)
    talk.later(0.0)
    (told,) = talk.later(0.1)
    for _ in range(3):
        assert talk.later(5.0) == [told]
    assert talk.later(5.0) == []
    assert talk.later(9.0) == []
    (again,) = talk.later(1.0)
    assert again[4:] == told[4:]
    assert again[0] & 0x0F == 2


def test_an_answer_may_take_more_fragments_than_python_has_frames() -> None:
    talk = quiet()
    count = 8_000  # of 255 octets: 7 a fragment
    for step in range(count):
        update(talk.database, Kind.OCTET_STRING, 0, step.to_bytes(255, "big"), T0 + step)
    fragments = talk.ask(Function.READ, READ_EVENTS)
    while not fragments[-1][0] & 0x40:
        fragments += talk.confirm(fragments[-1][0] & 0x0F)
    assert len(fragments) == -(-count // 7)
    assert fragments[-1].endswith((count - 1).to_bytes(255, "big"))


def enabled(**changes: object) -> Talk:
    """One that tells events of class 2 unasked, linked; it holds them for a second."""
    talk = Talk(outstation(unsolicited_hold_ms=1_000, **changes))
    talk.up()
    talk.confirm(0, unsolicited=True)
    talk.ask(Function.ENABLE_UNSOLICITED, bytes.fromhex("3c0306"), 1)
    return talk


def test_a_full_fragment_is_not_held_and_a_small_rest_waits_no_longer_than_the_hold() -> None:
    talk = enabled()
    for step in range(400):  # of 12 octets each: two full fragments, and 60 events more
        update(talk.database, Kind.ANALOG, 0, 10.0 * step, T0 + step)
        if step == 100:
            assert talk.later(0.0) == []
    (first,) = talk.later(0.0)
    assert 2030 < len(first) <= 2048
    assert talk.later(0.9) == []
    (second,) = talk.confirm(1, unsolicited=True)
    assert 2030 < len(second) <= 2048
    assert talk.confirm(2, unsolicited=True) == []
    (rest,) = talk.later(0.1)
    assert len(rest) == 4 + 4 + 60 * 12
    assert talk.confirm(3, unsolicited=True) == []
    update(talk.database, Kind.ANALOG, 0, -10.0, T0 + 400)
    assert talk.later(0.0) == []
    assert talk.later(0.9) == []
    assert len(talk.later(0.1)) == 1


def test_events_that_came_while_others_waited_for_their_confirm_are_held_from_then() -> None:
    talk = enabled()
    update(talk.database, Kind.ANALOG, 0, 50.0, T0)
    talk.later(0.0)
    assert len(talk.later(1.0)) == 1
    update(talk.database, Kind.ANALOG, 0, 60.0, T0)
    assert talk.later(0.0) == []
    talk.now += 1.5  # the confirm comes late
    assert len(talk.confirm(1, unsolicited=True)) == 1


def test_the_hold_begins_anew_after_a_read_has_taken_what_was_held() -> None:
    talk = enabled()
    update(talk.database, Kind.ANALOG, 0, 50.0, T0)
    talk.later(0.0)
    talk.one(Function.READ, READ_EVENTS, 2)
    assert talk.confirm(2) == []
    talk.now += 5.0
    update(talk.database, Kind.ANALOG, 0, 60.0, T0)
    assert talk.later(0.0) == []
    assert talk.later(0.9) == []
    assert len(talk.later(0.1)) == 1


def test_of_two_headers_that_ask_for_an_event_the_first_says_how_it_is_told() -> None:
    talk = quiet()
    for step in range(3):
        update(talk.database, Kind.ANALOG, 0, 50.0 + 10 * step, T0 + step)
    update(talk.database, Kind.ANALOG, 300, 1.0, T0 + 3)
    answer = talk.one(Function.READ, bytes.fromhex("2001 0702  3c0306"))  # two as whole numbers, then all
    timed = [struct.pack("<BB", 0, 1) + struct.pack("<f", 70.0) + struct.pack("<Q", T0 + 2)[:6]]
    far = struct.pack("<HB", 300, 1) + struct.pack("<d", 1.0) + struct.pack("<Q", T0 + 3)[:6]
    assert answer[4:] == b"".join(
        (
            bytes.fromhex("2001 1702 00 01 32000000 00 01 3c000000"),
            bytes.fromhex("2007 1701"), *timed,
            bytes.fromhex("2008 2801 00"), far,
        )
    )  # fmt: skip


def test_a_read_waits_for_the_unsolicited_response_and_gets_each_event_once() -> None:
    talk = Talk()
    talk.up()
    talk.confirm(0, unsolicited=True)
    talk.ask(Function.ENABLE_UNSOLICITED, bytes.fromhex("3c0206"), 1)
    update(talk.database, Kind.BINARY, 0, False, T0)
    talk.later(0.0)
    assert len(talk.later(0.1)) == 1
    assert talk.ask(Function.READ, READ_EVENTS, 2) == []
    (answer,) = talk.confirm(1, unsolicited=True)
    assert answer[:2] == bytes((0xC2, Function.RESPONSE))
    assert answer[4:] == b"", "it was told unasked already"

    update(talk.database, Kind.BINARY, 0, True, T0)
    talk.later(0.0)
    (told,) = talk.later(0.1)
    talk.ask(Function.READ, READ_EVENTS, 3)
    (answer,) = talk.later(5.0)  # not confirmed: the read takes over
    assert answer[1] == Function.RESPONSE
    assert answer[4:] == told[4:]


def test_a_freeze_copies_the_counter_and_tells_of_it() -> None:
    talk = quiet()
    talk.now = 3.0
    assert (
        indications(talk.one(Function.IMMED_FREEZE, bytes.fromhex("140006"))) & ~Indication.DEVICE_RESTART
        == Indication.CLASS_3_EVENTS
    )
    update(talk.database, Kind.COUNTER, 0, 99, T0)
    stamp = struct.pack("<Q", T0 + 3000)[:6].hex()
    answer = talk.one(Function.READ, bytes.fromhex("1500 06"), 1)
    assert answer[4:] == bytes.fromhex(f"1505000000 014d000000 {stamp}")
    assert talk.ask(Function.IMMED_FREEZE_NR, bytes.fromhex("140006"), 2) == []
    assert talk.one(Function.READ, bytes.fromhex("1501 06"), 3)[4:] == bytes.fromhex("1501000000 0163000000")
    assert Indication.NO_FUNC_CODE_SUPPORT in indications(
        talk.one(Function.FREEZE_CLEAR, bytes.fromhex("140006"), 4)
    )


def test_the_masters_time_is_compared_and_ends_the_wish_for_it() -> None:
    talk = quiet(needs_time=True)
    assert Indication.NEED_TIME in indications(talk.one(Function.DELAY_MEASURE))
    theirs = struct.pack("<Q", T0 + 250)[:6]
    answer = talk.one(Function.WRITE, bytes.fromhex("320107 01") + theirs, 1)
    assert Indication.NEED_TIME not in indications(answer)
    assert talk.association.clock_offset_ms == 250
    talk.one(Function.RECORD_CURRENT_TIME, b"", 2)
    talk.later(0.5)
    talk.one(Function.WRITE, bytes.fromhex("320307 01") + struct.pack("<Q", T0 + 40)[:6], 3)
    assert talk.association.clock_offset_ms == 40


def test_a_broadcast_is_heeded_without_an_answer_and_never_a_command() -> None:
    talk = quiet()
    receive = talk.association.receive
    assert (
        receive(bytes((0xC1, Function.WRITE)) + bytes.fromhex("500100070700"), 0.0, Broadcast.CONFIRM) == []
    )
    assert receive(bytes((0xC2, Function.DIRECT_OPERATE_NR)) + LATCH_ON, 0.0, Broadcast.CONFIRM) == []
    answer = talk.one(Function.DELAY_MEASURE, b"", 3)
    assert indications(answer) == Indication.BROADCAST
    assert answer[0] & 0x20


def test_bad_quality_is_told_with_the_last_value_and_without_packing() -> None:
    talk = quiet()
    talk.database.update(Kind.BINARY, 0, Measurement(True, int(Flag.COMM_LOST), T0))
    assert talk.one(Function.READ, bytes.fromhex("010106"))[4:] == bytes.fromhex("010200000084")
    talk.database.update(Kind.ANALOG, 0, Measurement(1e12, int(Flag.ONLINE), T0))
    answer = talk.one(Function.READ, bytes.fromhex("1e0200 0000"), 1)
    assert answer[4:] == bytes.fromhex("1e02000000 21 ff7f"), "cut, and said so"


def test_what_is_asked_wrongly_is_said() -> None:
    talk = quiet()
    wrong = {
        (Function.READ, "630106"): Indication.OBJECT_UNKNOWN,
        (Function.READ, "1e0900 0000"): Indication.OBJECT_UNKNOWN,
        (Function.READ, "1e0000 4050"): Indication.PARAMETER_ERROR,
        (Function.READ, "1e0001 0500 0100"): Indication.PARAMETER_ERROR,
        (Function.READ, "1e00"): Indication.PARAMETER_ERROR,
        (Function.WRITE, "0c0117 01"): Indication.OBJECT_UNKNOWN,
        (Function.DIRECT_OPERATE, ""): Indication.PARAMETER_ERROR,
        (13, ""): Indication.NO_FUNC_CODE_SUPPORT,
        (99, ""): Indication.NO_FUNC_CODE_SUPPORT,
    }
    for sequence, ((function, objects), indication) in enumerate(wrong.items()):
        answer = talk.one(function, bytes.fromhex(objects), sequence)
        assert indication in indications(answer), objects
    assert len(FIRST) == len(POINTS)
