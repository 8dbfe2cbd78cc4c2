"""A scanned device as a device of a site file: names, units, limits and scales by the models' definitions. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.config.modbus import RegisterType
from gateway.config.point import RAW_RANGE
from gateway.config.site_keys.devices.modbus import MAX_READ_REGISTERS
from gateway.config.units import unit_of, unit_of_name
from gateway.drivers.sunspec.definitions import SOURCE, Form, definition_of
from gateway.drivers.sunspec.layout import NOT_IMPLEMENTED, REGISTER_TYPES, LaidPoint, Model, lay_out
from gateway.drivers.sunspec.scan import Scan

WIDTH = 118
LONGEST_NAME = 64
LONGEST_LABEL = 40  # longer ones make no name
LONGEST_STATE = 80

MEASUREMENTS, SETTINGS, IDENTITY = "measurements", "settings", "identity"
GROUPS = {
    MEASUREMENTS: "{period_ms: 1000, stale_after_ms: 5000}",
    SETTINGS: "{period_ms: 10000, stale_after_ms: 30000}",
    IDENTITY: "{period_ms: 600000, stale_after_ms: 1800000}",
}
MAX_GAP = 125  # all registers of a model can be read

# A unit of the models: ours, and by what a value is multiplied to be in it.
UNITS: Mapping[str, tuple[str, float]] = {
    "Secs": ("s", 1.0), "Sec": ("s", 1.0), "Tms": ("s", 1.0), "mSecs": ("ms", 1.0), "Var": ("var", 1.0),
    "varh": ("kvarh", 0.001), "Varh": ("kvarh", 0.001), "VAh": ("kVAh", 0.001), "WH": ("Wh", 1.0), "AH": ("Ah", 1.0),
    "kAH": ("Ah", 1000.0), "Degrees": ("°", 1.0), "deg": ("°", 1.0), "C": ("°C", 1.0), "W/m^2": ("W/m²", 1.0),
    "HPa": ("hPa", 1.0), "mps": ("m/s", 1.0), "ohms": ("Ω", 1.0), "kO": ("kΩ", 1.0), "meters": ("m", 1.0),
    "VNomPct": ("%", 1.0), "WMaxPct": ("%", 1.0), "VarPct": ("%", 1.0), "DeptRef": ("%", 1.0), "Pct": ("%", 1.0),
}  # fmt: skip
POWER_FACTORS = frozenset({"cos()", "PF"})
# Writing it would take the device away from under its unit id.
NEVER_WRITABLE = frozenset({(1, "DA")})
# Whose points of a unit are bound by the device's rating: twice as much is no measurement.
AC_MEASUREMENTS = frozenset({101, 102, 103, 111, 112, 113, 701})
RATINGS = {  # by unit, where the rating is
    "W": ((702, "WMaxRtg"), (120, "WRtg")),
    "VA": ((702, "VAMaxRtg"), (120, "VARtg")),
    "var": ((702, "VarMaxInjRtg"), (120, "VArRtgQ1")),
    "A": ((702, "AMaxRtg"), (120, "ARtg")),
    "V": ((702, "VMaxRtg"),),
}
BEYOND_RATING = 2.0
FULL_PERCENT = frozenset({"VNomPct", "% VRef"})  # whose curves reach past 100
MOST_PERCENT_OF_NOMINAL = 200.0


@dataclass(frozen=True, slots=True)
class Named:
    """A point of a model, by the name it has in the site file."""

    name: str
    model: int
    point: LaidPoint
    group: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the device stands in the site, and what says how to reach it."""

    name: str
    area: str
    connection: Mapping[str, object]
    site: str = ""  # the name of a whole site with nothing else in it
    max_registers: int = MAX_READ_REGISTERS  # a longer text cannot be read


def device_map(scan: Scan, place: Place, *, keep_all: bool) -> str:
    """The text of a site file. ``keep_all``: points that the device does not implement too."""
    laid = list(_laid(scan.models))
    named = [one for _, points, _ in laid for one in points]
    ratings = _ratings(named)
    lines = [*_head(scan, place, laid, ratings, keep_all=keep_all), ""]
    if place.site:
        lines += [f"site: {{name: {place.site}}}", f"areas: {{{place.area}: {_quoted('Discovered')}}}"]
    lines += [
        "devices:",
        f"  {place.name}:",
        f"    area: {place.area}",
        f"    description: {_quoted(' '.join(_identity(named)) or 'A SunSpec device')}",
        "    protocol: modbus",
        f"    connection: {{{', '.join(f'{key}: {value}' for key, value in place.connection.items())}, "
        f"max_gap: {MAX_GAP}}}",
        "    groups:",
    ]
    kept = [one for one in named if _is_kept(one, place, keep_all=keep_all)]
    used = {one.group for one in kept}
    lines += [f"      {group}: {settings}" for group, settings in GROUPS.items() if group in used]
    lines.append("    points:")
    for model, points, _ in laid:
        some = [one for one in points if _is_kept(one, place, keep_all=keep_all)]
        if some:
            lines.append(f"      # {_title(model)}")
        for one in some:
            lines += _entry(one, ratings)
    return "\n".join(lines) + "\n"


