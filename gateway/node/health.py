"""The parts' health as tags: ``_system.parts.<part>.*``, owned by the root."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from gateway.config.system import NODE_OWNER, STATUS_TEXT_BYTES
from gateway.node.history_tags import HistoryTags
from gateway.node.supervisor import Life, State
from gateway.tags.image import Region
from gateway.tags.quality import Quality

PERIOD_S = 1.0
_NUMBERS = ("running", "stuck", "restarts", "pid", "memory_mb")


class Health:
    """Writes the state of ``lives`` into ``region``, of which it claims the root's owner."""

    def __init__(self, region: Region, lives: Sequence[Life], history: Path) -> None:
        """``history`` is the site's history folder."""
        self._region = region
        self._writer = region.claim(NODE_OWNER)
        self._history = HistoryTags(region, self._writer, history)
        self.follow(lives)

    def follow(self, lives: Sequence[Life]) -> None:
        """Write the state of these from now on, whose tags the region has."""
        self._lives = tuple(lives)
        names = [f"_system.parts.{life.part.name}." for life in lives]
        self._numbers = self._region.indexes_of(name + number for name in names for number in _NUMBERS)
        self._texts = self._region.indexes_of(name + "last_exit" for name in names)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.write()
            await asyncio.sleep(PERIOD_S)

    def write(self) -> None:
        """The state as it is now."""
        values = np.zeros((len(self._lives), len(_NUMBERS)), np.uint64)
        texts: list[str] = []
        for row, life in zip(values, self._lives, strict=True):
            pid = life.child.pid if life.child is not None and not life.child.ended.done() else 0
            row[0] = life.state is State.RUNNING
            row[1] = life.is_stuck
            row[2] = life.restarts
            row[3] = pid
            row[4:5] = np.array([memory_mb(pid)]).view(np.uint64)
            texts.append(life.last_exit.encode()[:STATUS_TEXT_BYTES].decode("utf-8", "ignore"))
        now = time.time_ns()
        self._writer.write(self._numbers, values.reshape(-1), Quality.GOOD, now, now)
        self._writer.write_texts(self._texts, texts, Quality.GOOD, now, now)
        self._history.write(now)


def memory_mb(pid: int) -> float:
    """Resident memory of a process without what it shares with others, in 10^6 bytes; 0 where there is none.

    proc(5): ``RssAnon`` and ``RssFile`` of ``/proc/<pid>/status``, in kB of 1,024 bytes; the region is ``RssShmem``.
    """
    kib = 0
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith(("RssAnon:", "RssFile:")):
                kib += int(line.split()[1])
    return kib * 1024 / 1e6
