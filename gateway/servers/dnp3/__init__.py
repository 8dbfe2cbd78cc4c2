"""A DNP3 outstation (IEEE 1815-2012): the site's tags as points of the utility's master."""
