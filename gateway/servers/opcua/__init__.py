"""The tags as an OPC UA address space."""
