"""The kernel all else depends on: tag, quality, time, image, journal, command and outcome."""