def _laid(models: Sequence[Model]) -> Iterator[tuple[Model, list[Named], str]]:
    """Each model with its points and what is odd about it. Names are the device's: all different."""
    taken: set[str] = set()
    prefixes: Counter[str] = Counter()
    for model in models:
        definition = definition_of(model.number)
        if definition is None:
            yield model, [], "nothing is known of it"
            continue
        laid = lay_out(model, definition)
        prefix = _snake(definition.name)
        prefixes[prefix] += 1
        if prefixes[prefix] > 1:
            prefix = f"{prefix}{prefixes[prefix]}"
        yield model, _named(model, laid.points, prefix, taken), laid.trouble


def _named(model: Model, points: Sequence[LaidPoint], prefix: str, taken: set[str]) -> list[Named]:
    labels = Counter((point.path, _snake(point.definition.label)) for point in points)
    has_many_settings = sum(point.definition.is_writable for point in points) * 3 > len(points)
    named = []
    for point in points:
        slug = _snake(point.definition.label)
        plain = _snake(point.definition.name)
        is_telling = slug[:1].isalpha() and len(slug) <= LONGEST_LABEL and labels[point.path, slug] == 1
        path = "".join(f"_{_snake(step)}" for step in point.path)
        name = _with_unit(f"{prefix}{path}_{slug if is_telling else plain}", point)
        if len(name) > LONGEST_NAME or name in taken:
            name = _with_unit(f"m{model.number}_{model.address}{path}_{plain}", point)[:LONGEST_NAME]
        number, stem = 1, name[: LONGEST_NAME - 4]
        while name in taken:
            number += 1
            name = f"{stem}_n{number}"
        taken.add(name)
        named.append(Named(name, model.number, point, _group_of(point, has_many_settings=has_many_settings)))
    return named


def _group_of(point: LaidPoint, *, has_many_settings: bool) -> str:
    if point.definition.is_static or point.definition.form is Form.STRING:
        return IDENTITY
    return SETTINGS if point.definition.is_writable or has_many_settings else MEASUREMENTS


def _is_kept(one: Named, place: Place, *, keep_all: bool) -> bool:
    definition = one.point.definition
    can_be_read = definition.form in REGISTER_TYPES and definition.registers <= place.max_registers
    return can_be_read and (keep_all or one.point.is_implemented)


def _head(
    scan: Scan,
    place: Place,
    laid: Sequence[tuple[Model, list[Named], str]],
    ratings: Mapping[str, float],
    *,
    keep_all: bool,
) -> list[str]:
    named = [one for _, points, _ in laid for one in points]
    lines = [
        "# A SunSpec device as it described itself, by `tieline discover sunspec`.",
        f"# {', '.join(_identity(named)) or 'It says nothing of its maker.'}",
        f"# Map at {scan.base}, models by {SOURCE}:",
    ]
    for model, points, trouble in laid:
        absent = sum(not _is_kept(one, place, keep_all=keep_all) for one in points)
        why = "too long or of a type that no point has" if keep_all else "not implemented"
        notes = [f"{absent} of {len(points)} points {why}, left out"] if absent else []
        notes += [trouble] if trouble else []
        lines.append(f"#   {_title(model)}{': ' + '; '.join(notes) if notes else ''}")
    if any(_limits(one, ratings) for one in named if _is_kept(one, place, keep_all=keep_all)):
        lines += [
            "# What the models let be written may be written by engineers. Where nothing narrower is known, limits",
            "# are what the registers can hold: narrow them, and the roles, to what this device is to be told.",
        ]
    return [line[:WIDTH] for line in lines]


def _title(model: Model) -> str:
    definition = definition_of(model.number)
    label = (definition.label or definition.name) if definition is not None else "unknown"
    return f"Model {model.number} at {model.address}, {label}"


