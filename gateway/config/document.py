"""One YAML file as nodes that know their place: the strict part of YAML on which all readers agree.

PyYAML gives parse events with marks; nodes are built from those, so nothing is ever constructed by a tag. What
YAML 1.1 and 1.2 read differently (``on``, ``no``, ``012``, ``12:30:45``, ``1_000``, a bare date) is a fault, and so
are anchors, aliases, merge keys, tags, several documents and tabs: a site has templates instead, and a file that
says one thing to the gateway and another to the editor is a trap. Any bytes give a document or faults.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from pathlib import Path

import yaml

from gateway.config.fault import FaultLog, Place, quote

MAX_FILE_BYTES = 32 << 20  # a point takes about 150 bytes: 200,000 of them written out singly
MAX_DEPTH = 32  # a site needs 7; the rest is for good measure, and keeps recursion small
MAX_NODES = (
    6_000_000  # of one site, about 1.2 GB while it is read; 200,000 points written out singly are 4 million
)
MAX_NUMBER_CHARACTERS = 400  # a double needs at most 24, a literal of 1e308 written out 309
INT_LOW, INT_HIGH = -(1 << 63), (1 << 64) - 1  # what the 64 value bits of a tag can hold

# libyaml where the wheel brings it (it does, everywhere we know of), else the same events from pure Python.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Hole(Enum):
    """Stands for a value that is not there: the reason was reported, or it waits for a parameter."""

    HOLE = 0


HOLE = Hole.HOLE
Plain = bool | int | float | str | None


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A single value. ``text`` is as written (unquoted), ``value`` what it means."""

    place: Place
    text: str
    value: Plain | Hole
    quoted: bool
    has_expression: bool


@dataclass(slots=True, eq=False)
class ListNode:
    """A sequence."""

    place: Place
    items: list[Node]
    has_expression: bool = False


@dataclass(slots=True, eq=False)
class MappingNode:
    """Keys and values in file order. Keys are scalars, each once; ``is_whole`` unless faulty ones were left out."""

    place: Place
    entries: list[tuple[ScalarNode, Node]]
    has_expression: bool = False
    is_whole: bool = True


Node = ScalarNode | ListNode | MappingNode


@dataclass(slots=True)
class NodeBudget:
    """How many nodes the files of one site may still have."""

    left: int = MAX_NODES


@dataclass(frozen=True, slots=True)
class Trap:
    """A plain word that not all readers take for the same."""

    found: str
    mend: str


