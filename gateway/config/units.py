"""Engineering units that a site may use, and what OPC UA calls them.

The symbol is what a site file writes and an operator reads. ``unece_code`` is the common code of UNECE
Recommendation 20, from which OPC UA derives the UnitId of EUInformation (OPC 10000-8, 5.6.3). ``suffix`` is how a
tag's name ends that carries the unit (``power_kw``).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.fault import quote

UNECE_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"
NO_UNIT_ID = -1  # OPC 10000-8, 5.6.3: the unit has no numeric id in the namespace


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. ``unece_code`` is None where Recommendation 20 has none; ``suffix`` is empty where names carry none.

    ``typed`` is how it may be written on a keyboard without the symbol's characters.
    """

    symbol: str
    description: str
    unece_code: str | None
    quantity: str
    suffix: str = ""
    typed: str = ""

    @property
    def unit_id(self) -> int:
        """EUInformation.UnitId: the characters of the common code as the bytes of a number (OPC 10000-8, 5.6.3)."""
        if self.unece_code is None:
            return NO_UNIT_ID
        value = 0
        for character in self.unece_code:
            value = value << 8 | ord(character)
        return value


_TABLE = (
    Unit("W", "watt", "WTT", "power", "w"),
    Unit("kW", "kilowatt", "KWT", "power", "kw"),
    Unit("MW", "megawatt", "MAW", "power", "mw"),
    Unit("VA", "volt ampere", "D46", "apparent power", "va"),
    Unit("kVA", "kilovolt ampere", "KVA", "apparent power", "kva"),
    Unit("MVA", "megavolt ampere", "MVA", "apparent power", "mva"),
    Unit("var", "var", "D44", "reactive power", "var"),
    Unit("kvar", "kilovar", "KVR", "reactive power", "kvar"),
    Unit("Mvar", "megavar", "MAR", "reactive power", "mvar"),
    Unit("Wh", "watt hour", "WHR", "energy", "wh"),
    Unit("kWh", "kilowatt hour", "KWH", "energy", "kwh"),
    Unit("MWh", "megawatt hour", "MWH", "energy", "mwh"),
    Unit("kvarh", "kilovar hour", "K3", "reactive energy", "kvarh"),
    Unit("kVAh", "kilovolt ampere hour", "C79", "apparent energy", "kvah"),
    Unit("J", "joule", "JOU", "energy", "j"),
    Unit("kJ", "kilojoule", "KJO", "energy", "kj"),
    Unit("MJ", "megajoule", "3B", "energy", "mj"),
    Unit("mV", "millivolt", "2Z", "voltage", "mv"),
    Unit("V", "volt", "VLT", "voltage", "v"),
    Unit("kV", "kilovolt", "KVT", "voltage", "kv"),
    Unit("mA", "milliampere", "4K", "current", "ma"),
    Unit("A", "ampere", "AMP", "current", "a"),
    Unit("kA", "kiloampere", "B22", "current", "ka"),
    Unit("Ah", "ampere hour", "AMH", "charge", "ah"),
    Unit("mΩ", "milliohm", "E45", "resistance", "mohm", typed="mOhm"),
    Unit("Ω", "ohm", "OHM", "resistance", "ohm", typed="Ohm"),
    Unit("kΩ", "kiloohm", "B49", "resistance", "kohm", typed="kOhm"),
    Unit("MΩ", "megaohm", "B75", "resistance", typed="MOhm"),
    Unit("Hz", "hertz", "HTZ", "frequency", "hz"),
    Unit("kHz", "kilohertz", "KHZ", "frequency", "khz"),
    Unit("Hz/s", "hertz per second", None, "rate of change of frequency", "hz_s"),
    Unit("r/min", "revolutions per minute", "RPM", "rotation", "rpm", typed="rpm"),
    Unit("rad", "radian", "C81", "angle", "rad"),
    Unit("°", "degree", "DD", "angle", "deg", typed="deg"),
    Unit("%", "percent", "P1", "ratio", "pct"),
    Unit("ppm", "parts per million", "59", "ratio", "ppm"),
    Unit("°C", "degree Celsius", "CEL", "temperature", "c", typed="degC"),
    Unit("°F", "degree Fahrenheit", "FAH", "temperature", "f", typed="degF"),
    Unit("K", "kelvin", "KEL", "temperature", "k"),
    Unit("W/m²", "watt per square metre", "D54", "irradiance", "w_m2", typed="W/m2"),
    Unit("kWh/m²", "kilowatt hour per square metre", None, "irradiation", "kwh_m2", typed="kWh/m2"),
    Unit("µs", "microsecond", "B98", "time", "us", typed="us"),
    Unit("ms", "millisecond", "C26", "time", "ms"),
    Unit("s", "second", "SEC", "time", "s"),
    Unit("min", "minute", "MIN", "time"),
    Unit("h", "hour", "HUR", "time", "h"),
    Unit("d", "day", "DAY", "time", "d"),
    Unit("mm", "millimetre", "MMT", "length", "mm"),
    Unit("cm", "centimetre", "CMT", "length", "cm"),
    Unit("m", "metre", "MTR", "length", "m"),
    Unit("km", "kilometre", "KMT", "length", "km"),
    Unit("m²", "square metre", "MTK", "area", "m2", typed="m2"),
    Unit("m/s", "metre per second", "MTS", "speed", "m_s"),
    Unit("km/h", "kilometre per hour", "KMH", "speed", "km_h"),
    Unit("m/s²", "metre per second squared", "MSK", "acceleration", "m_s2", typed="m/s2"),
    Unit("g", "gram", "GRM", "mass"),
    Unit("kg", "kilogram", "KGM", "mass", "kg"),
    Unit("t", "tonne", "TNE", "mass", "t"),
    Unit("l", "litre", "LTR", "volume", "l"),
    Unit("m³", "cubic metre", "MTQ", "volume", "m3", typed="m3"),
    Unit("l/min", "litre per minute", "L2", "flow", "l_min"),
    Unit("l/h", "litre per hour", "E32", "flow", "l_h"),
    Unit("m³/h", "cubic metre per hour", "MQH", "flow", "m3_h", typed="m3/h"),
    Unit("kg/h", "kilogram per hour", "E93", "mass flow", "kg_h"),
    Unit("Pa", "pascal", "PAL", "pressure", "pa"),
    Unit("hPa", "hectopascal", "A97", "pressure", "hpa"),
    Unit("kPa", "kilopascal", "KPA", "pressure", "kpa"),
    Unit("MPa", "megapascal", "MPA", "pressure"),
    Unit("mbar", "millibar", "MBR", "pressure", "mbar"),
    Unit("bar", "bar", "BAR", "pressure", "bar"),
    Unit("N", "newton", "NEW", "force", "n"),
    Unit("Nm", "newton metre", "NU", "torque", "nm"),
    Unit("lx", "lux", "LUX", "illuminance", "lx"),
    Unit("kB", "kilobyte", "2P", "data", "kb"),
    Unit("MB", "megabyte", "4L", "data", "mb"),
    Unit("dB", "decibel", "2N", "level", "db"),
    Unit("kg/kWh", "kilogram per kilowatt hour", None, "intensity", "kg_kwh"),
    Unit("g/kWh", "gram per kilowatt hour", None, "intensity", "g_kwh"),
    Unit("EUR/MWh", "euro per megawatt hour", None, "price", "eur_mwh"),
    Unit("EUR/kWh", "euro per kilowatt hour", None, "price", "eur_kwh"),
)
UNITS = {unit.symbol: unit for unit in _TABLE}
_TYPED = {unit.typed: unit for unit in _TABLE if unit.typed}
# Common wrong spellings: one spelling in a site keeps kW and KW from being two units to whoever reads the data.
SPELLINGS = {
    "C": "°C", "C°": "°C", "deg_C": "°C", "celsius": "°C", "Celsius": "°C", "F": "°F", "ohm": "Ω",
    "ohms": "Ω", "kohm": "kΩ", "RPM": "r/min", "1/min": "r/min", "pct": "%", "percent": "%",
    "W/m^2": "W/m²", "m^2": "m²", "m^3": "m³", "kVAr": "kvar", "kVAR": "kvar", "KVAR": "kvar", "VAr": "var",
    "VAR": "var", "MVAr": "Mvar", "MVAR": "Mvar", "kVArh": "kvarh", "kVARh": "kvarh", "KW": "kW",
    "kw": "kW", "KWH": "kWh", "KWh": "kWh", "kwh": "kWh", "kWH": "kWh", "KVA": "kVA", "L": "l", "sec": "s",
    "seconds": "s", "hours": "h", "kelvin": "K", "mps": "m/s", "hz": "Hz", "HZ": "Hz", "v": "V", "a": "A",
    "w": "W", "volt": "V", "amp": "A", "watt": "W",
}  # fmt: skip
_BY_SUFFIX = {unit.suffix: unit for unit in _TABLE if unit.suffix}
_LONGEST_SUFFIX = max(suffix.count("_") for suffix in _BY_SUFFIX) + 1


