"""Third step: send the value to the device, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from gateway.tags.command import Failed, Refusal, Refused
from gateway.tags.operate import NotConnectedError, OperateError, RefusedError


class Sent(Enum):
    """What is known after sending."""

    ACKNOWLEDGED = 1
    UNANSWERED = 2  # the device may or may not have acted: only reading back tells


async def operate(act: Callable[[], Awaitable[None]], deadline: float) -> Sent | Refused | Failed:
    """``act`` sends the value; ``deadline`` is in the loop's time. It is never sent again, whatever happens."""
    try:
        async with asyncio.timeout_at(deadline):
            await act()
    except NotConnectedError as error:
        return Refused(Refusal.NOT_CONNECTED, error.why)
    except RefusedError as error:
        return Refused(error.code, error.why)
    except OperateError as error:
        return Failed(error.why)
    except TimeoutError:
        return Sent.UNANSWERED
    return Sent.ACKNOWLEDGED
