"""The page in a real browser (Debian's Chromium, headless): what an operator sees, and when."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from gateway.config.alert import Alert
from gateway.config.load import load_site
from gateway.config.site import Tag
from gateway.config.system import device_tags, forward_tags, part_tags
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

DOCS = Path(__file__).parents[2] / "docs"
MARKET = Path(__file__).with_name("market.yaml")
DEMO = Path(__file__).parents[2] / "config" / "sites" / "demo" / "site.yaml"
PASSWORD = "correct horse battery staple"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
DAY_NS = 86_400 * 10**9
SIZES = ((1280, 800), (1920, 1080), (1000, 700), (390, 844))


expect.set_options(timeout=20_000)  # a machine may be busy with other suites
# one event loop, and so one browser, for all of these: it takes longer to start than most of them to run
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stand(make_stand, serve, play):
    async with make_stand() as stand, serve(stand), play(stand):
        yield stand


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser):
    context = await browser.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-GB", timezone_id="UTC"
    )
    page = await context.new_page()
    page.complaints = []
    page.requested = []
    page.on(
        "console", lambda message: page.complaints.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requested.append(request.url))
    yield page
    await context.close()


async def open_page(page, stand):
    await page.goto(stand.origin)
    await expect(page.locator("#user")).to_be_focused()
    await page.keyboard.type("operator")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("body")).to_have_attribute("data-feed", "live")


async def until(claim):
    async with asyncio.timeout(20):
        while not claim():  # noqa: ASYNC110 - the region sets no event
            await asyncio.sleep(0.02)


def value(page, tag):
    """Where the diagram shows this tag."""
    return page.locator(f'#diagram .value[data-tag="{tag}"]').first


def bay(page, device):
    return page.locator(f'.bay[data-device="{device}"]')


async def test_the_page_shows_what_is_in_the_image_with_units_and_decimals(page, stand):
    await open_page(page, stand)
    stand.scene.overrides["pv1.power_kw"] = 1234.56
    await expect(value(page, "pv1.power_kw")).to_have_text("1\u202f234.6\u202fkW")
    stand.scene.overrides["pv1.power_kw"] = -0.04
    await expect(value(page, "pv1.power_kw")).to_have_text("0.0\u202fkW")
    stand.scene.overrides["battery1.power_kw"] = -12.34
    await expect(value(page, "battery1.power_kw")).to_have_text("\u221212.3\u202fkW")
    await expect(bay(page, "battery1")).to_contain_text("CHARGING")
    await expect(bay(page, "battery1").locator(".drop")).to_have_attribute("data-flow", "from-bus")
    stand.scene.overrides["battery1.power_kw"] = 12.34
    await expect(bay(page, "battery1").locator(".drop")).to_have_attribute("data-flow", "to-bus")
    await expect(page.locator("#grid-state")).to_have_text("GRID CONNECTED")
    await expect(page.locator("#attention-count")).to_have_text("0")


async def test_wrong_password_is_told_and_signing_out_leads_back(page, stand):
    await page.goto(stand.origin)
    await page.fill("#user", "operator")
    await page.fill("#password", "wrong horse")
    await page.click("button")
    await expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    await page.fill("#password", PASSWORD)
    await page.click("button")
    await expect(page.locator("body")).to_have_attribute("data-feed", "live")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{stand.origin}/sign-in")


async def test_a_lost_device_is_bad_with_its_last_value_and_age_and_comes_back(page, stand):
    await open_page(page, stand)
    stand.scene.overrides["wind1.power_kw"] = 21.7
    await expect(value(page, "wind1.power_kw")).to_contain_text("21.7")
    stand.scene.cut("wind1")
    await expect(value(page, "wind1.power_kw")).to_have_attribute("data-quality", "bad")
    await expect(value(page, "wind1.power_kw")).to_contain_text("21.7")
    decoration = (
        "getComputedStyle(document.querySelector('[data-tag=\"wind1.power_kw\"] .number')).textDecorationLine"
    )
    assert await page.evaluate(decoration) == "line-through"
    await expect(bay(page, "wind1").locator(".bay-status")).to_have_text(
        re.compile(r"^BAD Comm · \d+\u202fs · 5 of 5$")
    )
    await expect(bay(page, "wind1").locator(".drop")).to_have_attribute("data-flow", "none")
    await expect(page.locator('[data-total="generation"]')).to_contain_text("2 of 3")
    await expect(page.locator("#attention")).to_contain_text("wind1 Comm · 5 of 5 tags")
    await expect(value(page, "pv1.power_kw")).to_have_attribute("data-quality", "good")
    stand.scene.restore("wind1")
    await expect(value(page, "wind1.power_kw")).to_have_attribute("data-quality", "good")
    await expect(bay(page, "wind1").locator(".bay-status")).to_have_text("")


async def test_a_value_out_of_range_is_uncertain_and_still_counted(page, stand):
    await open_page(page, stand)
    stand.scene.statuses["pv1.power_kw"] = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    await expect(value(page, "pv1.power_kw")).to_have_attribute("data-quality", "uncertain")
    await expect(bay(page, "pv1").locator(".bay-status")).to_have_text("UNCERTAIN Range · 1 of 6")
    await expect(page.locator('[data-total="generation"]')).not_to_contain_text("of 3")


async def test_what_a_device_does_not_have_is_absent_and_no_fault(page, stand):
    await open_page(page, stand)
    stand.scene.statuses["ev3.state_of_charge_pct"] = Quality.BAD_NOT_SUPPORTED
    cell = page.locator('.cell[data-device="ev3"]')
    await expect(cell.locator(".value").last).to_have_attribute("data-quality", "absent")
    await expect(cell.locator(".value").last).to_have_text("\u2013\u2013\u2013\u202f%")
    await expect(cell).to_have_attribute("data-worst", re.compile("good|absent"))
    await expect(page.locator("#attention-count")).to_have_text("0")
    # A frame that nobody has sent yet; but what is only read, and never came, is a fault.
    stand.scene.statuses["ev4.power_setpoint_kw"] = Quality.BAD_WAITING_FOR_INITIAL_DATA
    stand.scene.statuses["ev5.power_kw"] = Quality.BAD_WAITING_FOR_INITIAL_DATA
    await expect(page.locator("#attention-count")).to_have_text("1")
    await expect(page.locator("#attention")).to_contain_text("ev5")


async def test_what_is_not_there_is_not_stale_for_nobody_tells_it_again(page, stand):
    await open_page(page, stand)
    stand.scene.statuses["ev3.state_of_charge_pct"] = Quality.BAD_NOT_SUPPORTED
    charge = page.locator('.cell[data-device="ev3"] .value').last
    await expect(charge).to_have_attribute("data-quality", "absent")
    stand.scene.silent.add("ev3")
    await expect(page.locator('.cell[data-device="ev3"] .value').first).to_have_attribute("data-stale", "yes")
    await expect(charge).to_have_attribute("data-stale", "no")


async def test_a_sum_of_a_day_not_measured_all_through_is_marked_and_alarms_nobody(page, stand):
    await open_page(page, stand)
    stand.scene.statuses["pcc.import_energy_kwh"] = Quality.UNCERTAIN_DATA_SUB_NORMAL
    await expect(value(page, "pcc.import_energy_kwh")).to_have_attribute("data-quality", "uncertain")
    await expect(bay(page, "pcc").locator(".bay-status")).to_have_text("")
    await expect(page.locator("#attention-count")).to_have_text("0")


async def test_what_logic_does_not_demand_and_nobody_has_set_is_no_fault_and_no_charger(
    page, make_stand, serve, play
):
    own = (
        Tag("pcc.breaker_close_command.demand", ValueType.BOOL, "drivers", "grid", "pcc"),
        Tag("ev.automatic", ValueType.BOOL, "drivers", "ev", "ev", stale_after_ms=10**12),
    )
    async with make_stand(extra=own) as stand, serve(stand), play(stand):
        stand.scene.overrides["pcc.breaker_close_command.demand"] = False
        stand.scene.statuses["pcc.breaker_close_command.demand"] = Quality.BAD_NO_DATA
        await open_page(page, stand)
        await expect(bay(page, "pcc").locator(".bay-status")).to_have_text("")
        await expect(page.locator("#attention-count")).to_have_text("0")
        await expect(page.locator('.cell[data-device="ev"]')).to_have_count(0)
        stand.scene.overrides["ev.automatic"] = False
        stand.scene.statuses["ev.automatic"] = Quality.BAD_COMMUNICATION_ERROR
        await expect(page.locator("#attention-count")).to_have_text("1")


# tag, what it is while all is well, what it is when not, and the words of an operator
WRONG = (
    ("_system.history.writing", True, False, "history NOT WRITTEN"),
    ("_system.history.shedding", False, True, "history disk nearly full: old days go"),
    ("_system.history.quarantined", 0, 1_200, "history samples of the future: 1\u202f200"),
    ("_system.history.clock_jumps", 0, 2, "history the machine's clock jumped (2 times"),
    ("_system.scan.mode", 1, 2, "scan the program is faulted: x/0 in main.st"),
    ("_system.scan.forces", 0, 3, "scan variables that are forced: 3"),
    ("_system.scan.retain_failures", 0, 1, "scan retained variables could not be saved"),
    ("_system.follow.unsafe", 0, 1, "follow points that are still without their safe value: 1"),
    ("_system.forward.cluster.connected", True, False, "forward.cluster does not answer: its samples wait"),
    ("_system.parts.demand_response.running", True, False, "parts.demand_response not running: exit 1"),
    ("_system.boiler.connected", True, False, "boiler link down: timed out"),
    (
        "anomaly.feeder_power.feeder1.power_kw.alarm",
        False,
        True,
        "anomaly ODD: feeder_power.feeder1.power_kw",
    ),
    ("forecast.load.spike_alert", False, True, "forecast load soon above its limit"),
    ("forecast.load.drift", False, True, "forecast load errs more than it used to"),
    ("health.genset1.urgency", 1, 3, "health genset1 has maintenance to be done: OVERDUE"),
    ("health.battery1.knee", False, True, "health battery1 loses its capacity faster than before"),
    ("dispatch.status", 1, 4, "dispatch has no fresh plan: last plan kept: the solver was late"),
    ("plan.ignored", False, True, "plan is not followed, though plan.follow is on"),
    ("market.status", 1, 3, "market is stopped: no ledger"),
    ("market.last_error", "", "a is not billed: no readings", "market a is not billed: no readings"),
    ("market.peers.north.link", True, False, "market north cannot be reached"),
    ("market.peers.north.state", "connected", "turned away: unknown", "market north turned away: unknown"),
    (
        "market.peers.north.disputed",
        0,
        4,
        "market north settled intervals of the last week in another way: 4",
    ),
    ("market.feeds.retail.state", "used", "too old", "market retail too old"),
    ("market.agent.trade.state", 1, 2, "market trade does not bid: no forecast: none today"),
    ("demand_response.peak.level", 0, 2, "demand_response peak asks for less: level high: heat"),
)
PARTICULARS = {
    "_system.scan.fault_text": "x/0 in main.st",
    "_system.parts.demand_response.last_exit": "exit 1",
    "_system.forward.cluster.last_error": "",
    "_system.history.fault": "",
    "_system.boiler.last_error": "timed out",
    "dispatch.words": "the solver was late",
    "demand_response.peak.event": "heat",
    "market.agent.trade.words": "none today",
}


@pytest.fixture(scope="module")
def declared():
    """The tags of those names as the site files of a demo and of a market declare them."""
    sites = (load_site(DEMO), load_site(MARKET))
    tags = {tag.name: tag for site in sites for tag in site.tags}
    of_parts = (*forward_tags("cluster"), *part_tags("demand_response"), *device_tags("boiler", 0)[0])
    tags |= {tag.name: tag for tag in of_parts}
    names = (*(name for name, *_ in WRONG), *PARTICULARS)
    # none is stale: the scene writes them ten times a second, but a machine may be held up
    return tuple(replace(tags[name], stale_after_ms=10**12) for name in names)


async def test_what_is_not_well_is_told_with_what_since_when_and_what_to_do(
    page, declared, make_stand, serve, play, remember
):
    """By the real tags, as the parts declare them."""
    async with make_stand(extra=declared) as stand, serve(stand), play(stand):
        stand.scene.overrides |= PARTICULARS | {name: well for name, well, *_ in WRONG}
        day_ago = time.time_ns() // DAY_NS * DAY_NS - DAY_NS // 2  # yesterday noon
        at = [day_ago - DAY_NS, *(day_ago + minute * 60 * 10**9 for minute in range(3))]
        remember(stand, "market.peers.north.disputed", list(zip(at, (0, 2, 3, 4), strict=True)))
        await open_page(page, stand)
        lines = page.locator("#attention li")
        await expect(page.locator("#attention-count")).to_have_text("0")
        # Wrong before the page is opened, so that what is told only after a while is told at once.
        stand.scene.overrides |= {name: wrong for name, _, wrong, _ in WRONG}
        await until(lambda: all(stand.region.sample(name).value == wrong for name, _, wrong, _ in WRONG))
        await page.reload()
        await expect(page.locator("#attention-count")).to_have_text(str(len(WRONG)))
        told = "\n".join(await lines.all_inner_texts())
        assert [words for *_, words in WRONG if words not in re.sub(r"\s*\n", "\n", told)] == []
        assert "Is the disk full, or its folder not writable? See logs/market.log." in told
        assert "tieline health show tells what and why" in told
        disputed = lines.filter(has_text="another way: 4")
        noon = datetime.fromtimestamp(day_ago / 1e9, UTC)
        await expect(disputed).to_contain_text(f"Since {noon:%-d %b %H:%M}. Compare both sites' figures")
        assert page.complaints == []
        stand.scene.overrides |= {name: well for name, well, *_ in WRONG}
        await expect(page.locator("#attention-count")).to_have_text("0")
        # What begins before our eyes has begun now; what is to last for a while first is not told yet.
        stand.scene.overrides |= {"market.peers.north.disputed": 1, "market.peers.north.link": False}
        await expect(lines).to_have_count(1)
        await expect(lines).to_contain_text(
            re.compile(r"another way: 1\s*Since \d\d:\d\d\. Compare both sites")
        )
        stand.scene.overrides["market.peers.north.disputed"] = 0
        stand.scene.statuses["demand_response.peak.event"] = Quality.BAD_OUT_OF_SERVICE
        await expect(page.locator("#attention")).to_contain_text("peak is not known: events cannot be read")


ALERTS = (
    Alert("", values=(0, 4)),
    Alert("", values=(True,)),
    Alert("", above=0),
    Alert("", below=-1.5),
    Alert("", text_but="used"),
    Alert("", text_but=""),
    Alert("", bad="lost"),
)


async def test_the_page_and_tieline_status_judge_alike(page, stand):
    await open_page(page, stand)
    values = [0, 1, 4, -2.0, 0.5, True, False, "", "used", "late", None]
    rows = [{key: one for key, one in asdict(alert).items() if one is not None} for alert in ALERTS]
    judged = await page.evaluate(
        """async ([alerts, values]) => {
            const { holds } = await import("/static/page/alerts.js");
            return alerts.map((alert) => values.map((value) => holds(alert, value)));
        }""",
        [rows, values],
    )
    assert judged == [[alert.holds(value) for value in values] for alert in ALERTS]


HELD = """
site: {name: held}
areas: {storage: Battery}
devices:
  tank1:
    area: storage
    protocol: modbus
    connection: {host: 192.0.2.10}
    groups: {fast: {period_ms: 200}}
    points:
      flow_kw: {table: holding, address: 0, type: int16, unit: kW, write: {role: operator, low: 0, high: 9}}
