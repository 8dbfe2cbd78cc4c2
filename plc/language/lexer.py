"""Text to tokens (IEC 61131-3 6.1): one regular expression finds a token, long forms are finished by hand."""

from __future__ import annotations

import re

from plc.language.diagnostics import Diagnostics
from plc.language.source import Source, Span
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
    WRONG,
    Tokens,
    Trivia,
)

# The groups of _TOKEN, in their order.
_NAME, _PUNCTUATION, _NUMBER, _LINE_COMMENT, _COMMENT, _PRAGMA, _STRING, _WIDE, _ADDRESS, _OTHER = range(
    1, 11
)

_TOKEN = re.compile(
    r"""[\s\ufeff]*+(?:
      ([^\W\d]\w*+\#?)
    | (:=|=>|<=|>=|<>|\*\*|\.\.|\?=|\((?!\*)|/(?![/*])|[;:,.)\[\]+\-*<>=&^])
    | (\d[\d_]*+(?:\#\w*|(?:\.\d[\d_]*+)?(?:[eE][+-]?\d+)?)\w*)
    | (//[^\n]*)
    | (\(\*|/\*)
    | (\{[^}]*\})
    | ('(?:[^$'\r\n]|\$[^\r\n])*+')
    | ("(?:[^$"\r\n]|\$[^\r\n])*+")
    | (%\w*+(?:\.\d+)*+\*?)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)
# A string that goes on on the next line, as vendors allow. One that holds the signs of a program is rather one whose
# end was forgotten.
_BROKEN_STRING = {
    quote: re.compile(rf"{quote}[^$;{quote}\r\n]*\r?\n[^$;:={quote}\r\n]*{quote}(?=\s*[,;)])")
    for quote in "'\""
}
_NESTING = {"(*": re.compile(r"\(\*|\*\)"), "/*": re.compile(r"/\*|\*/")}

# What follows a prefix that names a time or a date (6.3.4, 6.3.5).
_DAY = r"\d[\d_]*-\d+-\d+"
_CLOCK = r"\d[\d_.:]*"
_TIMES = {
    DURATION: (("T", "TIME", "LT", "LTIME"), re.compile(r"[+-]?\d[\w.]*")),
    DATE: (("D", "DATE", "LD", "LDATE"), re.compile(_DAY)),
    TIME_OF_DAY: (("TOD", "TIME_OF_DAY", "LTOD", "LTIME_OF_DAY"), re.compile(_CLOCK)),
    DATE_AND_TIME: (("DT", "DATE_AND_TIME", "LDT", "LDATE_AND_TIME"), re.compile(_DAY + "-" + _CLOCK)),
}
_TIME_PREFIXES = {prefix: (kind, rest) for kind, (prefixes, rest) in _TIMES.items() for prefix in prefixes}
_MALFORMED = re.compile(r"[\w.:-]*")

_STRAIGHT = "use the straight quote '"
_FROM_OTHER_LANGUAGES = {
    "!": "write NOT, or <> for “not equal”",
    "|": "write OR",
    "~": "write NOT",
    "\\": "escapes in strings start with $",
    "\u2018": _STRAIGHT,
    "\u2019": _STRAIGHT,
    "\u201c": _STRAIGHT,
    "\u201d": _STRAIGHT,
}


def lex(source: Source, diagnostics: Diagnostics) -> Tokens:
    """Never fails: what is no token is reported and left out."""
    text = source.text
    kinds: list[str] = []
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    trivia: list[Trivia] = []
    reserved = RESERVED
    end_of_text = len(text.rstrip())
    at = 0
    while at < end_of_text:
        resume = end_of_text
        for match in _TOKEN.finditer(text, at, end_of_text):
            group = match.lastindex
            assert group is not None
            start, end = match.span(group)
            word = match[group]
            if group == _NAME:
                word = word.upper()
                if word[-1] == "#":
                    prefix = word[:-1]
                    timed = _TIME_PREFIXES.get(prefix)
                    if timed is None:
                        kind, word = PREFIX, prefix
                    else:
                        kind, rest = timed
                        tail = rest.match(text, end)
                        if tail is None:
                            resume = _malformed_time(source, start, end, kind, diagnostics)
                        else:
                            resume = tail.end()
                        kinds.append(kind)
                        words.append(text[start:resume])
                        starts.append(start)
                        ends.append(resume)
                        break
                else:
                    kind = word if word in reserved else NAME
            elif group == _PUNCTUATION:
                kind = word
            elif group == _NUMBER:
                kind = INTEGER if "#" in word or not ("." in word or "e" in word or "E" in word) else REAL
            elif group == _LINE_COMMENT:
                trivia.append(Trivia(start, end, len(kinds), is_pragma=False))
                continue
            elif group == _COMMENT:
                resume = _end_of_comment(source, start, word, diagnostics)
                trivia.append(Trivia(start, resume, len(kinds), is_pragma=False))
                break
            elif group == _PRAGMA:
                trivia.append(Trivia(start, end, len(kinds), is_pragma=True))
                continue
            elif group == _STRING:
                kind = STRING
            elif group == _WIDE:
                kind = WIDE_STRING
            elif group == _ADDRESS:
                kind, word = ADDRESS, word.upper()
            else:
                resume = _not_a_token(source, start, diagnostics)
                is_broken = word in "'\"" and "\n" in text[start:resume]
                kinds.append((STRING if word == "'" else WIDE_STRING) if is_broken else WRONG)
                words.append(text[start:resume] if is_broken else "")
                starts.append(start)
                ends.append(resume)
                break
            kinds.append(kind)
            words.append(word)
            starts.append(start)
            ends.append(end)
        at = resume
    kinds.append(END)
    words.append("")
    starts.append(end_of_text)
    ends.append(end_of_text)
    return Tokens(source, kinds, words, starts, ends, trivia)


def _end_of_comment(source: Source, start: int, opening: str, diagnostics: Diagnostics) -> int:
    """Comments nest (6.1.5)."""
    depth = 0
    for mark in _NESTING[opening].finditer(source.text, start):
        depth += 1 if mark[0] == opening else -1
        if depth == 0:
            return mark.end()
    closing = "*)" if opening == "(*" else "*/"
    diagnostics.report(
        "ST0101", Span(source, start, start + 2), "this comment has no end", mend=f"close it with {closing}"
    )
    return len(source.text)


def _malformed_time(source: Source, start: int, end: int, kind: str, diagnostics: Diagnostics) -> int:
    tail = _MALFORMED.match(source.text, end)
    assert tail is not None
    diagnostics.report(
        "ST0104",
        Span(source, start, tail.end()),
        f"this is no {kind}",
        mend=f"write it like {EXAMPLES[kind]}",
    )
    return tail.end()


EXAMPLES = {
    DURATION: "T#1m30s or T#250ms",
    DATE: "D#2026-03-29",
    TIME_OF_DAY: "TOD#06:30:00",
    DATE_AND_TIME: "DT#2026-03-29-06:30:00",
}


def _not_a_token(source: Source, start: int, diagnostics: Diagnostics) -> int:
    """Report what starts here; returns where to go on."""
    text = source.text
    character = text[start]
    if character in "'\"":
        whole = _BROKEN_STRING[character].match(text, start)
        if whole is not None:
            diagnostics.report(
                "ST0812",
                Span(source, start, whole.end()),
                "the standard has strings on one line only",
                mend="write $N for a line break, and CONCAT for a long text",
            )
            return whole.end()
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        diagnostics.report(
            "ST0102",
            Span(source, start, end),
            "this string has no end on its line",
            mend=f"close it with {character}; write $N for a line break",
        )
        return end
    if character == "{":
        diagnostics.report(
            "ST0101", Span(source, start, start + 1), "this pragma has no end", mend="close it with }"
        )
        return len(text)
    end = start + 1
    while end < len(text) and text[end] == character:
        end += 1
    shown = repr(text[start : min(end, start + 20)])
    diagnostics.report(
        "ST0100",
        Span(source, start, end),
        f"{shown} is not part of Structured Text",
        mend=_FROM_OTHER_LANGUAGES.get(character, "leave it out"),
    )
    return end
