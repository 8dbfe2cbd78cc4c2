"""Event frames: periods by a condition, with what tags did in them. `Events` reads them."""

from historian.events.query import Events

__all__ = ["Events"]
