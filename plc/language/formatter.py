"""``tieline plc fmt``: one layout for every text. Tokens and comments stay; only the space between them moves.

The tree says which tokens begin a line and how deep; line breaks that the author made inside a statement stay. The
result reads as the same tree, and formatting it again changes nothing.
"""

from __future__ import annotations

from plc.language import ast
from plc.language.parser import Parsed
from plc.language.source import Span
from plc.language.tokens import (
    ADDRESS,
    DATE,
    DATE_AND_TIME,
    DURATION,
    END,
    INTEGER,
    NAME,
    PREFIX,
    REAL,
    RESERVED,
    STRING,
    TIME_OF_DAY,
    WIDE_STRING,
    Trivia,
)

INDENT = "    "
_TAKES_SEMICOLON = frozenset(
    {"END_IF", "END_CASE", "END_FOR", "END_WHILE", "END_REPEAT", "END_STRUCT", "END_UNION"}
)
_ENDS_LINE_ABOVE = frozenset({"ELSE", "ELSIF", "UNTIL"}) | {
    word for word in RESERVED if word.startswith("END_")
}
_VALUES = frozenset(
    {
        NAME,
        INTEGER,
        REAL,
        STRING,
        WIDE_STRING,
        DURATION,
        DATE,
        TIME_OF_DAY,
        DATE_AND_TIME,
        ADDRESS,
        ")",
        "]",
        "^",
        "TRUE",
        "FALSE",
    }
)
_JOINED = frozenset({";", ",", "THEN", "DO", ":"})  # these never begin a line
_TIGHT_BEFORE = frozenset({";", ",", ")", "]", "^", "..", END})
_TIGHT_AFTER = frozenset({"(", "[", "..", PREFIX})
_ELEMENTARY_TYPES = """
    BOOL SINT INT DINT LINT USINT UINT UDINT ULINT REAL LREAL BYTE WORD DWORD LWORD TIME LTIME DATE LDATE TOD LTOD
    TIME_OF_DAY LTIME_OF_DAY DT LDT DATE_AND_TIME LDATE_AND_TIME CHAR WCHAR
"""
_ELEMENTARY = frozenset(_ELEMENTARY_TYPES.split())


def format_source(parsed: Parsed) -> str:
    """The text in its one layout. The source must have parsed without errors."""
    return _Writer(parsed, _layout(parsed.file)).text()


class _Layout:
    """What the tree says: where lines begin and at what depth, where blocks end, which colons stand tight."""

    def __init__(self) -> None:
        self.starts: dict[int, int] = {}
        self.blocks: dict[int, list[tuple[int, int]]] = {}  # start → (end, depth), outermost first
        self.after_label: dict[
            int, int
        ] = {}  # a lone statement that may stay behind its label: its start → label end
        self.tight_colons_after: set[int] = set()
        self.type_names: set[int] = set()

    def block(self, span: Span, depth: int) -> None:
        """A node that ends with an ``END_…`` at its own depth."""
        self.blocks.setdefault(span.start, []).append((span.end, depth))


def _layout(file: ast.File) -> _Layout:
    layout = _Layout()
    _walk(file, 0, layout)
    return layout


_BLOCKS = (
    ast.TypeBlock,
    ast.VariableBlock,
    ast.Unit,
    ast.Property,
    ast.Accessor,
    ast.Action,
    ast.Step,
    ast.Transition,
    ast.Namespace,
    ast.Configuration,
    ast.InstanceSettings,
    ast.AccessPaths,
    ast.If,
    ast.Case,
    ast.For,
    ast.While,
    ast.Repeat,
)
_LINES = (
    ast.Using,
    ast.TypeDeclaration,
    ast.VariableDeclaration,
    ast.Assign,
    ast.Invoke,
    ast.Exit,
    ast.Continue,
    ast.Return,
    ast.Empty,
    ast.ActionUse,
    ast.Task,
    ast.ProgramInstance,
    ast.AccessPath,
    ast.InstanceSetting,
    ast.CaseBranch,
)


