"""Whatever a part tells that can be wrong has an alert where it is declared, or is here with the reason why not."""

import re
from pathlib import Path

import pytest

from gateway.config.alert import Alert
from gateway.config.load import load_site
from gateway.config.system import AREA, forward_tags
from gateway.tags.tag import ValueType

TESTS = Path(__file__).parents[2]
SITES = (TESTS.parent / "config" / "sites" / "demo" / "site.yaml", TESTS / "hmi" / "market.yaml")
OF_PARTS = frozenset(
    {"node", "forward", "forecast", "dispatch", "anomaly", "health", "market", "demand_response"}
)
TELLS_OF_TROUBLE = re.compile(r"error|fail|fault|refus|jump|unsafe|disput|quarantin|set_aside")
# By the last word of the name.
NEEDS_NONE = {
    "particulars, told with another tag's alert": {"last_exit", "fault", "fault_text", "words", "last_error"},
    "says what is, not what is wrong": {
        "oldest",
        "head",
        "digest",
        "forecast",
        "peak_at",
        "model",
        "training",
        *("feeders_pattern", "feeders_most_unusual"),
    },
    "grows in a plant that is well, and is for those who look for a cause": {
        *("errors_timeout", "errors_exception", "errors_connection", "errors_protocol", "error_frames"),
        *("refused", "refused_nodes", "failures", "fault_code"),
    },
    "an asset or forecast still learns, or may never know all; what is wrong with a forecast is its trouble": {
        "state"
    },
}
QUIET = frozenset().union(*NEEDS_NONE.values())


def test_what_a_part_tells_that_can_be_wrong_has_an_alert():
    silent = [
        tag.name
        for tags in (*(load_site(file).tags for file in SITES), forward_tags("x"))
        for tag in tags
        if tag.owner in OF_PARTS or (tag.area == AREA.path and tag.owner in ("scan", "drivers"))
        if tag.type in (ValueType.BOOL, ValueType.STRING) or tag.states or TELLS_OF_TROUBLE.search(tag.name)
        if tag.attention is None and tag.name.rpartition(".")[2] not in QUIET
    ]
    assert silent == []


def test_particulars_of_an_alert_are_a_tag_beside_it():
    for file in SITES:
        tags = load_site(file).tags
        names = {tag.name for tag in tags}
        beside = [
            f"{tag.name.rpartition('.')[0]}.{tag.attention.words}"
            for tag in tags
            if tag.attention is not None and tag.attention.words
        ]
        assert [name for name in beside if name not in names] == []


@pytest.mark.parametrize(
    ("alert", "since_s", "is_told"),
    [
        (Alert("", after_s=60), 59, False),
        (Alert("", after_s=60), 60, True),
        (Alert("", after_s=60), None, True),
        (Alert("", lasts_s=60), 60, True),
        (Alert("", lasts_s=60), 61, False),
        (Alert(""), 10**6, True),
    ],
)
def test_an_alert_is_told_after_its_time_and_no_longer_than_it_lasts(alert, since_s, is_told):
    now = 10**18
    assert alert.is_late_enough(None if since_s is None else now - since_s * 10**9, now) is is_told
