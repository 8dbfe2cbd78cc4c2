"""Sequential function charts (IEC 61131-3 6.7): refused where they are met."""

from __future__ import annotations

from plc.compiler.refusals import NotCompiled
from plc.compiler.statements import Statements
from plc.language import typed
from plc.language.symbols import Block


class Charts(Statements):
    """The chart of one unit."""

    def chart(self, chart: typed.Chart, block: Block) -> None:
        """The body of a unit that is a chart."""
        raise NotCompiled(chart.span, "a sequential function chart is not compiled yet", "write it as a CASE")
