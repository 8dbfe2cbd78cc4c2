"""A statement as PDF: the same bytes whenever it is made again, so that a hash of them holds."""

from __future__ import annotations

import io
from itertools import accumulate
from typing import Any

from historian.ledger.statement import Statement
from historian.libraries import load

# Points, 72 to an inch; A4 upright.
_MARGIN, _ROW, _WRAPPED, _SIZE, _SMALL = 56, 20, 13, 10, 7.5
_FONT, _BOLD = "Vera", "VeraBd"  # Bitstream Vera, that the library brings: Latin scripts and the euro
_GREY, _DARK, _LINE = (0.34, 0.38, 0.42), (0.11, 0.12, 0.14), (0.85, 0.87, 0.89)


def as_pdf(statement: Statement) -> bytes:
    """Pages in A4. Raises ImportError that says how to get the library, where it is not there."""
    canvas_of: Any = load("reportlab.pdfgen.canvas", "a statement as PDF")
    pages: Any = load("reportlab.lib.pagesizes", "a statement as PDF")
    _register_fonts()
    out = io.BytesIO()
    # invariant: no time of making and no random id in the file.
    canvas = canvas_of.Canvas(out, pagesize=pages.A4, invariant=1, pageCompression=1)
    canvas.setTitle(statement.title)
    canvas.setAuthor("Tieline")
    canvas.setSubject(statement.digest)
    _Drawing(canvas, statement, *pages.A4).draw()
    canvas.save()
    return out.getvalue()


def _register_fonts() -> None:
    metrics: Any = load("reportlab.pdfbase.pdfmetrics", "a statement as PDF")
    fonts: Any = load("reportlab.pdfbase.ttfonts", "a statement as PDF")
    # Anew each time: a font's subset goes by what was drawn with it before, and the bytes would too.
    for name in (_FONT, _BOLD):
        metrics.registerFont(fonts.TTFont(name, f"{name}.ttf"))


class _Drawing:
    """One statement on one canvas, from the top down."""

    def __init__(self, canvas: Any, statement: Statement, width: float, height: float) -> None:
        self._canvas = canvas
        self._statement = statement
        self._left, self._right, self._top = _MARGIN, width - _MARGIN, height - _MARGIN
        self._quantity_at = self._right - 90
        self._at = self._top
        self._page = 0

    def draw(self) -> None:
        said = self._statement
        self._begin_page()
        for what, quantity, money in said.rows:
            lines = len(self._lines(what, _FONT))
            if self._at - _ROW - (lines - 1) * _WRAPPED < _MARGIN:
                self._end_page()
                self._begin_page()
            self._row(what, quantity, money, _FONT)
            self._rule(_LINE, 0.6)
        if self._at < _MARGIN + 5 * _ROW:  # the total and what is below it stay together
            self._end_page()
            self._begin_page()
        self._rule(_DARK, 1.4)
        self._row(said.total_is, "", said.total, _BOLD)
        self._at -= 24
        for text in (said.entry, said.digest):
            self._write(self._left, text, _FONT, _SMALL, _GREY)
            self._at -= 14
        self._end_page()

    def _begin_page(self) -> None:
        said = self._statement
        self._page += 1
        self._at = self._top
        if self._page == 1:
            self._at -= 12
            self._write(self._left, said.title, _BOLD, 16, _DARK)
            self._at -= 20
            self._write(self._left, said.period, _FONT, _SIZE, _GREY)
            self._at -= 30
        self._row("For", "Quantity", said.currency, _BOLD)
        self._rule(_LINE, 0.6)

    def _end_page(self) -> None:
        foot = f"{self._statement.title}, page {self._page}"
        self._canvas.setFont(_FONT, _SMALL)
        self._canvas.setFillColorRGB(*_GREY)
        self._canvas.drawRightString(self._right, _MARGIN / 2, foot)
        self._canvas.showPage()

    def _row(self, what: str, quantity: str, money: str, font: str) -> None:
        self._at -= _ROW
        first, *others = self._lines(what, font)
        self._write(self._left, first, font, _SIZE, _DARK)
        self._canvas.drawRightString(self._quantity_at, self._at, quantity)
        self._canvas.drawRightString(self._right, self._at, money)
        for line in others:
            self._at -= _WRAPPED
            self._write(self._left, line, font, _SIZE, _DARK)

    def _lines(self, text: str, font: str) -> list[str]:
        """The text in lines that fit, broken at spaces where there are any."""
        room = self._quantity_at - 80 - self._left
        lines = []
        while self._canvas.stringWidth(text, font, _SIZE) > room:
            widths = accumulate(self._canvas.stringWidth(each, font, _SIZE) for each in text)
            most = next(n for n, width in enumerate(widths) if width > room)
            cut = text.rfind(" ", 1, most + 1)
            cut = cut if cut > 0 else most
            lines.append(text[:cut])
            text = text[cut:].lstrip()
        return [*lines, text]

    def _rule(self, colour: tuple[float, float, float], width: float) -> None:
        y = self._at - 6
        self._canvas.setStrokeColorRGB(*colour)
        self._canvas.setLineWidth(width)
        self._canvas.line(self._left, y, self._right, y)

    def _write(self, x: float, text: str, font: str, size: float, colour: tuple[float, float, float]) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillColorRGB(*colour)
        self._canvas.drawString(x, self._at, text)
