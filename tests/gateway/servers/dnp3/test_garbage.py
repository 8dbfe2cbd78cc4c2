"""Whatever octets come, nothing breaks, nothing grows, and the next right request is answered."""

from __future__ import annotations

import struct

from dnp3_outstations import MASTER, T0, fill, outstation
from hypothesis import given, settings
from hypothesis import strategies as st
from py1815.link import build, control_byte
from py1815.transport import segment

from gateway.servers.dnp3.application import Function
from gateway.servers.dnp3.association import Association, Operate, Send
from gateway.servers.dnp3.control import ControlPoints, Status
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.link import Fragment, Link

CLASSES = bytes.fromhex("3c0206 3c0306 3c0406 3c0106")
GROUPS = (
    0, 1, 2, 3, 4, 10, 11, 12, 20, 21, 22, 23, 30, 32, 34, 40, 41, 42, 50, 60, 80, 110, 111, 120,
)  # fmt: skip
VARIATIONS = (*range(13), 252, 254, 255)
QUALIFIERS = (0x00, 0x01, 0x06, 0x07, 0x08, 0x17, 0x28, 0x5B, 0x99)


def request(data: bytes) -> bytes:
    """Octets as they are, or as a request whose headers' groups, variations and qualifiers are some that there are.

    Made of one draw of octets, since draws are what takes the time.
    """
    if len(data) < 3 or data[0] % 4 == 0:
        return data[1:]
    found = bytes((data[1], data[2] % 31))
    at = 3
    while at + 4 <= len(data):
        group, variation, qualifier, size = data[at : at + 4]
        rest = data[at + 4 : at + 4 + size % 25]
        found += bytes((GROUPS[group % len(GROUPS)], VARIATIONS[variation % len(VARIATIONS)]))
        found += bytes((QUALIFIERS[qualifier % len(QUALIFIERS)],)) + rest
        at += 4 + len(rest)
    return found


REQUESTS = st.one_of(st.binary(max_size=20), st.binary(min_size=24, max_size=120)).map(request)


def association() -> Association:
    config = outstation()
    database = Database(config.points)
    fill(database)
    return Association(config, MASTER, database, ControlPoints(config.points), wall_ms=lambda: T0)


@settings(max_examples=400, deadline=None)
@given(st.lists(REQUESTS, max_size=12))
def test_requests(requests: list[bytes]) -> None:
    one = association()
    one.link_up(0.0)
    now = 0.0
    for request in requests:
        now += 1.0
        for effect in one.receive(request, now) + one.tick(now):
            if isinstance(effect, Operate):
                one.complete(effect.token, (Status.SUCCESS,) * len(effect.wishes), now)
            else:
                assert 4 <= len(effect.fragment) <= 2048
    one.link_down()
    one.link_up(now)
    (answer,) = [
        effect
        for effect in one.receive(bytes((0xC0, Function.DELAY_MEASURE)), now)
        if isinstance(effect, Send)
    ]
    assert answer.fragment[1] == Function.RESPONSE


FRAMES = st.builds(
    lambda function, destination, payload: build(
        control_byte(from_master=True, primary=True, function=function), destination, 1, payload
    ),
    st.integers(0, 15),
    st.sampled_from([10, 11, 0xFFFD, 0xFFFE, 0xFFFF]),
    st.binary(max_size=60),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), FRAMES), max_size=12), st.integers(1, 50))
def test_frames(pieces: list[bytes], step: int) -> None:
    link = Link(10)
    stream = b"".join(pieces)
    for at in range(0, len(stream), step):
        for found in link.receive(stream[at : at + step]):
            assert isinstance(found, Fragment) or len(found.data) == 10


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=2000), st.integers(1, 7), st.binary(max_size=40))
def test_a_fragment_arrives_whole_in_any_pieces(data: bytes, step: int, noise: bytes) -> None:
    control = control_byte(from_master=True, primary=True, function=4)
    stream = noise.replace(b"\x05", b"") + b"".join(build(control, 10, 1, one) for one in segment(data))
    link = Link(10)
    found = [one for at in range(0, len(stream), step) for one in link.receive(stream[at : at + step])]
    assert [one.data for one in found] == [data]


def test_a_repeated_confirmed_frame_is_taken_once() -> None:
    link = Link(10)
    reset = build(control_byte(from_master=True, primary=True, function=0), 10, 1)
    data = build(
        control_byte(from_master=True, primary=True, function=3, fcb=True, fcv=True), 10, 1, b"\xc0\xc0\x17"
    )
    (acknowledged,) = link.receive(reset)
    assert struct.unpack_from("<B", acknowledged.data, 3)[0] & 0x4F == 0
    assert [type(one) is Fragment for one in link.receive(data)] == [False, True]
    assert [type(one) is Fragment for one in link.receive(data)] == [False]
