"""The aggregates of OPC 10000-13: which there are, how they are configured, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Aggregate(IntEnum):
    """Each by the number of its node in the standard's namespace (OPC 10000-13, 4.2.2)."""

    INTERPOLATIVE = 2341
    AVERAGE = 2342
    TIME_AVERAGE = 2343
    TOTAL = 2344
    MINIMUM = 2346
    MAXIMUM = 2347
    MINIMUM_ACTUAL_TIME = 2348
    MAXIMUM_ACTUAL_TIME = 2349
    RANGE = 2350
    ANNOTATION_COUNT = 2351
    COUNT = 2352
    NUMBER_OF_TRANSITIONS = 2355
    START = 2357
    END = 2358
    DELTA = 2359
    DURATION_GOOD = 2360
    DURATION_BAD = 2361
    PERCENT_GOOD = 2362
    PERCENT_BAD = 2363
    WORST_QUALITY = 2364
    TIME_AVERAGE2 = 11285
    MINIMUM2 = 11286
    MAXIMUM2 = 11287
    RANGE2 = 11288
    WORST_QUALITY2 = 11292
    TOTAL2 = 11304
    MINIMUM_ACTUAL_TIME2 = 11305
    MAXIMUM_ACTUAL_TIME2 = 11306
    DURATION_IN_STATE_ZERO = 11307
    DURATION_IN_STATE_NON_ZERO = 11308
    STANDARD_DEVIATION_SAMPLE = 11426
    STANDARD_DEVIATION_POPULATION = 11427
    VARIANCE_SAMPLE = 11428
    VARIANCE_POPULATION = 11429
    START_BOUND = 11505
    END_BOUND = 11506
    DELTA_BOUNDS = 11507

    @property
    def title(self) -> str:
        """As the standard writes it: ``TimeAverage2``."""
        return "".join(word.capitalize() for word in self.name.split("_"))


BY_TITLE = {aggregate.title.lower(): aggregate for aggregate in Aggregate}


class InfoBits(IntFlag):
    """Low bits of the StatusCode of a value that history gives (OPC 10000-4, 7.39.1)."""

    RAW = 0x0000
    CALCULATED = 0x0401  # 0x0400, DataValue, says that the bits below mean this
    INTERPOLATED = 0x0402
    PARTIAL = 0x0404
    EXTRA_DATA = 0x0408
    MULTIPLE_VALUES = 0x0410


@dataclass(frozen=True, slots=True)
class AggregateConfiguration:
    """How quality counts (OPC 10000-13, 4.2.1.2), with the standard's defaults. Raises ValueError.

    An interval is Good where at least ``percent_data_good`` of it is, else Bad where at least ``percent_data_bad``
    is, else Uncertain.
    """

    treat_uncertain_as_bad: bool = True
    percent_data_bad: int = 100
    percent_data_good: int = 100
    use_sloped_extrapolation: bool = False

    def __post_init__(self) -> None:
        for what, percent in (("good", self.percent_data_good), ("bad", self.percent_data_bad)):
            if not 0 <= percent <= 100:
                raise ValueError(f"the percentage of {what} data is {percent}, and must lie in 0..100")
        if self.percent_data_good < 100 - self.percent_data_bad:
            raise ValueError(
                f"{self.percent_data_good} % good and {self.percent_data_bad} % bad leave intervals that are both:"
                " together they must be at least 100"
            )


class ProcessedType(IntEnum):
    """Kind of the values of an aggregate: the built-in types of OPC 10000-6, 5.1.2."""

    BOOL = 1
    INT32 = 6
    INT64 = 8
    UINT64 = 9
    DOUBLE = 11
    STRING = 12
    STATUS_CODE = 19


@dataclass(frozen=True, slots=True)
class Processed:
    """One row an interval (or an instant asked for), shape (n,), in the order asked.

    Times are UTC ns. Where a status is Bad, there is no value, and what stands in ``values`` means nothing.
    """

    type: ProcessedType
    times: NDArray[np.int64]
    values: NDArray[Any]
    statuses: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def has_value(self) -> NDArray[np.bool_]:
        """Which rows have a value."""
        found: NDArray[np.bool_] = (self.statuses & np.uint32(0x8000_0000)) == 0
        return found
