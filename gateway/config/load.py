"""From the path of a site file to a `Site`: its files read, their sections put together, everything checked.

Exceptions::

    SiteFaults              the site cannot be used; holds every fault found
    OSError                 the site file itself cannot be read (an included one is a fault)
"""

from __future__ import annotations

import gc
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.anomaly_section import read_anomalies
from gateway.config.calculated_section import declare_calculated, read_calculated
from gateway.config.control_section import read_control, read_control_areas, select_tags
from gateway.config.demand_response_section import read_demand_response
from gateway.config.dispatch_reading import read_dispatch
from gateway.config.dispatch_section import declare_dispatch
from gateway.config.dnp3 import Outstation
from gateway.config.dnp3_section import read_outstation
from gateway.config.document import (
    MAX_FILE_BYTES,
    MappingNode,
    Node,
    NodeBudget,
    ScalarNode,
    Source,
    read_document,
    read_source,
)
from gateway.config.events_section import read_events
from gateway.config.expand import Expansion
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.forecasts_section import read_forecasts, read_surroundings
from gateway.config.forward_section import read_forward
from gateway.config.health_section import read_health
from gateway.config.kinds import Key, ListOf, Named, Reading, Section, Settings
from gateway.config.logic import LogicSettings
from gateway.config.logic_section import read_logic, tell_what_releases
from gateway.config.market_section import finish_market, read_market
from gateway.config.modbus_server_section import read_modbus_server
from gateway.config.site import (
    Area,
    HistorianSettings,
    HmiSettings,
    OpcUaSettings,
    SimulatorSettings,
    Site,
    Tag,
    User,
)
from gateway.config.site_keys.anomalies import ANOMALIES
from gateway.config.site_keys.calculated import CALCULATED
from gateway.config.site_keys.devices.section import DEVICES, MAX_TAGS, TEMPLATES
from gateway.config.site_keys.events import EVENTS
from gateway.config.site_keys.forecasts import FORECASTS
from gateway.config.site_keys.health import HEALTH
from gateway.config.site_keys.root import ROOT
from gateway.config.site_keys.servers.section import SERVERS
from gateway.config.site_keys.site import AREAS, USERS
from gateway.config.site_keys.totals import TOTALS
from gateway.config.system import AREA, history_tags, part_names, part_tags
from gateway.config.totals_section import declare_totals, read_totals

MAX_FILES = 500  # of one site: a file a device of a large one
MAX_SITE_BYTES = 4 * MAX_FILE_BYTES  # of all files together; their text is kept until the site is read
MAX_INCLUDE_DEPTH = 16  # nobody follows more

_NAMED: Mapping[str, Named] = {
    "areas": AREAS,
    "templates": TEMPLATES,
    "devices": DEVICES,
    "users": USERS,
    "calculated": CALCULATED,
    "totals": TOTALS,
    "events": EVENTS,
    "forecasts": FORECASTS,
    "anomalies": ANOMALIES,
    "health": HEALTH,
}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened on
_DOORS = {"opcua": "the OPC UA server", "hmi": "the HMI", "dnp3": "the DNP3 outstation"}
_SINGLE = (
    "site",
    "historian",
    "servers",
    "simulator",
    "journal",
    "logic",
    "control",
    "dispatch",
    "market",
    "demand_response",
)


def load_site(path: Path) -> Site:
    """The site in ``path`` and the files it includes. Raises SiteFaults, and OSError for ``path`` itself."""
    return Loading(path).site()


@dataclass(slots=True)
class _Gathered:
    """Sections of all files of a site, before devices are made."""

    named: dict[str, dict[str, tuple[ScalarNode, Node]]] = field(
        default_factory=lambda: {section: {} for section in _NAMED}
    )
    single: dict[str, Settings] = field(default_factory=dict)
    servers: dict[str, Settings] = field(default_factory=dict)