def unit_of_name(name: str) -> Unit | None:
    """The unit that a point's name carries at its end: ``power_kw`` → kW, ``irradiance_w_m2`` → W/m2."""
    words = name.split("_")
    for length in range(min(_LONGEST_SUFFIX, len(words) - 1), 0, -1):
        unit = _BY_SUFFIX.get("_".join(words[-length:]))
        if unit is not None:
            return unit
    return None


def unit_of(written: str) -> Unit | None:
    """The unit that a site file names, by its symbol or as typed; None where there is no such unit."""
    return UNITS.get(written) or _TYPED.get(written)


def contradiction(name: str, symbol: str | None) -> tuple[bool, str, str] | None:
    """What is wrong with a unit (None: none is given) where the name ends in one: whether the unit itself is at fault
    rather than missing, what was found, and how to mend it.
    """
    named = unit_of_name(name)
    if named is None:
        return None
    # One letter at the end may be something else (phase_a, frame_c), so there only a unit of the same quantity,
    # such as kV for `_v`, is a contradiction.
    is_plain = len(named.suffix) > 1
    unit = unit_of(symbol) if symbol is not None else None
    if unit is None:
        if not is_plain:
            return None
        return False, f"{quote(name)} without 'unit'", f"add 'unit: {named.symbol}'"
    if unit is named or not (is_plain or unit.quantity == named.quantity):
        return None
    renamed = f", or end the name in '_{unit.suffix}'" if unit.suffix else ", or end the name differently"
    found = f"the unit '{unit.symbol}' of a point whose name ends in '_{named.suffix}'"
    return True, found, f"write '{named.symbol}'{renamed}"
