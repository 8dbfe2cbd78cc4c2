"""What a client writes: whole values only, all checked before any is commanded, and an honest answer."""

from __future__ import annotations

import asyncio
import struct

import pytest

from gateway.tags.command import Done, Failed, Refusal, Refused, TimedOut
from gateway.tags.quality import Quality


def floats(value: float) -> str:
    """A float32 in little word order."""
    octets = struct.pack(">f", value)
    return (octets[2:] + octets[:2]).hex()


@pytest.mark.parametrize(
    ("unit", "request_pdu", "wishes"),
    [
        (1, "05 0000 ff00", [("d.close", True)]),
        (1, "05 0001 0000", [("d.start", False)]),
        (1, "0f 0000 0002 01 01", [("d.close", True), ("d.start", False)]),
        (2, "06 0068 0003", [("d.mode", 3)]),
        (2, "10 0064 0002 04" + floats(-3.5), [("d.setpoint_kw", -3.5)]),
        (2, "10 0066 0002 04 fffffffe", [("d.count", -2)]),
        (
            2,
            "10 0064 0005 0a" + floats(1.5) + "00000007" + "0001",
            [("d.setpoint_kw", 1.5), ("d.count", 7), ("d.mode", 1)],
        ),
        (2, "10 0069 0004 08 7375640000000000", [("d.label", "sud")]),
        (2, "16 006d fffe 0001", [("d.close", True)]),
        (2, "16 006d fdfe 0000", [("d.close", False), ("d.start", False)]),
        (2, "16 006d ffff 0000", []),  # touches nothing
        (2, "16 0068 0000 0003", [("d.mode", 3)]),
        (2, "16 0068 fffd 0002", [("d.mode", 3)]),  # of mode 1
        (2, "06 006d 0011", [("d.close", True), ("d.start", False)]),  # d.closed as it is
        (2, "06 006d 0210", []),  # all as it is
        (2, "06 006d 0211", [("d.close", True)]),
    ],
)
async def test_a_write_becomes_commands(served, unit: int, request_pdu: str, wishes: list[object]) -> None:
    response = await served.ask(unit, request_pdu)
    size = {"05": 5, "06": 5, "0f": 5, "10": 5, "16": 7}[request_pdu[:2]]
    assert response == request_pdu.replace(" ", "")[: 2 * size]
    assert served.wishes == wishes
    for command in served.commands:
        assert (command.user, command.origin) == ("dispatcher", "modbus")
        assert command.reason == f"ems (127.0.0.1), unit {unit}"


async def test_the_same_request_again_is_a_new_command(served) -> None:
    await served.ask(2, "06 0068 0003")
    await served.ask(2, "06 0068 0003")
    assert served.wishes == [("d.mode", 3)] * 2
    assert len({command.id for command in served.commands}) == 2


async def test_write_and_read_reads_what_was_written(served) -> None:
    response = await served.ask(2, "17 0064 0005 0068 0001 02 0003")
    assert response == "170a" + floats(42.5) + "0001e240" + "0003"
    assert served.wishes == [("d.mode", 3)]


