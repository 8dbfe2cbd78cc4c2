"""The physics: one model of a microgrid, no I/O, no clock of its own; the same seed and commands give the same run.

Powers are in kW and follow the house sign: sources are positive when they feed the bus, feeders are demand.
"""
