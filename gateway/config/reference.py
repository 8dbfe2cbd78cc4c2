"""The table of keys as Markdown: the reference part of docs/site-files.md, which a test keeps current."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.kinds import REQUIRED, ByProtocol, Key, Kind, Later, Named, OrAlone, Section
from gateway.config.site_keys.devices.section import DEVICE_OWN
from gateway.config.site_keys.root import ROOT
from gateway.config.units import UNITS

BODY_TITLE = "a device"


def reference_text() -> str:
    """One table of keys a section, in the order of the file, then the units."""
    return "\n".join([*(line for section in _sections(ROOT, []) for line in _table(section)), *_units()])


def _inner(kind: Kind) -> Kind:
    while isinstance(kind, Later):
        kind = kind.kind
    return kind


def _each(kind: Kind) -> list[Kind]:
    """The kinds that a value may be of: one for each protocol, where that matters."""
    kind = _inner(kind)
    return [_inner(one) for one in kind.kinds.values()] if isinstance(kind, ByProtocol) else [kind]


def _sections(section: Section, known: list[Section]) -> list[Section]:
    """``section`` and all it leads to, each once, outer ones first."""
    known.append(section)
    for key in section.keys:
        for one in _each(key.kind):
            kind = _inner(one.value) if isinstance(one, Named) else one
            if isinstance(kind, OrAlone):
                kind = kind.section
            if isinstance(kind, Section) and kind not in known:
                _sections(kind, known)
    return known


def _table(section: Section) -> Iterator[str]:
    yield f"### {_heading(section)}"
    yield ""
    if section.title == BODY_TITLE:
        yield "Beside these, what a template has, where the device names none."
        yield ""
    yield "| key | value | unless given | meaning |"
    yield "| --- | --- | --- | --- |"
    keys = DEVICE_OWN if section.title == BODY_TITLE else section.keys
    for key in keys:
        yield f"| `{key.name}` | {_value(key)} | {_default(key)} | {key.doc} |".replace("  ", " ")
    yield ""


def _heading(section: Section) -> str:
    title = section.title
    for article in ("a ", "an ", "the "):
        title = title.removeprefix(article)
    return title[0].upper() + title[1:]


def _value(key: Key) -> str:
    return "; ".join(_value_of(kind) for kind in _each(key.kind))


def _value_of(kind: Kind) -> str:
    if isinstance(kind, Section):
        return f"keys of [{_heading(kind)}](#{_anchor(kind)})"
    if isinstance(kind, Named):
        inner = _inner(kind.value)
        if isinstance(inner, Section):
            return f"`name:` keys of [{_heading(inner)}](#{_anchor(inner)})"
        if isinstance(inner, OrAlone):
            section = inner.section
            main = section.by_name[inner.main].kind.what
            return f"`name:` {main}, or keys of [{_heading(section)}](#{_anchor(section)})"
        return f"`name:` {inner.what}"
    return kind.what.replace("|", "\\|")


def _anchor(section: Section) -> str:
    return _heading(section).lower().replace(" ", "-")


def _default(key: Key) -> str:
    if key.default is REQUIRED and key.when is not None:
        return f"**required** where `{key.when.key}` is {' or '.join(sorted(key.when.values))}"
    if key.default is REQUIRED:
        return "**required**"
    if key.default is None or key.default in ("", ()):
        return ""
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    if isinstance(key.default, tuple):
        return f"`[{', '.join(map(str, key.default))}]`"
    return f"`{key.default:g}`" if isinstance(key.default, float) else f"`{key.default}`"


def _units() -> Iterator[str]:
    yield "### Units"
    yield ""
    yield "| unit | or typed | meaning | UNECE code | ends a name |"
    yield "| --- | --- | --- | --- | --- |"
    for unit in UNITS.values():
        typed = f"`{unit.typed}`" if unit.typed else ""
        suffix = f"`_{unit.suffix}`" if unit.suffix else ""
        yield f"| `{unit.symbol}` | {typed} | {unit.description} | {unit.unece_code or ''} | {suffix} |"
    yield ""
