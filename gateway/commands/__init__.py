"""The only way to a device: the router, its steps (one file each), and the audit trail."""
