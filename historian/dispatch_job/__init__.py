"""Dispatch in a running site: state and forecasts in, a plan as tags out, and what it saves (docs/dispatch.md)."""
