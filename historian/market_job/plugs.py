"""What is known of devices, told to the ledger: levels of storages, vehicles that are there, forecasts of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from gateway.config.market import MarketDevice, MarketSettings, TradedKind
from historian.dispatch.axis import Axis
from historian.dispatch_job.foresight import Source, StoredForecasts
from historian.ledger.desk import Desk
from historian.ledger.facts import Fact, Forecast, Session, Side, Status, StatusChange, Stored
from historian.ledger.metering import MICROS
from historian.ledger.registry import Registered

LEFT = "the vehicle left"


class Plugs:
    """Told once an interval, and as vehicles come and go. ``read`` gives a tag's value, None where it is not Good."""

    def __init__(
        self,
        settings: MarketSettings,
        desk: Desk,
        read: Callable[[int], float | None],
        forecasts: Source,
    ) -> None:
        self._devices = {device.name: device for member in settings.members for device in member.devices}
        self._desk = desk
        self._read = read
        self._forecasts = forecasts
        self._interval_us = settings.interval_s * MICROS
        self._horizon_us = settings.horizon_s * MICROS
        self._levels_of_us = 0  # the interval whose levels are told

    def look(self, now_us: int) -> None:
        """Tell what is new."""
        facts: list[Fact] = []
        start_us = now_us - now_us % self._interval_us
        is_new = start_us != self._levels_of_us
        for device in self._devices.values():
            found = self._desk.community.registry.devices.get(device.name)
            if found is None or found.status is not Status.ACTIVE:
                continue
            if is_new:
                facts += self._level(device, start_us)
            if device.kind is TradedKind.VEHICLE:
                facts += self._session(device, found, start_us)
        if facts:
            self._desk.say(*facts)
        self._levels_of_us = start_us

    def _wh(self, device: MarketDevice) -> int | None:
        value = None if device.level is None else self._read(device.level)
        return None if value is None else min(max(round(value * device.level_wh), 0), device.storage_wh)

    def _level(self, device: MarketDevice, start_us: int) -> Iterator[Fact]:
        wh = self._wh(device)
        known = self._desk.community.limits.levels.get(device.name)
        if wh is not None and (known is None or known.at_us < start_us):
            yield Stored(device.name, wh)

    def _session(self, device: MarketDevice, found: Registered, start_us: int) -> Iterator[Fact]:
        connected = None if device.connected is None else self._read(device.connected)
        session = self._desk.community.limits.sessions.get(device.name)
        is_running = session is not None and session.to_us > start_us + self._interval_us
        if connected is None or bool(connected) == is_running:
            return
        if connected:
            stays = -(-device.stay_s * MICROS // self._interval_us) * self._interval_us
            wh = self._wh(device)
            gives = 0 if wh is None else max(wh - device.keep_wh, 0)
            takes = device.storage_wh if wh is None else device.storage_wh - wh
            # One interval at least after the one under way, or it would be renewed each second.
            to_us = start_us + max(stays, 2 * self._interval_us)
            yield Session(device.name, start_us, to_us, gives, takes)
            return
        assert session is not None
        from_us = min(session.from_us, start_us)
        yield Session(
            device.name, from_us, start_us + self._interval_us, session.export_wh, session.import_wh
        )
        # Which ends its open orders; it is as it was after it.
        for status in (Status.MAINTENANCE, Status.ACTIVE):
            yield StatusChange(device.name, True, status, found.maintained_at_us, LEFT)

    def before(self, name: str, side: Side, interval_us: int, now_us: int) -> list[Fact]:
        """What a source will give, told before an order of it is judged, where it is new."""
        device = self._devices.get(name)
        if device is None or device.forecast is None or side is not Side.SELL:
            return []
        if interval_us % self._interval_us or not 0 < interval_us - now_us <= self._horizon_us:
            return []  # it is refused for that
        start = datetime.fromtimestamp(interval_us / MICROS, UTC)
        told = self._forecasts.ahead(
            device.forecast, Axis(start, timedelta(microseconds=self._interval_us), 1)
        )
        wh = 0  # nothing is sold of what nobody foresees
        if told is not None and np.isfinite(told[0][0]):
            kilowatts = float(told[0][0]) * device.forecast_share
            wh = max(round(kilowatts * self._interval_us / MICROS / 3.6), 0)
        known = self._desk.community.limits.forecasts.get((name, interval_us))
        return [] if known == wh else [Forecast(name, interval_us, wh)]


def forecasts_of(state: Path) -> StoredForecasts:
    """What the forecast part has issued."""
    return StoredForecasts(state)
