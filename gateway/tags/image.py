"""The region: image and journal of one running site, in shared memory (drawn in docs/formats/image.md).

The composition root creates a region and keeps it; every other process attaches by name, read-only, and may claim
one owner to write that owner's tags. Whole arrays go in and out; no call makes an object per sample, but
`Region.texts` and the texts of a `Slice`, which hold strings.

Errors: everything raised here is a `RegionError`, or ValueError/TypeError for arguments of the wrong shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gateway.tags import _kernel
from gateway.tags.directory import Directory, misfit, placeholders, used_places
from gateway.tags.sample import SAMPLE, Sample, Samples, value_from_bits
from gateway.tags.tag import TagSpec, ValueType

RegionError = _kernel.KernelError

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory
SEGMENT_PREFIX = "tieline."
DEFAULT_JOURNAL_RECORDS = (
    1 << 20
)  # 32 MiB an owner: 100 s at 10,000 changes/s for a reader that is being restarted
DEFAULT_TEXT_BYTES = 1 << 20


class Presence(Enum):
    """What a segment of some name is."""

    ABSENT = 0
    LIVE = 1  # its creator runs
    STALE = 2  # its creator is gone


@dataclass(frozen=True, slots=True)
class Slice:
    """What a journal reader took: whole changes, in order for each owner, hence for each tag.

    ``records`` has dtype SAMPLE. ``texts`` maps a row of ``records`` to the string written there; None where it
    was overwritten before it could be read. ``lost`` counts changes this reader fell behind on since the
    last slice; after a loss, take the present values from `Region.read`.
    """

    records: Samples
    texts: Mapping[int, str | None]
    lost: int


class Region:
    """A site's image and journal. Make one by `create` or `attach`; it is a context manager."""

    types: NDArray[np.uint8]  # (tag_count,), values of ValueType
    tag_owners: NDArray[np.uint16]  # (tag_count,), positions in `owners`

    def __init__(self, kernel: _kernel.Region, directory: Directory | None = None) -> None:
        """Not for callers: use `create` or `attach`."""
        self._kernel = kernel
        self._directory = directory  # the creator's, where there are spare places
        self.owners = tuple(kernel.owner_name(i).decode() for i in range(kernel.owner_count))
        self.refresh()

    def refresh(self) -> None:
        """Learn of the tags that were added since: until then, this object knows nothing of them.

        `tag_count`, `types` and `tag_owners` become longer, and journal readers tell changes of the new tags too.
        """
        used = used_places(SHARED_MEMORY / (SEGMENT_PREFIX + self.name), self.instance)
        capacity = self._kernel.tag_count
        types = np.empty(capacity, np.uint8)
        owners = np.empty(capacity, np.uint16)
        self._kernel.directory(types, owners)
        types.flags.writeable = False
        owners.flags.writeable = False
        self.tag_count = used or capacity  # 0: made by somebody who knows of no spare places
        self.types, self.tag_owners = types[: self.tag_count], owners[: self.tag_count]
        self._string_tags = self.types == ValueType.STRING
        with_strings = self.tag_owners[self._string_tags]
        self._has_strings = [place in with_strings for place in range(len(self.owners))]

    def change(self, added: Sequence[TagSpec], retired: Iterable[int] = ()) -> NDArray[np.uint32]:
        """For the creator: add tags, whose indexes are returned, and let ``retired`` be found by name no more.

        A retired index is never used again. Others learn of new tags by `refresh`. Raises RegionError, with nothing
        changed, where `room_for` says why.
        """
        added = list(added)
        if (why := self.room_for(added)) is not None:
            raise RegionError(why)
        assert self._directory is not None or not added, "room_for has seen to it"
        first = self.tag_count
        if self._directory is not None:
            places = [self.owners.index(spec.owner) for spec in added]
            self._directory.change(added, places, retired)
            self.refresh()
        return np.arange(first, first + len(added), dtype=np.uint32)

    def room_for(self, added: Sequence[TagSpec]) -> str | None:
        """Why these tags cannot be added to this region; None where they can. For the creator."""
        for spec in added:
            if spec.owner not in self.owners:
                return f"{spec.name}: no tag of {spec.owner} was there when the region was made"
            if (why := misfit(spec)) is not None:
                return f"{spec.name}: {why}"
        left = 0 if self._directory is None else self._directory.capacity - self.tag_count
        if len(added) > left:
            return f"{len(added):,} new tags, but {left:,} places are left for them"
        return None

    @property
    def spare(self) -> int:
        """Places that are left for tags to come."""
        return self._kernel.tag_count - self.tag_count

    @classmethod
    def create(
        cls,
        name: str,
        tags: Sequence[TagSpec],
        *,
        journal_records: int = DEFAULT_JOURNAL_RECORDS,
        text_bytes: int = DEFAULT_TEXT_BYTES,
        extra_owners: Iterable[str] = (),
        spare: int = 0,
        time_step_ns: int = 1,
    ) -> Self:
        """Make a region of 1..1,000,000 tags and be its creator until `close`, which removes it.

        ``spare`` places are kept for tags that `change` adds later, and count as tags here.

        ``journal_records`` (rounded up to a power of two) is kept for each owner, ``text_bytes`` likewise for
        the strings its records refer to. Source times are brought to ``time_step_ns`` whoever writes them, never to a
        later one (receipt times stay as they are). Every tag starts as Bad_WaitingForInitialData. A stale segment of
        that name is removed first. Raises RegionError if the name is in use, or the specs are unfit.
        """
        owner_names = list(dict.fromkeys([*(tag.owner for tag in tags), *extra_owners]))
        place = {owner: i for i, owner in enumerate(owner_names)}
        places = [*tags, *placeholders(spare, owner_names[0])] if spare else tags
        kernel = _kernel.Region.create(
            name,
            [tag.name.encode() for tag in places],
            np.array([tag.type for tag in places], np.uint8),
            np.array([place[tag.owner] for tag in places], np.uint16),
            np.array([tag.string_bytes for tag in places], np.uint32),
            [owner.encode() for owner in owner_names],
            journal_records,
            text_bytes,
            time_step_ns,
        )
        return cls(kernel, Directory(SHARED_MEMORY / (SEGMENT_PREFIX + name), len(tags)) if spare else None)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Map a live region of this name, read-only. Raises RegionError if there is none or it is stale."""
        return cls(_kernel.Region.attach(name))

    def close(self) -> None:
        """Unmap; the creator also removes the segment. Calling it again does nothing."""
        if self._directory is not None:
            self._directory.close()
            self._directory = None
        self._kernel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self._kernel.name

    @property
    def instance(self) -> int:
        """A random 63-bit number of this creation: journal positions mean something only together with it."""
        return self._kernel.instance

    def index_of(self, name: str) -> int:
        """The tag's index in the image. Raises KeyError."""
        index = self._kernel.find(name.encode())
        if not 0 <= index < self.tag_count:
            raise KeyError(name)
        return index

    def indexes_of(self, names: Iterable[str]) -> NDArray[np.uint32]:
        """Indexes of several tags, in the order asked. Raises KeyError."""
        return np.array([self.index_of(name) for name in names], np.uint32)

    def name_of(self, tag: int) -> str:
        """Empty for a tag that was retired. Raises IndexError."""
        if tag >= self.tag_count:
            raise IndexError(tag)
        return self._kernel.tag_name(tag).decode()

    def type_of(self, tag: int) -> ValueType:
        return ValueType(int(self.types[tag]))

    def read(self, tags: NDArray[np.uint32] | None = None, out: Samples | None = None) -> Samples:
        """Present samples of ``tags`` (all where None), dtype SAMPLE, shape (n,); into ``out`` where given.

        Each sample is whole (never half old, half new). The `value` of a STRING tag means nothing here: see `texts`.
        """
        if tags is None and self.spare:
            whole = np.empty(self._kernel.tag_count, SAMPLE)
            self._kernel.read(None, whole)
            if out is None:
                return whole[: self.tag_count]
            out[:] = whole[: self.tag_count]
            return out
        if out is None:
            out = np.empty(self.tag_count if tags is None else len(tags), SAMPLE)
        self._kernel.read(None if tags is None else _array(tags, np.uint32), out)
        return out

    def texts(self, tags: NDArray[np.uint32]) -> tuple[Samples, list[str]]:
        """Present samples of STRING tags together with their strings."""
        out = np.empty(len(tags), SAMPLE)
        raw = self._kernel.read_texts(_array(tags, np.uint32), out)
        return out, [text.decode("utf-8", "replace") for text in raw]

    def sample(self, name: str) -> Sample:
        """The present sample of one tag, for edges that look at one. Raises KeyError."""
        index = self.index_of(name)
        type = self.type_of(index)
        tags = np.array([index], np.uint32)
        if type is ValueType.STRING:
            rows, texts = self.texts(tags)
            return Sample(
                texts[0], int(rows["status"][0]), int(rows["source_time"][0]), int(rows["receipt_time"][0])
            )
        row = self.read(tags)[0]
        return Sample(
            value_from_bits(int(row["value"]), type),
            int(row["status"]),
            int(row["source_time"]),
            int(row["receipt_time"]),
        )

    def claim(self, owner: str) -> Writer:
        """Become the one writer of ``owner``'s tags until released, closed or dead.

        Raises RegionError if another process holds it, KeyError if there is no such owner.
        """
        if owner not in self.owners:
            raise KeyError(owner)
        place = self.owners.index(owner)
        self._kernel.claim(place)
        return Writer(self._kernel, place)

    def reader(self, start: str | Mapping[str, int] = "now") -> JournalReader:
        """A journal reader from ``now``, from the ``oldest`` record kept, or from positions by owner."""
        return JournalReader(self, start)

    def bell(self) -> int:
        """A number that changes with every write; hand it to `wait`."""
        return self._kernel.bell()

    def wait(self, seen: int, timeout_s: float, poll_s: float = 0.0) -> int:
        """Sleep (GIL released) until the bell differs from ``seen`` or the time is up; returns the bell.

        With ``poll_s`` > 0 it looks every so often instead of asking the kernel to be woken.
        """
        return self._kernel.wait(seen, int(timeout_s * 1e9), int(poll_s * 1e9))