def _walk(node: object, depth: int, layout: _Layout) -> None:
    inner = depth
    if isinstance(node, _BLOCKS) or (isinstance(node, ast.Resource) and node.name is not None):
        layout.starts[node.span.start] = depth
        layout.block(node.span, depth)
        inner = depth + 1
    elif isinstance(node, ast.StructType):
        layout.block(node.span, depth)
        inner = depth + 1
    elif isinstance(node, _LINES):
        layout.starts[node.span.start] = depth
    if isinstance(node, ast.CaseBranch):
        inner = depth + 1
        label_end = node.labels[-1].span.end
        layout.tight_colons_after.add(label_end)
        if len(node.body) == 1 and not isinstance(node.body[0], _BLOCKS):
            layout.after_label[node.body[0].span.start] = label_end
    elif isinstance(node, (ast.Step, ast.Action)):
        layout.tight_colons_after.add(node.name.span.end)
    elif isinstance(node, ast.NamedType) and len(node.path) == 1 and node.path[0].key in _ELEMENTARY:
        layout.type_names.add(node.span.start)
    for child in ast.children(node):
        # A method behind the END_FUNCTION_BLOCK of its block stands as deep as that.
        is_behind = isinstance(node, ast.Unit) and child.span.start >= node.span.end  # type: ignore[attr-defined]  # every node has a span
        _walk(child, depth if is_behind else inner, layout)


