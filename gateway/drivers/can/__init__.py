"""CAN driver: signals of a bus become tags, commands become messages."""
