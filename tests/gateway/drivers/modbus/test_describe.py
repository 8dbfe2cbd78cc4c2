"""Frames as lines of text: known ones, those that come in pieces, and any octets at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from gateway.config.modbus import PollGroup, RegisterType, Table
from gateway.drivers.modbus.describe import LineDescriber, TcpDescriber, describe_answer, describe_request
from gateway.drivers.trace import Way

RTU, ASCII = FramerRTU(DecodePDU(False)), FramerAscii(DecodePDU(False))


@pytest.mark.parametrize(
    ("pdu", "text"),
    [
        ("01 0000 000a", "read coil 0..9"),
        ("02 0007 0001", "read discrete 7"),
        ("03 0000 0002", "read holding 0..1"),
        ("04 ffff 0001", "read input 65535"),
        ("05 0003 ff00", "write coil 3 = on"),
        ("05 0003 0000", "write coil 3 = off"),
        ("05 0003 1234", "write coil 3 = 0x1234"),
        ("06 0028 00fa", "write holding 40 = 00fa"),
        ("0f 0000 000a 02 0502", "write coil 0..9 = 1010000001"),
        ("10 0001 0002 04 0001 00ff", "write holding 1..2 = 0001 00ff"),
        ("16 0004 fffe 0001", "write holding 4: and fffe or 0001"),
        ("17 0000 0002 0008 0001 02 1234", "read holding 0..1, write holding 8 = 1234"),
        ("2b 0e 01 00", "function 43 (encapsulated)"),
        ("41", "function 65"),
        ("03 00", "function 3"),
    ],
)
def test_requests(pdu: str, text: str) -> None:
    assert describe_request(bytes.fromhex(pdu)) == text


@pytest.mark.parametrize(
    ("request_", "pdu", "text"),
    [
        ("01 0000 000a", "01 02 0502", "coil 0..9: 1010000001"),
        ("03 0000 0002", "03 04 0001 00ff", "holding 0..1: 0001 00ff"),
        ("03 0000 0002", "03 02 0001", "answer of function 3, 4 octets to read holding 0..1"),
        ("03 0000 0002", "04 04 0001 00ff", "function 4 to read holding 0..1"),
        ("03 0000 0002", "83 02", "exception 2 (illegal address) to read holding 0..1"),
        ("03 0000 0002", "83", "an exception without a code to read holding 0..1"),
        ("06 0028 00fa", "06 0028 00fa", "done: write holding 40 = 00fa"),
        ("2b 0e 01 00", "2b 0e 01 01", "answer of function 43, 4 octets to function 43 (encapsulated)"),
        (None, "03 02 0001", "answer of function 3, 4 octets"),
        (None, "8b 0c", "exception 12 (unknown)"),
    ],
)
def test_answers(request_: str | None, pdu: str, text: str) -> None:
    request = None if request_ is None else bytes.fromhex(request_)
    assert describe_answer(bytes.fromhex(pdu), request) == text


def test_answers_are_read_by_their_transaction_however_they_are_cut() -> None:
    it = TcpDescriber()
    ask = bytes.fromhex("0001 0000 0006 01 03 0000 0001 0002 0000 0006 02 03 0009 0001")
    assert it.describe(Way.SENT, ask) == "unit 1 #1 read holding 0; unit 2 #2 read holding 9"
    assert (
        it.describe(Way.RECEIVED, bytes.fromhex("0002 0000 0005 02 03 02 00"))
        == "10 octets of a frame that goes on"
    )
    rest = bytes.fromhex("07 0001 0000 0005 01 03 02 0008 00")
    assert it.describe(Way.RECEIVED, rest) == (
        "unit 2 #2 holding 9: 0007; unit 1 #1 holding 0: 0008; 1 octets of a frame that goes on"
    )
    it.restart()
    late = bytes.fromhex("0001 0000 0005 01 03 02 0008")
    assert it.describe(Way.RECEIVED, late) == "unit 1 #1 answer of function 3, 4 octets"
    assert it.describe(Way.RECEIVED, b"HTTP/1.1 400 Bad") == "not Modbus TCP"


@pytest.mark.parametrize("framer", [RTU, ASCII], ids=["rtu", "ascii"])
def test_frames_of_a_line(framer: FramerRTU | FramerAscii) -> None:
    it = LineDescriber(is_rtu=framer is RTU)
    ask, answer = (framer.encode(bytes.fromhex(pdu), 5, 0) for pdu in ("03 0000 0001", "03 02 0007"))
    assert it.describe(Way.SENT, ask) == "unit 5 read holding 0"
    assert it.describe(Way.RECEIVED, answer[:4]) == "4 octets that are no frame, or not yet"
    assert it.describe(Way.RECEIVED, answer[4:]) == "unit 5 holding 0: 0007"
    assert it.describe(Way.RECEIVED, answer) == "unit 5 answer of function 3, 4 octets"
    assert it.describe(Way.SENT, b"?") == "no frame"
    it.describe(Way.SENT, ask)
    it.restart()
    assert it.describe(Way.RECEIVED, answer) == "unit 5 answer of function 3, 4 octets"


@given(
    st.lists(
        st.tuples(st.sampled_from([Way.SENT, Way.RECEIVED]), st.binary(min_size=1, max_size=300)), max_size=20
    )
)
def test_any_octets_are_a_line(frames: list[tuple[Way, bytes]]) -> None:
    for it in (TcpDescriber(), LineDescriber(is_rtu=True), LineDescriber(is_rtu=False)):
        for way, octets in frames:
            assert "\n" not in it.describe(way, octets)


@given(st.binary(min_size=1, max_size=260), st.none() | st.binary(min_size=1, max_size=260))
def test_any_pdu_is_a_line(pdu: bytes, request: bytes | None) -> None:
    assert describe_request(pdu)
    assert describe_answer(pdu, request)


async def test_the_driver_keeps_what_went_over_each_line(site, new_device, point) -> None:
    device = await new_device({3: {0: 7}})
    it = point("power", Table.HOLDING, 0, RegisterType.UINT16)
    seldom = (PollGroup("seldom", 1000, 3000),)  # a ring has room for half a minute of it
    for name, unit in (("a", 1), ("b", 2)):
        site.add(name, device.port, [it], single_connection=True, unit_id=unit, groups=seldom)
    site.add("gone", 1, [it])
    site.start()
    await site.until_good("a.power", "b.power")
    await site.until(lambda: len(site.driver.traces()["gone"].since(0)) > 0)
    rings = site.driver.traces()
    assert rings["a"] is rings["b"]
    frames = rings["a"].since(0)
    assert frames[0][2:] == (Way.NOTE, b"connected")
    sent = {frame[3][6:] for frame in frames if frame[2] == Way.SENT}
    assert sent == {bytes.fromhex("01 03 0000 0001"), bytes.fromhex("02 03 0000 0001")}
    received = {frame[3][6:] for frame in frames if frame[2] == Way.RECEIVED}
    assert received == {bytes.fromhex("01 03 02 0007"), bytes.fromhex("02 03 02 0007")}
    assert b"no connection to 127.0.0.1:1" in rings["gone"].since(0)[-1][3]
    await device.stop()
    await site.until(lambda: any(b"connection" in frame[3] for frame in rings["a"].since(frames[-1][0])))
