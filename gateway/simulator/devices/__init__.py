"""What each kind of device shows on Modbus: one file a kind, each a table of registers bound to the plant."""
