"""Agents that trade for participants, within limits an operator sets; strategies are pure."""
