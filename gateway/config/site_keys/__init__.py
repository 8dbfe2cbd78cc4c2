"""The keys of every section of a site file, one file each; `root` joins them.

Parser, JSON Schema, the reference of the docs and their test all go by these tables.
"""
