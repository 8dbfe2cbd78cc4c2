"""Rows of day files as readers hold them; no dataclasses, as a question may be about thousands."""

from __future__ import annotations

from typing import NamedTuple

# The columns of `Stored`, but for its edition, which comes first.
COLUMNS = (
    "id, tag, sequence, first_time, last_time, count, times, quality_data IS NULL, first, last, first_status,"
    " last_status, usable, minimum, maximum, integral, good_ns, uncertain_ns, bad_ns"
)


class Stored(NamedTuple):
    """A block without its columns, as `Summary` says it; ``integral`` is None where it went over the top.

    ``edition`` is of the file as it was read: within one, what a block's id says never changes.
    """

    edition: int
    id: int
    tag: int
    sequence: int
    first_time: int
    last_time: int
    size: int
    times: int
    is_good: bool  # all samples are Good without info bits
    first: int | str
    last: int | str
    first_status: int
    last_status: int
    usable: int
    minimum: int | None
    maximum: int | None
    integral: float | None
    good_ns: int
    uncertain_ns: int
    bad_ns: int


class Packed(NamedTuple):
    """A block with its columns, as it lies in a day file."""

    block: Stored
    value_data: bytes
    quality_data: bytes | None


class Newest(NamedTuple):
    """A tag's newest sample and of which sequence it is; ``value`` is signed 64 bits, or the string."""

    tag: int
    time: int
    sequence: int
    value: int | str
    status: int
