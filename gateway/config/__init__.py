"""Site files: YAML text in, typed values out, every fault with its file, line and column."""
