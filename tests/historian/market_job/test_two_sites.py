"""Two sites trade over mutual TLS, settle by the tie's meters, and roam; a cut link leaves nothing half done."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import shutil
import sqlite3
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from historian_folder import Clock, Folder, HistorianSettings
from market_bench import FIRST_US, QUARTER_US, START_US

from gateway.config.site import Site
from historian.ledger.bundle import Bundle
from historian.ledger.coding import record_of
from historian.ledger.entry import decode_statement
from historian.ledger.errors import LedgerError, Reason, Refused
from historian.ledger.facts import Acceptance, Cancellation, Offer, Side
from historian.ledger.market_cli import community_of
from historian.ledger.neighbours import Agreement, agreement
from historian.ledger.peer_facts import (
    PeerStatement,
    RoamingClosing,
    RoamingOpening,
    RoamingRecord,
    RoamingToken,
)
from historian.ledger.pen import Pen, client_id
from historian.ledger.roaming import text_of, token_from, token_of
from historian.ledger.verify import verify
from historian.market_job import cli, wire
from historian.market_job.peers import security
from historian.market_job.peers.peering import Peering
from historian.market_job.peers.work import Heard
from historian.market_job.wire import Judged, Placed, Submit, Turned
from historian.signing import SigningKey

_SPEC = importlib.util.spec_from_file_location("two_sites", Path(__file__).with_name("two_sites.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
two_sites = sys.modules["two_sites"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(two_sites)

KWH = 1_000
MINUTE_US = 60 * 10**6


OTHERS = {"south": "north", "north": "south"}


@pytest.fixture(scope="module")
def settled_between_people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Site]]:
    """Each site's files and section, as its people made them and handed them over: once for all tests."""
    folders = {name: tmp_path_factory.mktemp(name) for name in OTHERS}
    keys = {name: SigningKey.generate() for name in OTHERS}
    for name, folder in folders.items():
        keys[name].save(folder / "market.pem")
        two_sites.certify(folder, name)
        (folders[OTHERS[name]] / f"{name}.crt").write_bytes((folder / "peer.crt").read_bytes())
    return {
        name: (folder, two_sites.site_of(folder / "site.yaml", name, OTHERS[name], keys[OTHERS[name]]))
        for name, folder in folders.items()
    }


@pytest_asyncio.fixture
async def two(settled_between_people: dict[str, tuple[Path, Site]], tmp_path: Path) -> AsyncIterator[Any]:
    towns: dict[str, Any] = {}
    folders = []
    made = None
    try:
        for name, (files, site) in settled_between_people.items():
            state = tmp_path / name
            shutil.copytree(files, state)  # with its modes: a key that others may read is refused
            folders.append(Folder(state / "history", Clock(START_US * 1_000 - 10**9), HistorianSettings()))
            towns[name] = two_sites.Town(site, state, folders[-1])
        made = two_sites.Two(towns["south"], towns["north"])
        await made.start()
        yield made
    finally:
        if made is not None:
            await made.stop()
        for folder in folders:
            folder.recorder.close()


def offered(two: Any, wh: int = 2 * KWH, interval_us: int = FIRST_US) -> bytes:
    """The sun of the south offers to the north; its id."""
    fact = Offer("north", Side.SELL, interval_us, "roof", wh, 250_000, "EUR", interval_us)
    bundle = two.south.pen(two.south.key("sun")).sign([record_of(fact)])
    (outcome,) = two.south.submit(bundle)
    assert not outcome.reason, outcome
    return decode_statement(bundle.statements[0]).client


def is_offered(two: Any, id: bytes) -> bool:
    return ("south", id) in two.north.community.market.orders


def accept(two: Any, id: bytes, wh: int = 2 * KWH) -> wire.Reply:
    """The home of the north takes it, as often as it is said."""
    fact = Acceptance("south", id, "house", wh, 250_000)
    pen = two.north.pen(two.north.key("home"))
    statement = pen.statement(record_of(fact), client_id(f"acceptance {id.hex()}"))
    return two.north.ask(Submit("a", two_sites.sign(two.north.key("home"), [statement])))  # type: ignore[no-any-return]  # a module loaded by path


async def trade(two: Any, wh: int = 2 * KWH, interval_us: int = FIRST_US) -> bytes:
    id = offered(two, wh, interval_us)
    await two.until(lambda: is_offered(two, id))
    reply = accept(two, id, wh)
    assert isinstance(reply, Turned), reply
    assert reply.reason == "pending"
    await two.until(lambda: traded(two.north, interval_us) > 0)
    return id


