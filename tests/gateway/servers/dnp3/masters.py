"""A master of somebody else's: opendnp3's, and what it hears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import opendnp3
from dnp3_outstations import until

Row = tuple[str, int, object, int, int]  # group and variation, index, value, flags, time in ms


class Heard(opendnp3.ISOEHandler):  # type: ignore[misc]  # the binding has no types
    """What the master's application is given, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.unsolicited: list[Row] = []
        self._is_unsolicited = False

    def BeginFragment(self, info: Any) -> None:  # noqa: N802 - opendnp3's name
        self._is_unsolicited = info.unsolicited

    def EndFragment(self, info: Any) -> None:  # noqa: N802
        pass

    def Process(self, info: Any, values: Any) -> None:  # noqa: N802
        for one in values:
            value = one.value
            row = (
                info.gv.name,
                one.index,
                value.ToBytes() if hasattr(value, "ToBytes") else value.value,
                value.flags.value if hasattr(value, "flags") else 0,
                value.time.value if hasattr(value, "time") else 0,
            )
            (self.unsolicited if self._is_unsolicited else self.rows).append(row)


class Application(opendnp3.IMasterApplication):  # type: ignore[misc]  # the binding has no types
    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, str]] = []

    def Now(self) -> Any:  # noqa: N802
        return opendnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def OnTaskComplete(self, info: Any) -> None:  # noqa: N802
        self.done.append((info.type.name, info.result.name))


class Master:
    """An opendnp3 master that is started up: restart cleared, integrity polled, unsolicited enabled."""

    def __init__(self, port: int) -> None:
        self.heard, self.application = Heard(), Application()
        self._manager = opendnp3.DNP3Manager(1)
        channel = self._manager.AddTCPClient(
            "tcp",
            opendnp3.levels.NOTHING,
            opendnp3.ChannelRetry(
                opendnp3.TimeDuration.Milliseconds(50), opendnp3.TimeDuration.Milliseconds(200)
            ),
            [opendnp3.IPEndpoint("127.0.0.1", port)],
            "0.0.0.0",  # noqa: S104 - the adapter it connects from
            None,
        )
        config = opendnp3.MasterStackConfig()
        config.link.LocalAddr, config.link.RemoteAddr = 1, 10
        config.master.timeSyncMode = opendnp3.TimeSyncMode.LAN
        self.master = channel.AddMaster("master", self.heard, self.application, config)
        self.master.Enable()

    def close(self) -> None:
        self._manager.Shutdown()

    async def command(self, send: Callable[..., None], wish: Any, index: int) -> tuple[str, str]:
        """State and status of one command."""
        ended = threading.Event()
        results: list[tuple[str, str]] = []

        def result(found: Any) -> None:
            results.extend((one.state.name, one.status.name) for one in found.to_list())
            results.append((found.summary.name, ""))
            ended.set()

        send(wish, index, result)
        await until(ended.is_set, "the command's end")
        return results[0]
