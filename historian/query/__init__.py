"""Reading the files, from any process, while they are being written."""

from historian.query.history import History

__all__ = ["History"]