def _identity(named: Sequence[Named]) -> list[str]:
    """Maker, model, version and serial number, as model 1 tells them."""
    told = {one.point.definition.name: one.point.text for one in named if one.model == 1}
    return [_printable(told[name]) for name in ("Mn", "Md", "Vr", "SN") if told.get(name)]


def _entry(one: Named, ratings: Mapping[str, float]) -> list[str]:
    """The lines of one point."""
    point, definition = one.point, one.point.definition
    type = REGISTER_TYPES[definition.form]
    unit, scale = _unit(point)
    keys = [f"address: {point.address}", f"type: {type}"]
    if type is RegisterType.STRING:
        keys.append(f"registers: {definition.registers}")
    if isinstance(definition.scale_factor, int) and definition.scale_factor:
        scale *= 10.0**definition.scale_factor
    if scale != 1:
        keys.append(f"scale: {scale:.10g}")
    if point.scale_factor is not None:
        keys.append(f"scale_factor: {point.scale_factor}")
    keys.append(f"not_implemented: [0x{NOT_IMPLEMENTED[definition.form]:X}]")
    if unit:
        keys.append(f"unit: {_quoted(unit)}")
    span = _range(one, ratings)
    if span is not None:
        keys.append(f"range: [{span[0]:.10g}, {span[1]:.10g}]")
    keys.append(f"group: {one.group}")
    if point.scale_factor is not None and point.power is not None:
        keys.append(f"decimals: {min(9, max(0, -point.power + (3 if scale == 0.001 else 0)))}")
    states = _states(point)
    if states:
        named = ", ".join(f"{value}: {_quoted(label)}" for value, label in states.items())
        keys.append(f"states: {{{named}}}")
    limits = _limits(one, ratings)
    if limits is not None:
        keys.append(f"write: {{{limits}}}")
    keys.append(f"description: {_quoted(_description(one))}")
    return _folded(f"      {one.name}:", ["table: holding", *keys])


