"""TwinCAT's XML files as Structured Text: every character of the program keeps its place, so positions stay true.

All that is XML becomes blanks. What only the XML says is written over it: ``GET``, ``SET``, ``ACTION name`` and the
``END_…`` words.

    <Method Name="Run">                                          (blank)
      <Declaration><![CDATA[METHOD Run : BOOL]]></Declaration>   METHOD Run : BOOL
      <Implementation><ST><![CDATA[Run := x;]]></ST>             Run := x;
      </Implementation>                                          END_METHOD
    </Method>                                                    (blank)
"""

from __future__ import annotations

import re

SUFFIXES = (".tcpou", ".tcdut", ".tcgvl", ".tcio")

_PIECE = re.compile(
    r"""<!\[CDATA\[(?P<text>.*?)\]\]>
      | <(?P<open>Declaration|ST|Get|Set|Action|Method|Property)\b(?P<rest>[^>]*)>
      | </(?P<close>Declaration|ST|Get|Set|Action|Method|Property|POU|Itf)\s*>""",
    re.VERBOSE | re.DOTALL,
)
_DRAWN = re.compile(r"<Implementation>\s*(?P<drawing><(?!ST\b)\w+)")
_NAME = re.compile(r'\bName\s*=\s*"([^"]*)"')
_REMARKS = re.compile(r"\(\*.*?\*\)|//[^\n]*|\{.*?\}", re.DOTALL)
_UNIT = re.compile(r"\b(FUNCTION_BLOCK|FUNCTION|PROGRAM|INTERFACE)\b", re.IGNORECASE)
_ENDS = {
    "Get": "END_GET",
    "Set": "END_SET",
    "Action": "END_ACTION",
    "Method": "END_METHOD",
    "Property": "END_PROPERTY",
}


def structured_text(xml: str) -> str:
    """The program in a TwinCAT file. The unit's own ``END_…`` comes behind the last character."""
    page = list(re.sub(r"[^\n]", " ", xml))
    written = 0  # up to here the page has words that stay
    inside: list[str] = []
    unit = ""
    for piece in _PIECE.finditer(xml):
        text, opened, closed = piece["text"], piece["open"], piece["close"]
        if text is not None:
            if inside and inside[-1] in ("Declaration", "ST"):
                _write(page, piece.start("text"), text)
                written = piece.end("text")
                unit = unit or _unit_of(text)
        elif opened is not None and not piece["rest"].endswith("/"):
            inside.append(opened)
            written = _write_opening(page, piece, opened) or written
        elif closed is not None and inside and inside[-1] == closed:
            inside.pop()
            word = _ENDS.get(closed)
            if word is not None:
                written = _write_end(page, word, written, piece.end())
    return "".join(page) + (f"\nEND_{unit}\n" if unit else "")


def drawn_bodies(xml: str) -> tuple[tuple[int, int], ...]:
    """Where bodies stand that are drawn (CFC, ladder, state charts): they are not in the text."""
    return tuple(found.span("drawing") for found in _DRAWN.finditer(xml))


def _unit_of(declaration: str) -> str:
    found = _UNIT.search(_REMARKS.sub(" ", declaration))
    return found[1].upper() if found else ""


def _write(page: list[str], at: int, text: str) -> None:
    page[at : at + len(text)] = text


def _write_opening(page: list[str], piece: re.Match[str], opened: str) -> int | None:
    """``GET``, ``SET`` or ``ACTION name`` over a tag; returns where it ends."""
    if opened not in ("Get", "Set", "Action"):
        return None
    _write(page, piece.start("open"), opened.upper())
    name = _NAME.search(piece["rest"]) if opened == "Action" else None
    if name is not None:
        _write(page, piece.start("rest") + name.start(1), name[1])
        _write(page, piece.start("rest") + name.end(1), ":")
    return piece.end()


def _write_end(page: list[str], word: str, start: int, end: int) -> int:
    """The word on the first blank stretch of a line that holds it; returns where it ends."""
    room = len(word) + 2
    for at in range(start, end - room + 1):
        if all(character == " " for character in page[at : at + room]):
            _write(page, at + 1, word)
            return at + 1 + len(word)
    return start
