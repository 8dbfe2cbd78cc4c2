"""The running scan from Python: its process, its wiring to tags, watching, writing, forcing, changing it."""
