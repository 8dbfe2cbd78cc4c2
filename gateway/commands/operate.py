"""Third step: send the value to the device, once."""

from __future__ import annotations

import asyncio
from enum import Enum

from gateway.tags.command import Failed, Refusal, Refused
from gateway.tags.operate import Driver, NotConnectedError, OperateError
from gateway.tags.sample import Value


class Sent(Enum):
    """What is known after sending."""

    ACKNOWLEDGED = 1
    UNANSWERED = 2  # the device may or may not have acted: only reading back tells


async def operate(driver: Driver, tag: int, value: Value, deadline: float) -> Sent | Refused | Failed:
    """Send ``value``; ``deadline`` is in the loop's time. It is never sent again, whatever happens."""
    try:
        async with asyncio.timeout_at(deadline):
            await driver.operate(tag, value)
    except NotConnectedError as error:
        return Refused(Refusal.NOT_CONNECTED, error.why)
    except OperateError as error:
        return Failed(error.why)
    except TimeoutError:
        return Sent.UNANSWERED
    return Sent.ACKNOWLEDGED
