"""The operator's pages: a web server, its live feed, and static ES modules."""
