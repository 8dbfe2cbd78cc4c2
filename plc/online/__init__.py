"""A running program from a terminal: finding it, values as people write them, recordings as files."""
