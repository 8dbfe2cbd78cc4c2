"""From a site file to typed values: what is expanded, what is filled in, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.fault import Fault, SiteFaults
from gateway.config.load import load_site
from gateway.config.modbus import (
    ModbusDevice,
    ModbusPoint,
    ModbusSystemTags,
    Order,
    Parity,
    PollGroup,
    RegisterType,
    SerialPort,
    Table,
    Transport,
)
from gateway.config.site import (
    Area,
    HistorianSettings,
    HmiSettings,
    OpcUaSettings,
    Role,
    SimulatorSettings,
    Site,
    Tag,
    User,
    WriteLimits,
)
from gateway.config.system import history_tags, part_names
from gateway.tags.tag import ValueType

Load = Callable[..., Site]
Faults = Callable[..., list[Fault]]

WHOLE = """\
site: {name: demo, description: All there is}
include: [templates.yaml]
areas: {storage: Battery, loads/feeders: Feeders}
devices:
  battery1:
    area: storage
    protocol: modbus
    word_order: little
    connection:
      {host: battery.local, port: 1502, unit_id: 7, timeout_ms: 500, pause_ms: 20, max_registers: 60, max_coils: 800,
       max_gap: 3, retry_max_ms: 5000, single_connection: true}
    groups: {fast: {period_ms: 200}, slow: {period_ms: 2000, stale_after_ms: 9000}}
    points:
      power_kw:
        {table: input, address: 10, type: int32, byte_order: little, scale: 0.001, offset: 5, unit: kW,
         range: [-100, 100], group: fast, deadband: 0.2, decimals: 1,
         not_implemented: [0x80000000], description: Positive discharges}
      power_setpoint_kw:
        {table: holding, address: 0, type: float32, word_order: big, unit: kW, group: slow, history: false,
         write: {role: engineer, low: -90, high: 80, timeout_ms: 4000}}
      alarm: {table: input, address: 20, bit: 3, group: slow, states: {0: "none", 1: "alarm"}}
      serial_number: {table: holding, address: 100, type: string, registers: 8, group: slow}
  feeder: {area: loads/feeders, repeat: 3..4, template: feeder, with: {port: "${15030 + n}", number: "${n}"}}
users: {zoe: {role: engineer}, adam: {role: viewer}}
historian: {flush_ms: 100, block_s: 30, keep_days: 9}
servers: {opcua: {port: 4841, security: ["Basic256Sha256:Sign", None]}, hmi: {host: 0.0.0.0}}
simulator: {seed: 5, speed: 2, start_hour: 6.5}
journal: {records: 2048}
"""
TEMPLATES = """\
templates:
  feeder:
    parameters:
      port: {type: integer}
      number: {type: integer}
      host: {type: string, default: 127.0.0.1}
    protocol: modbus
    connection: {host: "${host}", port: "${port}"}
    groups: {all: {period_ms: 100}}
    points:
      breaker_closed: {table: discrete, address: 0, description: "Breaker of feeder ${number}"}
      priority: {table: input, address: "${number}", type: uint16, range: [1, 4]}
