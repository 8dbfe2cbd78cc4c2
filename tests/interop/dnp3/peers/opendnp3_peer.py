"""opendnp3, by the package yadnp3, as a master or an outstation: wishes in, what it heard out, a line of JSON each.

opendnp3_peer.py master PORT      opendnp3_peer.py outstation PORT
"""
# ruff: noqa: N802, S104 - the callbacks have the library's names; the address is of the adapter to connect from

from __future__ import annotations

import json
import re
import sys
import threading
import time

import opendnp3

KINDS = {
    1: "binary", 2: "binary", 3: "double_bit", 4: "double_bit", 10: "binary_output", 11: "binary_output",
    20: "counter", 22: "counter", 21: "frozen_counter", 23: "frozen_counter", 30: "analog", 32: "analog",
    40: "analog_output", 42: "analog_output", 110: "octet_string", 111: "octet_string",
}  # fmt: skip
TYPES = {
    "binary": opendnp3.Binary, "counter": opendnp3.Counter, "analog": opendnp3.Analog,
    "binary_output": opendnp3.BinaryOutputStatus, "analog_output": opendnp3.AnalogOutputStatus,
}  # fmt: skip
HOW = {"DirectOperate": "DIRECT_OPERATE", "SelectBeforeOperate": "SELECT_BEFORE_OPERATE"}
LOCK = threading.Lock()
GROUP = re.compile(r"Group(\d+)Var")


def say(about, **more):
    with LOCK:
        sys.stdout.write(json.dumps({"about": about, **more}) + "\n")
        sys.stdout.flush()


class Heard(opendnp3.ISOEHandler):
    def BeginFragment(self, info):
        pass

    def EndFragment(self, info):
        pass

    def Process(self, info, values):
        kind = KINDS.get(int(GROUP.match(info.gv.name)[1]))
        has_time = info.tsquality != opendnp3.TimestampQuality.INVALID
        for one in values:
            if kind is None:
                continue
            value = one.value
            if kind == "octet_string":
                row = [kind, one.index, value.ToBytes().decode("latin-1"), None, None]
            else:
                raw = int(value.value.value) if kind == "double_bit" else value.value
                row = [kind, one.index, raw, value.flags.value, value.time.value if has_time else None]
            say("event" if info.isEventVariation else "static", row=row)


class Application(opendnp3.IMasterApplication):
    def Now(self):
        return opendnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def OnTaskComplete(self, info):
        say("task", name=info.type.name, answer=info.result.name)


def master(port):
    manager = opendnp3.DNP3Manager(1)
    retry = opendnp3.ChannelRetry(
        opendnp3.TimeDuration.Milliseconds(50), opendnp3.TimeDuration.Milliseconds(200)
    )
    endpoint = opendnp3.IPEndpoint("127.0.0.1", port)
    channel = manager.AddTCPClient("tcp", opendnp3.levels.NOTHING, retry, [endpoint], "0.0.0.0", None)
    config = opendnp3.MasterStackConfig()
    config.link.LocalAddr, config.link.RemoteAddr = 1, 10
    config.master.timeSyncMode = opendnp3.TimeSyncMode.LAN
    heard, application = Heard(), Application()
    station = channel.AddMaster("master", heard, application, config)
    station.Enable()

    def ended(result):
        found = result.to_list()
        say("command", answer=found[0].status.name if found else result.summary.name)

    for line in sys.stdin:
        wish = json.loads(line)
        if wish["wish"] == "poll":
            headers = [opendnp3.Header.AllObjects(60, 1 if one == 0 else one + 1) for one in wish["classes"]]
            station.Scan(headers, heard)
        elif wish["wish"] == "freeze":
            station.Freeze(opendnp3.FreezeType.ImmediateFreeze, [opendnp3.Header.AllObjects(20, 0)])
        else:
            send = station.SelectAndOperate if wish["select"] else station.DirectOperate
            if wish["wish"] == "close":
                command = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_ON)
            else:
                command = opendnp3.AnalogOutputFloat32(wish["value"])
            send(command, 0, ended)
    manager.Shutdown()


class Commands(opendnp3.ICommandHandler):
    def Begin(self):
        pass

    def End(self):
        pass

    def Select(self, command, index):
        return opendnp3.CommandStatus.SUCCESS

    def Operate(self, command, index, handler, how):
        is_number = not isinstance(command, opendnp3.ControlRelayOutputBlock)
        value = command.value if is_number else command.opType.name
        kind = "analog_output" if is_number else "binary_output"
        say("operated", row=[kind, index, value, HOW[how.name]])
        return opendnp3.CommandStatus.SUCCESS


class Site(opendnp3.IOutstationApplication):
    def SupportsWriteAbsoluteTime(self):
        return True

    def WriteAbsoluteTime(self, stamp):
        say("time", ms=stamp.value if hasattr(stamp, "value") else stamp.msSinceEpoch)
        return True

    def Now(self):
        return opendnp3.DNPTime(time.time_ns() // 1_000_000)

    def GetApplicationIIN(self):
        found = opendnp3.ApplicationIIN()
        found.needTime = not getattr(self, "was_asked", False)
        self.was_asked = True
        return found


def made(kind, value, at):
    """A measurement."""
    if kind == "octet_string":
        return opendnp3.OctetString(value)
    if kind == "double_bit":
        found = opendnp3.DoubleBitBinary(opendnp3.DoubleBit(value))
    else:
        found = TYPES[kind](value)
        found.flags = opendnp3.Flags(1 | (value << 6 if kind == "double_bit" else 0x80 * (value is True)))
    found.time = opendnp3.DNPTime(at)
    return found


def outstation(port):
    manager = opendnp3.DNP3Manager(1)
    channel = manager.AddTCPServer(
        "tcp", opendnp3.levels.NOTHING, opendnp3.ServerAcceptMode.CloseExisting,
        opendnp3.IPEndpoint("127.0.0.1", port), None,
    )  # fmt: skip
    database = opendnp3.DatabaseConfig(1)
    config = opendnp3.OutstationStackConfig(database)
    config.outstation.eventBufferConfig = opendnp3.EventBufferConfig.AllTypes(100)
    config.outstation.params.allowUnsolicited = True
    config.link.LocalAddr, config.link.RemoteAddr = 10, 1
    try:
        database.analog_input[0].clazz = opendnp3.PointClass.Class2
        say("classes", refused=None)
    except TypeError as error:
        say("classes", refused="DatabaseConfig.analog_input: " + str(error).split("!")[0])
    commands, site = Commands(), Site()
    station = channel.AddOutstation("outstation", commands, site, config)
    station.Enable()
    say("ready")
    for line in sys.stdin:
        wish = json.loads(line)
        builder = opendnp3.UpdateBuilder()
        kind, index, value, at = wish["row"]
        try:
            if kind == "frozen_counter":
                builder.FreezeCounter(index, False)
            else:
                builder.Update(made(kind, value, at), index)
        except TypeError as error:
            say(
                "updated",
                refused=f"UpdateBuilder.Update({kind}): " + str(error).partition(": ")[2].split(".")[0],
            )
            continue
        station.Apply(builder.Build())
        say("updated", refused=None)
    manager.Shutdown()


if __name__ == "__main__":
    {"master": master, "outstation": outstation}[sys.argv[1]](int(sys.argv[2]))