class _Writer:
    def __init__(self, parsed: Parsed, layout: _Layout) -> None:
        self.parsed = parsed
        self.tokens = parsed.tokens
        self.source_text = parsed.tokens.source.text
        self.layout = layout
        self.lines: list[str] = []
        self.line: list[str] = []  # pieces of the current line, without its indent
        self.indent = 0
        self.open: list[tuple[int, int]] = []  # the blocks around the current token
        self.last_end = 0  # where the item written last ended in the source
        self.must_break = False  # a line comment was written
        self.is_continued = False  # the current line goes on with what began above it
        self.after_comment = False  # the last item written was a comment

    def text(self) -> str:
        tokens = self.tokens
        trivia = iter(tokens.trivia)
        pending = next(trivia, None)
        for index, kind in enumerate(tokens.kinds):
            start = tokens.starts[index]
            while self.open and start >= self.open[-1][0]:
                self.open.pop()
            while pending is not None and pending.before == index:
                self.comment(pending, index)
                pending = next(trivia, None)
            if kind != END:
                self.token(index, kind, start)
                self.open.extend(self.layout.blocks.get(start, ()))
        self.end_line()
        return "\n".join(self.lines) + "\n" if self.lines else ""

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────
    def end_line(self) -> None:
        if self.line:
            self.lines.append((INDENT * self.indent + "".join(self.line)).rstrip())
            self.line = []
        self.must_break = False

    def new_line(self, start: int, depth: int, *, may_be_blank: bool = True) -> None:
        """Begin a line; one blank line before it stays if the author left any."""
        self.end_line()
        between = self.source_text[self.last_end : start]
        if may_be_blank and self.lines and between.count("\n") > 1 and self.lines[-1]:
            self.lines.append("")
        self.indent = depth

    def has_break_before(self, start: int) -> bool:
        return "\n" in self.source_text[self.last_end : start]

    def depth_of(self, index: int) -> int | None:
        """The depth of a token that begins a line, or ``None``."""
        start = self.tokens.starts[index]
        kind = self.tokens.kinds[index]
        if kind in _ENDS_LINE_ABOVE:
            return self.open[-1][1] if self.open else 0
        if kind == END:
            return 0
        return self.layout.starts.get(start)

    # ── items ──────────────────────────────────────────────────────────────────────────────────────────────────
    def comment(self, trivia: Trivia, index: int) -> None:
        text = self.source_text[trivia.start : trivia.end]
        is_line_comment = text.startswith("//")
        own_line = self.has_break_before(trivia.start) or self.last_end == 0
        depth = self.depth_of(index)
        if own_line or self.must_break or (not self.line and self.lines):
            if depth is None:
                depth = self.indent + (0 if self.is_continued else 1)
                self.new_line(trivia.start, depth, may_be_blank=False)
                self.is_continued = True
            else:
                self.new_line(
                    trivia.start,
                    depth + 1 if self.tokens.kinds[index] in _ENDS_LINE_ABOVE else depth,
                )
                self.is_continued = False
            text = self.shifted(text, trivia.start)
        elif self.line:
            self.line.append("  " if depth is not None or is_line_comment else " ")
        self.line.append("\n".join(piece.rstrip() for piece in text.split("\n")))
        self.last_end = trivia.end
        self.after_comment = True
        if is_line_comment:
            self.must_break = True

    def shifted(self, text: str, start: int) -> str:
        """A comment over several lines moves as one."""
        first, *rest = text.split("\n")
        if not rest:
            return text
        before = self.source_text[self.source_text.rfind("\n", 0, start) + 1 : start]
        old = len(before.expandtabs(4)) if not before.strip() else self.indent * len(INDENT)
        moved = self.indent * len(INDENT) - old
        lines = [first]
        for line in rest:
            body = line.lstrip(" \t")
            width = len(line[: len(line) - len(body)].expandtabs(4))
            lines.append(" " * max(0, width + moved) + body if body.strip() else "")
        return "\n".join(lines)

    def token(self, index: int, kind: str, start: int) -> None:
        text = self.spelling(index, kind, start)
        depth = self.depth_of(index)
        if depth is not None and not self.stays_behind_label(start):
            before_end = kind in _ENDS_LINE_ABOVE
            self.new_line(start, depth, may_be_blank=not before_end)
            self.is_continued = False
        elif self.must_break or (kind not in _JOINED and self.has_break_before(start) and self.line):
            base = self.indent - (1 if self.is_continued else 0)
            closes = kind in (")", "]")
            self.end_line()
            self.indent = base if closes else base + 1
            self.is_continued = not closes
        elif self.line and (self.after_comment or self.is_spaced(index)):
            self.line.append("" if self.after_comment and kind in (";", ",") else " ")
        self.line.append(text)
        self.after_comment = False
        self.last_end = self.tokens.ends[index]
        if kind in _TAKES_SEMICOLON and self.tokens.kinds[index + 1] not in (";", ":="):
            self.line.append(";")

    def stays_behind_label(self, start: int) -> bool:
        """Whether this is the only statement of a label and was written on the label's line."""
        label_end = self.layout.after_label.get(start)
        return (
            label_end is not None
            and "\n" not in self.source_text[label_end:start]
            and not self.must_break
            and not self.after_comment
        )

    def spelling(self, index: int, kind: str, start: int) -> str:
        if kind in RESERVED or index in self.parsed.soft_keywords or start in self.layout.type_names:
            return self.tokens.words[index]
        return self.source_text[start : self.tokens.ends[index]]

    def is_spaced(self, index: int) -> bool:
        """Whether a space stands between a token and the one before it."""
        kinds = self.tokens.kinds
        kind, before = kinds[index], kinds[index - 1]
        if kind in _TIGHT_BEFORE or before in _TIGHT_AFTER:
            return False
        if kind == ".":
            return before not in _VALUES
        if before == ".":
            return False
        if kind == ":":
            return self.tokens.ends[index - 1] not in self.layout.tight_colons_after
        if kind == "[":
            return before not in _VALUES and before != "ARRAY"
        if kind == "(":
            is_keyword = index - 1 in self.parsed.soft_keywords and self.tokens.words[index - 1] not in (
                "STRING",
                "WSTRING",
            )
            return before not in _VALUES or is_keyword
        if before in ("+", "-"):
            return kinds[index - 2] in _VALUES if index > 1 else False
        if kind == "=":
            # S=, R= and REF= are one word
            is_operator = before == NAME and index - 1 in self.parsed.soft_keywords
            return not is_operator
        return True
