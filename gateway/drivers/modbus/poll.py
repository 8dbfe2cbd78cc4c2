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
        self.reads = [
            Read(block, Freshness(stale_after_s, start_s + stale_after_s))
            for table in Table
            for block in plan([point for point in points if point.table is table], limits[table])
        ]
        self.aside: list[Read] = []
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

    @staticmethod
    def halves(read: Read) -> tuple[Read, Read] | None:
        """Two reads with the same points, as fresh as the one; None where the points cannot be read apart."""
        blocks = split(read.block)
        if blocks is None:
            return None
        first, second = (
            Read(
                block,
                Freshness(read.freshness.stale_after_s, read.freshness.until_s, read.freshness.is_stale),
            )
            for block in blocks
        )
        return first, second
