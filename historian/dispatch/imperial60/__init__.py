"""A second data set: days of sixty five-second ticks, as a desk-top smart grid of Imperial College trades them.

Sun, demand, prices and jobs come from a generator with seeds, so that any day is the same everywhere; a store of
50 J, a panel and a tie are planned against them. ``python -m historian.dispatch.imperial60`` shows what that saves.
"""

from gateway.scenarios.imperial60 import TICK, TICKS, Day, Job, day_of
from historian.dispatch.imperial60.live import Result, play

__all__ = ["TICK", "TICKS", "Day", "Job", "Result", "day_of", "play"]