def traded(town: Any, interval_us: int = FIRST_US) -> int:
    interval = town.community.market.intervals.get(interval_us)
    return 0 if interval is None else sum(each.wh for each in interval.trades)


async def flow(two: Any, at_us: int, south_wh: int, north_wh: int) -> None:
    """Within the interval of ``at_us`` the south gives over the tie; each site has its own meter of it."""
    await two.pass_to(at_us + MINUTE_US)
    for town, wh, tie, own in (
        (two.south, south_wh, "car_in_wh", "sun_out_wh"),
        (two.north, north_wh, "car_out_wh", "home_in_wh"),
    ):
        town.registers[tie] += wh
        town.registers[own] += wh
    await two.pass_to(at_us + QUARTER_US + MINUTE_US)


def stands(town: Any, name: str, at_us: int = FIRST_US) -> Agreement:
    neighbours = town.community.neighbours
    own, told = town.community.settled_with(name, at_us), neighbours.statements.get(name, {}).get(at_us)
    return Agreement.WAITING if own is None else agreement(own, told, neighbours.terms_at(name, at_us))


def are(two: Any, wanted: Agreement, at_us: int = FIRST_US) -> bool:
    return (stands(two.south, "north", at_us), stands(two.north, "south", at_us)) == (wanted, wanted)


def is_sound(town: Any) -> bool:
    file = town.state / "market.ledger"
    audited = community_of(file)
    return verify(file, processes=1).is_sound and not audited.strays and not audited.owed


async def test_sites_trade_and_settle_as_each_others_mirror(two: Any) -> None:
    await trade(two)
    await two.until(lambda: traded(two.south) == 2 * KWH)
    for town, other in ((two.south, "north"), (two.north, "south")):
        (made,) = town.community.market.intervals[FIRST_US].trades
        assert made.amount == 500_000
        assert {made.buyer[0], made.seller[0]} == {other, "sun" if other == "north" else "home"}
        signers = {p.author: p.statement.signer for p in town.office.desk.book.placed(-1)}
        assert signers[other] == (two.north if other == "north" else two.south).key("market").public
    await flow(two, FIRST_US, 2_100, 2_100)
    await two.until(lambda: are(two, Agreement.AGREED))
    south, north = (
        town.community.settled_with(name, FIRST_US)
        for town, name in ((two.south, "north"), (two.north, "south"))
    )
    assert (north.traded_wh, north.metered_wh) == (2 * KWH, 2_100)
    assert north.amount == -south.amount == 500_000 + 30_000  # 0.1 kWh beyond, at 0.3
    two.north.tick()
    assert two.north.peering.counts["south"].disputed == 0
    for town in two.towns:
        assert not town.community.voids
        assert is_sound(town)


async def test_a_cut_link_voids_what_was_proposed_and_settles_what_was_agreed(two: Any) -> None:
    second_us = FIRST_US + QUARTER_US
    await trade(two)
    proposed = offered(two, KWH, second_us)
    await two.until(lambda: is_offered(two, proposed))
    two.cut()
    await two.until(lambda: not two.is_up())
    turned = accept(two, proposed, KWH)
    assert isinstance(turned, Turned)
    await flow(two, FIRST_US, 2 * KWH, 2 * KWH)
    await two.pass_to(second_us + QUARTER_US + MINUTE_US)
    for town, other in ((two.south, "north"), (two.north, "south")):
        assert traded(town) == 2 * KWH
        assert traded(town, second_us) == 0
        assert not town.community.market.orders, "a proposal without both signatures is void at the gate"
        assert set(town.community.settled) >= {FIRST_US, second_us}
        assert stands(town, other) is Agreement.WAITING
    two.mend()
    await two.until(lambda: are(two, Agreement.AGREED) and are(two, Agreement.AGREED, second_us))
    for town, other in ((two.south, "north"), (two.north, "south")):
        assert list(town.community.neighbours.statements[other]) == [FIRST_US, second_us], "in order"
        assert not town.community.voids
        assert is_sound(town)


async def test_an_acceptance_whose_receipt_is_lost_is_one_trade_on_both_sides(two: Any) -> None:
    id = offered(two)
    await two.until(lambda: is_offered(two, id))
    two.to_south.loses_answers = lambda: traded(two.south) > 0
    assert isinstance(accept(two, id), Turned)
    await two.until(lambda: traded(two.south) > 0)
    two.cut()
    assert traded(two.north) == 0
    await two.until(lambda: not two.is_up())
    two.mend()
    await two.until(lambda: traded(two.south) == traded(two.north) == 2 * KWH)
    assert isinstance(accept(two, id), Placed), "asked again, it is accepted once"
    assert traded(two.north) == 2 * KWH
    assert not two.south.community.voids


