"""Clients that ask us: one folder a protocol."""
