"""What the command router asks of a driver: act on a device, and read back what it then says.

Exceptions::

    OperateError              the device answered that it will not, or cannot
    ├── NotConnectedError     nothing was sent: there is no connection to the device now
    └── RefusedError          it was judged and refused as a whole: what held before still holds

A request that was sent and not answered in time raises the built-in TimeoutError: the device may or may not
have acted. No other exception of the driver's library may pass through here.
"""

from __future__ import annotations

from typing import Protocol

from gateway.tags.command import Refusal
from gateway.tags.sample import Value


class OperateError(Exception):
    """The device answered a request with an error; ``why`` is a sentence an operator understands."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NotConnectedError(OperateError):
    """There is no connection to the device, so nothing was sent."""


class RefusedError(OperateError):
    """Who it was sent to judged it and refused it, and acts as before; asking again changes nothing."""

    def __init__(self, code: Refusal, why: str) -> None:
        super().__init__(why)
        self.code = code


class Driver(Protocol):
    """A driver as the router sees it. Tags are image indexes; values are in the tag's engineering unit."""

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value`` to the device; return once the device has acknowledged it.

        Raises OperateError, NotConnectedError, TimeoutError.
        """
        ...

    async def read_back(self, tag: int) -> Value:
        """Ask the device, now, what the tag is; not from a cache. What it says goes into the image as well.

        Raises OperateError, NotConnectedError, TimeoutError.
        """
        ...


class DeviceDriver(Driver, Protocol):
    """A driver of devices that may go away and come back."""

    def connections(self, tag: int) -> int:
        """How many connections to the tag's device were made over which it answered.

        A new number says that the device may have been restarted since: what it was told before may be lost.
        """
        ...


class ExpiringDriver(Driver, Protocol):
    """A driver of tags whose values hold until a time that comes with them."""

    async def operate_until(self, tag: int, value: Value, valid_until_ns: int) -> None:
        """As `operate`; the value holds no longer than ``valid_until_ns`` (UTC), nor than the tag's own time."""
        ...
