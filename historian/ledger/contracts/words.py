"""What contracts reckon with, and refuse with: words of 256 bits that do not wrap, errors by name and arguments."""

from __future__ import annotations

from historian.ledger.errors import Reason, Refused

MOST_WORD = 2**256 - 1
NO_ADDRESS = bytes(20)
NO_ID = bytes(32)
OVERFLOWN = 0x11  # Solidity's panic where a sum or product leaves 256 bits, or a difference goes below 0

# By the names of solidity/Errors.sol; "" is a refusal without a word, as of bytes that are no call.
REASONS = {
    "": Reason.MALFORMED,
    "NotOperator": Reason.NOT_ALLOWED,
    "NotOwner": Reason.NOT_ALLOWED,
    "Unknown": Reason.UNKNOWN,
    "AlreadyThere": Reason.EXISTS,
    "WrongStatus": Reason.NOT_ALLOWED,
    "NotLater": Reason.REORDERED,
    "TooEarly": Reason.EARLY,
    "TooLate": Reason.LATE,
    "MoreThanPossible": Reason.OVERFLOW,
    "NotEnough": Reason.NEGATIVE,
    "OutOfRange": Reason.OVERFLOW,
    "TextLength": Reason.OVERSIZED,
    "TooMany": Reason.OVERSIZED,
    "NoRate": Reason.UNKNOWN,
    "SelfTrade": Reason.NOT_ALLOWED,
    "PricesDoNotCross": Reason.NOT_ALLOWED,
    "NoAddress": Reason.MALFORMED,
    "Panic": Reason.OVERFLOW,
}


class Reverted(Refused):
    """A call that is refused; ``error`` and ``arguments`` are those of the Solidity twin."""

    def __init__(self, error: str, *arguments: int | bytes) -> None:
        said = ", ".join(f"0x{a.hex()}" if isinstance(a, bytes) else str(a) for a in arguments)
        super().__init__(REASONS[error], f"{error}({said})" if error else "no such call")
        self.error = error
        self.arguments = arguments


def add(*terms: int) -> int:
    """Their sum."""
    return _word(sum(terms))


def sub(whole: int, part: int) -> int:
    """What is left."""
    return _word(whole - part)


def mul(*factors: int) -> int:
    """Their product, from the left."""
    product = 1
    for factor in factors:
        product = _word(product * factor)
    return product


def nearest(number: int, divisor: int) -> int:
    """The quotient, halves up."""
    return add(mul(2, number), divisor) // (2 * divisor)


def _word(value: int) -> int:
    if not 0 <= value <= MOST_WORD:
        raise Reverted("Panic", OVERFLOWN)
    return value
