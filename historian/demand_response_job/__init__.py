"""Demand response in a site: events that are given and left, tags of the one that runs, and what came of each."""