"""


@pytest.fixture
def whole(load: Load) -> Site:
    return load(WHOLE, templates=TEMPLATES)


def tag_of(site: Site, name: str) -> Tag:
    return next(tag for tag in site.tags if tag.name == name)


def test_settings_become_values(whole: Site, tmp_path: Path) -> None:
    assert whole.name == "demo"
    assert whole.description == "All there is"
    assert whole.users == (User("zoe", Role.ENGINEER), User("adam", Role.VIEWER))
    assert whole.historian == HistorianSettings(100, 30, 9)
    assert whole.opcua == OpcUaSettings("127.0.0.1", 4841, ("Basic256Sha256:Sign", "None"))
    assert whole.hmi == HmiSettings("0.0.0.0", 8080)  # noqa: S104 - what the file says
    assert whole.simulator == SimulatorSettings(seed=5, speed=2.0, start_hour=6.5)
    assert whole.journal_records == 2048
    assert whole.files == (tmp_path / "site.yaml", tmp_path / "templates.yaml")


def test_areas_come_with_their_parents_and_the_system(whole: Site) -> None:
    assert [(area.path, area.description) for area in whole.areas[:3]] == [
        ("storage", "Battery"),
        ("loads", ""),
        ("loads/feeders", "Feeders"),
    ]
    assert whole.areas[3].path == "_system"


def test_a_parent_written_later_is_not_lost(load: Load, minimal: str) -> None:
    site = load(minimal.replace("{grid: Tie}", "{grid/meters: Meters, grid: Tie}"))
    assert site.areas[:2] == (Area("grid", "Tie"), Area("grid/meters", "Meters"))


def test_device_is_as_written(whole: Site) -> None:
    battery = whole.modbus[0]
    assert battery == ModbusDevice(
        name="battery1",
        host="battery.local",
        port=1502,
        unit_id=7,
        timeout_ms=500,
        pause_ms=20,
        max_registers=60,
        max_coils=800,
        max_gap=3,
        retry_max_ms=5000,
        single_connection=True,
        groups=(PollGroup("fast", 200, 1000), PollGroup("slow", 2000, 9000)),
        points=battery.points,
        system=ModbusSystemTags(8, 9, 10, 11, 12, 13, 14, 15, 16),
    )
    assert battery.points[:2] == (
        ModbusPoint(
            name="battery1.power_kw",
            tag=0,
            table=Table.INPUT,
            address=10,
            registers=2,
            type=RegisterType.INT32,
            word_order=Order.LITTLE,
            byte_order=Order.LITTLE,
            bit=None,
            scale=0.001,
            offset=5.0,
            not_implemented=(0x80000000,),
            low=-100.0,
            high=100.0,
            group=0,
            writable=False,
        ),
        ModbusPoint(
            name="battery1.power_setpoint_kw",
            tag=1,
            table=Table.HOLDING,
            address=0,
            registers=2,
            type=RegisterType.FLOAT32,
            word_order=Order.BIG,
            byte_order=Order.BIG,
            bit=None,
            scale=1.0,
            offset=0.0,
            not_implemented=(),
            low=None,
            high=None,
            group=1,
            writable=True,
        ),
    )


def test_tags_are_as_written(whole: Site) -> None:
    assert whole.tags[0] == Tag(
        name="battery1.power_kw",
        type=ValueType.DOUBLE,
        owner="drivers",
        area="storage",
        device="battery1",
        description="Positive discharges",
        unit="kW",
        low=-100.0,
        high=100.0,
        deadband=0.2,
        decimals=1,
        stale_after_ms=1000,
    )
    setpoint = whole.tags[1]
    assert setpoint.write == WriteLimits(Role.ENGINEER, -90.0, 80.0, 90 * 1e-6, 4000)
    assert setpoint.stale_after_ms == 9000
    assert not setpoint.history
    alarm = whole.tags[2]
    assert (alarm.type, alarm.states) == (ValueType.BOOL, {0: "none", 1: "alarm"})
    serial = whole.tags[3]
    assert (serial.type, serial.string_bytes) == (ValueType.STRING, 48)


def test_repeated_device_is_numbered_and_filled_in(whole: Site) -> None:
    assert [(device.name, device.host, device.port) for device in whole.modbus[1:]] == [
        ("feeder3", "127.0.0.1", 15033),
        ("feeder4", "127.0.0.1", 15034),
    ]
    assert [device.points[1].address for device in whole.modbus[1:]] == [3, 4]
    assert tag_of(whole, "feeder4.breaker_closed").description == "Breaker of feeder 4"
    assert tag_of(whole, "feeder4.priority").area == "loads/feeders"


def test_image_order_is_points_then_devices_counters_then_parts(whole: Site) -> None:
    names = [tag.name for tag in whole.tags]
    assert names[:8] == [
        "battery1.power_kw", "battery1.power_setpoint_kw", "battery1.alarm", "battery1.serial_number",
        "feeder3.breaker_closed", "feeder3.priority", "feeder4.breaker_closed", "feeder4.priority",
    ]  # fmt: skip
    assert names[8:17] == [
        "_system.battery1.connected", "_system.battery1.requests", "_system.battery1.errors_timeout",
        "_system.battery1.errors_exception", "_system.battery1.errors_connection", "_system.battery1.errors_protocol",
        "_system.battery1.latency_p50_ms", "_system.battery1.latency_p99_ms", "_system.battery1.last_error",
    ]  # fmt: skip
    assert names[26] == "_system.feeder4.connected"
    parts = ["simulator", "drivers", "historian", "opcua", "hmi"]
    assert names[35:] == [
        *(
            f"_system.parts.{part}.{name}"
            for part in parts
            for name in ("running", "stuck", "restarts", "pid", "memory_mb", "last_exit")
        ),
        *(tag.name for tag in history_tags()),
    ]
    assert list(part_names(whole.opcua, whole.hmi, whole.simulator)) == parts


def test_every_point_and_counter_knows_its_tag(whole: Site) -> None:
    for device in whole.modbus:
        for point in device.points:
            assert whole.tags[point.tag].name == point.name
        for field in ModbusSystemTags.__dataclass_fields__:
            tag = whole.tags[getattr(device.system, field)]
            assert tag.name == f"_system.{device.name}.{field}"
            assert tag.owner == "drivers"
            assert tag.area == "_system"
    assert {tag.owner for tag in whole.tags if ".parts." in tag.name} == {"node"}
    assert len({tag.name for tag in whole.tags}) == len(whole.tags)


def test_parts_are_those_the_site_has(load: Load, minimal: str) -> None:
    site = load(minimal)
    assert (site.opcua, site.hmi, site.simulator) == (None, None, None)
    assert part_names(site.opcua, site.hmi, site.simulator) == ("drivers", "historian")
    assert [tag.name for tag in site.tags if tag.name.endswith(".running")] == [
        "_system.parts.drivers.running", "_system.parts.historian.running",
    ]  # fmt: skip


def test_defaults_of_absent_sections(load: Load, minimal: str) -> None:
    site = load(minimal)
    assert site.historian == HistorianSettings()
    assert site.journal_records == 1 << 20
    assert site.users == ()
    assert site.description == ""


@pytest.mark.parametrize(
    ("keys", "type"),
    [
        ("type: int16", ValueType.INT64),
        ("type: uint16", ValueType.UINT64),
        ("type: int64", ValueType.INT64),
        ("type: uint64", ValueType.UINT64),
        ("type: bcd32", ValueType.UINT64),
        ("type: uint16, scale: 0.1", ValueType.DOUBLE),
        ("type: uint16, scale: 10", ValueType.DOUBLE),
        ("type: int16, offset: 1", ValueType.DOUBLE),
        ("type: int16, scale: 1, offset: 0", ValueType.INT64),
        ("type: float64", ValueType.DOUBLE),
        ("bit: 4", ValueType.BOOL),
        ("type: bool, bit: 0", ValueType.BOOL),
        ("type: string, registers: 2", ValueType.STRING),
    ],
)
def test_type_of_the_tag_follows_from_registers_and_scale(
    load: Load, minimal: str, keys: str, type: ValueType
) -> None:
    site = load(
        minimal.replace(
            "power_kw: {table: input, address: 0, type: int16, unit: kW}",
            f"x: {{table: input, address: 0, {keys}}}",
        )
    )
    assert site.tags[0].type is type


@pytest.mark.parametrize(
    ("table", "number", "address"),
    [
        ("coil", 1, 0), ("coil", 9999, 9998), ("discrete", 10001, 0), ("discrete", 100001, 0),
        ("discrete", 165536, 65535),
        ("input", 30001, 0), ("input", 39999, 9998), ("input", 300001, 0),
        ("holding", 40001, 0), ("holding", 465536, 65535),
    ],
)  # fmt: skip
def test_modicon_addresses(load: Load, minimal: str, table: str, number: int, address: int) -> None:
    kind = "type: uint16, " if table in ("input", "holding") else ""
    text = minimal.replace("    groups:", "    addressing: modicon\n    groups:").replace(
        "power_kw: {table: input, address: 0, type: int16, unit: kW}",
        f"x: {{table: {table}, {kind}address: {number}}}",
    )
    assert load(text).modbus[0].points[0].address == address


@pytest.mark.parametrize(
    ("keys", "limits"),
    [
        ("type: int16, write: {low: 0, high: 9}", WriteLimits(Role.OPERATOR, 0, 9, 0.0, 2000)),
        ("type: int16, scale: 0.1, write: {low: 0, high: 9}", WriteLimits(Role.OPERATOR, 0, 9, 0.1, 2000)),
        ("type: int16, scale: -2, write: {low: 0, high: 9}", WriteLimits(Role.OPERATOR, 0, 9, 2.0, 2000)),
        ("type: float32, range: [-5, 4], write: {}", WriteLimits(Role.OPERATOR, -5, 4, 5 * 1e-6, 2000)),
        (
            "type: float32, range: [-5, 4], write: {high: 3}",
            WriteLimits(Role.OPERATOR, -5, 3, 5 * 1e-6, 2000),
        ),
        ("bit: 3, write: {role: viewer}", WriteLimits(Role.VIEWER, None, None, 0.0, 2000)),
        ("type: string, registers: 4, write: {}", WriteLimits(Role.OPERATOR, None, None, 0.0, 2000)),
    ],
)
def test_write_limits_are_filled_in(load: Load, minimal: str, keys: str, limits: WriteLimits) -> None:
    site = load(
        minimal.replace(
            "power_kw: {table: input, address: 0, type: int16, unit: kW}",
            f"x: {{table: holding, address: 0, {keys}}}",
        )
    )
    assert site.tags[0].write == limits


def test_bits_of_one_register_may_be_written_apart(load: Load, minimal: str) -> None:
    points = "\n".join(
        f"      b{bit}: {{table: holding, address: 0, bit: {bit}, write: {{}}}}" for bit in range(16)
    )
    assert len(load(minimal + points + "\n").modbus[0].points) == 17


def test_last_register_of_the_table_can_be_used(load: Load, minimal: str) -> None:
    site = load(minimal.replace("address: 0, type: int16", "address: 65532, type: float64"))
    assert site.modbus[0].points[0].address == 65532


def test_parameter_keeps_its_kind(load: Load, minimal: str) -> None:
    template = """\
