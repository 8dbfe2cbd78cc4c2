"""Who has which address (SAE J1939-81 4.4), and what a DM1 says."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.can_j1939 import (
    Identity,
    destination_of,
    identifier_of,
    is_addressed,
    name_of,
    pgn_of,
)
from gateway.drivers.can.j1939.claim import ARBITRARY, CONTENTION_S, Claim, State
from gateway.drivers.can.j1939.faults import Lamp, read_faults

UNHURRIED = settings(  # a loaded machine is no failure
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

NAME = name_of(identity=5, manufacturer=0x123, function=129, instance=2, industry=5, is_arbitrary=True)
BETTER, WORSE = (NAME - 1).to_bytes(8, "little"), (NAME + 1).to_bytes(8, "little")
OURS = NAME.to_bytes(8, "little")


def claimed(is_arbitrary: bool = True) -> Claim:
    claim = Claim(Identity(0xF9, NAME, is_arbitrary))
    assert claim.start(0.0) == (0x18EEFFF9, OURS)
    assert claim.state is State.WAITING
    claim.tick(CONTENTION_S)
    assert claim.state is State.CLAIMED
    return claim


def test_a_name_is_laid_out_as_the_standard_has_it() -> None:
    # identity 21 bits, manufacturer 11, ECU instance 3, function instance 5, function 8, ..., industry 3, arbitrary 1
    assert OURS.hex(" ") == "05 00 60 24 10 81 00 d0"


def test_we_may_not_send_before_others_could_object() -> None:
    claim = Claim(Identity(0xF9, NAME, True))
    claim.start(0.0)
    claim.tick(CONTENTION_S - 0.01)
    assert claim.state is State.WAITING


def test_a_worse_name_is_told_that_the_address_is_ours() -> None:
    claim = claimed()
    assert claim.on_claim(0xF9, WORSE, 1.0) == (0x18EEFFF9, OURS)
    assert (claim.state, claim.address, claim.lost) == (State.CLAIMED, 0xF9, 0)


def test_a_better_name_takes_the_address_and_we_take_a_free_one() -> None:
    claim = claimed()
    assert claim.on_claim(ARBITRARY[0], WORSE, 1.0) is None  # that one is taken
    assert claim.on_claim(0xF9, BETTER, 2.0) == (0x18EEFF00 | ARBITRARY[1], OURS)
    assert claim.state is State.WAITING
    claim.tick(2.0 + CONTENTION_S)
    assert (claim.state, claim.address, claim.lost) == (State.CLAIMED, ARBITRARY[1], 1)


def test_who_takes_no_other_address_has_none_and_says_so_when_asked() -> None:
    claim = claimed(is_arbitrary=False)
    assert claim.on_claim(0xF9, BETTER, 1.0) == (0x18EEFFFE, OURS)
    assert claim.state is State.NONE
    claim.tick(9.0)
    assert claim.state is State.NONE
    assert claim.on_request() == (0x18EEFFFE, OURS)
    assert claim.on_claim(254, BETTER, 9.0) is None  # another one that has none
    assert claim.start(10.0) == (0x18EEFFF9, OURS)  # the bus was opened again


def test_a_bus_without_a_free_address_leaves_us_without_one() -> None:
    claim = claimed()
    for address in ARBITRARY:
        claim.on_claim(address, WORSE, 1.0)
    assert claim.on_claim(0xF9, BETTER, 1.0) == (0x18EEFFFE, OURS)


def test_our_own_claim_heard_again_is_no_rival() -> None:
    claim = claimed()
    assert claim.on_claim(0xF9, OURS, 1.0) is None
    assert claim.on_claim(0xF9, BETTER[:7], 1.0) is None
    assert claim.state is State.CLAIMED


@UNHURRIED
@given(st.integers(0, 0x3FFFF), st.integers(0, 7), st.integers(0, 255), st.integers(0, 255))
def test_an_identifier_says_what_it_was_made_of(pgn: int, priority: int, source: int, to: int) -> None:
    if is_addressed(pgn):
        pgn &= 0x3FF00
    identifier = identifier_of(pgn, priority, source, to)
    assert identifier < 1 << 29
    assert (pgn_of(identifier), identifier & 0xFF, identifier >> 26) == (pgn, source, priority)
    assert destination_of(identifier) == (to if is_addressed(pgn) else 255)


def test_faults_are_read_bit_by_bit() -> None:
    told = read_faults(bytes.fromhex("04 ff 6e 00 03 02 12 f8 e4 01 ff ff"))
    assert told is not None
    assert told.lamps == (Lamp.OFF, Lamp.OFF, Lamp.LIT, Lamp.OFF)
    # 0xe4: high bits of the SPN 111, FMI 4; 0x7f812 = 522258
    assert [(one.spn, one.fmi, one.occurrences) for one in told.faults] == [(110, 3, 2), (0x7F812, 4, 1)]
    assert told.text() == "SPN 110 FMI 3 x2; SPN 522258 FMI 4 x1"


def test_lamps_flash_or_are_unknown() -> None:
    told = read_faults(bytes.fromhex("5b 1f 00 00 00 00 ff ff"))  # 01 01 10 11; flashing 00 01 11 11
    assert told is not None
    assert told.lamps == (Lamp.SLOW, Lamp.FAST, Lamp.UNKNOWN, Lamp.UNKNOWN)
    assert told.faults == ()


def test_no_fault_and_an_old_one_are_told_apart() -> None:
    told = read_faults(bytes.fromhex("00 ff ff ff ff 00 6e 00 03 ff"))
    assert told is not None
    assert told.text() == "SPN 110 (old numbering) FMI 3"


@UNHURRIED
@given(st.binary(max_size=1785))
def test_any_bytes_are_faults_or_none(data: bytes) -> None:
    told = read_faults(data)
    assert (told is None) == (len(data) < 2)
    if told is not None:
        assert len(told.faults) <= len(data) // 4
        told.text()
