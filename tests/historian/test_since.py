"""Since when a tag is as it is, by history that was written with faults in between."""

import pytest

from gateway.config.alert import Alert
from gateway.tags.quality import Quality
from historian import since as module
from historian.since import since

S = 10**9
DAY = 86_400 * S
ON = Alert("is on", values=(True,))
COUNT = Alert("counts", above=0, lasts_s=3_600)
BAD = int(Quality.BAD_OUT_OF_SERVICE)


def test_it_is_since_the_first_of_those_that_need_a_look_and_bad_ones_say_nothing(folder):
    now = folder.clock()
    folder.write("a.on", [now - DAY, now - 9 * S, now - 7 * S, now - 5 * S], [True, False, True, True])
    folder.write("a.on", [now - 4 * S, now - 2 * S], [False, True], [BAD, 0])
    history = folder.history()
    assert since(history, "a.on", ON, True, now) == now - 7 * S
    assert since(history, "a.power_kw", ON, True, now) is None
    assert since(history, "never.there", ON, True, now) is None
    history.close()


def test_a_count_is_since_it_grew_last(folder):
    now = folder.clock()
    folder.write("a.count", [now - 9 * S, now - 8 * S, now - 6 * S, now - 4 * S], [0, 1, 2, 2])
    history = folder.history()
    assert since(history, "a.count", COUNT, 2, now) == now - 6 * S
    history.close()


@pytest.mark.parametrize("page", [2, 3, 50])
def test_it_looks_back_page_by_page(folder, monkeypatch, page):
    monkeypatch.setattr(module, "PAGE", page)
    now = folder.clock()
    folder.write("a.on", [now - second * S for second in range(20, 0, -1)], [False] * 4 + [True] * 16)
    history = folder.history()
    assert since(history, "a.on", ON, True, now) == now - 16 * S
    history.close()
