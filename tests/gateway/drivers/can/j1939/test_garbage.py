"""A J1939 bus on which anything is said: what is kept is bounded, and who only listens says nothing."""

from __future__ import annotations

import asyncio
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.can_j1939 import Identity, J1939Link, J1939SystemTags, identifier_of
from gateway.drivers.can.decode import EXTENDED, Frame, key_of_group
from gateway.drivers.can.j1939 import network as under_test
from gateway.drivers.can.j1939.network import Member, Network

UNHURRIED = settings(  # a loaded machine is no failure
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

PGNS = (0xEA00, 0xE800, 0xEE00, 0xEC00, 0xEB00, 0xFECA, 0xF004, 0xFF14)
FRAMES = st.lists(
    st.tuples(
        st.one_of(
            st.builds(
                identifier_of, st.sampled_from(PGNS), st.integers(0, 7), st.sampled_from((0, 1, 0xF9, 254, 255)),
                st.sampled_from((0xF9, 255, 1)),
            ),
            st.integers(0, (1 << 29) - 1),
        ),
        st.one_of(
            st.binary(max_size=8),
            st.tuples(
                st.sampled_from((16, 17, 19, 32, 255, 1, 2)), st.integers(0, 20), st.integers(0, 1),
                st.integers(0, 3), st.integers(0, 255), st.just(0xCA), st.just(0xFE), st.just(0),
            ).map(bytes),
        ),
    ),
    max_size=60,
)  # fmt: skip


class Silent:
    def asked(self) -> None: ...
    def refused(self, text: str) -> None: ...


async def hand(identifier: int, data: bytes, *, is_awaited: bool) -> None:
    raise AssertionError("nothing runs that could send")


def network(identity: Identity | None) -> Network:
    link = J1939Link(0, identity, ((0xFEE5, 1000),), J1939SystemTags(*range(9)))
    keys = {key_of_group(0xFECA, 0), key_of_group(0xF004, None)}
    return Network([Member(link, Silent())], keys, hand, random.Random(1))


@UNHURRIED
@given(FRAMES, st.booleans())
def test_whatever_is_said_is_taken_and_bounded(frames: list[tuple[int, bytes]], is_listener: bool) -> None:
    async def run() -> None:
        one = network(None if is_listener else Identity(0xF9, 1 << 63 | 5, True))
        one.opened()
        for place in range(3):
            decoded = one.take([Frame(key | EXTENDED, data, 1) for key, data in frames], place * 0.3)
            assert all(frame.key in one._keys for frame in decoded)
        assert one._replies.qsize() <= under_test.MAX_WAITING
        assert len(one._receiver._open) <= 64
        if is_listener:
            assert one._replies.empty()

    asyncio.run(run())


def test_identifiers_without_end_are_not_kept_without_end() -> None:
    one = network(None)
    for identifier in range(under_test.MAX_ROUTES + 500):
        one.take([Frame(identifier << 3 | EXTENDED, bytes(8), 1)], 0.0)
    assert len(one._routes) == under_test.MAX_ROUTES