class Writer:
    """The right to write one owner's tags. A batch is checked whole before any of it is written."""

    def __init__(self, kernel: _kernel.Region, owner: int) -> None:
        self._kernel = kernel
        self._owner = owner

    def write(
        self,
        tags: NDArray[np.uint32],
        values: NDArray[np.uint64],
        status: NDArray[np.uint32] | int,
        source_time: NDArray[np.int64] | int,
        receipt_time: NDArray[np.int64] | int,
    ) -> None:
        """Put ``values`` (raw bits, see `sample.to_bits`) into the image and the journal, in array order.

        All arrays have shape (n,); single numbers stand for all rows. Raises RegionError where a tag is not this
        owner's, is a STRING, is out of the table, or the claim is lost; nothing is written then.
        """
        self._kernel.write(
            self._owner,
            _array(tags, np.uint32),
            _array(values, np.uint64),
            _array(status, np.uint32),
            _array(source_time, np.int64),
            _array(receipt_time, np.int64),
        )

    def write_texts(
        self,
        tags: NDArray[np.uint32],
        texts: Sequence[str],
        status: NDArray[np.uint32] | int,
        source_time: NDArray[np.int64] | int,
        receipt_time: NDArray[np.int64] | int,
    ) -> None:
        """The same for STRING tags. Raises RegionError where a text is longer than the tag's bound."""
        self._kernel.write_texts(
            self._owner,
            _array(tags, np.uint32),
            [text.encode() for text in texts],
            _array(status, np.uint32),
            _array(source_time, np.int64),
            _array(receipt_time, np.int64),
        )

    def invalidate(self, status: int, receipt_time: int, tags: NDArray[np.uint32] | None = None) -> None:
        """Give ``tags`` (all of this owner's where None) a new status; the value stays.

        Both times become ``receipt_time``, because the quality changed then (OPC 10000-4 7.11.3), and the
        change is in the journal. A tag that already has this status is left alone.
        """
        self._kernel.invalidate(
            self._owner, None if tags is None else _array(tags, np.uint32), status, receipt_time
        )

    def release(self) -> None:
        """Give the claim back."""
        self._kernel.release(self._owner)


