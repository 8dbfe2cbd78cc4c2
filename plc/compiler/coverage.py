"""Where a program is counted while it runs: every statement, every way that a condition can turn out.

A place is a byte of ``tl_scan.coverage`` (firmware/scan/program.h), which stops at 255. Without ``Options.coverage``
none of this is generated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plc.language import typed
from plc.language.source import Span

if TYPE_CHECKING:
    from plc.compiler.whole import Whole

HEAD = """
static inline void tl_cover(struct tl_scan *scan, uint32_t place)
{
    if (scan->coverage != NULL && scan->coverage[place] != UINT8_MAX) {
        scan->coverage[place]++;
    }
}

static inline bool tl_cover_if(struct tl_scan *scan, uint32_t place, bool value)
{
    tl_cover(scan, value ? place : place + 1);
    return value;
}
"""
_SIMPLE = (typed.Assign, typed.Evaluate, typed.BlockCall, typed.Exit, typed.Continue, typed.Return)


@dataclass(slots=True)
class Places:
    """The places so far, as the table of symbols tells them (docs/formats/symbols.md)."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    decisions: int = 0

    def unit(self, whole: Whole, name: str, span: Span) -> int:
        """A body that begins to run."""
        return self._add(whole, "unit", span, name=name)

    def statement(self, whole: Whole, statement: typed.Statement) -> int:
        """A statement; of one that holds others only the first line counts."""
        span = statement.span
        last = span.source.position(max(span.start, span.end - 1)).line
        if not isinstance(statement, _SIMPLE):
            last = span.position.line
        return self._add(whole, "line", span, last=last)

    def condition(self, whole: Whole, span: Span) -> int:
        """Two places: TRUE, then FALSE."""
        self.decisions += 1
        first = self._add(whole, "branch", span, decision=self.decisions, outcome="TRUE")
        self._add(whole, "branch", span, decision=self.decisions, outcome="FALSE")
        return first

    def arm(self, whole: Whole, span: Span, decision: int, outcome: str) -> int:
        """One way of a CASE."""
        return self._add(whole, "branch", span, decision=decision, outcome=outcome)

    def next_decision(self) -> int:
        """The number that the arms of one CASE share."""
        self.decisions += 1
        return self.decisions

    def _add(self, whole: Whole, kind: str, span: Span, **more: Any) -> int:
        row = {"kind": kind, "file": whole.file(span), "line": span.position.line, **more}
        self.rows.append(row)
        return len(self.rows) - 1
