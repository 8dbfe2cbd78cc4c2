"""The part in a site: its socket, its tags, and the command line; away history and a lost ledger close it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from market_bench import HOME, REGISTERS, SITE

from gateway.config.load import load_site
from gateway.config.market import MarketAnchor
from gateway.config.market_agents import AgentState
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import Site
from gateway.tags.image import Region, RegionError
from gateway.tags.quality import Quality, is_good
from gateway.tags.sample import to_bits
from historian.ledger.anchoring.keys import ChainKey
from historian.ledger.verify import verify
from historian.market_job import cli, wire
from historian.market_job.client import MarketClient, MarketError
from historian.market_job.part import run

PATIENCE_S = 60.0


class Place:
    """A state folder, a region with measured values in it, and a history that is written."""

    def __init__(self, site: Site, folder: Any, name: str) -> None:
        self.site, self.folder = site, folder
        self.state = Path(tempfile.mkdtemp(prefix="tl"))  # a socket's path is short
        (self.state / "run").mkdir()
        (self.state / "history").symlink_to(folder.directory)
        self.region = Region.create(name, [tag.spec() for tag in site.tags])
        self.index = {tag.name: place for place, tag in enumerate(site.tags)}
        self.drivers = self.region.claim("drivers")
        for tag, value in (("d.load_kw", 50.0), ("d.hz", 50.0), ("d.soc_pct", 50.0), ("d.connected", 0.0)):
            at = np.array([self.index[tag]], np.uint32)
            bits = to_bits(np.array([value]), site.tags[self.index[tag]].type)
            self.drivers.write(at, bits, Quality.GOOD, time.time_ns(), time.time_ns())
        tags = [tag for tag in site.tags if tag.name.removeprefix("d.") in REGISTERS]
        for entry in folder.recorder.catalogue.register(tags, folder.clock()):
            folder.entries[entry.path] = entry

    def meter(self) -> None:
        """Registers at the last two edges, and now."""
        now = time.time_ns()
        self.folder.clock.now = now
        edge = now // (900 * 10**9) * 900 * 10**9
        for name in REGISTERS:
            self.folder.write(f"d.{name}", [edge - 900 * 10**9, edge, now], [1, 1, 1], flush=False)
        assert self.folder.recorder.flush()

    def __getitem__(self, tag: str) -> Any:
        """None while it is Bad."""
        sample = self.region.sample(tag)
        return sample.value if is_good(sample.status) else None

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.state, self.state / "run")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The part, as the root runs it."""
        context = PartContext(self.site, self.paths, self.region.name, asyncio.Event(), asyncio.Event())
        part = asyncio.create_task(run(context))
        await asyncio.wait_for(context.ready.wait(), PATIENCE_S)
        try:
            yield
        finally:
            context.stop.set()
            await asyncio.wait_for(part, PATIENCE_S)

    async def until(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)

    async def say(self, *words: str) -> int:
        """`tieline market ...` of this place."""
        parser = argparse.ArgumentParser()
        cli.add_commands(parser.add_subparsers())
        args = parser.parse_args(["market", words[0], "--state", str(self.state), *words[1:]])
        return int(await asyncio.to_thread(args.run, args))


@pytest.fixture
def place(market_site: Site, folder: Any) -> Iterator[Place]:
    made = Place(market_site, folder, f"test_market_{os.getpid()}")
    with made.region:
        yield made
    shutil.rmtree(made.state)


