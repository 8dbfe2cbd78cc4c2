"""Answers that are none: what a device says that lies about the form of its answer, at random."""

from __future__ import annotations

import random

HEADER_BYTES = 7  # of Modbus TCP: transaction, protocol, length, unit
ERROR_FLAG = 0x80
LAST_CODE = 11  # of the exceptions that Modbus has
FORMS = 9
EVERY = (
    8  # octets of a stream, of which one is changed: the shortest head of those that links carry has as many
)


def garbled_answer(answer: bytes, chance: random.Random) -> bytes:
    """Instead of a whole Modbus TCP frame one that is wrong in one respect, or an exception; never ``answer`` itself.

    Where ``answer`` is an exception, it may come out as it is.
    """
    transaction, unit, pdu = answer[:2], answer[6], answer[HEADER_BYTES:]
    match chance.randrange(FORMS):
        case 0:
            return _other(transaction, 0, chance) + answer[2:]
        case 1:  # no Modbus by its protocol
            return _other(answer, chance.randrange(2, 4), chance)
        case 2:
            return _other(answer, 6, chance)
        case 3:  # of another function; bit 7 would make an exception of it
            return answer[:HEADER_BYTES] + bytes([pdu[0] ^ chance.randrange(1, ERROR_FLAG)]) + pdu[1:]
        case 4:  # an octet too few or too many, of which the head knows
            return _framed(transaction, unit, pdu[:-1] if chance.random() < 0.5 else pdu + b"\0")
        case 5:  # the head tells of more than ever comes
            return (
                transaction
                + b"\0\0"
                + (len(pdu) + 1 + chance.randrange(1, 64)).to_bytes(2, "big")
                + answer[6:]
            )
        case 6:  # cut off
            return answer[: chance.randrange(1, len(answer))]
        case 7:  # noise; no protocol has FF as its second number
            return b"\xff" * 4 + chance.randbytes(chance.randrange(8, 64))
        case _:
            return _framed(
                transaction, unit, bytes([pdu[0] | ERROR_FLAG, chance.randrange(1, LAST_CODE + 1)])
            )


def garbled_stream(octets: bytes, chance: random.Random) -> bytes:
    """A stream of any protocol of which one octet in `EVERY` is another, as from a bad modem."""
    changed = bytearray(octets)
    for start in range(0, len(changed), EVERY):
        changed[chance.randrange(start, min(start + EVERY, len(changed)))] ^= chance.randrange(1, 256)
    return bytes(changed)


def _other(octets: bytes, place: int, chance: random.Random) -> bytes:
    changed = bytearray(octets)
    changed[place] ^= chance.randrange(1, 256)
    return bytes(changed)


def _framed(transaction: bytes, unit: int, pdu: bytes) -> bytes:
    return transaction + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu
