"""Setpoints of the logic as something that can be operated: written into the image, answered by the scan.

A setpoint S is S, S.valid_until and S.sequence, written in this order with one source time. The scan judges what has
a new sequence and three equal times, and says which one it judged last (S.answered) and what came of it (S.reason).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import numpy as np

from gateway.commands.follow import Pulse
from gateway.commands.kept import KeptError, Sequence
from gateway.config.logic import LogicSetpoint, LogicSettings, Reason
from gateway.tags.command import Refusal
from gateway.tags.image import Region, Writer
from gateway.tags.operate import NotConnectedError, OperateError, RefusedError
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import Value, to_bits, value_from_bits
from gateway.tags.tag import ValueType

LOOK_S = 0.1
ANSWER_LOOK_S = 0.005  # a scan answers within a task's interval
RUNNING = 1  # of the tag that tells the scan's mode

_REFUSALS = {
    Reason.NONE_YET: Refusal.BUSY,
    Reason.EXPIRED: Refusal.EXPIRED,
    Reason.SEQUENCE_NOT_NEWER: Refusal.BUSY,
    Reason.OUT_OF_LIMITS: Refusal.OUT_OF_LIMITS,
    Reason.TOO_FAST: Refusal.OUT_OF_LIMITS,
    Reason.NOT_A_NUMBER: Refusal.OUT_OF_LIMITS,
    Reason.BAD_QUALITY: Refusal.BUSY,
}
assert set(_REFUSALS) | {Reason.ACCEPTED} == set(Reason)


class SetpointDriver:
    """A `gateway.tags.operate.ExpiringDriver` for the setpoints of ``logic``."""

    def __init__(
        self,
        logic: LogicSettings,
        region: Region,
        writer: Writer,
        sequence: Sequence,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``writer`` owns the setpoints' tags."""
        self._setpoints = {setpoint.tag: setpoint for setpoint in logic.setpoints}
        self._region = region
        self._writer = writer
        self._sequence = sequence
        self._now_ns = now_ns
        modes = [tag.tag for tag in logic.scan if tag.what == "mode" and tag.task is None]
        assert modes, "the scan has a tag that tells its mode"
        self._mode = np.array(modes[:1], np.uint32)
        self._pulse = Pulse(1, 0.0)
        self._numbering = asyncio.Lock()
        self._last_stamp = 0
        self._sent: dict[int, int] = {}  # by tag: the sequence of the one sent last

    async def run(self) -> None:
        """Until cancelled: keep an eye on whether the scan runs."""
        self._restore()
        loop = asyncio.get_running_loop()
        self._pulse = Pulse(1, loop.time())
        while True:
            self._look()
            await asyncio.sleep(LOOK_S)

    def tags(self) -> Iterable[int]:
        """The setpoints."""
        return self._setpoints.keys()

    async def operate(self, tag: int, value: Value) -> None:
        """Give the scan ``value``, valid for as long as the site says. Raises NotConnectedError, OperateError."""
        await self._give(self._setpoints[tag], value, None)

    async def operate_until(self, tag: int, value: Value, valid_until_ns: int) -> None:
        """The same, valid until ``valid_until_ns`` where that is sooner."""
        await self._give(self._setpoints[tag], value, valid_until_ns)

    async def read_back(self, tag: int) -> Value:
        """What the scan accepted. Waits for its answer; raises RefusedError where that is a no."""
        setpoint = self._setpoints[tag]
        sequence = self._sent.get(tag)
        if sequence is None:
            raise OperateError(f"no value of {setpoint.name} was sent")
        # In this order, for the scan writes it last: whoever sees the answer sees what came of it.
        tags = np.array([setpoint.answered, setpoint.reason, setpoint.accepted], np.uint32)
        while True:
            rows = self._region.read(tags)
            if int(rows["value"][0]) == sequence:
                break
            await asyncio.sleep(ANSWER_LOOK_S)
        try:
            reason = Reason(int(rows["value"][1]))
        except ValueError:
            raise OperateError(f"the scan's answer for {setpoint.name} has no meaning here") from None
        if reason is Reason.ACCEPTED:
            return value_from_bits(int(rows["value"][2]), self._region.type_of(setpoint.accepted))
        accepted = value_from_bits(int(rows["value"][2]), self._region.type_of(setpoint.accepted))
        raise RefusedError(_REFUSALS[reason], _why(setpoint, reason, accepted))

    async def _give(self, setpoint: LogicSetpoint, value: Value, valid_until_ns: int | None) -> None:
        self._check_scan()
        async with self._numbering:
            try:
                sequence = await asyncio.to_thread(self._sequence.next, self._highest(setpoint))
            except KeptError as error:
                raise NotConnectedError(f"the setpoint cannot be numbered: {error}") from error
            stamp = self._now_ns()
            stamp += (
                stamp == self._last_stamp
            )  # of a coarse clock: equal times are how the scan knows what is whole
            self._last_stamp = stamp
            valid_until = stamp + setpoint.valid_for_s * 1_000_000_000
            if valid_until_ns is not None:
                valid_until = min(valid_until, valid_until_ns)
            bits = [
                _bits(value, self._region.type_of(setpoint.tag)),
                _bits(valid_until, ValueType.INT64),
                np.uint64(sequence),
            ]
            tags = np.array([setpoint.tag, setpoint.valid_until, setpoint.sequence], np.uint32)
            self._writer.write(tags, np.array(bits, np.uint64), Quality.GOOD, stamp, stamp)
            self._sent[setpoint.tag] = sequence

    def _check_scan(self) -> None:
        """Raises NotConnectedError where nobody would judge it: it must not lie there until somebody does."""
        now_s = asyncio.get_running_loop().time()
        self._look()
        mode = self._region.read(self._mode)[0]
        if not self._pulse.alive(now_s)[0] or not is_good(int(mode["status"])):
            raise NotConnectedError("no scan runs that could judge a setpoint")
        if int(mode["value"]) != RUNNING:
            raise NotConnectedError("the logic's program does not run: it is stopped or failed")

    def _look(self) -> None:
        rows = self._region.read(self._mode)
        self._pulse.feed(rows["receipt_time"], asyncio.get_running_loop().time())

    def _highest(self, setpoint: LogicSetpoint) -> int:
        """The largest number that is known to the image."""
        rows = self._region.read(np.array([setpoint.sequence, setpoint.answered], np.uint32))
        return int(rows["value"].max())

    def _restore(self) -> None:
        """What this process wrote before it died was marked Bad; what the scan has judged is as good as it was."""
        for setpoint in self._setpoints.values():
            tags = np.array(
                [setpoint.tag, setpoint.valid_until, setpoint.sequence, setpoint.answered], np.uint32
            )
            rows = self._region.read(tags)
            sequence, answered = int(rows["value"][2]), int(rows["value"][3])
            is_marked = bool((rows["status"][:3] == Quality.BAD_NO_COMMUNICATION).all())
            if is_marked and sequence and sequence == answered:
                stamp = self._now_ns()
                self._writer.write(tags[:3], rows["value"][:3].copy(), Quality.GOOD, stamp, stamp)


def _bits(value: Value, type: ValueType) -> np.uint64:
    bits: np.uint64 = to_bits(np.array([value]), type)[0]
    return bits


def _why(setpoint: LogicSetpoint, reason: Reason, accepted: Value) -> str:
    """The scan's reason as a sentence."""
    name = setpoint.name
    match reason:
        case Reason.EXPIRED:
            why = "it had expired when the scan saw it"
        case Reason.SEQUENCE_NOT_NEWER:
            why = "its number is not above the last one; send it again"
        case Reason.OUT_OF_LIMITS:
            why = f"{name} takes {_bound(setpoint.low, '-')} to {_bound(setpoint.high, '')}"
        case Reason.TOO_FAST:
            why = f"it may change by {setpoint.max_rate_per_s:g} a second, and was last accepted as {accepted!r}"
        case Reason.NOT_A_NUMBER:
            why = "it is not a number"
        case _:
            why = reason.text
    return f"the logic refuses it: {why}"


def _bound(limit: float | None, sign: str) -> str:
    return f"{sign}∞" if limit is None else f"{limit:g}"
