"""What the master does about internal indications (IEEE 1815 4.2.2.7), and on a silent line, as seen on the wire."""

from __future__ import annotations

from pathlib import Path

from dnp3_interop_wire import READ, RESPONSE, UNSOLICITED, WRITE, Relay
from dnp3_rtu import T0, running_rtu, until

from gateway.servers.dnp3.application import Indication
from gateway.servers.dnp3.objects import Kind
from gateway.tags.quality import Quality

EVERYTHING = bytes.fromhex("3c0106")  # class 0
CLEAR_RESTART = bytes.fromhex("5001 00 0707 00")
REQUEST_LINK_STATUS, LINK_STATUS = 0x49, 0x0B  # primary, and answer


def integrity_polls(relay: Relay, since: int) -> int:
    """How often everything was asked for."""
    return sum(one.objects.endswith(EVERYTHING) for one in relay.fragments[since:] if one.function == READ)


def with_indication(relay: Relay, indication: Indication, since: int) -> list[int]:
    """Where it is told, asked or not."""
    return [
        place
        for place, one in enumerate(relay.fragments)
        if place >= since and one.function in (RESPONSE, UNSOLICITED) and one.indications & indication
    ]


async def test_a_restarted_outstation_is_read_anew(tmp_path: Path) -> None:
    async with running_rtu(tmp_path, relayed=True) as rtu:
        await rtu.is_up()
        await rtu.rtu.down()
        rtu.rtu.tell(Kind.COUNTER, 0, 5, T0)
        since = len(rtu.relay.fragments)
        await rtu.rtu.up()
        await until(lambda: integrity_polls(rtu.relay, since) > 0, "everything read", 20.0)
        await until(lambda: rtu.sample("energy_kwh").value == 5, "what changed before the restart")
        cleared = rtu.relay.found(WRITE, 80, since=since)
        assert [one.objects for one in cleared] == [CLEAR_RESTART]
        assert with_indication(rtu.relay, Indication.DEVICE_RESTART, since)
        await until(lambda: not rtu.rtu.server.associations[1].written.is_restarted, "the restart cleared")


async def test_after_lost_events_everything_is_read(tmp_path: Path) -> None:
    async with running_rtu(tmp_path, relayed=True, events=5) as rtu:
        await rtu.is_up()
        await rtu.relay.cut()
        for step in range(50):
            rtu.rtu.tell(Kind.ANALOG, 0, 1000.0 * step, T0 + step)
        rtu.rtu.tell(Kind.COUNTER, 0, 7, T0)
        for step in range(6):
            rtu.rtu.tell(Kind.BINARY, 0, step % 2 == 0, T0 + 100 + step)
        assert rtu.rtu.server.associations[1].events.is_overflown
        since = len(rtu.relay.fragments)
        rtu.relay.mend()
        overflow = Indication.EVENT_BUFFER_OVERFLOW
        await until(lambda: bool(with_indication(rtu.relay, overflow, since)), "the indication", 20.0)
        await until(lambda: integrity_polls(rtu.relay, since) > 0, "everything read")
        await until(lambda: rtu.sample("power_kw").value == 49.0, "the analog whose events are lost")
        await until(lambda: rtu.sample("energy_kwh").value == 7, "the counter whose event is lost")
        assert rtu.sample("energy_kwh").status == Quality.GOOD
        await until(lambda: not rtu.rtu.server.associations[1].events.is_overflown, "room again")


async def test_a_silent_line_is_asked_for_its_status(tmp_path: Path) -> None:
    async with running_rtu(tmp_path, relayed=True, period_ms=60_000) as rtu:
        await rtu.is_up()

        def asked_and_answered() -> bool:
            asked = [
                one for one in rtu.relay.sent if one.is_master and one.data[3] & 0x4F == REQUEST_LINK_STATUS
            ]
            told = [one for one in rtu.relay.sent if not one.is_master and one.data[3] & 0x4F == LINK_STATUS]
            return bool(asked) and bool(told)

        await until(asked_and_answered, "the link status")
