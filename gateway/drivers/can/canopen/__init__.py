"""CANopen on a CAN bus: a node's objects by SDO, its state, its heartbeat, its emergencies."""
