"""History sent on to other stores, and read back from them (docs/forwarding.md)."""
