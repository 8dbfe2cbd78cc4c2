"""The keys of a whole site file: every section, under its name."""

from __future__ import annotations

from gateway.config.kinds import Key, Later, ListOf, Section, Text
from gateway.config.site_keys.anomalies import ANOMALIES
from gateway.config.site_keys.calculated import CALCULATED
from gateway.config.site_keys.control import CONTROL
from gateway.config.site_keys.demand_response import DEMAND_RESPONSE
from gateway.config.site_keys.devices.section import DEVICES, TEMPLATES
from gateway.config.site_keys.dispatch import DISPATCH
from gateway.config.site_keys.events import EVENTS
from gateway.config.site_keys.forecasts import FORECASTS
from gateway.config.site_keys.health import HEALTH
from gateway.config.site_keys.historian import HISTORIAN
from gateway.config.site_keys.logic import LOGIC
from gateway.config.site_keys.market.section import MARKET
from gateway.config.site_keys.servers.section import SERVERS
from gateway.config.site_keys.simulator import SIMULATOR
from gateway.config.site_keys.site import AREAS, JOURNAL, SITE, USERS
from gateway.config.site_keys.totals import TOTALS

ROOT = Section(
    "a site file",
    (
        Key("site", SITE, "Name of the site; in one of its files.", None),
        Key(
            "include",
            ListOf(Text("the path of a file"), "a list of files"),
            "More files, relative to this one.",
            (),
        ),
        Key("areas", AREAS, "Areas of the site, with a description each.", None),
        Key(
            "templates", Later(TEMPLATES, expressions=True), "Devices that are alike, with parameters.", None
        ),
        Key("devices", Later(DEVICES, expressions=True), "The devices of the site.", None),
        Key("calculated", Later(CALCULATED), "Tags that are calculated from tags.", None),
        Key("totals", Later(TOTALS), "Sums over time, by hour, day and month.", None),
        Key("events", Later(EVENTS), "Periods that are kept with what happened in them.", None),
        Key("anomalies", Later(ANOMALIES), "What is looked for as odd.", None),
        Key("health", Later(HEALTH), "Assets whose health is watched.", None),
        Key("forecasts", Later(FORECASTS), "What is forecast out of history.", None),
        Key(
            "dispatch", DISPATCH, "The plan of least cost for batteries, vehicles, gensets and the tie.", None
        ),
        Key("market", MARKET, "The community's market and its ledger; absent, there is none.", None),
        Key("demand_response", DEMAND_RESPONSE, "Who goes down by how much when called.", None),
        Key("historian", HISTORIAN, "What history keeps.", None),
        Key("servers", SERVERS, "Doors for others.", None),
        Key("users", USERS, "Who may sign in; passwords are set by `tieline passwd`.", None),
        Key("simulator", SIMULATOR, "A simulated microgrid; absent, there is none.", None),
        Key("journal", JOURNAL, "Room for changes in shared memory.", None),
        Key("logic", LOGIC, "Programs, and how they meet the tags; absent, no scan runs.", None),
        Key(
            "control",
            CONTROL,
            "Who has control of an area, and interlocks; absent, none are asked for.",
            None,
        ),
    ),
)