_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"[-+]?0(?:o[0-7_]+|b[01_]+|x[0-9a-fA-F_]+)")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_QUOTING = ("'", '"', "|", ">")  # libyaml and PyYAML's own parser tell a plain scalar by '' and None
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_NULL = ("", "~", "null", "Null", "NULL")
_OLD_TRUE, _OLD_FALSE = frozenset({"y", "yes", "on"}), frozenset({"n", "no", "off"})


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=65_536)
def resolve(text: str) -> Plain | Trap:
    """What a plain scalar means, or why it is refused."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text in _NULL:
        return None
    first = text[0]
    if first.isalpha():
        lower = text.lower()
        if lower in _OLD_TRUE:
            return Trap(
                f"{quote(text)}, which YAML 1.1 reads as true", f"write true, or {_in_quotes(text)} for text"
            )
        if lower in _OLD_FALSE:
            return Trap(
                f"{quote(text)}, which YAML 1.1 reads as false",
                f"write false, or {_in_quotes(text)} for text",
            )
        return text
    if first not in "+-.0123456789=":
        return text
    return _resolve_number(text)


def _resolve_number(text: str) -> Plain | Trap:
    if len(text) > MAX_NUMBER_CHARACTERS:
        if _FLOAT.fullmatch(text) or _HEX.fullmatch(text):
            return Trap(f"a number of {len(text)} characters", "write at most 17 digits")
        return text
    if _INT.fullmatch(text) or _HEX.fullmatch(text):
        number = int(text, 0)
        if INT_LOW <= number <= INT_HIGH:
            return number
        return Trap(
            f"the integer {quote(text)}, which does not fit 64 bits",
            f"write an integer {INT_LOW}..{INT_HIGH}",
        )
    if _FLOAT.fullmatch(text):
        real = float(text)
        if real in (float("inf"), float("-inf")):
            return Trap(f"{quote(text)}, which is beyond any double", "write a number within 1.8e308")
        return real
    for pattern, why, mend in (
        (_LEADING_ZERO, "which YAML 1.1 reads as octal and YAML 1.2 does not", _without_zeros),
        (_OTHER_BASE, "which YAML 1.1 and 1.2 read differently", _decimal),
        (_UNDERSCORED, "which YAML 1.1 reads as a number and YAML 1.2 as text", _without_underscores),
        (_SEXAGESIMAL, "which YAML 1.1 reads as a number in base 60", None),
        (_DATE, "which YAML 1.1 reads as a date", None),
    ):
        if pattern.fullmatch(text):
            number_text = mend(text) if mend is not None else None
            quoted = f"{_in_quotes(text)} for text" if number_text else f"{_in_quotes(text)} in quotes"
            return Trap(
                f"{quote(text)}, {why}", f"write {f'{number_text}, or ' if number_text else ''}{quoted}"
            )
    if _NOT_FINITE.fullmatch(text):
        return Trap(
            f"{quote(text)}, which is no finite number", "write a finite number, or leave the key out"
        )
    if text == "=":
        return Trap("'=', which YAML 1.1 keeps for itself", 'write "=" in quotes')
    return text


def _without_zeros(text: str) -> str | None:
    sign = text[0] if text[0] in "+-" else ""
    rest = text.lstrip("+-").lstrip("0")
    return sign + (rest if rest and rest[0].isdigit() else "0" + rest)


def _without_underscores(text: str) -> str | None:
    return _without_zeros(text.replace("_", ""))


def _decimal(text: str) -> str | None:
    try:
        return str(int(text.replace("_", ""), 0))
    except ValueError:
        return None


# YAML 1.1, 5.1: what a stream may hold. libyaml would report the rest by byte offset, without a line.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # those that libyaml counts
_TAB_BEFORE_COMMENT = re.compile(r"(?m)^(?!\s*#)(?:(?! #)[^\t\n\r])*(\t)")

# What libyaml says, and what that mostly means to whoever wrote the file.
_MENDS = (
    ("mapping values are not allowed", "put a text that holds ': ' in quotes, or mend the indentation"),
    ("could not find expected ':'", "write 'key: value', and put a text that spans lines in quotes"),
    ("did not find expected key", "mend the indentation, or a missing ',' or '}' before here"),
    ("did not find expected ',' or '}'", "add the missing ',' or '}'"),
    ("did not find expected ',' or ']'", "add the missing ',' or ']'"),
    ("did not find expected '-' indicator", "mend the indentation of this list"),
    ("did not find expected node content", "add the missing value, or put the text in quotes"),
    ("did not find expected <document start>", "mend the indentation, or what comes before here"),
    ("found character that cannot start any token", "put a text that begins with this character in quotes"),
    ("found unexpected end of stream", "close the quotes or brackets opened before"),
    ("found unknown escape character", "double the backslash, or use single quotes"),
    ("block sequence entries are not allowed", "begin the list on a line of its own"),
    ("found undefined tag handle", "remove the tag; the kind of a value follows from its key"),
)


@dataclass(slots=True)
class Source:
    """The text of one file, for positions and for showing a line."""

    file: Path
    text: str
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = [0, *(m.end() for m in _LINE_BREAK.finditer(self.text))]

    def place(self, offset: int) -> Place:
        """Where character ``offset`` is."""
        line = bisect_right(self._starts, offset)
        return Place(self.file, line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of line ``number`` (from 1), without its break; empty where there is none."""
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n\x85\u2028\u2029")

    def character(self, place: Place) -> str:
        """The character at a place; empty at the end."""
        line = self.line(place.line)
        return line[place.column - 1] if place.column <= len(line) else ""


def read_source(file: Path, raw: bytes, faults: FaultLog) -> Source | None:
    """The text of a file, or None where it is not text that YAML allows (which is then reported)."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Source(file, error.object[: error.start].decode("utf-8", "replace"))
        faults.add(before.place(len(before.text)), "a byte that is not UTF-8", "save the file as UTF-8")
        return None
    source = Source(file, text)
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        faults.add(source.place(bad.start()), f"the control character U+{ord(bad[0]):04X}", "remove it")
        return None
    return source


def read_document(source: Source, faults: FaultLog, budget: NodeBudget | None = None) -> Node | None:
    """The file's one document, or None where it could not be read (which is then reported)."""
    return _Builder(source, faults, budget or NodeBudget()).document()


class _Abandon(Exception):  # noqa: N818 - no error, the way out of a recursion
    """The rest of this file cannot be judged; the fault has been reported."""


