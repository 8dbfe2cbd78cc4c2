"""J1939 on a CAN bus: addresses, transfers of many packets, requests, faults."""
