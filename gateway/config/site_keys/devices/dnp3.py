"""Keys of a DNP3 device: its connection and points."""

from __future__ import annotations

from gateway.config.dnp3_device import (
    AnalogForm,
    DevicePointKind,
    Dnp3Engine,
    Dnp3Transport,
    RelayCode,
    TimeSync,
)
from gateway.config.kinds import Boolean, Integer, Key, ListOf, Named, Number, Section, Text, When, choice
from gateway.config.modbus import Parity
from gateway.config.site_keys.devices.points import COMMON_POINT_KEYS
from gateway.config.site_keys.values import HOST, PORT, WORD, WORD_GRAMMAR

_DNP3_BY_TCP = When("transport", frozenset({Dnp3Transport.TCP, Dnp3Transport.TLS}))
_DNP3_BY_TLS = When("transport", frozenset({Dnp3Transport.TLS}))
_DNP3_BY_SERIAL = When("transport", frozenset({Dnp3Transport.SERIAL}))
DNP3_CONNECTION = Section(
    "a DNP3 connection",
    (
        Key(
            "engine",
            choice(Dnp3Engine),
            "Whose master it is; dnp3-python speaks TCP alone, and needs an environment of its own.",
            Dnp3Engine.YADNP3,
        ),
        Key("transport", choice(Dnp3Transport), "How frames travel.", Dnp3Transport.TCP),
        Key(
            "host", HOST, "Host name or address of the outstation; not for a serial line.", when=_DNP3_BY_TCP
        ),
        Key("port", PORT, "TCP port.", 20_000, _DNP3_BY_TCP),
        Key(
            "certificate",
            Text("the path of a file"),
            "For tls: our certificate, PEM, relative to this file.",
            when=_DNP3_BY_TLS,
        ),
        Key("key", Text("the path of a file"), "For tls: its private key, PEM.", when=_DNP3_BY_TLS),
        Key(
            "authorities",
            Text("the path of a file"),
            "For tls: certificates that the outstation's must be signed by, PEM.",
            when=_DNP3_BY_TLS,
        ),
        Key(
            "names",
            ListOf(HOST, "a list of names: [rtu7.example]"),
            "For tls: the outstation's certificate has to bear one of them; unless given, the host.",
            None,
            _DNP3_BY_TLS,
        ),
        Key(
            "serial",
            Text("the path of a serial port: /dev/ttyUSB0", r"/[^\s]+", 253),
            "Serial port of this machine; outstations may share it.",
            when=_DNP3_BY_SERIAL,
        ),
        Key("baud", Integer(1_200, 921_600), "Bits a second on the serial line.", 9_600, _DNP3_BY_SERIAL),
        Key("parity", choice(Parity), "Parity on the serial line.", Parity.NONE, _DNP3_BY_SERIAL),
        Key("stop_bits", Integer(1, 2), "Stop bits on the serial line.", 1, _DNP3_BY_SERIAL),
        Key("address", Integer(0, 65_519), "Link address of the outstation."),
        Key("master_address", Integer(0, 65_519), "Our link address.", 1),
        Key(
            "timeout_ms",
            Integer(100, 600_000, "ms"),
            "How long an answer may take; longer than the outstation waits for a confirm, which is often 5 s.",
            6_000,
        ),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to connect.", 30_000
        ),
        Key(
            "integrity_s",
            Integer(0, 86_400, "s"),
            "How often everything is asked for; 0: after restarts only.",
            3_600,
        ),
        Key(
            "time_sync", choice(TimeSync), "How its clock is set when it asks; none: it is not.", TimeSync.LAN
        ),
        Key(
            "keep_alive_ms",
            Integer(1_000, 3_600_000, "ms"),
            "It is asked for its link status after so long a silence.",
            30_000,
        ),
        Key("unsolicited", Boolean(), "Whether it may tell changes without being asked.", True),
    ),
)

DNP3_DEVICE_POINT = Section(
    "a point of a DNP3 device",
    (
        Key("type", choice(DevicePointKind), "Point type; each is numbered from 0 by itself."),
        Key("index", Integer(0, 65_535), "The point's index."),
        Key("scale", Number(not_zero=True), "Engineering value = raw * scale + offset.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key("length", Integer(1, 255), "Octets of a string at most.", None),
        Key("select", Boolean(), "Select before operate.", True),
        Key("when_true", choice(RelayCode), "What true sends to a binary output.", RelayCode.LATCH_ON),
        Key("when_false", choice(RelayCode), "What false sends to a binary output.", RelayCode.LATCH_OFF),
        Key("pulse_ms", Integer(1, 3_600_000, "ms"), "Length of a pulse.", 100),
        Key("form", choice(AnalogForm), "How a number goes to an analog output.", AnalogForm.FLOAT32),
        *COMMON_POINT_KEYS,
    ),
)

DNP3_DEVICE_POINTS = Named("a point", WORD, WORD_GRAMMAR, DNP3_DEVICE_POINT)
