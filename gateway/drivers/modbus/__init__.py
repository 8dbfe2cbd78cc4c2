"""Modbus TCP devices as tags."""
