"""From the samples of an event's flag to its frames. Pure: samples, gaps and the time in, frames out.

The flag's history decides, not the present value: whoever was away reads on where it stopped, and finds the same
frames as one who watched. State and frames are kept in one transaction, so that none is found twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.config.events import Event
from gateway.tags.quality import is_bad
from historian.events.frame import Frame
from historian.query.average import UNCERTAIN_DATA_SUB_NORMAL

SETTLE_NS = 2 * 10**9  # what a sample takes from its source into history: a poll, a flush

FlagSample = tuple[int, bool, int]  # source time, value, status
Gap = tuple[int, int]  # nothing is known from .. to


@dataclass(frozen=True, slots=True)
class Track:
    """How far a flag was followed: ``cursor`` is the source time of the last sample, ``is_on`` what it said.

    ``is_on`` None: nothing is known yet. ``start`` is of the frame that goes on; ``end`` when it stopped, as long as
    it may still go on again.
    """

    cursor: int = -(2**62)
    is_on: bool | None = None
    start: int | None = None
    start_from: int | None = None
    end: int | None = None
    end_from: int | None = None
    is_uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """``open`` goes on, and has lasted as long as it must. What was kept at ``dropped`` (starts) was none."""

    track: Track
    ended: tuple[Frame, ...]
    dropped: tuple[int, ...]
    open: Frame | None


def follow(
    event: Event, track: Track, samples: Sequence[FlagSample], gaps: Sequence[Gap], now: int
) -> Followed:
    """Go on with ``samples`` from the cursor on (its own may be among them), and then until ``now``.

    What is before ``now`` must be in history but for the last SETTLE_NS: else an end may be taken for one too early.
    """
    ended: list[Frame] = []
    dropped: list[int] = []

    def close(track: Track) -> Track:
        assert track.start is not None, track
        assert track.end is not None, track
        if track.end > track.start and track.end - track.start >= event.min_ns:
            ended.append(_frame(event, track, track.end))
        else:
            dropped.append(track.start)
        return replace(track, start=None, start_from=None, end=None, end_from=None, is_uncertain=False)

    for time, is_on, status in samples:
        unwatched = min((first for first, last in gaps if first < time and last > track.cursor), default=None)
        if track.is_on is None:
            unwatched = None
        if track.start is not None and (unwatched is not None or status):
            track = replace(track, is_uncertain=True)
        if is_bad(status):
            track = replace(track, cursor=max(time, track.cursor))
            continue
        if is_on:
            if track.end is not None and time - track.end > event.hold_off_ns:
                track = close(track)
            if track.start is None:
                is_vague = unwatched is not None or track.is_on is None or status != 0
                track = replace(track, start=time, start_from=unwatched, is_uncertain=is_vague)
            track = replace(track, end=None, end_from=None)
        elif track.start is not None and track.end is None:
            track = replace(track, end=time, end_from=unwatched)
        track = replace(track, cursor=max(time, track.cursor), is_on=is_on)
    settled_ns = event.hold_off_ns + SETTLE_NS if event.hold_off_ns else 0
    if track.end is not None and now - track.end >= settled_ns:
        track = close(track)
    still_open = None
    if track.start is not None and track.end is None and now - track.start >= event.min_ns:
        still_open = _frame(event, track, None)
    return Followed(track, tuple(ended), tuple(dropped), still_open)


def _frame(event: Event, track: Track, end: int | None) -> Frame:
    assert track.start is not None, track
    status = UNCERTAIN_DATA_SUB_NORMAL if track.is_uncertain else 0
    return Frame(
        event.name,
        event.device,
        track.start,
        end,
        track.start_from,
        track.end_from,
        status,
        event.severity,
        event.description,
    )
