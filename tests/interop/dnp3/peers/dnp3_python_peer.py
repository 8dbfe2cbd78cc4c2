"""dnp3-python as a master or an outstation: wishes in, what it heard out, a line of JSON each. For CPython 3.10.

dnp3_python_peer.py master PORT      dnp3_python_peer.py outstation PORT
"""
# ruff: noqa: N802, S104 - the callbacks have the library's names; the address is of the adapter to connect from

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time

from pydnp3 import asiodnp3, asiopal, opendnp3, openpal

KINDS = {
    1: "binary", 2: "binary", 3: "double_bit", 4: "double_bit", 10: "binary_output", 11: "binary_output",
    20: "counter", 22: "counter", 21: "frozen_counter", 23: "frozen_counter", 30: "analog", 32: "analog",
    40: "analog_output", 42: "analog_output", 110: "octet_string", 111: "octet_string",
}  # fmt: skip
LOCK = threading.Lock()
GROUP = re.compile(r"Group(\d+)Var")


def say(about, **more):
    with LOCK:
        sys.stdout.write(json.dumps({"about": about, **more}) + "\n")
        sys.stdout.flush()


def visitor(name):
    """A visitor of one type that keeps what it is shown."""

    class Visitor(getattr(opendnp3, "IVisitorIndexed" + name)):
        def __init__(self):
            super().__init__()
            self.seen = []

        def OnValue(self, one):
            value = one.value
            if name == "OctetString":
                try:
                    self.seen.append([one.index, bytes(value.ToRSlice()).decode("latin-1"), None, None])
                except TypeError as error:
                    say("unreadable", why=str(error))
                return
            raw = value.value
            raw = int(raw) if name == "DoubleBitBinary" else raw
            self.seen.append([one.index, raw, value.flags.value, value.time.value])

    return Visitor


VISITORS = {
    getattr(opendnp3, "ICollectionIndexed" + name): visitor(name)
    for name in (
        "Binary", "DoubleBitBinary", "BinaryOutputStatus", "Counter", "FrozenCounter", "Analog", "AnalogOutputStatus",
        "OctetString",
    )
}  # fmt: skip


class Heard(opendnp3.ISOEHandler):
    def Process(self, info, values):
        number = int(GROUP.search(str(info.gv))[1])
        made = VISITORS.get(type(values))
        if made is None:
            return
        found = made()
        values.Foreach(found)
        timed = info.tsmode != opendnp3.TimestampMode.INVALID
        for index, value, flags, at in found.seen:
            row = [KINDS[number], index, value, flags, at if timed else None]
            say("event" if info.isEventVariation else "static", row=row)

    def Start(self):
        pass

    def End(self):
        pass


