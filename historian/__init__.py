"""The historian: what the journal said, kept for years in files any process on the machine may read."""
