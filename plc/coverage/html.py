"""Coverage as pages: an overview, and each file with its lines marked. They need nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from plc.coverage.record import Decision, FileCoverage, rate
from plc.coverage.report import percent, shown_path
from plc.language.analysis import read_source
from plc.language.source import Source
from plc.language.tokens import RESERVED

# Marks are told by a sign as well as by colour; contrast is at least 4.5 : 1 in both schemes (WCAG 1.4.3).
_STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#ffffff, #14181d); --ink: light-dark(#1d2329, #d9dee4);
  --faint: light-dark(#5b6570, #98a2ad);
  --rule: light-dark(#dfe3e8, #2b323a); --run: light-dark(#e3f4e6, #15301c);
  --partly: light-dark(#fdf1d0, #3a3010);
  --never: light-dark(#fde3e1, #43191b); --run-ink: light-dark(#1a6b2e, #7fd394);
  --partly-ink: light-dark(#7a5600, #e9c568); --never-ink: light-dark(#a8201a, #ff9a92);
  --keyword: light-dark(#0b4f9e, #8ab8f5); --comment: light-dark(#5b6570, #98a2ad);
  --text: light-dark(#7a3e00, #e0b48a); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem; } a { color: var(--keyword); } p { color: var(--faint);
  margin: .25rem 0 1rem; }
table { border-collapse: collapse; width: 100%; } .files td, .files th { padding: .35rem .6rem;
  text-align: left;
  border-bottom: 1px solid var(--rule); } .files .number { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; width: 7rem; height: .6rem; background: var(--never-ink); border-radius: 2px;
  overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--run-ink); }
.source { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; } .source td { padding: 0 .6rem;
  vertical-align: top; }
.source td:nth-child(-n+3) { text-align: right; color: var(--faint); user-select: none; white-space: nowrap; }
.source td:nth-child(3) { font-weight: 700; width: 1.5rem; text-align: center; }
.source pre { margin: 0; font: inherit; white-space: pre-wrap; tab-size: 4; }
.run { background: var(--run); } .partly { background: var(--partly); } .never { background: var(--never); }
.run td:nth-child(3) { color: var(--run-ink); } .partly td:nth-child(3), .missed { color: var(--partly-ink); }
.never td:nth-child(3) { color: var(--never-ink); } .missed { font: 12px/1.6 system-ui, sans-serif; }
.k { color: var(--keyword); } .c { color: var(--comment); font-style: italic; } .s { color: var(--text); }
tr:target { outline: 2px solid var(--keyword); }
.legend span { padding: .1rem .5rem; margin-right: .5rem; border-radius: 3px; color: var(--ink); }
"""
_SIGNS = {"run": "✓", "partly": "◐", "never": "✗", "": ""}
_PIECE = re.compile(
    r"(?P<c>\(\*.*?\*\)|/\*.*?\*/|//[^\n]*|\{[^}]*\})|(?P<s>'(?:\$.|[^'$])*'|\"(?:\$.|[^\"$])*\")|(?P<w>[A-Za-z_]\w*)",
    re.DOTALL,
)


