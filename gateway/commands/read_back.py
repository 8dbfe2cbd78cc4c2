"""Fourth step: ask the device until it reports what it was told, or the time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.commands.operate import Sent
from gateway.tags.command import Done, Failed, Refused, TimedOut
from gateway.tags.operate import Driver, OperateError, RefusedError
from gateway.tags.sample import Value

FIRST_PAUSE_S = 0.05  # most devices report a setpoint back at once, the others within some of their scans
LONGEST_PAUSE_S = 0.5
# A float32 register rounds to 24 bits, a relative 2^-24 = 6e-8; scaling in float64 adds nothing of that size.
ROUNDING = 1e-7


async def read_back(
    driver: Driver,
    tag: int,
    value: Value,
    tolerance: float,
    sent: Sent,
    deadline: float,
    now_ns: Callable[[], int] = time.time_ns,
) -> Done | Refused | TimedOut | Failed:
    """Done as soon as the device reports ``value``; at ``deadline`` (loop's time) what is known then."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_S
    reported: Value | None = None
    trouble = ""
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                reported = await driver.read_back(tag)
            if is_equal(value, reported, tolerance):
                return Done(reported, now_ns())
        except RefusedError as error:
            return Refused(error.code, error.why)
        except OperateError as error:
            trouble = error.why
        except TimeoutError:
            pass  # unanswered: it is asked again while there is time
        if loop.time() + pause >= deadline:
            break
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
    if sent is Sent.UNANSWERED:
        return TimedOut("the device did not answer; it may or may not have acted")
    if reported is not None:
        return Failed(f"the device took {value!r} but reports {reported!r}")
    if trouble:
        return Failed(f"the device took {value!r} but cannot be read back: {trouble}")
    return TimedOut(f"the device took {value!r} but did not report it back in time")


def is_equal(asked: Value, reported: Value, tolerance: float) -> bool:
    """Whether the device reports what it was told: numbers within ``tolerance``, all else exactly."""
    if isinstance(asked, bool | str) or isinstance(reported, bool | str):
        return type(asked) is type(reported) and asked == reported
    if isinstance(asked, int) and isinstance(reported, int):
        return abs(asked - reported) <= tolerance
    return abs(asked - reported) <= tolerance + ROUNDING * abs(asked)
