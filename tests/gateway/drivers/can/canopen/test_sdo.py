"""SDO transfers by the bytes of CiA 301 7.2.4.3, emergencies (7.2.7), heartbeats (7.2.8); and garbage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.drivers.can.canopen.sdo import ABORTS, MAX_BYTES, Download, Upload, abort_text
from gateway.drivers.can.canopen.services import NodeState, read_emergency, read_state

UNHURRIED = settings(  # a loaded machine is no failure
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        ("4f 17 10 00 e8 00 00 00", "e8"),
        ("4b 17 10 00 e8 03 00 00", "e803"),
        ("47 17 10 00 e8 03 01 00", "e80301"),
        ("43 17 10 00 e8 03 01 02", "e8030102"),
        ("42 17 10 00 e8 03 01 02", "e8030102"),  # without its size
    ],
)
def test_up_to_four_bytes_come_in_one_answer(answer: str, data: str) -> None:
    upload = Upload(0x1017, 0)
    assert upload.start() == octets("40 17 10 00 00 00 00 00")
    assert upload.on_answer(octets(answer)) is None
    assert (upload.is_done, upload.data.hex()) == (True, data)


def test_more_comes_in_segments_with_a_toggle_bit() -> None:
    upload = Upload(0x1008, 0)
    upload.start()
    assert upload.on_answer(octets("41 08 10 00 09 00 00 00")) == octets("60 00 00 00 00 00 00 00")
    assert upload.on_answer(octets("00 41 42 43 44 45 46 47")) == octets("70 00 00 00 00 00 00 00")
    assert upload.on_answer(octets("1b 48 49 00 00 00 00 00")) is None  # toggle, 5 unused, the last
    assert (upload.is_done, upload.data) == (True, b"ABCDEFGHI")


def test_a_segment_that_comes_twice_or_too_few_bytes_end_it() -> None:
    upload = Upload(0x1008, 0)
    upload.on_answer(octets("41 08 10 00 09 00 00 00"))
    upload.on_answer(octets("00 41 42 43 44 45 46 47"))
    assert upload.on_answer(octets("00 41 42 43 44 45 46 47")) == octets("80 08 10 00 00 00 03 05")
    short = Upload(0x1008, 0)
    short.on_answer(octets("41 08 10 00 09 00 00 00"))
    assert short.on_answer(octets("01 41 42 43 44 45 46 47")) == octets("80 08 10 00 10 00 07 06")
    assert not short.is_done


def test_an_object_without_end_or_too_large_is_given_up() -> None:
    upload = Upload(0x1021, 0)
    assert upload.on_answer(octets("41 21 10 00 00 00 00 01")) == octets("80 21 10 00 05 00 04 05")
    endless = Upload(0x1021, 0)
    endless.on_answer(octets("40 21 10 00 00 00 00 00"))
    for place in range(MAX_BYTES // 7 + 1):
        if endless.is_open:
            endless.on_answer(bytes((place % 2 << 4,)) + bytes(7))
    assert endless.abort == 0x05040005


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ("01", "2f 00 20 03 01 00 00 00"),
        ("0102", "2b 00 20 03 01 02 00 00"),
        ("010203", "27 00 20 03 01 02 03 00"),
        ("01020304", "23 00 20 03 01 02 03 04"),
    ],
)
def test_up_to_four_bytes_are_written_in_one_request(data: str, sent: str) -> None:
    download = Download(0x2000, 3, octets(data))
    assert download.start() == octets(sent)
    assert download.on_answer(octets("60 00 20 03 00 00 00 00")) is None
    assert download.is_done


def test_more_is_written_in_segments() -> None:
    download = Download(0x2000, 3, bytes(range(1, 11)))
    assert download.start() == octets("21 00 20 03 0a 00 00 00")
    assert download.on_answer(octets("60 00 20 03 00 00 00 00")) == octets("00 01 02 03 04 05 06 07")
    assert download.on_answer(octets("20 00 00 00 00 00 00 00")) == octets("19 08 09 0a 00 00 00 00")
    assert download.on_answer(octets("30 00 00 00 00 00 00 00")) is None
    assert download.is_done
    wrong = Download(0x2000, 3, bytes(10))
    wrong.on_answer(octets("60 00 20 03 00 00 00 00"))
    assert wrong.on_answer(octets("30 00 00 00 00 00 00 00")) == octets("80 00 20 03 00 00 03 05")


@pytest.mark.parametrize("transfer", [Upload(0x2000, 3), Download(0x2000, 3, b"\1")])
def test_late_answers_of_another_object_are_not_taken_and_a_refusal_is(transfer: Upload | Download) -> None:
    transfer.start()
    for late in ("4f 01 20 03 07 00 00 00", "60 01 20 03 00 00 00 00"):
        if octets(late)[0] >> 5 == (2 if isinstance(transfer, Upload) else 3):
            assert transfer.on_answer(octets(late)) is None
    transfer.on_answer(octets("80 01 20 03 00 00 02 06"))
    assert transfer.is_open
    assert transfer.on_answer(octets("80 00 20 03 00 00 02 06")) is None
    assert transfer.abort == 0x06020000
    assert transfer.on_answer(octets("43 00 20 03 00 00 00 00")) is None


def test_an_answer_of_the_wrong_kind_ends_it() -> None:
    assert Upload(0x2000, 3).on_answer(octets("60 00 20 03 00 00 00 00")) == octets("80 00 20 03 01 00 04 05")
    download = Download(0x2000, 3, b"\1")
    assert download.on_answer(octets("43 00 20 03 00 00 00 00")) == octets("80 00 20 03 01 00 04 05")
    begun = Download(0x2000, 3, bytes(9))
    begun.on_answer(octets("60 00 20 03 00 00 00 00"))
    assert begun.on_answer(octets("60 00 20 03 00 00 00 00")) == octets("80 00 20 03 01 00 04 05")
    segments = Upload(0x2000, 3)
    segments.on_answer(octets("40 00 20 03 00 00 00 00"))
    assert segments.on_answer(octets("40 00 20 03 00 00 00 00")) == octets("80 00 20 03 01 00 04 05")
    assert Upload(0x2000, 3).cancel() == octets("80 00 20 03 00 00 04 05")


ANSWER = st.one_of(
    st.binary(max_size=8),
    st.tuples(
        st.sampled_from((0x00, 0x01, 0x10, 0x11, 0x20, 0x30, 0x40, 0x41, 0x43, 0x4F, 0x60, 0x80)),
        st.just(0), st.just(0x20), st.just(3), *([st.integers(0, 255)] * 4),
    ).map(bytes),
)  # fmt: skip


@UNHURRIED
@given(st.lists(ANSWER, max_size=40), st.one_of(st.none(), st.binary(min_size=1, max_size=40)))
def test_any_answers_end_in_a_value_an_abort_or_go_on(answers: list[bytes], written: bytes | None) -> None:
    transfer = Upload(0x2000, 3) if written is None else Download(0x2000, 3, written)
    transfer.start()
    for answer in answers:
        was_open = transfer.is_open
        request = transfer.on_answer(answer)
        assert request is None or (was_open and len(request) == 8)
    assert not (transfer.is_done and transfer.abort is not None)
    if isinstance(transfer, Upload):
        assert len(transfer.data) <= MAX_BYTES + 7


@UNHURRIED
@given(st.binary(min_size=1, max_size=200))
def test_what_is_written_is_what_is_read(data: bytes) -> None:
    download, upload = Download(0x2000, 3, data), Upload(0x2000, 3)
    request, written = download.start(), b""
    if request[0] & 2:
        written = request[4 : 8 - (request[0] >> 2 & 3)]
        download.on_answer(octets("60 00 20 03 00 00 00 00"))
    else:
        segment = download.on_answer(octets("60 00 20 03 00 00 00 00"))
        while segment is not None:
            written += segment[1 : 8 - (segment[0] >> 1 & 7)]
            segment = download.on_answer(bytes((0x20 | segment[0] & 0x10,)) + bytes(7))
    assert download.is_done
    assert written == data
    upload.on_answer(b"\x41\x00\x20\x03" + len(data).to_bytes(4, "little"))
    for place in range(0, len(data), 7):
        part = data[place : place + 7]
        head = (place // 7 % 2) << 4 | 7 - len(part) << 1 | (place + 7 >= len(data))
        upload.on_answer(bytes((head,)) + part.ljust(7, b"\0"))
    assert upload.data == data


def test_every_abort_has_words_and_an_unknown_one_its_code() -> None:
    assert len(set(ABORTS.values())) == len(ABORTS)
    assert abort_text(0x06090031) == "the value is too high (abort 0x06090031)"
    assert abort_text(0x12345678) == "for a reason of its own (abort 0x12345678)"


@UNHURRIED
@given(st.binary(max_size=9))
def test_emergencies_and_heartbeats_are_read_or_not(data: bytes) -> None:
    told = read_emergency(data)
    assert (told is None) == (len(data) != 8)
    if told is not None:
        assert told.text().startswith(f"0x{told.code:04X} ")
    state = read_state(data)
    assert state is None or (len(data) == 1 and state == data[0] & 0x7F)


def test_a_heartbeat_tells_the_state_whatever_its_toggle_bit() -> None:
    assert [read_state(bytes((one,))) for one in (0, 4, 5, 0x85, 127, 9)] == [
        NodeState.BOOTING, NodeState.STOPPED, NodeState.OPERATIONAL, NodeState.OPERATIONAL,
        NodeState.PRE_OPERATIONAL, None,
    ]  # fmt: skip
