"""Function blocks in Structured Text for plants with generation, storage and load; docs/library.md describes them."""

from __future__ import annotations

from pathlib import Path

FILES = tuple(sorted(Path(__file__).parent.glob("*.st")))
"""What to give to ``plc.load`` or the compiler beside one's own sources."""

__all__ = ["FILES"]