def _folded(head: str, keys: Sequence[str]) -> list[str]:
    """``{key: value, …}`` after ``head``, in lines of at most WIDTH. A break in a quoted text reads as a blank."""
    indent = " " * 9
    lines, line = [head], "        {"
    for place, key in enumerate(keys):
        item = key + ("}" if place == len(keys) - 1 else ",")
        if len(line) + 1 + len(item) > WIDTH and not line.endswith("{"):
            lines.append(line)
            line = indent + item
        else:
            line += item if line.endswith("{") else " " + item
        if len(line) > WIDTH:
            *full, line = textwrap.wrap(
                line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
            lines += [indent + text.strip() for text in full]
            line = indent + line.strip()
    return [*lines, line]


def _unit(point: LaidPoint) -> tuple[str | None, float]:
    """The unit in a site file, None for none, and what the model's values are multiplied by."""
    if point.definition.symbols or point.definition.form is Form.STRING:
        return None, 1.0
    written = point.definition.unit
    if written in UNITS:
        return UNITS[written]
    if written.startswith("%") and "/" not in written:
        return "%", 1.0
    unit = unit_of(written)
    return (unit.symbol, 1.0) if unit is not None else (None, 1.0)


def _with_unit(name: str, point: LaidPoint) -> str:
    """The name with its unit last, and without one that it has not."""
    symbol, _ = _unit(point)
    unit = unit_of(symbol) if symbol else None
    carried = unit_of_name(name)
    if unit is None:
        return f"{name}_value" if carried is not None and len(carried.suffix) > 1 else name
    if carried is unit or not unit.suffix:
        return name
    return f"{name}_{unit.suffix}"


def _ratings(named: Sequence[Named]) -> dict[str, float]:
    """The device's ratings by unit."""
    told = {(one.model, one.point.definition.name): one.point for one in named if one.point.is_implemented}
    ratings = {}
    for unit, places in RATINGS.items():
        found = [abs(_number(told[place])) for place in places if place in told]
        if found and found[0] > 0:
            ratings[unit] = found[0]
    return ratings


def _number(point: LaidPoint) -> float:
    pattern = int.from_bytes(point.octets, "big")
    if point.definition.form in (Form.INT16, Form.INT32, Form.INT64):
        size = 8 * len(point.octets)
        pattern -= pattern >> (size - 1) << size
    return pattern * 10.0 ** (point.power or 0)


def _is_power_factor(one: Named) -> bool:
    definition = one.point.definition
    return definition.unit in POWER_FACTORS or definition.scale_factor == "PF_SF"


def _range(one: Named, ratings: Mapping[str, float]) -> tuple[float, float] | None:
    """What the instrument can tell, where that is known for certain."""
    definition = one.point.definition
    if definition.symbols or definition.form is Form.STRING or definition.is_writable:
        return None
    symbol, _ = _unit(one.point)
    if _is_power_factor(one) and one.model in AC_MEASUREMENTS and not definition.unit.startswith("%"):
        # model 103 gives its power factor in percent on many devices, whatever its unit says
        return None if one.model != 701 else (-1.0, 1.0)
    if one.model in AC_MEASUREMENTS and symbol in ("W", "VA", "var", "A") and symbol in ratings:
        most = ratings[symbol] * BEYOND_RATING
        return (0.0 if definition.form in (Form.UINT16, Form.UINT32) else -most, most)
    return None


def _limits(one: Named, ratings: Mapping[str, float]) -> str | None:
    """The keys of ``write``; None where it may not be written, or nobody could tell within what limits."""
    point, definition = one.point, one.point.definition
    if not point.is_writable or (one.model, definition.name) in NEVER_WRITABLE:
        return None
    type = REGISTER_TYPES[definition.form]
    if type is RegisterType.STRING:
        return "role: engineer"
    states = _states(point)
    if states:
        return (
            f"role: engineer, low: {min(states)}, high: {max(states)}" if min(states) < max(states) else None
        )
    if definition.scale_factor is not None and point.power is None:
        return None  # its scale is not told, so it has no value
    _, unit_scale = _unit(point)
    step = unit_scale * 10.0 ** (point.power or 0)
    low, high = _raw_limits(definition.form)
    low, high = low * step, high * step
    widest = _widest(one, ratings)
    if widest is not None:
        low, high = max(low, -widest), min(high, widest)
    elif type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        return None
    if not low < high:
        return None
    tolerance = f", tolerance: {step:.10g}" if point.scale_factor is not None else ""
    return f"role: engineer, low: {_written(low)}, high: {_written(high)}{tolerance}"


def _widest(one: Named, ratings: Mapping[str, float]) -> float | None:
    """The greatest magnitude that can make sense, where the models or the device's rating tell."""
    definition = one.point.definition
    if _is_power_factor(one):
        return 1.0
    symbol, _ = _unit(one.point)
    if symbol == "%":
        return MOST_PERCENT_OF_NOMINAL if definition.unit in FULL_PERCENT else 100.0
    return ratings.get(symbol or "")


def _raw_limits(form: Form) -> tuple[float, float]:
    """What the registers can hold, but for the pattern that says "not implemented"."""
    low, high = RAW_RANGE[REGISTER_TYPES[form]]
    pattern = NOT_IMPLEMENTED[form]
    if REGISTER_TYPES[form] in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        return low, high
    if low < 0:
        return low + 1, high
    return (low + 1, high) if pattern == 0 else (low, high - 1)


def _written(limit: float) -> str:
    return f"{limit:.0f}" if limit == int(limit) else f"{limit:.10g}"


def _states(point: LaidPoint) -> dict[int, str]:
    """Names of an enumeration's values, all different."""
    if point.definition.form not in (Form.ENUM16, Form.ENUM32):
        return {}
    states: dict[int, str] = {}
    for value, label in sorted(point.definition.symbols.items()):
        text = _printable(label)[:LONGEST_STATE]
        if text in states.values():
            text = f"{text[: LONGEST_STATE - 12]} ({value})"
        states[value] = text
    return states


def _description(one: Named) -> str:
    """What it is, its bits, and where the model has it: ``Active power (701.W)``."""
    definition = one.point.definition
    text = (definition.description or definition.label or definition.name).rstrip(".")
    unit, _ = _unit(one.point)
    if definition.unit and unit != definition.unit and definition.unit not in UNITS:
        text += f" in {definition.unit}"
    if definition.form in (Form.BITFIELD16, Form.BITFIELD32, Form.BITFIELD64) and definition.symbols:
        text += "; bits: " + ", ".join(f"{bit} {label}" for bit, label in sorted(definition.symbols.items()))
    where = ".".join((str(one.model), *one.point.path, definition.name))
    return f"{_printable(text)[:800]} ({where})"


def _printable(text: str) -> str:
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _quoted(text: str) -> str:
    """In double quotes, as both JSON and YAML read them."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\u0024")  # ${ } begins an expression


def _snake(name: str) -> str:
    """``PhVphA`` to ``ph_vph_a``, ``DERMeasureAC`` to ``der_measure_ac``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return "_".join(re.findall(r"[a-z0-9]+", spaced.lower()))