async def pending(two: Any, id: bytes) -> None:
    """The home of the north takes it, and the link is cut before the south can be asked."""
    await two.until(lambda: is_offered(two, id))
    reply = accept(two, id)
    two.cut()
    assert (type(reply), reply.reason) == (Turned, "pending")


async def test_an_acceptance_that_waits_outlives_its_part(two: Any) -> None:
    id = offered(two)
    await pending(two, id)
    two.north.restart()
    await two.until(lambda: not two.is_up())
    two.mend()
    await two.until(lambda: traded(two.south) == traded(two.north) == 2 * KWH)
    assert isinstance(accept(two, id), Placed)
    assert not json.loads((two.north.state / "market.ledger.peers").read_text())["waiting"]


async def test_an_acceptance_that_waited_is_void_once_its_offer_is_gone(two: Any) -> None:
    id = offered(two)
    await pending(two, id)
    two.north.now_us = FIRST_US
    two.north.look()
    two.north.restart()
    two.north.tick()
    assert any("waited is void" in trouble for trouble in two.north.peering.troubles)
    assert traded(two.north) == traded(two.south) == 0


async def test_on_a_full_disk_no_acceptance_is_begun(two: Any) -> None:
    id = offered(two)
    await two.until(lambda: is_offered(two, id))
    with two_sites.full_disk():
        reply = accept(two, id)
    assert (type(reply), reply.reason) == (Turned, "not_kept")
    assert accept(two, id).reason == "pending"
    await two.until(lambda: traded(two.north) == traded(two.south) == 2 * KWH)


async def test_a_disk_that_is_full_when_the_answer_comes_loses_no_trade(two: Any) -> None:
    id = offered(two)
    await two.until(lambda: is_offered(two, id))
    accept(two, id)
    two.north.tick()  # its link has the wish; what comes of it, the next tick hears
    await two.until(lambda: traded(two.south) == 2 * KWH, two.south)
    with two_sites.full_disk(), pytest.raises((LedgerError, OSError, sqlite3.Error)):
        await two.until(lambda: False)  # until the north hears of it
    two.north.reopen()
    assert traded(two.north) == 0
    await two.until(lambda: traded(two.north) == 2 * KWH)
    assert isinstance(accept(two, id), Placed)


async def test_while_an_acceptance_waits_nothing_of_its_member_overtakes_it(two: Any) -> None:
    await pending(two, offered(two))
    home = two.north.key("home")
    order = two.north.order(Side.BUY, KWH, 250_000)
    reply = two.north.ask(Submit("o", two.north.pen(home).sign([record_of(order)])))
    assert (type(reply), reply.reason) == (Turned, "busy")
    await two.until(lambda: not two.is_up())
    assert not two.north.say("home", order)[0].reason, "a link that is down holds up nobody's trading"


async def test_a_site_whose_clock_is_ahead_is_believed_that_an_interval_is_over(two: Any) -> None:
    end_us = FIRST_US + QUARTER_US
    said = [record_of(PeerStatement(FIRST_US, 1, 0, 0, 0))]
    two.north.now_us = end_us - 2 * MINUTE_US
    pen = Pen(two.south.key("market"), two.north.office.desk.book.id, lambda: end_us + 1)
    pen.follow(two.north.office.desk.book.state.authors["south"].number)
    (outcome,) = two.north.submit(pen.sign(said))
    assert not outcome.reason, outcome


async def test_an_offer_that_is_taken_back_is_gone_on_both_sides(two: Any) -> None:
    id = offered(two)
    await two.until(lambda: is_offered(two, id))
    assert not two.south.say("sun", Cancellation(id))[0].reason
    await two.until(lambda: not is_offered(two, id))
    assert two.south.community.market.reserved["sun"] == two.north.community.market.reserved["south"] == 0


async def test_meters_that_differ_are_told_and_not_averaged(two: Any) -> None:
    await trade(two)
    await flow(two, FIRST_US, 2 * KWH, 2_050)
    await two.until(lambda: are(two, Agreement.DISPUTED))
    for town, other in ((two.south, "north"), (two.north, "south")):
        town.tick()
        assert town.peering.counts[other].disputed == 1
        assert any("another way" in trouble for trouble in town.peering.troubles)
    (found,) = two.north.peering.told(two.north.office, two.north.now_us)["peers"]["south"]["disputes"]
    assert (found["here"][1], found["there"][1]) == (2_050, 2 * KWH)


