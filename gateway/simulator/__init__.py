"""A whole microgrid with physics behind real protocol servers; shares no code with the drivers."""