class Loading:
    """One reading of a site. ``sources`` are kept, so that a fault can be shown with its line."""

    def __init__(self, path: Path, *, empty: int = 0) -> None:
        """``empty`` places without a tag come first in the image (gateway.config.renumber says what for)."""
        self.sources: dict[Path, Source] = {}  # by the name that faults use
        self._empty = empty
        self._path = path
        self._faults = FaultLog()
        self._budget = NodeBudget()
        self._bytes_left = MAX_SITE_BYTES
        self._gathered = _Gathered()
        self._read: dict[Path, Path] = {}  # real path → the name that faults use
        self._digest = hashlib.sha256()

    def site(self) -> Site:
        """Raises SiteFaults, and OSError where the first file cannot be read."""
        raw = _read_bytes(self._path)
        if isinstance(raw, str):
            raise OSError(f"{self._path} {raw}")
        with _no_collection():
            self._file(self._path, raw, ())
            site = self._site()
        if len(self._faults):
            raise self._faults.sorted(self.sources)
        assert site is not None
        return site

    def _file(self, path: Path, raw: bytes, chain: tuple[Path, ...]) -> None:
        real = _real(path)
        self._read[real] = path
        self._digest.update(len(raw).to_bytes(8, "little") + raw)
        self._bytes_left -= len(raw)
        if len(raw) > MAX_FILE_BYTES:
            self._faults.unsure = True
            self._faults.add(
                Place(path, 1, 1), f"a file of {len(raw):,} bytes", f"keep it below {MAX_FILE_BYTES:,}"
            )
            return
        if self._bytes_left < 0:
            self._faults.unsure = True
            self._faults.add(
                Place(path, 1, 1), f"more than {MAX_SITE_BYTES:,} bytes in all files", "use templates"
            )
            return
        source = read_source(path, raw, self._faults)
        self.sources[path] = source or Source(path, raw.decode("utf-8", "replace"))
        before = len(self._faults)
        node = read_document(source, self._faults, self._budget) if source is not None else None
        if node is None or len(self._faults) > before:
            self._faults.unsure = True  # something here may be what others refer to
        if node is None:
            return
        reading = Reading(self._faults)
        settings = ROOT.read(node, "the file", reading)
        if not isinstance(settings, Settings):
            self._faults.unsure = True
            return
        self._gather(node, settings)
        self._include(node, path, (*chain, real))

    def _gather(self, node: Node, settings: Settings) -> None:
        reading = Reading(self._faults)
        for section in _SINGLE:
            value = settings[section]
            if value is None:
                continue
            if section == "servers":
                for server in SERVERS.by_name:
                    if value[server] is not None:
                        self._once(
                            f"servers.{server}", value.key_at(server), self._gathered.servers, value[server]
                        )
            else:
                self._once(section, settings.key_at(section), self._gathered.single, value)
        for section, kind in _NAMED.items():
            if section not in settings or settings[section] is None:
                continue
            item = _entry(node, section)
            for name, value in kind.entries(item, section, reading):
                known = self._gathered.named[section]
                if name.text in known:
                    first = known[name.text][0].place
                    self._faults.add(
                        name.place,
                        f"{kind.name_kind} {quote(name.text)} a second time "
                        f"(first in {first.file}, line {first.line})",
                        "delete or rename one of the two",
                    )
                else:
                    known[name.text] = (name, value)

    def _once(self, section: str, place: Place, known: dict[str, Settings], value: Settings) -> None:
        name = section.rpartition(".")[2]
        if name in known:
            first = known[name].place
            self._faults.add(
                place,
                f"section {quote(section)} a second time (first in {first.file}, line {first.line})",
                "delete one of the two",
            )
        else:
            known[name] = value

    def _include(self, node: Node, path: Path, chain: tuple[Path, ...]) -> None:
        kind = ROOT.by_name["include"].kind
        assert isinstance(kind, ListOf)
        item = _entry(node, "include", missing_is_none=True)
        if item is None:
            return
        quiet = FaultLog()  # the list itself was judged when the file was read
        for name, place in kind.read_places(item, "include", Reading(quiet)):
            target = Path(os.path.normpath(path.parent / name))
            real = _real(target)
            if real in chain:
                shown = " -> ".join(str(self._read[step]) for step in chain[chain.index(real) :])
                self._faults.add(
                    place, f"the file {quote(name)} includes itself: {shown} -> {target}", "remove this line"
                )
            elif real in self._read:
                continue  # two files may well need the same template
            elif len(self._read) >= MAX_FILES or len(chain) >= MAX_INCLUDE_DEPTH:
                self._faults.unsure = True
                self._faults.add(
                    place,
                    f"more than {MAX_FILES} files, or more than {MAX_INCLUDE_DEPTH} levels of include",
                    "put files together",
                )
            else:
                raw = _read_bytes(target)
                if isinstance(raw, str):
                    self._missing(place, name, raw)
                else:
                    self._file(target, raw, chain)

    def _missing(self, place: Place, name: str, why: str) -> None:
        self._faults.unsure = True
        self._faults.add(place, f"the file {quote(name)} {why}", "mend the path; it is relative to this file")

    def _site(self) -> Site | None:
        gathered = self._gathered
        start = Place(self._path, 1, 1)
        header = gathered.single.get("site")
        if header is None and not self._faults.unsure:
            self._faults.add(start, "a site without a name", "add 'site: {name: ...}'")
        reading = Reading(self._faults)
        descriptions = {
            path: AREAS.value.read(node, path, reading) for path, (_, node) in gathered.named["areas"].items()
        }
        users = self._users(reading)
        expansion = Expansion(
            {path: name.place for path, (name, _) in gathered.named["areas"].items()}, self._faults
        )
        for name, node in gathered.named["templates"].values():
            expansion.add_template(name, node)
        for name, node in gathered.named["devices"].values():
            expansion.add_device(name, node)
        tags, devices = expansion.build(self._empty)
        areas = {path: name.place for path, (name, _) in gathered.named["areas"].items()}
        self._check_user_areas(users, areas)
        tags += select_tags(tags)
        control_areas = read_control_areas(gathered.single.get("control"), tags, areas, self._faults)
        tags += control_areas.tags
        is_unsure = self._faults.unsure or len(self._faults) > 0
        declared = declare_calculated(gathered.named["calculated"], tags, areas, self._faults)
        tags += declared.tags
        declared_totals = declare_totals(gathered.named["totals"], tags, areas, self._faults)
        tags += declared_totals.tags
        declared_dispatch = declare_dispatch(gathered.single.get("dispatch"), tags, areas, self._faults)
        tags += declared_dispatch.tags
        declared_market = read_market(
            gathered.single.get("market"),
            tags,
            areas,
            gathered.named["forecasts"],
            self._faults,
            is_unsure=is_unsure,
        )
        demand_response = read_demand_response(
            gathered.single.get("demand_response"),
            tags,
            areas,
            None if header is None else header["holidays"],
            self._faults,
            is_unsure=is_unsure,
        )
        logic: LogicSettings | None = None
        if "logic" in gathered.single:
            added, logic = read_logic(gathered.single["logic"], tags, areas, self._faults)
            tags += added
            tell_what_releases(logic, tags)
        calculated = read_calculated(declared, tags, self._faults, is_unsure=is_unsure)
        totals = read_totals(declared_totals, tags, self._faults, is_unsure=is_unsure)
        anomalies = read_anomalies(
            gathered.named["anomalies"], tags, areas, self._faults, is_unsure=is_unsure
        )
        health = read_health(gathered.named["health"], tags, areas, self._faults, is_unsure=is_unsure)
        events = read_events(gathered.named["events"], tags, self._faults, is_unsure=is_unsure)
        surroundings = read_surroundings(header, self._faults)
        forecasts = read_forecasts(
            gathered.named["forecasts"], tags, areas, surroundings, self._faults, is_unsure=is_unsure
        )
        dispatch = read_dispatch(
            declared_dispatch, tags, {each.name for each in forecasts}, self._faults, is_unsure=is_unsure
        )
        market = finish_market(
            declared_market,
            tags,
            gathered.named["forecasts"],
            dispatch,
            demand_response,
            self._faults,
            # A plan that has faults of its own is not one that is missing.
            is_unsure=is_unsure or (dispatch is None and "dispatch" in gathered.single),
        )
        control = read_control(gathered.single.get("control"), control_areas, tags, self._faults)
        named = frozenset(user.name for user in users) if not self._faults.unsure else None
        dnp3 = self._outstation(tags, named)
        doors = [
            (title, gathered.servers[name]) for name, title in _DOORS.items() if name in gathered.servers
        ]
        modbus = None
        if "modbus" in gathered.servers:
            modbus, more = read_modbus_server(gathered.servers["modbus"], tags, named, self._faults)
            doors += more
        site_name = "" if header is None else header["name"] or ""
        added, forward = read_forward(gathered.single.get("historian"), tags, site_name, self._faults)
        tags += added
        self._check_ports(doors)
        if len(self._faults):
            return None
        assert header is not None
        opcua = _built(OpcUaSettings, gathered.servers.get("opcua"))
        hmi = _built(HmiSettings, gathered.servers.get("hmi"))
        simulator = _built(SimulatorSettings, gathered.single.get("simulator"))
        for part in part_names(
            opcua,
            hmi,
            simulator,
            logic,
            dnp3,
            devices["dnp3"],
            modbus,
            calculated is not None or len(totals) > 0,
            forward,
            events,
            forecasts,
            dispatch is not None,
            anomalies,
            market is not None,
            health,
            demand_response is not None,
        ):
            tags += part_tags(part)
        tags += history_tags()
        if len(tags) > MAX_TAGS:
            self._faults.add(start, f"{len(tags):,} tags", f"a site holds at most {MAX_TAGS:,}: split it")
        journal = gathered.single.get("journal")
        can = (*devices["can"], *devices["j1939"], *devices["canopen"])
        for database in sorted({device.database_digest for device in can}):
            self._digest.update(database.encode())
        return Site(
            name=header["name"],
            description=header["description"],
            time_resolution=header["time_resolution"],
            time_zone=header["time_zone"],
            areas=_with_parents(descriptions),
            tags=tuple(tags),
            modbus=tuple(devices["modbus"]),
            users=users,
            historian=_built(HistorianSettings, gathered.single.get("historian")) or HistorianSettings(),
            opcua=opcua,
            hmi=hmi,
            simulator=simulator,
            journal_records=journal["records"]
            if journal is not None
            else _default(ROOT, "journal", "records"),
            files=tuple(self._read),
            digest=self._digest.hexdigest(),
            logic=logic,
            dnp3=dnp3,
            dnp3_devices=tuple(devices["dnp3"]),
            can_devices=can,
            modbus_server=modbus,
            control=control,
            opcua_devices=tuple(devices["opcua"]),
            calculated=calculated,
            events=events,
            totals=totals,
            forward=forward,
            forecasts=forecasts,
            dispatch=dispatch,
            anomalies=anomalies,
            health=health,
            demand_response=demand_response,
            market=market,
        )

    def _outstation(self, tags: list[Tag], named: frozenset[str] | None) -> Outstation | None:
        settings = self._gathered.servers.get("dnp3")
        if settings is None:
            return None
        return read_outstation(settings, tags, named, self._faults)

    def _users(self, reading: Reading) -> tuple[User, ...]:
        users = []
        for name, (_, node) in self._gathered.named["users"].items():
            settings = USERS.value.read(node, name, reading)
            if isinstance(settings, Settings) and settings.is_sound("role"):
                users.append(User(name, settings["role"], settings["areas"] or ()))
        return tuple(users)

    def _check_user_areas(self, users: Iterable[User], areas: Mapping[str, Place]) -> None:
        known = {area.path for area in _with_parents(dict.fromkeys(areas, ""))[:-1]}
        for user in users:
            for path in user.areas:
                if path not in known and not self._faults.unsure:
                    self._faults.add(
                        self._gathered.named["users"][user.name][1].place,
                        f"the unknown area {quote(path)} of the user {quote(user.name)}",
                        suggestion(path, known, "name areas of the site"),
                    )

    def _check_ports(self, doors: Iterable[tuple[str, Settings]]) -> None:
        """Servers that listen on one address need ports of their own."""
        known: list[tuple[str, Settings]] = []
        for title, settings in doors:
            if not settings.is_sound("host", "port"):
                continue
            for other, before in known:
                hosts = (before["host"], settings["host"])
                if settings["port"] == before["port"] and (
                    hosts[0] == hosts[1] or not _EVERYWHERE.isdisjoint(hosts)
                ):
                    self._faults.add(
                        settings.at("port"),
                        f"'port' is {settings['port']}, as {other}'s",
                        "give each server a port of its own",
                    )
            known.append((title, settings))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the collector of cycles: a site is a tree of millions of objects, and walking them doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_bytes(path: Path) -> bytes | str:
    """A file's bytes (one more than allowed where it is too long), or why there are none."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would hold us for ever
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            return "is not a file"
        with os.fdopen(number, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError:  # a path with a NUL in it
        return "is no path"


def _real(path: Path) -> Path:
    """Where a path leads in the end; unlike Path.resolve this does not mind a loop of links."""
    return Path(os.path.realpath(path))


def _entry(node: Node, section: str, missing_is_none: bool = False) -> Any:
    """The value of one key of a file."""
    assert isinstance(node, MappingNode)
    for key, value in node.entries:
        if key.text == section:
            return value
    assert missing_is_none, section
    return None


def _built(type: Any, settings: Settings | None) -> Any:
    """A dataclass of settings from a section with the same names."""
    if settings is None:
        return None
    return type(**{name: settings[name] for name in type.__dataclass_fields__})


def _default(root: Section, section: str, name: str) -> Any:
    kind = root.by_name[section].kind
    assert isinstance(kind, Section)
    key: Key = kind.by_name[name]
    return key.default


def _with_parents(descriptions: Mapping[str, str]) -> tuple[Area, ...]:
    """Areas as written, each after the areas it is in; those not written have no description. `_system` is last."""
    areas: dict[str, Area] = {}
    for path, description in descriptions.items():
        words = path.split("/")
        for depth in range(1, len(words)):
            parent = "/".join(words[:depth])
            if parent not in areas:
                areas[parent] = Area(parent, descriptions.get(parent, ""))
        areas[path] = Area(path, description)
    return (*areas.values(), AREA)
