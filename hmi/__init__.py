"""The operators' window: a web server, a live feed over WebSocket, and pages as static ES modules."""
