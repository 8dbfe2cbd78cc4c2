"""A Modbus TCP server: the site's tags by register maps, writes through the command path."""