class _Builder:
    """Nodes of one file from PyYAML's events."""

    def __init__(self, source: Source, faults: FaultLog, budget: NodeBudget) -> None:
        self._source = source
        self._faults = faults
        self._budget = budget
        self._loader = _Loader(source.text)
        self._tab_lines: set[int] = set()

    def document(self) -> Node | None:
        self._report_tabs()
        try:
            return self._document()
        except _Abandon:
            return None
        except yaml.MarkedYAMLError as error:
            self._report_malformed(error)
            return None
        finally:
            self._loader.dispose()

    def _document(self) -> Node | None:
        self._next()  # stream start
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._faults.add(Place(self._source.file, 1, 1), "an empty file", "write at least one section")
            return None
        root = self._node(self._next(), 1)
        self._next()  # document end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._faults.add(
                self._place(event),
                "a second document",
                "keep one document a file, and name the others in 'include'",
            )
        return root

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call] # the stub has no types here
        return event

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None, event
        return Place(self._source.file, mark.line + 1, mark.column + 1)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        self._budget.left -= 1
        if self._budget.left < 0:
            self._faults.add(place, f"more than {MAX_NODES:,} values in this site", "use templates")
            raise _Abandon
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.AliasEvent):
            self._faults.add(
                place,
                f"the alias {quote(f'*{event.anchor}')}",
                "write the value out, or use a template for devices",
            )
            return ScalarNode(place, "", HOLE, False, False)
        if depth > MAX_DEPTH:
            self._faults.add(place, f"values nested deeper than {MAX_DEPTH} levels", "flatten them")
            raise _Abandon
        assert isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent), event
        self._refuse_properties(event, place)
        is_list = isinstance(event, yaml.SequenceStartEvent)
        node = self._list(place, depth) if is_list else self._mapping(place, depth)
        return node if event.tag is None else ScalarNode(place, "", HOLE, False, False)

    def _list(self, place: Place, depth: int) -> ListNode:
        node = ListNode(place, [])
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            item = self._node(event, depth + 1)
            node.items.append(item)
            node.has_expression |= item.has_expression
        return node

    def _mapping(self, place: Place, depth: int) -> MappingNode:
        node = MappingNode(place, [])
        first: dict[str, Place] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            if not isinstance(key, ScalarNode) or not self._is_key(key, first):
                if not isinstance(key, ScalarNode):
                    self._faults.add(
                        key.place, "a list or mapping used as a key", "write a single word as the key"
                    )
                node.is_whole = False
                continue
            first[key.text] = key.place
            node.entries.append((key, value))
            node.has_expression |= value.has_expression
        return node

    def _is_key(self, key: ScalarNode, first: dict[str, Place]) -> bool:
        """Whether a scalar can be a key beside those that came ``first``."""
        if key.text == "<<" and not key.quoted:
            self._faults.add(
                key.place, "the merge key '<<'", "write the keys out, or use a template for devices"
            )
        elif key.value is None:
            self._faults.add(key.place, "a value without a key", "write 'key: value'")
        elif key.text in first:
            self._faults.add(
                key.place,
                f"the key {quote(key.text)} a second time (first in line {first[key.text].line})",
                "delete one of the two",
            )
        else:
            return key.value is not HOLE
        return False

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> ScalarNode:
        text: str = event.value
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event, place)
            return ScalarNode(place, text, HOLE, False, False)
        if event.style in _QUOTING:
            return ScalarNode(place, text, text, True, "${" in text)
        value = resolve(text)
        if isinstance(value, Trap):
            self._faults.add(place, value.found, value.mend)
            return ScalarNode(place, text, HOLE, False, False)
        return ScalarNode(place, text, value, False, "${" in text)

    def _refuse_properties(self, event: yaml.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            self._faults.add(
                place,
                f"the anchor {quote(f'&{event.anchor}')}",
                "remove it; use a template for devices that are alike",
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            short = str(tag).replace("tag:yaml.org,2002:", "!!")
            self._faults.add(
                place, f"the tag {quote(short)}", "remove it; the kind of a value follows from its key"
            )

    def _report_tabs(self) -> None:
        if "\t" not in self._source.text:
            return  # the search below is slow on a large file
        for match in _TAB_BEFORE_COMMENT.finditer(self._source.text):
            place = self._source.place(match.start(1))
            self._tab_lines.add(place.line)
            self._faults.add(place, "a tab", "write spaces (inside double quotes, \\t)")

    def _report_malformed(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        assert mark is not None, error
        place = Place(self._source.file, mark.line + 1, mark.column + 1)
        if place.line in self._tab_lines:
            return  # the tab is what broke it
        problem = error.problem or "malformed YAML"
        mend = next((mend for start, mend in _MENDS if problem.startswith(start)), "mend the YAML here")
        character = self._source.character(place)
        if problem.startswith("found character that cannot start any token") and character:
            problem = f"{quote(character)} where a value should begin"
        context = f" {error.context}" if error.context else ""
        if error.context and error.context_mark and error.context_mark.line != mark.line:
            context += f" that began in line {error.context_mark.line + 1}"
        self._faults.add(place, f"malformed YAML: {problem}{context}", mend)
