"""DNP3 devices: outstations that the site is the master of (IEEE 1815), by opendnp3 in a process of its own."""
