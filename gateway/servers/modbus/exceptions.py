"""Exception codes, and which of them tells what became of a command.

Modbus Application Protocol 1.1b3, 7; Modbus/TCP Security v21, 8.4, for who may not: illegal function.
"""

from __future__ import annotations

from enum import IntEnum

from gateway.tags.command import Done, Failed, Outcome, Refusal, Refused, Selected, TimedOut
from gateway.tags.quality import Quality


class ExceptionCode(IntEnum):
    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    BUSY = 6
    NO_PATH = 0x0A  # gateway path unavailable: nothing was sent
    NO_ANSWER = 0x0B  # gateway target device failed to respond


class RefusedError(Exception):
    """A request that is answered with an exception."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code)
        self.code = code


_LINK_LOST = frozenset(
    {Quality.BAD_COMMUNICATION_ERROR, Quality.BAD_NO_COMMUNICATION, Quality.BAD_NOT_CONNECTED}
)
_REFUSALS = {
    Refusal.MALFORMED: ExceptionCode.ILLEGAL_VALUE,
    Refusal.WRONG_TYPE: ExceptionCode.ILLEGAL_VALUE,
    Refusal.OUT_OF_LIMITS: ExceptionCode.ILLEGAL_VALUE,
    Refusal.UNKNOWN_TAG: ExceptionCode.ILLEGAL_ADDRESS,
    Refusal.NOT_WRITABLE: ExceptionCode.ILLEGAL_ADDRESS,
    Refusal.NOT_AUTHORISED: ExceptionCode.ILLEGAL_FUNCTION,
    Refusal.BUSY: ExceptionCode.BUSY,
    Refusal.EXPIRED: ExceptionCode.BUSY,  # it did not get its turn in time, and was not sent
    # Not "busy", which asks the client to try again later: the logic may let go when nobody wants this any more.
    Refusal.HELD: ExceptionCode.DEVICE_FAILURE,
    Refusal.INTERLOCKED: ExceptionCode.DEVICE_FAILURE,
    # Code 1 is also for a server "in the wrong state to process a request of this type" (7).
    Refusal.NOT_IN_CONTROL: ExceptionCode.ILLEGAL_FUNCTION,
    Refusal.NOT_SELECTED: ExceptionCode.ILLEGAL_FUNCTION,
    Refusal.NOT_CONFIRMED: ExceptionCode.ILLEGAL_FUNCTION,
    Refusal.SELECTED: ExceptionCode.BUSY,
    Refusal.TOO_SOON: ExceptionCode.BUSY,
    Refusal.NOT_CONNECTED: ExceptionCode.NO_PATH,
    Refusal.AUDIT_UNAVAILABLE: ExceptionCode.DEVICE_FAILURE,
}


def code_of_outcome(outcome: Outcome) -> ExceptionCode | None:
    """None only where the device has reported the value back."""
    match outcome:
        case Done() | Selected():
            return None
        case Refused(code):
            return _REFUSALS.get(code, ExceptionCode.DEVICE_FAILURE)
        case Failed():
            return ExceptionCode.DEVICE_FAILURE
        case TimedOut():
            return ExceptionCode.NO_ANSWER  # it was sent; whether the device acted is not known


def code_of_quality(status: int) -> ExceptionCode:
    """Why there is no value, for a StatusCode that is Bad."""
    return ExceptionCode.NO_ANSWER if status & 0xFFFF_0000 in _LINK_LOST else ExceptionCode.DEVICE_FAILURE