async def test_what_is_forged_replayed_reordered_or_late_is_refused_on_the_record(two: Any) -> None:
    key = two.south.key("market")
    north = two.north

    def statement(number: int = 0, **changed: Any) -> Any:
        fact = PeerStatement(FIRST_US, 1, 0, 0, 0)
        return replace(
            north.pen(key).statement(record_of(fact)), **({"number": number} if number else {}) | changed
        )

    def refused(bundle: Bundle) -> Judged:
        (outcome,) = north.submit(bundle)
        assert outcome.sequence is None
        return outcome

    good = two_sites.sign(key, [statement()])
    forged = Bundle(good.statements, SigningKey.generate().sign_content(b"anything"))
    assert refused(forged).reason == "forged"
    (first,) = north.submit(good)
    assert first.reason == "early", "that interval is not over; but it is on the record"
    (again,) = north.submit(good)
    assert again.sequence == first.sequence, "replayed, it is the same entry"
    assert refused(two_sites.sign(key, [statement(number=1)])).reason == "reordered"
    late = statement(good_until_us=north.now_us - 1, made_at_us=north.now_us - 2)
    assert refused(two_sites.sign(key, [late])).reason == "late"
    other = replace(statement(), ledger=two.south.office.desk.book.id)
    assert refused(two_sites.sign(key, [other])).reason == "wrong_ledger"
    told = [fact.reason for _, fact in north.community.refusals]
    assert told == ["forged", "reordered", "late", "wrong_ledger"]


async def spoken(two: Any, folder: Path, line: bytes) -> bytes:
    """What north's door answers to who shows the certificate in a folder."""
    context = security.caller(folder / "peer.crt", folder / "peer.key", two.north.state / "peer.crt")
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", two.north.door.port, ssl=context, server_hostname=""
    )
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.readline(), two_sites.PATIENCE_S)
    except (ssl.SSLError, ConnectionError):  # by TLS 1.3 a refused certificate is told after the handshake
        return b""
    finally:
        writer.transport.abort()


