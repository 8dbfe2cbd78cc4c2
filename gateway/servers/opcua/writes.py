"""A client's Write as a command, and what became of it as a StatusCode (OPC 10000-4, 5.11.4.4 and 7.39)."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import assert_never

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Tag
from gateway.servers.opcua import limits
from gateway.servers.opcua.values import status, written_value
from gateway.tags.command import (
    Command,
    Commander,
    Done,
    Failed,
    Outcome,
    Refusal,
    Refused,
    Selected,
    TimedOut,
)

log = logging.getLogger(__name__)

ORIGIN = "opcua"
UNWRITABLE_TIMEOUT_MS = 1000  # of a command that the router will refuse, and audit

_REFUSALS = {
    Refusal.MALFORMED: StatusCodes.BadInvalidArgument,
    Refusal.UNKNOWN_TAG: StatusCodes.BadNodeIdUnknown,
    Refusal.NOT_WRITABLE: StatusCodes.BadNotWritable,
    Refusal.NOT_AUTHORISED: StatusCodes.BadUserAccessDenied,
    Refusal.WRONG_TYPE: StatusCodes.BadTypeMismatch,
    Refusal.OUT_OF_LIMITS: StatusCodes.BadOutOfRange,
    Refusal.EXPIRED: StatusCodes.BadTimeout,
    Refusal.BUSY: StatusCodes.BadResourceUnavailable,
    Refusal.HELD: StatusCodes.BadLocked,
    Refusal.NOT_IN_CONTROL: StatusCodes.BadRequestNotAllowed,
    Refusal.INTERLOCKED: StatusCodes.BadInvalidState,
    Refusal.NOT_SELECTED: StatusCodes.BadStateNotActive,
    Refusal.SELECTED: StatusCodes.BadLocked,
    Refusal.TOO_SOON: StatusCodes.BadServerTooBusy,
    Refusal.NOT_CONFIRMED: StatusCodes.BadOperationAbandoned,
    Refusal.NOT_CONNECTED: StatusCodes.BadNoCommunication,
    Refusal.AUDIT_UNAVAILABLE: StatusCodes.BadResourceUnavailable,
}
assert set(_REFUSALS) == set(Refusal)


def status_of(outcome: Outcome) -> ua.StatusCode:
    """The StatusCode that tells a client what became of a command."""
    match outcome:
        case Done() | Selected():
            return status(StatusCodes.Good)
        case Refused(code, _):
            return status(_REFUSALS[code])
        case TimedOut():
            return status(StatusCodes.BadTimeout)
        case Failed():
            return status(StatusCodes.BadDeviceFailure)
        case _:
            assert_never(outcome)


async def write(given: ua.WriteValue, tag: Tag, user: str, commander: Commander) -> ua.StatusCode:
    """Have the device take a value; Good only when it reported the value back.

    A command that this user may not give is sent too: the router refuses it, and the audit trail has it.
    """
    if given.IndexRange:
        return status(StatusCodes.BadIndexRangeNoData)
    value = written_value(given.Value, tag)
    if isinstance(value, ua.StatusCode):
        return value
    timeout_ms = tag.write.patience_ms if tag.write is not None else UNWRITABLE_TIMEOUT_MS
    deadline_ns = time.time_ns() + timeout_ms * 1_000_000
    command = Command(uuid.uuid4().hex, tag.name, value, user, ORIGIN, deadline_ns)
    try:
        async with asyncio.timeout(timeout_ms / 1000 + limits.WRITE_GRACE_S):
            outcome = await commander.send(command)
    except TimeoutError:
        outcome = TimedOut("the command router gave no outcome")
    if not isinstance(outcome, Done | Selected):
        log.info("write of %s by %s: %s", tag.name, user, outcome)
    return status_of(outcome)
