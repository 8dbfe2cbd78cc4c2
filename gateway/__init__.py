"""The protocol gateway: tags, site files, drivers, servers, commands, simulator, and the root that runs them."""