logic:
  programs: [main.st]
  outputs: {tank1.flow_kw: {variable: main.kw, active: main.holds, safe: 0, released_by: {plan.follow: false}}}
  setpoints: {plan.follow: {variable: follows, type: bool, area: storage, initial: true, fallback: hold}}
"""


async def test_a_point_that_the_logic_holds_says_what_lets_go_of_it(page, make_stand, serve, play, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(HELD)
    (tmp_path / "main.st").write_text("")
    held = load_site(file)
    tags = tuple(tag for tag in held.tags if tag.device == "tank1" and tag.area != "_system")
    index = {tag.name: place for place, tag in enumerate(tags)}
    (output,) = held.logic.outputs
    output = replace(output, tag=index["tank1.flow_kw"], demand=index["tank1.flow_kw.demand"])
    logic = replace(held.logic, outputs=(output,))
    async with make_stand(extra=tags, only_extra=True) as stand:
        stand.site = replace(stand.site, logic=logic)
        async with serve(stand), play(stand):
            stand.scene.overrides |= {"tank1.flow_kw": 3.0, "tank1.flow_kw.demand": 3.0}
            await open_page(page, stand)
            note = page.locator("#tags .held").first
            await expect(note).to_have_text(
                "HELD BY THE LOGIC \u00b7 write plan.follow false to have it let go"
            )
            await expect(page.locator("#tags")).to_contain_text(
                "Held by the logic until plan.follow false is written"
            )
            stand.scene.statuses["tank1.flow_kw.demand"] = Quality.BAD_NO_DATA
            await expect(note).to_be_hidden()


async def test_a_tag_nobody_refreshes_goes_stale_while_the_feed_lives(page, stand):
    await open_page(page, stand)
    await expect(value(page, "feeder2.power_kw")).to_have_attribute("data-stale", "no")
    stand.scene.silent.add("feeder2")
    await expect(value(page, "feeder2.power_kw")).to_have_attribute("data-stale", "yes")
    await expect(bay(page, "feeder2").locator(".bay-status")).to_contain_text(
        re.compile(r"STALE · \d+\u202fs · 6 of 6")
    )
    await expect(bay(page, "feeder2").locator(".breaker")).to_have_attribute(
        "aria-label", "Breaker STALE\nwas CLOSED"
    )
    await expect(value(page, "feeder1.power_kw")).to_have_attribute("data-stale", "no")
    await expect(page.locator("#lost")).to_be_hidden()


async def test_when_every_writer_stops_nothing_looks_live(page, make_stand, serve, play):
    async with make_stand() as stand, serve(stand):
        async with play(stand):
            await open_page(page, stand)
        await expect(page.locator("#diagram .value[data-tag][data-stale=no]")).to_have_count(0)
        await expect(page.locator("#diagram .bus")).to_have_attribute("data-energised", "unknown")
        await expect(page.locator("body")).to_have_attribute("data-feed", "live")


async def test_when_the_server_dies_all_is_stale_after_3_s_and_live_again_when_it_is_back(
    page, make_stand, part_process, play
):
    async with make_stand() as stand, part_process(stand) as part, play(stand):
        await open_page(page, stand)
        await part.kill()
        killed = time.monotonic()
        await expect(page.locator("#connection")).to_have_text("RECONNECTING")
        await expect(page.locator("#lost")).to_be_visible()
        assert 2.5 < time.monotonic() - killed < 4.5
        await expect(page.locator("#lost")).to_contain_text(
            re.compile(r"CONNECTION LOST — values as of \d\d:\d\d:\d\d UTC")
        )
        await expect(
            page.locator("#diagram .value[data-stale=no], header .value[data-stale=no]")
        ).to_have_count(0)
        await expect(page.locator("#grid-state")).to_have_text("UNKNOWN, WAS CONNECTED")
        stand.scene.overrides["pv1.power_kw"] = 55.5
        await part.start()
        await expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
        await expect(value(page, "pv1.power_kw")).to_have_text("55.5\u202fkW")
        await expect(page.locator("#diagram .value[data-stale=yes]")).to_have_count(0)


async def test_an_island_and_its_open_breakers_are_told_in_shape_and_words(page, stand):
    await open_page(page, stand)
    stand.scene.islanded = True
    await expect(page.locator("#grid-state")).to_have_text("ISLANDED")
    await expect(bay(page, "pcc").locator(".breaker")).to_have_attribute("data-state", "open")
    await expect(bay(page, "pcc").locator(".breaker-text")).to_have_text("OPEN")
    wires = bay(page, "pcc").locator(".wire")
    await expect(wires.first).to_have_attribute("data-energised", "no")  # the dead utility
    await expect(wires.last).to_have_attribute("data-energised", "yes")  # the living bus
    await expect(bay(page, "feeder4").locator(".wire").first).to_have_attribute("data-energised", "no")
    await expect(page.locator("#attention")).to_contain_text("feeder4 breaker OPEN")
    stand.scene.overrides["pcc.voltage_v"] = 0.0
    await expect(page.locator(".bus")).to_contain_text("DEAD")


async def test_all_is_reached_by_keyboard_and_the_faceplate_gives_the_focus_back(page, stand):
    await open_page(page, stand)
    button = bay(page, "battery1").get_by_role("button")
    await button.focus()
    await page.keyboard.press("Enter")
    plate = page.get_by_role("dialog")
    await expect(plate).to_contain_text("TL-BAT-00417")
    await expect(plate.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(plate).to_be_hidden()
    await expect(button).to_be_focused()
    await page.locator("#tags-filter").focus()
    await page.keyboard.type("fuel")
    await expect(page.locator("#tags-body table:visible tbody tr")).to_have_count(1)


async def test_a_site_of_other_devices_still_shows_every_tag(page, make_stand, serve, play):
    tags = (
        Tag("boiler.level_pct", ValueType.DOUBLE, "drivers", "heat", "boiler", "Water", unit="%", decimals=1),
        Tag("boiler.serial", ValueType.STRING, "drivers", "heat", "boiler", string_bytes=40),
        Tag("boiler.pulses", ValueType.UINT64, "drivers", "heat", "boiler"),
        Tag("boiler.mode", ValueType.INT64, "drivers", "heat", "boiler", states={0: "off", -1: "drained"}),
    )
    async with make_stand(extra=tags, only_extra=True) as stand, serve(stand), play(stand):
        stand.scene.overrides |= {
            "boiler.level_pct": float("nan"),
            "boiler.serial": "<img src=x onerror=alert(1)>",
            "boiler.pulses": 2**64 - 1,
            "boiler.mode": -1,
        }
        await open_page(page, stand)
        await expect(page.locator("#diagram")).to_be_hidden()
        rows = page.locator("#tags-body tbody tr")
        await expect(rows).to_have_count(4)
        await expect(rows.nth(0)).to_contain_text("BAD No number")
        await expect(rows.nth(1)).to_contain_text("<img src=x onerror=alert(1)>")
        await expect(rows.nth(2)).to_contain_text("18\u202f446\u202f744\u202f073\u202f709\u202f551\u202f615")
        await expect(rows.nth(3)).to_contain_text("drained")
        assert page.complaints == []


async def test_a_changed_site_is_drawn_anew_without_loading_the_page_again(
    page, make_stand, part_process, play
):
    async with make_stand() as stand, part_process(stand) as part, play(stand):
        await open_page(page, stand)
        await part.kill()
        stand.site = replace(stand.site, name="demo two", digest="changed")
        await part.start()
        await expect(page.locator("#site-name")).to_have_text("demo two", timeout=15_000)
        await expect(page.locator("#diagram .section")).to_have_count(1)


async def test_nothing_is_asked_of_others_nothing_is_complained_of_and_nothing_hangs_over_the_edge(
    page, stand
):
    await open_page(page, stand)
    stand.scene.cut("wind1")
    stand.scene.silent.add("feeder2")
    await expect(value(page, "feeder2.power_kw")).to_have_attribute("data-stale", "yes")
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overhang) <= 0, (width, height)
        clipped = """[...document.querySelectorAll('#diagram .value, #diagram .bay-status')].filter((element) => {
            const frame = element.closest('.box, .bus').getBoundingClientRect();
            return element.getBoundingClientRect().right > frame.right + 1;
        }).map((element) => element.textContent)"""
        assert await page.evaluate(clipped) == [], (width, height)
    assert page.complaints == []
    assert {url.split("/")[2] for url in page.requested} == {f"127.0.0.1:{stand.port}"}


async def test_the_diagram_of_the_demo_fits_one_screen_without_scrolling(page, stand):
    await open_page(page, stand)
    for width, height in ((1280, 800), (1920, 1080)):
        await page.set_viewport_size({"width": width, "height": height})
        assert (
            await page.evaluate("document.getElementById('diagram').getBoundingClientRect().bottom") <= height
        )


async def test_every_kind_and_point_of_the_diagram_is_in_the_docs(page, stand):
    await open_page(page, stand)
    kinds = await page.evaluate("""async () => {
        const { KINDS, POWER } = await import("/static/page/kinds.js");
        return KINDS.map((kind) => ({
            name: kind.match.source.match(/[a-z]+/)[0],
            points: [POWER, kind.breaker, kind.farVoltage, kind.setpoint, kind.state, kind.connected, kind.level?.[0],
                ...kind.facts.map(([point]) => point)].filter(Boolean),
        }));
    }""")
    rows = [line for line in (DOCS / "hmi.md").read_text().splitlines() if line.startswith("| `")]
    described = {line.split("`")[1]: line for line in rows}
    missing = [(k["name"], p) for k in kinds for p in k["points"] if f"`{p}`" not in described[k["name"]]]
    assert missing == []


async def test_a_message_that_was_held_up_on_the_way_does_not_pass_for_live(page, stand):
    await open_page(page, stand)
    verdicts = await page.evaluate("""async () => {
        const { Clock } = await import("/static/page/clock.js");
        const clock = new Clock();
        const before = clock.isLive();
        clock.note({ uptime_ms: 50_000, server_time_ms: 1_000_000 });
        const prompt = clock.isLive();
        clock.note({ uptime_ms: 50_100 - 10_000, server_time_ms: 1_000_100 - 10_000 });  // made 10 s before
        return { before, prompt, late: clock.isLive(), age: clock.age(), now: clock.now() };
    }""")
    assert (verdicts["before"], verdicts["prompt"], verdicts["late"]) == (False, True, False)
    assert 9_000 < verdicts["age"] < 11_000
    assert abs(verdicts["now"] - 1_000_000) < 1_000


async def test_a_server_whose_clock_is_an_hour_off_is_believed_about_its_own_ages(page, stand):
    await open_page(page, stand)
    shown = await page.evaluate("""async () => {
        const { Clock } = await import("/static/page/clock.js");
        const { Tags } = await import("/static/page/tags.js");
        const clock = new Clock();
        const tags = new Tags(clock);
        const wall = Date.now() + 3_600_000;
        clock.note({ uptime_ms: 1, server_time_ms: wall });
        const tag = { status: 0, value: 1, receipt: wall - 500, source: wall - 500, staleAfterMs: 2000 };
        const fresh = tags.assess(tag).isStale;
        tag.receipt = wall - 2500;
        return [fresh, tags.assess(tag).isStale];
    }""")
    assert shown == [False, True]