async def test_the_door_opens_to_the_pinned_certificate_alone_and_to_its_own_key_alone(
    two: Any, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    two_sites.certify(stranger, "south")
    status = wire.encode_request(wire.AskStatus("1"))
    assert await spoken(two, stranger, status) == b""
    south = two.south.state
    foreign = two.north.pen(two.north.key("home")).sign([record_of(PeerStatement(FIRST_US, 1, 0, 0, 0))])
    for line, said in (
        (status, "own business"),
        (wire.encode_request(wire.AskTerms("1", two.north.key("home").public)), "of itself only"),
        (wire.encode_request(wire.Submit("1", foreign)), "signed itself"),
        (b"x" * (wire.LINE_BYTES + 10) + b"\n", "at most"),
        (b"{}\n", "one JSON object"),
    ):
        assert said in (await spoken(two, south, line)).decode()


# ---------------------------------------------------------------- what is kept beside the ledger


class Hearsay:
    """A link that heard of a ledger, and keeps what it is given to say."""

    def __init__(self, ledger: bytes) -> None:
        self.ledger = ledger
        self.works: list[Any] = []

    def heard(self) -> Heard:
        return Heard(ledger=self.ledger)

    def give(self, work: Any) -> None:
        self.works.append(work)


@pytest.fixture
def town(settled_between_people: dict[str, tuple[Path, Site]], tmp_path: Path) -> Iterator[Any]:
    """The north alone, without its doors."""
    files, site = settled_between_people["north"]
    shutil.copytree(files, tmp_path / "n")
    folder = Folder(tmp_path / "n" / "history", Clock(START_US * 1_000 - 10**9), HistorianSettings())
    made = two_sites.Town(site, tmp_path / "n", folder)
    made.look()
    yield made
    made.close()
    made.history.close()
    folder.recorder.close()


def noted(town: Any, ledger: bytes) -> tuple[bytes | None, str]:
    """Which ledger the link may sign for once it has heard of this one, in a new life of the part; and troubles."""
    link = Hearsay(ledger)
    peering = Peering(town.settings, {"south": link})
    peering.look(town.office, town.now_us)
    return link.works[-1].ledger, "; ".join(peering.troubles)


def test_the_ledger_that_a_site_names_first_is_the_one_that_is_signed_for(town: Any) -> None:
    own, first, other = town.office.desk.book.id, b"1" * 32, b"2" * 32
    assert noted(town, own) == (None, "south names a ledger that is ours: nothing is signed for it")
    with two_sites.full_disk():
        ledger, why = noted(town, first)
    assert (ledger, "cannot be noted" in why) == (None, True)
    assert noted(town, first) == (first, "")
    ledger, why = noted(town, other)
    assert (ledger, "another ledger than before" in why) == (first, True)


def test_what_was_kept_and_cannot_be_read_is_set_aside(town: Any) -> None:
    file = town.state / "market.ledger.peers"
    for content in ("{", "[]", '{"format": 2}', '{"format": 1, "ledgers": {"a": 1}, "waiting": []}'):
        file.write_text(content)
        assert noted(town, b"1" * 32)[0] == b"1" * 32
    assert len(list(town.state.glob("market.ledger.peers.damaged*"))) == 4


# ---------------------------------------------------------------- roaming


def issued(two: Any, **changed: Any) -> bytes:
    """The south lets its home's car charge in the north; the token."""
    fact = RoamingToken(
        "north",
        two.north.key("market").public,
        "home",
        two.south.now_us + 3_600 * 10**6,
        20 * KWH,
        9_000_000,
        "EUR",
    )
    bundle = two.south.pen(two.south.key("market")).sign([record_of(replace(fact, **changed))])
    (outcome,) = two.south.submit(bundle)
    assert not outcome.reason, outcome
    return token_from(text_of(token_of(bundle)))


def opened(two: Any, token: bytes) -> str:
    """Why the north does not open a session for it, or nothing."""
    fact = RoamingOpening("south", "home", token)
    return str(two.north.say("market", fact)[0].reason)


def id_of(token: bytes) -> bytes:
    return decode_statement(token[64:]).client


async def test_a_roaming_session_is_settled_once_between_the_sites(two: Any) -> None:
    token = issued(two)
    two.cut()
    await two.until(lambda: not two.is_up())
    assert opened(two, token) == "", "verified without asking home"
    assert opened(two, token) == "exists"
    closing = RoamingClosing("south", id_of(token), 12 * KWH, 4_800_000)
    for wrong, reason in (
        (replace(closing, wh=20_001), "overflow"),
        (replace(closing, amount=9_000_001), "overflow"),
        (replace(closing, amount=-1), "negative"),
        (replace(closing, token=bytes(16)), "unknown"),
    ):
        assert two.north.say("market", wrong)[0].reason == reason
    assert not two.north.say("market", closing)[0].reason
    assert two.north.say("market", closing)[0].reason == "exists"
    two.mend()
    done: Callable[[], bool] = lambda: two.south.community.neighbours.issued[id_of(token)].amount is not None  # noqa: E731
    await two.until(done)
    north, south = two.north.office.desk.book.state.accounts, two.south.office.desk.book.state.accounts
    assert north["south.current"].amount == -4_800_000 == south["home.current"].amount
    assert north["home.current"].amount == 4_800_000 == south["north.current"].amount
    again = RoamingRecord(id_of(token), 12 * KWH, 4_800_000)
    (outcome,) = two.south.submit(two.south.pen(two.north.key("market")).sign([record_of(again)]))
    assert outcome.reason == "exists"
    assert all(is_sound(town) for town in two.towns)


async def test_tokens_that_are_not_good_open_nothing(two: Any) -> None:
    good = issued(two)
    changed = bytearray(good)
    changed[-1] ^= 1
    assert opened(two, bytes(changed)) == "forged"
    assert opened(two, good[:-40]) in ("malformed", "forged")
    fact = RoamingToken("north", two.north.key("market").public, "home", START_US + 10**12, KWH, KWH, "EUR")
    for signer, wanted in (
        (two.south.key("home"), "key_not_valid"),
        (two.south.key("market"), "not_allowed"),
    ):
        other = replace(fact, site_key=two.south.key("home").public) if wanted == "not_allowed" else fact
        forged = Pen(signer, two.south.office.desk.book.id, two.south.clock).sign([record_of(other)])
        assert opened(two, token_of(forged)) == wanted
    short = issued(two, valid_until_us=two.south.now_us + MINUTE_US)
    await two.pass_to(two.north.now_us + 2 * MINUTE_US)
    assert opened(two, short) == "late"
    for text in ("no token!é", text_of(good).removeprefix("roam."), "roam.é"):
        with pytest.raises(Refused) as refused:
            token_from(text)
        assert refused.value.reason is Reason.MALFORMED
    assert not two.north.community.neighbours.opened


def test_no_token_is_an_option_to_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    for first in range(256):  # 0xf8 to 0xfb are a dash in base 64
        token = bytes([first]) + bytes(250)
        words = ["market", "roam-open", text_of(token), "--home", "south", "--host", "home", "--key", "k"]
        assert token_from(parser.parse_args(words).token) == token


# ---------------------------------------------------------------- as parts of two sites


def _place_type() -> Any:
    spec = importlib.util.spec_from_file_location("market_place", Path(__file__).with_name("test_part.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Place


@pytest_asyncio.fixture
async def two_parts(tmp_path: Path) -> AsyncIterator[Any]:
    """Places of south and north, and the relays by which they are reached."""
    keys = {name: SigningKey.generate() for name in ("south", "north")}
    relays = {name: two_sites.Relay(0) for name in keys}
    folders, places = [], {}
    try:
        for name, other in (("south", "north"), ("north", "south")):
            await relays[other].start()
            (tmp_path / name).mkdir()
            folders.append(Folder(tmp_path / name / "history", Clock(), HistorianSettings()))
            port = relays[other].port
            site = two_sites.site_of(tmp_path / name / "site.yaml", name, other, keys[other], port)
            places[name] = _place_type()(site, folders[-1], f"test_{name}_{os.getpid()}")
            keys[name].save(places[name].state / "market.pem")
            two_sites.certify(places[name].state, name)
        for name, other in (("south", "north"), ("north", "south")):
            (places[name].state / f"{other}.crt").write_bytes((places[other].state / "peer.crt").read_bytes())
            places[name].meter()
        with places["south"].region, places["north"].region:
            yield places, relays
    finally:
        for relay in relays.values():
            await relay.stop()
        for folder in folders:
            folder.recorder.close()
        for place in places.values():
            shutil.rmtree(place.state)


async def test_two_parts_trade_and_roam_by_the_command_line(two_parts: Any, capsys: Any, caplog: Any) -> None:
    places, relays = two_parts
    south, north = places["south"], places["north"]
    caplog.set_level(logging.INFO, "historian.market_job.peers.door")
    async with north.running():
        await north.until(lambda: len(two_sites.ports(caplog)) == 1)
        async with south.running():
            await south.until(lambda: len(two_sites.ports(caplog)) == 2)
            relays["north"].to, relays["south"].to = two_sites.ports(caplog)
            for place, other in ((south, "north"), (north, "south")):
                await place.until(lambda p=place, o=other: p[f"market.peers.{o}.state"] == "connected")
            assert await south.say("peers") == 0
            assert "north: up, connected" in capsys.readouterr().out
            later = datetime.fromtimestamp(time.time() // 900 * 900 + 7_200, UTC).isoformat()
            sun = ("--key", str(south.state / "keys/sun.pem"), "--interval", later)
            offer = ("offer", *sun, "--to", "north", "--sell", "2", "--price", "0.18", "--device", "roof")
            assert await south.say(*offer) == 0
            id = capsys.readouterr().out.split()[1]
            home = ("--key", str(north.state / "keys/home.pem"))
            await north.until(lambda: north["market.orders"] == 1)
            assert await north.say("accept", id, *home, "--device", "house") == 0
            await south.until(lambda: south["market.orders"] == 0)
            assert "receipt" in capsys.readouterr().out
            key = ("--key", str(south.state / "market.pem"))
            issue = (
                "roam-issue",
                *key,
                "--vehicle",
                "home",
                "--to",
                "north",
                "--kwh",
                "5",
                "--money",
                "2",
            )
            assert await south.say(*issue) == 0
            token = capsys.readouterr().out.strip()
            key = ("--key", str(north.state / "market.pem"), "--home", "south")
            assert await north.say("roam-open", token, *key, "--host", "home") == 0
            session = capsys.readouterr().out.split("session ")[1].split()[0]
            close = ("roam-close", session, *key, "--kwh", "4.5")
            assert await north.say(*close, "--money", "2.5") == 1
            assert "the token allows" in capsys.readouterr().err
            assert await north.say(*close, "--money", "1.8") == 0
            await south.until(lambda: south["market.home.owed"] == pytest.approx(1.8))
            assert south["market.north.owed"] == pytest.approx(-1.8)
            assert north["market.south.owed"] == pytest.approx(1.8)