async def test_a_member_joins_and_trades_by_the_command_line(place: Place, capsys: Any) -> None:
    place.meter()
    key = place.state / "home.pem"
    HOME.save(key)
    async with place.running():
        await place.until(lambda: place["market.status"] == 1)
        assert await place.say("join", "--key", str(key)) == 0
        await place.until(lambda: place["market.home.deposit"] == 50.5)
        told = capsys.readouterr().out
        assert "house: receipt" in told
        later = datetime.fromtimestamp(time.time() // 900 * 900 + 7_200, UTC).isoformat()  # no gate meanwhile
        words = ("order", "--key", str(key), "--buy", "1.5", "--price", "0.21", "--device", "house")
        words = (*words, "--interval", later)
        assert await place.say(*words, "--id", "mine") == 0
        assert await place.say(*words, "--id", "mine") == 0, "asked again, it is placed once"
        first, second = capsys.readouterr().out.splitlines()
        assert first == second
        await place.until(lambda: place["market.orders"] == 1)
        assert place["market.home.deposit"] == pytest.approx(50.5 - 0.315)
        assert await place.say("amend", "--key", str(key), "mine", "--kwh", "1") == 0
        assert await place.say("orders", "--key", str(key), "--format", "json") == 0
        (order,) = json.loads(capsys.readouterr().out.partition("\n")[2])["orders"]
        assert (order["side"], order["wh"], order["price"]) == ("buy", 1_000, 210_000)
        assert await place.say("cancel", "--key", str(key), "mine") == 0
        assert await place.say("cancel", "--key", str(key), "mine") == 1
        assert "unknown" in capsys.readouterr().err
        sun = ("--key", str(place.state / "keys" / "sun.pem"), "--interval", later)
        offer = ("offer", *sun, "--to", "home", "--sell", "2", "--price", "0.18", "--device", "roof")
        assert await place.say(*offer) == 0
        two = capsys.readouterr().out.split()[1]
        accept = ("accept", two, "--key", str(key), "--device", "house")
        assert await place.say(*accept) == 0
        assert "2.000 kWh" in capsys.readouterr().out
        assert await place.say(*accept) == 1, "it is taken"
        capsys.readouterr()
        assert await place.say("status") == 0
        assert "the market is open" in capsys.readouterr().out
        await place.until(lambda: place["market.orders"] == 0 and place["market.refused"] == 1)
        assert place["market.home.deposit"] == pytest.approx(50.5 - 0.36)
        assert place["market.next_price"] is None, "Uncertain until its gate"
        operator = ("--key", str(place.state / "market.pem"))
        assert await place.say("suspend", "home", *operator) == 0
        assert await place.say(*words) == 1
        assert "suspended" in capsys.readouterr().err
        assert await place.say("resume", "home", *operator) == 0
        head = place["ledger.head"]
    assert head.partition(":")[0].isdigit()
    verdict = verify(place.state / "market.ledger", processes=1)
    assert verdict.is_sound
    assert not place.paths.market_socket.exists()


async def test_without_history_it_is_closed_and_says_so(place: Place, capsys: Any) -> None:
    async with place.running():
        await place.until(lambda: place["market.status"] == 2)
        assert place["market.price"] is None
        assert place["market.sun.pos_kwh"] is None
        assert await place.say("status") == 1
        assert "no history" in capsys.readouterr().out
        place.meter()
        await place.until(lambda: place["market.status"] == 1)


async def test_a_chain_that_cannot_be_reached_is_told_and_the_market_goes_on(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    assert place.site.market is not None
    away = MarketAnchor("http://127.0.0.1:1", "0x" + "12" * 20, "chain.key", 12, 10**12)
    place.site = replace(place.site, market=replace(place.site.market, anchor=away))
    ChainKey.generate().save(place.state / "chain.key")
    place.meter()
    with caplog.at_level(logging.INFO):
        async with place.running():
            await place.until(
                lambda: "ANCHORING: " in caplog.text
            )  # of the chain, or that no ledger is there yet
            await place.until(lambda: place["market.status"] == 1)


async def test_an_agent_is_stopped_by_the_command_line_over_a_restart(
    folder: Any, tmp_path: Path, capsys: Any
) -> None:
    agent = """
  feeds: {retail: {kind: tariff, tariff: all}}
  agents:
    seller: {kind: prosumer, member: sun, source: roof, production: load, quotes: retail, lead_min: 60,
             limits: {order_kwh: 1, kwh_a_day: 9, spend_a_day: 0, price_low: 0, price_high: 1}}
forecasts: {load: {area: grid, kind: load, target: d.load_kw}}
"""
    (tmp_path / "site.yaml").write_text(SITE + agent[1:], encoding="utf-8")
    place = Place(load_site(tmp_path / "site.yaml"), folder, f"test_market_agents_{os.getpid()}")
    with place.region:
        place.meter()
        async with place.running():
            await place.until(lambda: place["market.agent.seller.state"] == AgentState.NO_FORECAST)
            assert place["market.agent.seller.traded_kwh"] == 0
            assert "forecast load says nothing" in place["market.agent.seller.words"]
            assert await place.say("agents", "stop", "seller") == 0
            await place.until(lambda: place["market.agent.seller.state"] == AgentState.STOPPED)
        place.meter()
        async with place.running():
            await place.until(lambda: place["market.agent.seller.state"] == AgentState.STOPPED)
            assert await place.say("agents", "stop", "buyer") == 1
            assert await place.say("agents", "stop") == 2
            assert "no agent 'buyer'" in capsys.readouterr().err
            assert await place.say("agents", "--format", "json") == 0
            assert json.loads(capsys.readouterr().out)["seller"]["stopped"]
            assert await place.say("agents", "start", "seller") == 0
            await place.until(lambda: place["market.agent.seller.state"] == AgentState.NO_FORECAST)
    shutil.rmtree(place.state)


async def test_a_ledger_that_cannot_be_used_closes_the_market_and_leaves_the_part_alive(
    place: Place, capsys: Any
) -> None:
    (place.state / "market.ledger").write_bytes(b"no ledger")
    (place.state / "market.ledger").chmod(0o600)
    HOME.save(place.state / "market.pem")
    async with place.running():
        await place.until(lambda: place["market.status"] == 3)
        assert "market.ledger" in place["market.last_error"]
        assert place["ledger.head"] is None
        assert await place.say("orders", "--key", str(place.state / "market.pem")) == 1
        assert "stopped" in capsys.readouterr().err


async def test_what_is_no_request_is_refused_and_bounded(place: Place) -> None:
    place.meter()
    async with place.running():
        await place.until(lambda: place["market.status"] == 1)
        reader, writer = await asyncio.open_unix_connection(str(place.paths.market_socket), limit=1 << 20)
        for line, told in (
            (b'{"submit":{"id":"1","statements":[],"signature":""}}\n', "0 statements"),
            (b'{"submit":{"id":"1","statements":["AA"],"signature":""}}\n', "base 64"),
            (b'{"orders":{"id":"1","key":"00"}}\n', "64 hexadecimal"),
            (b'{"book":{"id":"1","interval_us":true}}\n', "wrong kind"),
            (b'{"sing":{"id":"1"}}\n', "known are submit"),
        ):
            writer.write(line)
            reply = wire.decode_reply(await asyncio.wait_for(reader.readline(), PATIENCE_S))
            assert isinstance(reply, wire.Turned)
            assert (reply.reason, told in reply.why) == ("malformed", True), reply
        writer.write(b"x" * (wire.LINE_BYTES + 2) + b"\n")
        reply = wire.decode_reply(await asyncio.wait_for(reader.readline(), PATIENCE_S))
        assert isinstance(reply, wire.Fault)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        with MarketClient(place.paths.market_socket) as client:
            await asyncio.to_thread(client.status)


async def test_a_flood_on_one_connection_is_turned_away_and_others_are_served(place: Place) -> None:
    place.meter()
    async with place.running():
        await place.until(lambda: place["market.status"] == 1)
        reader, writer = await asyncio.open_unix_connection(str(place.paths.market_socket), limit=1 << 20)
        reasons = set()
        writer.write(
            wire.encode_request(wire.AskBook("1", 0)) * 1_500
        )  # at once: a busy machine turns few a second
        for _ in range(1_500):
            reply = wire.decode_reply(await asyncio.wait_for(reader.readline(), PATIENCE_S))
            reasons.add(reply.reason if isinstance(reply, wire.Turned) else "told")
            if "busy" in reasons:
                break
        assert reasons == {"told", "busy"}
        with MarketClient(place.paths.market_socket) as client:
            assert (await asyncio.to_thread(client.status))["status"] == "open"
        writer.close()


async def test_a_second_market_of_a_site_ends_at_once(place: Place) -> None:
    taken = place.region.claim("market")
    context = PartContext(place.site, place.paths, place.region.name, asyncio.Event(), asyncio.Event())
    with pytest.raises(RegionError):
        await asyncio.wait_for(run(context), PATIENCE_S)
    taken.release()


def test_a_socket_of_nobody_is_said(place: Place) -> None:
    with (
        MarketClient(place.paths.market_socket) as client,
        pytest.raises(MarketError, match="does not answer"),
    ):
        client.status()
