"""dnp3py as a master or an outstation: wishes in, what it heard out, a line of JSON each.

dnp3py_peer.py master PORT      dnp3py_peer.py outstation PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

from dnp3.application.builder import build_write_request
from dnp3.application.fragment import ObjectBlock, RequestFragment
from dnp3.application.header import RequestHeader
from dnp3.application.parser import ObjectHeader
from dnp3.core.enums import FunctionCode
from dnp3.core.flags import AnalogQuality, BinaryQuality, CounterQuality
from dnp3.core.timestamp import DNP3Timestamp
from dnp3.database import Database
from dnp3.database.point import (
    AnalogInputConfig,
    AnalogOutputConfig,
    BinaryInputConfig,
    BinaryOutputConfig,
    CounterConfig,
    EventClass,
)
from dnp3.master import Master, MasterConfig, MasterTcpRunner
from dnp3.master.tcp_runner import MasterRunnerError
from dnp3.outstation import (
    CommandResult,
    DefaultCommandHandler,
    Outstation,
    OutstationConfig,
    OutstationTcpRunner,
)
from dnp3.transport_io.channel import ChannelError

RETRY_S = 0.1
TROUBLE = (MasterRunnerError, ChannelError, OSError)


def say(about, **more):
    sys.stdout.write(json.dumps({"about": about, **more}) + "\n")
    sys.stdout.flush()


class Heard:
    """What the master is told, a row each; dnp3py has no octet strings."""

    def _rows(self, kind, values):
        for one in values:
            stamp = None if one.timestamp is None else round(one.timestamp.timestamp() * 1000)
            value = int(one.state) if kind == "double_bit" else one.value
            say("row", row=[kind, one.index, value, int(one.quality), stamp])

    def on_binary_input(self, values, info):
        self._rows("binary", values)

    def on_double_bit_input(self, values, info):
        self._rows("double_bit", values)

    def on_binary_output(self, values, info):
        self._rows("binary_output", values)

    def on_analog_input(self, values, info):
        self._rows("analog", values)

    def on_analog_output(self, values, info):
        self._rows("analog_output", values)

    def on_counter(self, values, info):
        self._rows("counter", values)

    def on_frozen_counter(self, values, info):
        self._rows("frozen_counter", values)


async def wishes():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield json.loads(line)


class Station:
    """A master that connects again whenever it has lost the link."""

    def __init__(self, port):
        self.port = port
        self.runner = None
        self.master = None

    async def connected(self):
        while self.runner is None or not self.runner.is_open:
            config = MasterConfig(address=1, outstation_address=10, time_sync_on_startup=True)
            self.master = Master(handler=Heard(), config=config)
            self.runner = MasterTcpRunner(master=self.master, host="127.0.0.1", port=self.port)
            try:
                await self.runner.open()
                await self.runner.integrity_poll()
                say("task", name="STARTUP_INTEGRITY_POLL", answer="SUCCESS")
                await self.runner.enable_unsolicited()
                say("task", name="ENABLE_UNSOLICITED", answer="SUCCESS")
            except TROUBLE as error:
                say("trouble", why=f"{type(error).__name__}: {error}")
                await self.lose()
                await asyncio.sleep(RETRY_S)

    async def lose(self):
        if self.runner is not None:
            with contextlib.suppress(*TROUBLE):
                await self.runner.close()
            self.runner = None

    async def listen(self):
        """Whatever comes unasked in a moment."""
        await self.connected()
        try:
            await self.runner.listen_unsolicited(timeout=0.05)
        except TROUBLE as error:
            say("trouble", why=f"{type(error).__name__}: {error}")
            await self.lose()

    async def carry_out(self, wish):
        await self.connected()
        sequence = self.master.next_request_sequence()
        name = wish["wish"]
        if name == "poll":
            classes = {f"class_{one}": one in wish["classes"] for one in (1, 2, 3)}
            if 0 in wish["classes"]:
                answers = await self.runner.integrity_poll()
            else:
                answers = await self.runner.class_poll(**classes)
        elif name == "freeze":
            header = ObjectHeader(group=20, variation=0, qualifier=6)
            head = RequestHeader.build(function=FunctionCode.IMMEDIATE_FREEZE, seq=sequence)
            answers = await self.runner.request(
                RequestFragment(header=head, objects=(ObjectBlock(header=header, data=b""),))
            )
        elif name == "time":
            header = ObjectHeader(group=50, variation=1, qualifier=7)
            data = b"\1" + DNP3Timestamp(time.time_ns() // 1_000_000).to_bytes()
            answers = await self.runner.request(
                build_write_request((ObjectBlock(header=header, data=data),), seq=sequence)
            )
        else:
            builder = self.master.command_builder()
            builder = builder.latch_on(0) if name == "close" else builder.add_analog(0, wish["value"])
            if wish["select"]:
                await self.runner.request(self.master.build_select(builder.build_select()))
                answers = await self.runner.request(self.master.build_operate(builder.build_operate()))
            else:
                answers = await self.runner.request(
                    self.master.build_direct_operate(builder.build_direct_operate())
                )
        say("task", name="USER_TASK", answer="SUCCESS", iin=int(answers[-1].iin))


async def master(port):
    station = Station(port)
    waiting = asyncio.Queue()

    async def read():
        async for wish in wishes():
            await waiting.put(wish)
        await waiting.put(None)

    reading = asyncio.create_task(read())
    while True:
        try:
            wish = waiting.get_nowait()
        except asyncio.QueueEmpty:
            await station.listen()
            continue
        if wish is None:
            break
        try:
            await station.carry_out(wish)
        except TROUBLE as error:
            say("trouble", why=f"{type(error).__name__}: {error}")
            await station.lose()
    await station.lose()
    await reading


class Commands(DefaultCommandHandler):
    def _done(self, kind, index, value, how):
        say("operated", row=[kind, index, value, how])
        return CommandResult.success()

    def select_binary_output(self, index, code, count, on_time, off_time):
        return CommandResult.success()

    def operate_binary_output(self, index, code, count, on_time, off_time, select_sequence):
        return self._done("binary_output", index, code.name, "SELECT_BEFORE_OPERATE")

    def direct_operate_binary_output(self, index, code, count, on_time, off_time):
        return self._done("binary_output", index, code.name, "DIRECT_OPERATE")

    def select_analog_output(self, index, value):
        return CommandResult.success()

    def operate_analog_output(self, index, value, select_sequence):
        return self._done("analog_output", index, value, "SELECT_BEFORE_OPERATE")

    def direct_operate_analog_output(self, index, value):
        return self._done("analog_output", index, value, "DIRECT_OPERATE")


async def outstation(port):
    database = Database()
    database.add_binary_input(0, BinaryInputConfig(event_class=EventClass.CLASS_1))
    database.add_binary_output(0, BinaryOutputConfig())
    database.add_analog_input(0, AnalogInputConfig(event_class=EventClass.CLASS_2))
    database.add_analog_output(0, AnalogOutputConfig())
    database.add_counter(0, CounterConfig(event_class=EventClass.CLASS_3))
    database.add_frozen_counter(0)
    say("classes", refused=None)
    station = Outstation(
        database=database,
        config=OutstationConfig(address=10, master_address=1),
        handler=Commands(),
        time_handler=lambda *found: say("time", ms=str(found)),
    )
    runner = OutstationTcpRunner(outstation=station, host="127.0.0.1", port=port)
    running = asyncio.create_task(runner.run())
    updates = {
        "binary": (database.update_binary_input, BinaryQuality.ONLINE),
        "binary_output": (database.update_binary_output, BinaryQuality.ONLINE),
        "analog": (database.update_analog_input, AnalogQuality.ONLINE),
        "analog_output": (database.update_analog_output, AnalogQuality.ONLINE),
        "counter": (database.update_counter, CounterQuality.ONLINE),
    }
    say("ready")
    async for wish in wishes():
        kind, index, value, at = wish["row"]
        if kind == "frozen_counter":
            database.freeze_counter(index)
        elif kind in updates:
            update, quality = updates[kind]
            update(index, value, quality, DNP3Timestamp(at))
        else:
            say("updated", refused=f"Database has no {kind.replace('_', ' ')}s")
            continue
        say("updated", refused=None)
    await runner.stop()
    running.cancel()


if __name__ == "__main__":
    asyncio.run({"master": master, "outstation": outstation}[sys.argv[1]](int(sys.argv[2])))