templates:
  t:
    parameters:
      {host: {type: string}, shared: {type: boolean}, scale: {type: number}, unit: {type: string, default: kW}}
    protocol: modbus
    connection: {host: "${host}", single_connection: "${shared}"}
    groups: {all: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: int16, scale: "${scale}", unit: "${unit}"}}
"""
    site = load(
        minimal + '  d: {area: grid, template: t, with: {host: "10", shared: true, scale: 2}}\n' + template
    )
    device = site.modbus[1]
    assert (device.host, device.single_connection, device.points[0].scale) == ("10", True, 2.0)


def test_devices_on_one_serial_line(load: Load, minimal: str) -> None:
    template = """\
templates:
  t:
    parameters: {way: {type: string, default: rtu}, unit: {type: integer}}
    protocol: modbus
    connection: {transport: "${way}", serial: /dev/ttyUSB0, unit_id: "${unit}", parity: none,
      stop_bits: 2, turnaround_ms: 5}
    groups: {all: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: int16, unit: kW}}
"""
    devices = "  d1: {area: grid, template: t, with: {unit: 1}}\n  d2: {area: grid, template: t, with: {unit: 247}}\n"
    site = load(minimal + devices + template)
    plain, *serial = site.modbus
    assert (plain.transport, plain.serial, plain.turnaround_ms) == (Transport.TCP, None, 0)
    port = SerialPort("/dev/ttyUSB0", 9600, Parity.NONE, 2, 8)
    assert [(it.transport, it.serial, it.unit_id, it.turnaround_ms) for it in serial] == [
        (Transport.RTU, port, 1, 5), (Transport.RTU, port, 247, 5)
    ]  # fmt: skip


def test_units_may_be_typed_plainly(load: Load, minimal: str) -> None:
    site = load(minimal.replace("power_kw", "temperature_c").replace("unit: kW", "unit: degC"))
    assert site.tags[0].unit == "°C"


def test_template_included_twice_is_read_once(load: Load) -> None:
    site = load(
        WHOLE.replace("[templates.yaml]", "[more.yaml, templates.yaml]"),
        templates=TEMPLATES,
        more="include: [./templates.yaml]\n",
    )
    assert [file.name for file in site.files] == ["site.yaml", "more.yaml", "templates.yaml"]


def test_include_is_relative_to_its_own_file(tmp_path: Path, minimal: str) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "sites" / "site.yaml").write_text(minimal + "include: [../shared/users.yaml]\n")
    (tmp_path / "shared" / "users.yaml").write_text("include: [more.yaml]\n")
    (tmp_path / "shared" / "more.yaml").write_text("users: {zoe: {role: viewer}}\n")
    assert load_site(tmp_path / "sites" / "site.yaml").users == (User("zoe", Role.VIEWER),)


def test_same_files_give_the_same_site(load: Load) -> None:
    assert load(WHOLE, templates=TEMPLATES) == load(WHOLE, templates=TEMPLATES)


def test_digest_tells_of_any_change_in_any_file(load: Load) -> None:
    digests = {
        load(WHOLE, templates=TEMPLATES).digest,
        load(WHOLE + "\n", templates=TEMPLATES).digest,
        load(WHOLE, templates=TEMPLATES + "\n").digest,
    }
    assert len(digests) == 3
    assert all(len(digest) == 64 for digest in digests)


def test_missing_site_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="does not exist"):
        load_site(tmp_path / "none.yaml")


def test_fault_in_a_template_is_reported_once_for_all_its_devices(faults_of: Faults) -> None:
    text = WHOLE.replace("repeat: 3..4", "repeat: 1..500")
    (fault,) = faults_of(text, templates=TEMPLATES.replace("type: uint16", "type: uint17"))
    assert (fault.file.name, fault.line) == ("templates.yaml", 12)


def test_fault_of_some_devices_only_names_the_first(faults_of: Faults) -> None:
    text = WHOLE.replace("repeat: 3..4", "repeat: 34..37").replace("15030 + n", "65500 + n")
    (first, second) = faults_of(text, templates=TEMPLATES)
    assert (first.found, first.context) == ("'port' is the integer 65536", "device feeder36")
    assert (second.found, second.context) == ("'port' is the integer 65537", "device feeder37")


def test_unused_template_is_checked_too(faults_of: Faults, minimal: str) -> None:
    (fault,) = faults_of(minimal + TEMPLATES.replace("address: 0", "address: -1"))
    assert fault.context == "template feeder"


def test_faults_are_bounded_and_the_rest_counted(faults_of: Faults, minimal: str, load: Load) -> None:
    points = "".join(f"      p{i}: {{table: input, address: {i}, type: int17}}\n" for i in range(1500))
    with pytest.raises(SiteFaults) as raised:
        load(minimal + points)
    assert len(raised.value.faults) == 1000
    assert raised.value.more == 500
    assert str(raised.value).endswith("and 500 more")


def test_reference_into_a_broken_file_is_not_blamed(faults_of: Faults) -> None:
    faults = faults_of(WHOLE, templates=TEMPLATES + "  - oops\n")
    assert [fault.file.name for fault in faults] == ["templates.yaml"]


def test_repeated_device_without_a_template_uses_its_number(load: Load, minimal: str) -> None:
    text = minimal.replace(
        "    area: grid\n", '    area: grid\n    repeat: 1..2\n    description: "Meter ${n}"\n'
    )
    site = load(
        text.replace("host: 192.0.2.1", 'host: "192.0.2.${n}"').replace("address: 0", 'address: "${10 * n}"')
    )
    assert [(d.name, d.host, d.points[0].address) for d in site.modbus] == [
        ("meter1", "192.0.2.1", 10), ("meter2", "192.0.2.2", 20),
    ]  # fmt: skip


def test_server_on_every_address_takes_its_port_from_all(faults_of: Faults, minimal: str) -> None:
    (fault,) = faults_of(minimal + "servers: {opcua: {host: 0.0.0.0, port: 8080}, hmi: {}}\n")
    assert fault.found == "'port' is 8080, as the OPC UA server's"


def test_a_hundred_thousand_unknown_keys_are_soon_refused(load: Load, minimal: str) -> None:
    with pytest.raises(SiteFaults) as raised:
        load(minimal + "".join(f"unknown_{i}: 1\n" for i in range(100_000)))
    assert len(raised.value.faults) + raised.value.more == 100_000


def test_long_parameter_cannot_blow_up_a_text(faults_of: Faults, minimal: str) -> None:
    text = minimal.replace("address: 0,", 'address: 0, description: "' + "${n}" * 300 + '",')
    (fault,) = faults_of(text.replace("    area: grid\n", "    area: grid\n    repeat: 1..1\n"))
    assert fault.found == "a text of 1200 characters with '${'"


def test_parameter_of_too_many_characters_is_refused(faults_of: Faults, minimal: str) -> None:
    device = f"  f: {{area: grid, template: feeder, with: {{port: 1, number: 1, host: {'x' * 1001}}}}}\n"
    (fault,) = faults_of(minimal + device + TEMPLATES)
    assert fault.found == "'host' has 1001 characters"
