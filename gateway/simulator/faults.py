"""What can be made to go wrong with a device on demand, as values and as lines of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

DEFAULT_DELAY_MS = 1500  # past the usual time-out of 1 s
MOST_DELAY_MS = 60_000
DEFAULT_CODE = 4  # server device failure


class FaultKind(StrEnum):
    """One word for each way a device fails; the value is what the command line takes."""

    SILENT = "silent"
    SLOW = "slow"
    RESET = "reset"
    WRONG = "wrong"
    GARBLED = "garbled"
    STUCK = "stuck"
    EXCEPTION = "exception"
    STOPPED = "stopped"
    DRIFT = "drift"
    SPIKE = "spike"
    SWAPPED = "swapped"
    FRAUD = "fraud"


MEANING = {
    FaultKind.SILENT: "takes requests and never answers",
    FaultKind.SLOW: "answers after a delay (--delay-ms)",
    FaultKind.RESET: "resets the connection at each request",
    FaultKind.WRONG: "answers in form, with random values",
    FaultKind.GARBLED: "answers with what is no answer, or with exceptions, at random",
    FaultKind.STUCK: "answers with the values it had when the fault began",
    FaultKind.EXCEPTION: "answers with a Modbus exception (--code)",
    FaultKind.STOPPED: "its server is down: connections are refused",
    FaultKind.DRIFT: "its meter shows --share more each hour",
    FaultKind.SPIKE: "its meter shows --share more for a moment, every minute",
    FaultKind.SWAPPED: "its meter has two current transformers on each other's phases",
    FaultKind.FRAUD: "its meter leaves --share out",
}
# Faults of what is measured: only devices by Modbus with a power in their registers have them.
OF_METERS = frozenset({FaultKind.DRIFT, FaultKind.SPIKE, FaultKind.SWAPPED, FaultKind.FRAUD})
DEFAULT_SHARE = {FaultKind.DRIFT: 0.1, FaultKind.SPIKE: 4.0, FaultKind.SWAPPED: 0.0, FaultKind.FRAUD: 0.3}
_WITH_SHARE = OF_METERS - {FaultKind.SWAPPED}
MOST_SHARE = 100.0


class FaultError(ValueError):
    """A fault that does not make sense, in a sentence for who asked for it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force. ``delay_ms`` matters to SLOW only, ``code`` to EXCEPTION, ``share`` to those of meters."""

    kind: FaultKind
    delay_ms: int = DEFAULT_DELAY_MS
    code: int = DEFAULT_CODE
    share: float = 0.0

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": self.kind.value}
        if self.kind is FaultKind.SLOW:
            said["delay_ms"] = self.delay_ms
        if self.kind is FaultKind.EXCEPTION:
            said["code"] = self.code
        if self.kind in _WITH_SHARE:
            said["share"] = self.share
        return said


def parse_fault(said: object) -> Fault:
    """The inverse of `Fault.as_json`. Raises FaultError."""
    if not isinstance(said, dict):
        raise FaultError("a fault is an object with a kind")
    unknown = set(said) - {"kind", "delay_ms", "code", "share"}
    if unknown:
        names = ", ".join(sorted(map(str, unknown)))
        raise FaultError(f"a fault has kind, delay_ms, code and share, not {names}")
    try:
        kind = FaultKind(said["kind"])
    except (KeyError, ValueError):
        raise FaultError(f"kind is one of {', '.join(FaultKind)}, not {said.get('kind')!r}") from None
    delay_ms = _whole(said, "delay_ms", DEFAULT_DELAY_MS, MOST_DELAY_MS)
    code = _whole(said, "code", DEFAULT_CODE, 0xFF)
    return Fault(kind, delay_ms, code, _share(said, kind))


def _share(said: dict[Any, Any], kind: FaultKind) -> float:
    value = said.get("share", DEFAULT_SHARE.get(kind, 0.0))
    most = 1.0 if kind is FaultKind.FRAUD else MOST_SHARE
    if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
        raise FaultError(f"share of {kind} is a number from {-most:g} to {most:g}, not {value!r}")
    return float(value)


def refuse_of_meters(fault: Fault | None) -> None:
    """For devices that do not speak Modbus. Raises FaultError."""
    if fault is not None and fault.kind in OF_METERS:
        raise FaultError(f"{fault.kind} is of meters by Modbus, such as feeder1")


def _whole(said: dict[Any, Any], key: str, default: int, most: int) -> int:
    value = said.get(key, default)
    if type(value) is not int or not 1 <= value <= most:
        raise FaultError(f"{key} is a whole number from 1 to {most}, not {value!r}")
    return value
