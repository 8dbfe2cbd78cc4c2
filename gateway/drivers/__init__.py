"""Devices we ask: one folder a protocol."""
