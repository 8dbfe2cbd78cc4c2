"""SunSpec devices: the models they have, found and written as devices of a site file."""
