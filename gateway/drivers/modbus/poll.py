"""The reads of one poll group of one device, what came of them, and how they change when the device refuses one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import ModbusPoint, PollGroup, Table
from gateway.drivers.modbus.client import Request, read_request
from gateway.drivers.modbus.codec import Decoder
from gateway.drivers.modbus.plan import Block, Limits, plan, split
from gateway.drivers.session import Freshness, Schedule
from gateway.tags.quality import Quality

# A point the device refused may come back with a new firmware or a module plugged in: worth a request a minute.
SLOW_RETRY_S = 60.0
# One that talked nonsense for a while is well soon after: the first time it is asked again after this, doubling.
FIRST_RETRY_S = 1.0
MOST_REFUSALS = 16  # counted: doubled so often it is past the slow retry
# What had to be read in pieces is asked as a whole again after `SLOW_RETRY_S`, doubling up to this: a device that
# never takes it costs a few requests an hour, one that was confused for a moment is not read in pieces for ever.
MOST_WHOLE_RETRY_S = 3_600.0
# A device that ignores one request and answers the others costs a whole timeout each: after three, ask it slowly.
SILENCES_UNTIL_SLOW = 3


@dataclass(slots=True, eq=False)
class Read:
    """One block with its ready-made request and what is known of it."""

    block: Block
    freshness: Freshness
    request: Request = field(init=False)
    factors: Request | None = field(init=False)  # for scale factors that lie too far away
    tags: NDArray[np.uint32] = field(init=False)
    silences: int = 0  # in a row, while other reads were answered
    retry_at_s: float = 0.0  # of a read set aside
    refusals: int = 0  # since it was answered
    stale_quality: Quality = Quality.BAD_COMMUNICATION_ERROR  # what its tags become when it is stale

    def __post_init__(self) -> None:
        self.request, self.factors = requests_of(self.block)
        self.tags = np.array([point.tag for point in self.block.points], np.uint32)


def requests_of(block: Block) -> tuple[Request, Request | None]:
    """For the block, and for its scale factors where they are not in it."""
    request = read_request(block.table, block.address, block.count)
    if not block.factor_count:
        return request, None
    return request, read_request(block.table, block.factor_address, block.factor_count)


class Poll:
    """A group's schedule, its reads, the reads set aside, and the decoder that fits the reads."""

    def __init__(
        self,
        group: PollGroup,
        points: Sequence[ModbusPoint],
        limits: dict[Table, Limits],
        types: NDArray[np.uint8],
        start_s: float,
        phase_s: float,
    ) -> None:
        stale_after_s = group.stale_after_ms / 1000
        self.schedule = Schedule(group.period_ms / 1000, start_s + phase_s)
        self._blocks = tuple(
            block
            for table in Table
            for block in plan([point for point in points if point.table is table], limits[table])
        )
        self.reads = [
            Read(block, Freshness(stale_after_s, start_s + stale_after_s)) for block in self._blocks
        ]
        self.aside: list[Read] = []
        self._is_in_pieces = False
        self._whole_at_s = 0.0  # when reads in pieces are tried as wholes again
        self._whole_retry_s = SLOW_RETRY_S
        self.overtaken: set[int] = (
            set()
        )  # tags read back for a command since this poll began: theirs is newer
        self._types = types
        self.decoder = Decoder([read.block for read in self.reads], types)

    @property
    def all_reads(self) -> list[Read]:
        return self.reads + self.aside

    def refit(self) -> None:
        """Make the decoder again after `reads` changed."""
        self.decoder = Decoder([read.block for read in self.reads], self._types)

    def halves(self, read: Read, now_s: float) -> tuple[Read, Read] | None:
        """Two reads with the same points, as fresh as the one; None where the points cannot be read apart."""
        blocks = split(read.block)
        if blocks is None:
            return None
        if not self._is_in_pieces:
            self._is_in_pieces = True
            self._whole_at_s = now_s + self._whole_retry_s
            self._whole_retry_s = min(2 * self._whole_retry_s, MOST_WHOLE_RETRY_S)
        first, second = (
            Read(
                block,
                Freshness(read.freshness.stale_after_s, read.freshness.until_s, read.freshness.is_stale),
            )
            for block in blocks
        )
        return first, second

    def reconnected(self) -> None:
        """The device may have been started anew, with other registers: nothing that it refused counts."""
        for read in self.aside:
            read.retry_at_s, read.refusals = 0.0, 0
        self._whole_at_s, self._whole_retry_s = 0.0, SLOW_RETRY_S

    def join(self, now_s: float) -> None:
        """Read in one again what is in pieces, where it is time to try; not while any of it is set aside."""
        if not self._is_in_pieces or self.aside or now_s < self._whole_at_s:
            return
        self._is_in_pieces = False
        fresh = [read.freshness for read in self.reads]
        until_s, is_stale = min(one.until_s for one in fresh), all(one.is_stale for one in fresh)
        self.reads = [
            Read(block, Freshness(fresh[0].stale_after_s, until_s, is_stale)) for block in self._blocks
        ]
        self.refit()
