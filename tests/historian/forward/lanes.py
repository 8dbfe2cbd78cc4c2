"""A sender with everything around it, on a clock that only waiting moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from historian_folder import TAGS, Clock, Folder

from gateway.config.forward import ForwardKind, ForwardTarget
from historian.forward import sender as senders
from historian.forward.part import target_of
from historian.forward.spool import Spool

SITE = "demo"


class Lane:
    """One target of a folder's history."""

    def __init__(
        self, folder: Folder, clock: Clock, *, kind: str = "influxdb1", name: str = "plant", **settings: Any
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.settings = ForwardTarget(name, ForwardKind(kind), **settings)
        self.place = senders.Folder(folder.directory)
        self.spool = Spool(folder.directory, self.place.own)
        self.spool.refresh()
        self.waited: list[float] = []
        self.meanwhile: Callable[[], bool] = lambda: False  # what happens while it waits; True: stop
        self.sender: Any = None
        self.start()

    def start(self) -> None:
        """Anew, as after a kill: nothing of the sender before is closed or written down."""
        catalogue = senders.Catalogue(
            self.folder.directory, self.settings, SITE, {tag.name: tag for tag in TAGS}
        )
        self.target = target_of(self.settings)
        self.sender = senders.Sender(
            self.target, self.settings, self.place, self.spool, catalogue, self.clock, self.wait
        )
        self.sender.open()

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.clock.now += int(seconds * 10**9)
        return self.meanwhile()

    def drain(self) -> None:
        """Until there is nothing to send."""
        self.keep()
        while self.sender.turn():
            pass

    def keep(self) -> None:
        """What the part does each second."""
        self.spool.refresh()
        self.spool.trim(self.sender.needed, self.settings.max_kept)

    def settle(self) -> None:
        """As long after as any target needs to be sure."""
        for _ in range(10):
            self.clock.now += 5 * 10**9
            self.drain()

    def restart(self) -> None:
        self.sender.close()
        self.start()
