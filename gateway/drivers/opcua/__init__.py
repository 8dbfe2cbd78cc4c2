"""OPC UA client driver: nodes of servers become tags, commands become writes and method calls."""
