"""What a device's traffic came to: requests, errors by kind, latency percentiles, the last error."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gateway.drivers.modbus.client import (
    BadAnswerError,
    ExceptionAnswerError,
    GarbledAnswerError,
    LinkLostError,
    ModbusError,
    NeverQuietError,
    NoAnswerError,
    NotOpenError,
)

WINDOW = 1000  # requests that the percentiles look back on
LAST_ERROR_BYTES = 200  # the bound of the `last_error` tag


class ErrorKind(Enum):
    """The four error counters of a device."""

    TIMEOUT = 0
    EXCEPTION = 1
    CONNECTION = 2
    PROTOCOL = 3


_KIND: dict[type[ModbusError], ErrorKind] = {
    NoAnswerError: ErrorKind.TIMEOUT,
    ExceptionAnswerError: ErrorKind.EXCEPTION,
    LinkLostError: ErrorKind.CONNECTION,
    NotOpenError: ErrorKind.CONNECTION,
    BadAnswerError: ErrorKind.PROTOCOL,
    NeverQuietError: ErrorKind.PROTOCOL,
    GarbledAnswerError: ErrorKind.PROTOCOL,
}


@dataclass(slots=True)
class Counters:
    """Counted since the driver started; all monotonic but the percentiles."""

    requests: int = 0
    errors: list[int] = field(default_factory=lambda: [0] * len(ErrorKind))
    last_error: str = ""
    answers: int = 0
    _latency_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(WINDOW, np.int64))

    def answered(self, latency_ns: int) -> None:
        """A request was answered, be it with an exception."""
        self._latency_ns[self.answers % WINDOW] = latency_ns
        self.answers += 1

    def failed(self, error: ModbusError) -> None:
        self.errors[_KIND[type(error)].value] += 1
        self.last_error = str(error).encode()[:LAST_ERROR_BYTES].decode("utf-8", "ignore")

    def errors_of(self, kind: ErrorKind) -> int:
        return self.errors[kind.value]

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile (nearest rank) over the window; None before the first answer."""
        count = min(self.answers, WINDOW)
        if not count:
            return None
        median, tail = (count - 1) // 2, -(-99 * count // 100) - 1
        ordered = np.partition(self._latency_ns[:count], (median, tail))
        return float(ordered[median]) / 1e6, float(ordered[tail]) / 1e6