@pytest.mark.parametrize(
    ("unit", "request_pdu", "code"),
    [
        (2, "10 0064 0001 02 0000", 2),  # half of the setpoint
        (2, "10 0064 0003 06 0000 0000 0000", 2),  # the setpoint, and half of the count
        (2, "10 0065 0003 06 0000 0000 0001", 2),
        (2, "06 0064 0000", 2),
        (2, "16 0064 0000 0000", 2),
        (2, "10 0069 0002 04 41414141", 2),  # half a text
        (2, "10 0068 000a 14" + "00" * 20, 2),  # beyond the last
        (2, "06 006e 0001", 2),  # may be read only
        (2, "16 006d ffef 0010", 2),  # a bit likewise
        (2, "16 006d fffb 0004", 2),  # a bit that nobody has
        (2, "06 006d 0200", 2),  # a bit likewise, changed
        (2, "06 006d 0214", 3),
        (1, "05 0000 0001", 3),  # neither on nor off
        (1, "05 0003 ff00", 2),
        (1, "0f 0000 0002 02 0100", 3),  # bytes and bits do not agree
        (1, "0f 0000 0000 00", 3),
        (2, "10 0064 0002 06 000000000000", 3),
        (2, "10 0064 007c 02 0000", 3),
        (2, "10 0064 0002 04" + floats(50.5), 3),  # outside its limits
        (2, "10 0064 0002 04" + floats(float("nan")), 3),
        (2, "10 0066 0002 04 80000000", 3),  # "not implemented"
        (2, "06 0068 0002", 3),  # no state
        (2, "06 0068 ffff", 3),
        (2, "10 0069 0004 08 ff00000000000000", 3),  # no UTF-8
        (2, "10 0066 0003 06 00000007 0002", 3),  # the first is right, the second is not
        (2, "17 0064 0002 0068 0001 02 0002", 3),
        (2, "17 0000 0001 0068 0001 02 0003", 2),  # what is to be read is not there
        (2, "17 0064 007e 0068 0001 02 0003", 3),
        (1, "05 0002 ff00", 1),  # the role is not enough
        (1, "0f 0000 0003 01 07", 1),  # of one
    ],
)
async def test_a_write_that_is_not_right_commands_nothing(
    served, unit: int, request_pdu: str, code: int
) -> None:
    function = int(request_pdu[:2], 16) | 0x80
    assert await served.ask(unit, request_pdu) == f"{function:02x}{code:02x}"
    assert served.commands == []


async def test_a_bit_that_is_bad_is_commanded_whatever_it_was(served) -> None:
    served.write("d.start", True, Quality.BAD_COMMUNICATION_ERROR)
    assert await served.ask(2, "06 006d 0210") == "06006d0210"
    assert served.wishes == [("d.start", True)]


async def test_a_part_of_what_is_bad_cannot_be_changed(served) -> None:
    served.write("d.mode", 1, Quality.BAD_COMMUNICATION_ERROR)
    assert await served.ask(2, "16 0068 fffd 0002") == "9604"
    assert await served.ask(2, "16 0068 0000 0003") == "1600680000" + "0003"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Refused(Refusal.OUT_OF_LIMITS, ""), 3),
        (Refused(Refusal.WRONG_TYPE, ""), 3),
        (Refused(Refusal.NOT_WRITABLE, ""), 2),
        (Refused(Refusal.NOT_AUTHORISED, ""), 1),
        (Refused(Refusal.BUSY, ""), 6),
        (Refused(Refusal.HELD, ""), 4),
        (Refused(Refusal.NOT_CONNECTED, ""), 0x0A),
        (Refused(Refusal.AUDIT_UNAVAILABLE, ""), 4),
        (Failed(""), 4),
        (TimedOut(""), 0x0B),
    ],
)
async def test_the_outcome_is_told(served, outcome: object, code: int) -> None:
    served.outcome = lambda command: outcome
    assert await served.ask(1, "05 0000 ff00") == f"85{code:02x}"
    assert len(served.commands) == 1, "and nothing is tried again"


async def test_every_refusal_has_a_code(served) -> None:
    for refusal in Refusal:
        served.outcome = lambda command, refusal=refusal: Refused(refusal, "")
        assert (await served.ask(1, "05 0000 ff00"))[:2] == "85"


async def test_of_several_the_first_that_went_wrong_is_told(served) -> None:
    outcomes = {"d.count": Refused(Refusal.BUSY, ""), "d.mode": TimedOut("")}
    served.outcome = lambda command: outcomes.get(command.tag, Done(command.value, 0))
    assert await served.ask(2, "10 0064 0005 0a" + floats(1.5) + "00000007" + "0001") == "9006"


async def test_neighbours_are_commanded_at_once(served, eventually) -> None:
    served.hold = asyncio.Event()
    asking = asyncio.create_task(served.ask(2, "10 0064 0005 0a" + floats(1.5) + "00000007" + "0001"))
    await eventually(lambda: len(served.commands) == 3, "three commands before any is done")
    served.hold.set()
    assert await asking == "1000640005"
    assert all(
        command.deadline_ns - served.commands[0].deadline_ns < 1_000_000_000 for command in served.commands
    )
