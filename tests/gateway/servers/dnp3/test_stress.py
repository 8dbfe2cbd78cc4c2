"""A conversation in which all goes wrong that can, by seeds, on a clock of the test: it neither stalls nor loses."""

from __future__ import annotations

import random
import struct

import pytest
from dnp3_outstations import POINTS, T0, outstation, update
from dnp3_talk import READ_EVENTS, Talk

from gateway.config.dnp3 import OutstationPoint, PointKind
from gateway.servers.dnp3.application import Function
from gateway.servers.dnp3.objects import Kind

SEEDS = range(30)
STEPS = 80
SETTLE_S = 60.0  # in which a master that answers has everything: retries and the pause after them take 30 s
SMALL, FAR = (1, 2, 3), 301  # indexes that are told in one octet and in two
ANALOGS = (
    *(OutstationPoint(PointKind.ANALOG, one, 10 + one, f"a{one}", one, event_variation=3) for one in SMALL),
    OutstationPoint(PointKind.ANALOG, FAR, 20, "far", 2, event_variation=1),
)
SIZES = {3: 11, 1: 5}  # of the events' objects, by variation
CLASSES = bytes.fromhex("3c0206 3c0306 3c0406")


def told(objects: bytes) -> list[int]:
    """The values of a fragment's events."""
    found: list[int] = []
    at = 0
    while at < len(objects):
        group, variation, qualifier = objects[at : at + 3]
        assert group == 32
        width = 1 if qualifier == 0x17 else 2
        count = int.from_bytes(objects[at + 3 : at + 3 + width], "little")
        at += 3 + width
        for _ in range(count):
            found.append(struct.unpack_from("<i", objects, at + width + 1)[0])
            at += width + SIZES[variation]
    return found


class Careless:
    """A master that loses, delays and repeats: what it has heard, and what it has still to confirm."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.talk = Talk(
            outstation(
                points=(*POINTS, *ANALOGS),
                unsolicited_hold_ms=self.random.choice((0, 20, 500)),
                confirm_timeout_ms=2_000,
            )
        )
        for point in ANALOGS:
            update(self.talk.database, Kind.ANALOG, point.index, 0, T0)
        self.made = 0
        self.heard: list[int] = []
        self.sequence = 0
        self.unconfirmed: list[tuple[int, bool]] = []

    def hear(self, fragments: list[bytes]) -> None:
        for one in fragments:
            is_unsolicited = one[1] == Function.UNSOLICITED_RESPONSE
            self.heard += told(one[4:])
            if one[0] & 0x20:
                self.unconfirmed.append((one[0] & 0x0F, is_unsolicited))

    def change(self) -> None:
        for _ in range(self.random.choice((1, 5, 400))):
            self.made += 1
            index = self.random.choice((*SMALL, FAR))
            assert update(self.talk.database, Kind.ANALOG, index, self.made, T0 + self.made)
        self.hear(self.talk.later(0.0))

    def ask(self, function: int, objects: bytes) -> None:
        self.sequence = (self.sequence + 1) % 16
        self.hear(self.talk.ask(function, objects, self.sequence))

    def read(self) -> None:
        count = self.random.choice((b"\x07\x05", b"\x08\x64\x00", b"\x06"))
        self.ask(
            Function.READ,
            self.random.choice((READ_EVENTS, b"\x3c\x02" + count, b"\x20\x00" + count + b"\x3c\x03\x06")),
        )

    def confirm(self) -> None:
        """One of what came, in any order, or again; the newest or an old one."""
        if self.unconfirmed:
            place = self.random.randrange(len(self.unconfirmed))
            self.hear(self.talk.confirm(*self.unconfirmed.pop(place)))

    def lose(self) -> None:
        self.unconfirmed.clear()

    def drop(self) -> None:
        self.unconfirmed.clear()
        self.talk.association.link_down()
        self.hear(self.talk.up())

    def switch(self) -> None:
        function = self.random.choice((Function.ENABLE_UNSOLICITED, Function.DISABLE_UNSOLICITED))
        self.ask(function, CLASSES)

    def wait(self) -> None:
        self.hear(self.talk.later(self.random.choice((0.0, 0.05, 1.0, 2.5, 12.0))))

    def step(self) -> None:
        acts = (
            self.change,
            self.read,
            self.confirm,
            self.confirm,
            self.lose,
            self.drop,
            self.switch,
            self.wait,
        )
        self.random.choice(acts)()

    def settle(self, *, unasked: bool) -> None:
        """From here on it does all by the book: tell everything within ``SETTLE_S``."""
        self.ask(Function.ENABLE_UNSOLICITED, CLASSES)
        end = self.talk.now + SETTLE_S
        while len(self.talk.association.events):
            assert self.talk.now < end, f"{len(self.talk.association.events)} of {self.made} wait for ever"
            while self.unconfirmed:
                self.hear(self.talk.confirm(*self.unconfirmed.pop(0)))
            if not unasked:
                self.ask(Function.READ, READ_EVENTS)
                while self.unconfirmed:
                    self.hear(self.talk.confirm(*self.unconfirmed.pop(0)))
            due = self.talk.association.deadline()
            self.hear(self.talk.later(0.5 if due is None else max(0.001, min(due - self.talk.now, 0.5))))


@pytest.mark.parametrize("unasked", [True, False], ids=["unasked", "polled"])
def test_nothing_stalls_and_nothing_is_lost_whatever_the_master_loses(unasked: bool) -> None:
    for seed in SEEDS:
        master = Careless(seed)
        master.hear(master.talk.up())
        for _ in range(STEPS):
            master.step()
        master.settle(unasked=unasked)
        first_heard = list(dict.fromkeys(master.heard))
        assert sorted(first_heard) == list(range(1, master.made + 1)), f"seed {seed}"