class Application(opendnp3.IMasterApplication):
    def Now(self):
        return openpal.UTCTimestamp(time.time_ns() // 1_000_000)

    def AssignClassDuringStartup(self):
        return False

    def OnClose(self):
        pass

    def OnOpen(self):
        pass

    def OnReceiveIIN(self, iin):
        pass

    def OnTaskStart(self, kind, number):
        pass

    def OnTaskComplete(self, info):
        say("task", name=str(info.type).split(".")[1], answer=str(info.result).split(".")[1])


class Listener(asiodnp3.IChannelListener):
    def OnStateChange(self, state):
        pass


def master(port):
    manager = asiodnp3.DNP3Manager(1)
    pause = openpal.TimeDuration.Milliseconds
    retry = asiopal.ChannelRetry(pause(50), pause(200))
    listener = Listener()
    channel = manager.AddTCPClient(
        "tcp", opendnp3.levels.NOTHING, retry, "127.0.0.1", "0.0.0.0", port, listener
    )
    config = asiodnp3.MasterStackConfig()
    config.link.LocalAddr, config.link.RemoteAddr = 1, 10
    config.master.timeSyncMode = (
        opendnp3.TimeSyncMode.LAN
        if hasattr(opendnp3.TimeSyncMode, "LAN")
        else (opendnp3.TimeSyncMode.SerialTimeSync)
    )
    heard, application = Heard(), Application()
    station = channel.AddMaster("master", heard, application, config)
    station.Enable()

    def ended(result):
        found = []
        result.ForeachItem(lambda one: found.append(str(one.status).split(".")[1]))
        say("command", answer=found[0] if found else str(result.summary).split(".")[1])

    for line in sys.stdin:
        wish = json.loads(line)
        if wish["wish"] == "poll":
            headers = [
                opendnp3.Header().AllObjects(60, 1 if one == 0 else one + 1) for one in wish["classes"]
            ]
            station.Scan(headers)
        elif wish["wish"] == "freeze":
            headers = [opendnp3.Header().AllObjects(20, 0)]
            station.PerformFunction("freeze", opendnp3.FunctionCode.IMMED_FREEZE, headers)
        else:
            send = station.SelectAndOperate if wish["select"] else station.DirectOperate
            if wish["wish"] == "close":
                command = opendnp3.ControlRelayOutputBlock(opendnp3.ControlCode.LATCH_ON)
            else:
                command = opendnp3.AnalogOutputFloat32(wish["value"])
            send(command, 0, ended)


class Commands(opendnp3.ICommandHandler):
    def Start(self):
        pass

    def End(self):
        pass

    def Select(self, command, index):
        return opendnp3.CommandStatus.SUCCESS

    def Operate(self, command, index, how):
        is_number = not isinstance(command, opendnp3.ControlRelayOutputBlock)
        value = command.value if is_number else str(command.functionCode).split(".")[1]
        kind = "analog_output" if is_number else "binary_output"
        say("operated", row=[kind, index, value, str(how).split(".")[1]])
        return opendnp3.CommandStatus.SUCCESS


class Site(opendnp3.IOutstationApplication):
    def __init__(self):
        super().__init__()
        self.has_time = False

    def SupportsWriteAbsoluteTime(self):
        return True

    def WriteAbsoluteTime(self, stamp):
        self.has_time = True
        say("time", ms=stamp.msSinceEpoch)
        return True

    def GetApplicationIIN(self):
        found = opendnp3.ApplicationIIN()
        found.needTime = not self.has_time
        return found


TYPES = {
    "binary": opendnp3.Binary, "double_bit": opendnp3.DoubleBitBinary, "counter": opendnp3.Counter,
    "frozen_counter": opendnp3.FrozenCounter, "analog": opendnp3.Analog,
    "binary_output": opendnp3.BinaryOutputStatus, "analog_output": opendnp3.AnalogOutputStatus,
}  # fmt: skip


def made(kind, value, at):
    """A measurement."""
    found = TYPES[kind](opendnp3.DoubleBit(value) if kind == "double_bit" else value)
    found.flags = opendnp3.Flags(1 | (value << 6 if kind == "double_bit" else 0x80 * (value is True)))
    found.time = opendnp3.DNPTime(at)
    return found


def outstation(port):
    manager = asiodnp3.DNP3Manager(1)
    listener = Listener()
    channel = manager.AddTCPServer(
        "tcp", opendnp3.levels.NOTHING, asiopal.ChannelRetry.Default(), "127.0.0.1", port, listener
    )
    config = asiodnp3.OutstationStackConfig(opendnp3.DatabaseSizes.AllTypes(1))
    config.outstation.eventBufferConfig = opendnp3.EventBufferConfig().AllTypes(100)
    config.outstation.params.allowUnsolicited = True
    config.link.LocalAddr, config.link.RemoteAddr = 10, 1
    config.dbConfig.analog[0].clazz = opendnp3.PointClass.Class2
    kept = str(config.dbConfig.analog[0].clazz).split(".")[1]
    say("classes", refused=None if kept == "Class2" else "set to Class2, dbConfig.analog[0].clazz is " + kept)
    commands, site = Commands(), Site()
    station = channel.AddOutstation("outstation", commands, site, config)
    station.Enable()
    say("ready")
    for line in sys.stdin:
        kind, index, value, at = json.loads(line)["row"]
        if kind == "octet_string":
            say("updated", refused="UpdateBuilder.Update has no octet strings")
            continue
        builder = asiodnp3.UpdateBuilder()
        builder.Update(made(kind, value, at), index)
        station.Apply(builder.Build())
        say("updated", refused=None)


if __name__ == "__main__":
    {"master": master, "outstation": outstation}[sys.argv[1]](int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # its own shutdown aborts