class JournalReader:
    """A cursor of one reader through the journals of all owners. It never slows a writer."""

    def __init__(self, region: Region, start: str | Mapping[str, int]) -> None:
        self._region = region
        self._kernel = region._kernel
        self._cursors: list[int] = []
        for place, owner in enumerate(region.owners):
            oldest, end = self._kernel.bounds(place)
            if start == "now":
                self._cursors.append(end)
            elif start == "oldest":
                self._cursors.append(oldest)
            elif isinstance(start, str):
                raise ValueError(f"a reader starts at 'now', 'oldest' or positions by owner, not {start!r}")
            else:
                self._cursors.append(start.get(owner, oldest))
        self._bell = region.bell()

    @property
    def positions(self) -> dict[str, int]:
        """The next record to take from each owner's journal: what `Region.reader` takes to go on from here."""
        return dict(zip(self._region.owners, self._cursors, strict=True))

    def take(self, limit: int = 16_384) -> Slice:
        """The next changes, at most ``limit`` an owner; empty where there is nothing new."""
        pieces: list[Samples] = []
        texts: dict[int, str | None] = {}
        lost = 0
        row = 0
        for place, cursor in enumerate(self._cursors):
            _, end = self._kernel.bounds(place)
            if cursor == end:
                continue
            piece = np.empty(min(limit, max(end - cursor, 0)), SAMPLE)
            count, self._cursors[place], missed = self._kernel.take(place, cursor, piece)
            lost += missed
            piece = piece[:count]
            if self._region.spare:  # a tag added since the region was looked at is nobody's business here
                known = piece["tag"] < self._region.tag_count
                piece = piece if known.all() else piece[known]
            if self._region._has_strings[place]:
                for i in np.flatnonzero(self._region._string_tags[piece["tag"]]):
                    raw = self._kernel.text_of(place, int(piece["value"][i]))
                    texts[row + int(i)] = None if raw is None else raw.decode("utf-8", "replace")
            pieces.append(piece)
            row += len(piece)
        if not pieces:
            return Slice(np.empty(0, SAMPLE), texts, lost)
        return Slice(pieces[0] if len(pieces) == 1 else np.concatenate(pieces), texts, lost)

    def wait(self, timeout_s: float, poll_s: float = 0.0) -> bool:
        """Sleep until something was written since the last `wait` or the time is up; True if so."""
        before = self._bell
        self._bell = self._region.wait(before, timeout_s, poll_s)
        return self._bell != before


def presence_of(name: str) -> Presence:
    """Whether a region of this name is there and alive."""
    return Presence(_kernel.state_of(name))


def remove_stale(name: str) -> bool:
    """Remove a region whose creator is gone; True if there was one. A live one is left alone."""
    return _kernel.unlink_if_stale(name)


def stale_regions() -> list[str]:
    """Names of all regions on this machine whose creator is gone."""
    names = [path.name.removeprefix(SEGMENT_PREFIX) for path in SHARED_MEMORY.glob(SEGMENT_PREFIX + "*")]
    return [name for name in names if presence_of(name) is Presence.STALE]


def _array(values: object, type: type[np.generic]) -> NDArray[np.generic]:
    """A contiguous array of one type, a single number as shape (1,)."""
    return np.array(values, dtype=type, ndmin=1, copy=None, order="C")
