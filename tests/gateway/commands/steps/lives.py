"""A process that makes lives: each a router over a device that is the test's, to be killed at any moment.

Started by test_once.py. A line on its standard input is a folder, and makes a life whose state and sockets are there;
its process id comes back. The modules are loaded once, so a life begins in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from gateway.commands import settle
from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.router import Router
from gateway.commands.server import CommandServer
from gateway.config.accounts import Accounts
from gateway.config.site import Handling, HistorianSettings, Role, Site, Tag, User, WriteLimits
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

WRITE = WriteLimits(Role.OPERATOR, 0.0, 1e9, 0.0, 150)
EMERGENCY = WriteLimits(Role.OPERATOR, 0.0, 1e9, 0.0, 150, Handling(is_emergency=True))
TAGS = (
    Tag("one.setpoint", ValueType.DOUBLE, "drivers", "one", "one", write=WRITE),
    Tag("one.stop", ValueType.DOUBLE, "drivers", "one", "one", write=EMERGENCY),
)
SITE = Site(
    "lives", "", (), TAGS, (), (User("olga", Role.OPERATOR),), HistorianSettings(), None, None, None, 1024, (), ""
)  # fmt: skip


class Line:
    """A driver whose device is at the other end of a socket: one question, one answer."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def _ask(self, **question: object) -> dict:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise NotConnectedError("no connection") from error
        try:
            writer.write(json.dumps({**question, "pid": os.getpid()}).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise TimeoutError
        return json.loads(line)

    async def operate(self, tag: int, value: Value) -> None:
        await self._ask(do="about", tag=tag)  # audited, and not sent
        if "error" in (answer := await self._ask(do="write", tag=tag, value=value)):
            raise OperateError(answer["error"])

    async def read_back(self, tag: int) -> Value:
        return float((await self._ask(do="read", tag=tag))["value"])


async def live(folder: Path) -> None:
    settle.FIRST_PAUSE_S, settle.LONGEST_PAUSE_S, settle.STAYS_S = 0.02, 0.05, 0.1
    router = Router(
        SITE,
        dict.fromkeys(range(len(TAGS)), Line(str(folder / "d.sock"))),
        AuditTrail(AuditFile(folder / "state" / "audit.jsonl")),
    )
    await router.open()
    server = CommandServer(folder / "c.sock", router, Accounts(folder / "accounts.json"))
    await server.start()
    await asyncio.Event().wait()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(live(Path(line.rstrip("\n"))))
            os._exit(0)
        print(child, flush=True)


main()