def write_html(files: Sequence[FileCoverage], folder: Path) -> Path:
    """Write the pages; returns the overview. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for one in files:
        stem = re.sub(r"\W+", "-", Path(one.path).stem) or "source"
        name = f"{stem}.html"
        count = 2
        while name in names.values() or name == "index.html":
            name = f"{stem}-{count}.html"
            count += 1
        names[one.path] = name
    for one in files:
        (folder / names[one.path]).write_text(file_page(one), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(overview(files, names), encoding="utf-8")
    return index


def overview(files: Sequence[FileCoverage], names: dict[str, str]) -> str:
    """The page of all files, the least covered first."""
    rows = []
    for one in sorted(files, key=lambda file: (rate(file.lines_run, len(file.lines)), file.path)):
        lines, branches = (one.lines_run, len(one.lines)), (one.outcomes_run, len(one.outcomes))
        rows.append(
            f'<tr><td><a href="{escape(names[one.path])}">{escape(shown_path(one.path))}</a></td>'
            f"<td>{_bar(*lines)}</td>{_numbers(*lines)}<td>{_bar(*branches)}</td>{_numbers(*branches)}</tr>"
        )
    head = (
        '<tr><th>file</th><th colspan="2">lines</th><th></th><th colspan="2">branches</th><th></th></tr>'
        if files
        else ""
    )
    lines = sum(one.lines_run for one in files), sum(len(one.lines) for one in files)
    branches = sum(one.outcomes_run for one in files), sum(len(one.outcomes) for one in files)
    body = (
        f"<h1>What ran</h1><p>{percent(*lines)} of the lines ({lines[0]} of {lines[1]}), "
        f"{percent(*branches)} of the branches ({branches[0]} of {branches[1]})</p>"
        f'<table class="files">{head}{"".join(rows)}</table>'
    )
    return _page("Coverage", body)


def file_page(one: FileCoverage) -> str:
    """A file's page."""
    try:
        source = read_source(Path(one.path))
    except OSError:
        source = Source(one.path, "\n" * max(one.lines, default=0))  # source text that was given as text
    marks = {line: mark for line in one.lines for mark in [_mark(one, line)]}
    for line, end in one.ends.items():
        for inner in range(line + 1, end + 1):
            marks.setdefault(inner, marks[line])
    rows = []
    for number, html in enumerate(_highlighted(source.text), 1):
        mark = marks.get(number, "")
        count = one.lines.get(number)
        sign = _SIGNS[mark if count is not None else ""]
        missed = "".join(
            f'<div class="missed">{_told(each)}</div>' for each in one.decisions_at(number) if each.missed
        )
        rows.append(
            f'<tr id="L{number}"{f" class={mark}" if mark else ""}><td>{number}</td>'
            f"<td>{'' if count is None else f'{count} &times;'}</td><td>{sign}</td>"
            f"<td><pre>{html or ' '}</pre>{missed}</td></tr>"
        )
    lines, branches = (one.lines_run, len(one.lines)), (one.outcomes_run, len(one.outcomes))
    body = (
        f'<p><a href="index.html">all files</a></p><h1>{escape(shown_path(one.path))}</h1>'
        f"<p>{percent(*lines)} of the lines ({lines[0]} of {lines[1]}), "
        f"{percent(*branches)} of the branches ({branches[0]} of {branches[1]})</p>"
        '<p class="legend"><span class="run">✓ ran</span><span class="partly">◐ ran, but not every way</span>'
        '<span class="never">✗ never ran</span></p>'
        f'<table class="source">{"".join(rows)}</table>'
    )
    return _page(shown_path(one.path), body)


def _mark(one: FileCoverage, line: int) -> str:
    if one.lines[line] == 0:
        return "never"
    return "partly" if any(each.missed for each in one.decisions_at(line)) else "run"


def _told(decision: Decision) -> str:
    missed = decision.missed
    if len(missed) == len(decision.outcomes):
        return "never decided"
    if {one.name for one in decision.outcomes} == {"TRUE", "FALSE"}:
        return f"the condition was never {missed[0]}"
    return f"never taken: {escape(', '.join(missed))}"


def _highlighted(text: str) -> list[str]:
    """The text's lines as HTML; a comment over several lines is marked on each."""
    pieces: list[str] = []
    last = 0
    for match in _PIECE.finditer(text):
        pieces.append(escape(text[last : match.start()]))
        last = match.end()
        kind = (
            "k"
            if match["w"] and match["w"].upper() in RESERVED
            else "c"
            if match["c"]
            else "s"
            if match["s"]
            else ""
        )
        shown = escape(match[0])
        pieces.append(
            "\n".join(f'<span class="{kind}">{line}</span>' for line in shown.split("\n")) if kind else shown
        )
    pieces.append(escape(text[last:]))
    lines = "".join(pieces).replace("\r", "").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _bar(run: int, all_: int) -> str:
    return f'<span class="bar"><i style="width:{rate(run, all_) * 100:.1f}%"></i></span>'


def _numbers(run: int, all_: int) -> str:
    return f'<td class="number">{percent(run, all_)}</td><td class="number">{run}/{all_}</td>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>\n"
    )
