"""The `forecasts` section of a site file, and the tags that tell of each forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.config.alert import VALUE
from gateway.config.alert import Alert as TagAlert
from gateway.config.calculated_section import check_area
from gateway.config.consumer_classes import class_rows, read_classes
from gateway.config.document import MappingNode, Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.forecasts import (
    MAX_QUANTILES,
    Alert,
    ConsumerClass,
    Forecast,
    ForecastKind,
    ForecastModel,
    KnownInput,
    QuantileTag,
    Surroundings,
)
from gateway.config.kinds import Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.forecasts import FORECAST, FORECASTS, KNOWN_INPUTS, KNOWN_LEADS
from gateway.config.system import FORECAST_OWNER
from gateway.tags.tag import ValueType

FOLDER = "forecast"
REFRESH_MS = 60_000  # tags are told again so often at least: they are kept for years
STALE_AFTER_MS = 150_000
TEXT_BYTES = 200
MAX_FORECASTS = 50
STEP_S, SHORT_STEP_S = 900, 300
PEAK_S = 0  # the lead of a peak's tag
_LEADS = (("15min", 900), ("1h", 3_600), ("6h", 21_600), ("24h", 86_400), ("48h", 172_800))
_SHORT_LEADS = (("5min", 300),)

# ending, type, unit, decimals, description; a number unless it is told otherwise
_ROWS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("peak_at", ValueType.STRING, None, None, "When the peak of the next 24 h begins"),
    ("age_s", ValueType.DOUBLE, "s", 0, "How old the newest forecast is"),
    ("state", ValueType.STRING, None, None, "Whether it is forecast, or why not"),
    (
        "trouble",
        ValueType.STRING,
        None,
        None,
        "What is wrong with it; empty where nothing is, or it only begins",
    ),
    ("needed", ValueType.UINT64, None, 0, "Steps of 15 min of history that are missing for training"),
    ("model", ValueType.STRING, None, None, "The model in use"),
    ("model_age_h", ValueType.DOUBLE, "h", 1, "How long ago it was trained"),
    ("training", ValueType.BOOL, None, None, "Models are being trained"),
    ("drift", ValueType.BOOL, None, None, "It errs far more than when it was trained"),
    ("mape_pct", ValueType.DOUBLE, "%", 1, "Mean absolute percentage error over 7 days"),
    ("mase", ValueType.DOUBLE, None, 2, "Its error over 7 days, as a share of the seasonal naive one's"),
    ("coverage_pct", ValueType.DOUBLE, "%", 0, "How often the outermost quantiles held over 7 days"),
)
_SPIKE_ROWS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("spike_pct", ValueType.DOUBLE, "%", 0, "How likely it exceeds its limit within 5 min"),
    ("spike_alert", ValueType.BOOL, None, None, "It is likely to exceed its limit within 5 min"),
    ("spike_hit_pct", ValueType.DOUBLE, "%", 0, "Of the times above the limit in 30 days, those alerted"),
    ("spike_false_pct", ValueType.DOUBLE, "%", 0, "Of the alerts in 30 days, those without a cause"),
)


_ALERTS = {
    "trouble": TagAlert(
        VALUE,
        "It is tried again by itself. Is the disk full, and its target measured? See logs/forecast.log.",
        text_but="",
        after_s=15,
    ),
    "spike_alert": TagAlert("soon above its limit", values=(True,), in_status=False),
    "drift": TagAlert(
        "errs more than it used to",
        "See its mape_pct; it is trained anew by itself.",
        values=(True,),
        in_status=False,
    ),
}


def read_surroundings(site: Settings | None, faults: FaultLog) -> Surroundings:
    """Out of the section `site`."""
    if site is None:
        return Surroundings()
    latitude, longitude = site["latitude"], site["longitude"]
    for given, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if given in site and other not in site:
            faults.add(site.key_at(given), f"{quote(given)} without {quote(other)}", f"add '{other}: ...'")
    place = None if latitude is None or longitude is None else (float(latitude), float(longitude))
    return Surroundings(place, site["holidays"])


def read_forecasts(
    entries: Mapping[str, tuple[ScalarNode, Node]],
    tags: list[Tag],
    areas: Mapping[str, Place],
    surroundings: Surroundings,
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> tuple[Forecast, ...]:
    """The forecasts, whose tags are added to ``tags``; of no use where faults were added."""
    section = _Section(tags, areas, surroundings, faults, is_unsure)
    for place, (name, node) in enumerate(entries.values()):
        if place == MAX_FORECASTS:
            faults.add(name.place, f"{len(entries)} forecasts", f"write at most {MAX_FORECASTS}")
            break
        with faults.within("forecasts"):
            s = FORECASTS.value.read(node, name.text, Reading(faults))
            if isinstance(s, Settings):
                section.add(name, s)
    return tuple(section.forecasts)


class _Section:
    def __init__(
        self,
        tags: list[Tag],
        areas: Mapping[str, Place],
        surroundings: Surroundings,
        faults: FaultLog,
        is_unsure: bool,
    ) -> None:
        self._tags = tags
        self._areas = areas
        self._surroundings = surroundings
        self._faults = faults
        self._is_unsure = is_unsure
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
        self.forecasts: list[Forecast] = []

    def add(self, name: ScalarNode, s: Settings) -> None:
        before = len(self._faults)
        check_area(s, self._areas, self._faults)
        target = self._tag(s["target"], s.at("target"))
        past = [self._tag(tag, s.at("past")) for tag in s["past"] or ()]
        known = tuple(self._known(s))
        classes = read_classes(s["patterns"], self._tags, self._tag, self._faults, is_unsure=self._is_unsure)
        surroundings = self._used(s, [each.name for each in known])
        quantiles = self._quantiles(s)
        self._lengths(s)
        if "alert_above" in s and s["short_min"] == 0:
            self._faults.add(
                s.at("alert_above"), "'alert_above' without short steps", "remove 'short_min: 0'"
            )
        if "alert_probability" in s and "alert_above" not in s:
            self._faults.add(
                s.at("alert_probability"), "'alert_probability' without a limit", "add 'alert_above: ...'"
            )
        given = (key.name for key in FORECAST.keys if key.name in s)
        if len(self._faults) > before or target is None or not s.is_sound("target", "kind", *given):
            return
        inputs = [tag for tag in past if tag is not None]
        hour, _, minute = s["train_at"].partition(":")
        quantile_tags, own, told = self._declare(name, s, self._tags[target], quantiles, classes)
        self.forecasts.append(
            Forecast(
                name=name.text,
                kind=s["kind"],
                target=s["target"],
                target_tag=target,
                past=tuple(dict.fromkeys(self._tags[tag].name for tag in inputs)),
                known=known,
                surroundings=surroundings,
                season=s["season"],
                quantiles=quantiles,
                horizon_h=s["horizon_h"],
                short_min=s["short_min"],
                models=tuple(dict.fromkeys(s["models"])),
                train_days=s["train_days"],
                train_at=(int(hour), int(minute)),
                deadline_min=s["deadline_min"],
                max_model_days=s["max_model_days"],
                keep_days=s["keep_days"],
                alert=None if s["alert_above"] is None else Alert(s["alert_above"], s["alert_probability"]),
                quantile_tags=quantile_tags,
                tags=own,
                classes=told,
            )
        )

    def _tag(self, name: str | None, place: Place) -> int | None:
        """A number that history keeps."""
        if name is None:
            return None
        index = known_tag(name, self._index, place, self._faults, is_unsure=self._is_unsure)
        if index is None:
            return None
        tag = self._tags[index]
        if tag.type is ValueType.STRING or not tag.history:
            why = "is a string" if tag.type is ValueType.STRING else "has no history"
            self._faults.add(place, f"{quote(name)} {why}", "name a number that history keeps")
            return None
        return index

    def _known(self, s: Settings) -> Iterator[KnownInput]:
        node = s["known"]
        if node is None:
            return
        reading = Reading(self._faults)
        for key, item in KNOWN_INPUTS.entries(node, "known", reading):
            leads: list[tuple[float, str, int]] = []
            for lead, named in KNOWN_LEADS.entries(item, key.text, reading):
                tag = KNOWN_LEADS.value.read(named, lead.text, reading)
                index = self._tag(tag if isinstance(tag, str) else None, named.place)
                if index is not None:
                    leads.append((float(lead.text), self._tags[index].name, index))
            if isinstance(item, MappingNode) and not item.entries:
                self._faults.add(key.place, f"{quote(key.text)} without a tag", "write '24: ...'")
            yield KnownInput(key.text, tuple(sorted(leads)))

    def _used(self, s: Settings, told: Sequence[str]) -> Surroundings:
        """What of the site's surroundings this forecast reckons with."""
        kind, site = s["kind"], self._surroundings
        is_of_people = isinstance(kind, ForecastKind) and kind.is_of_people
        # Unless it is said: what there is of use to its kind.
        clear_sky = kind is ForecastKind.PV if s["clear_sky"] is None else s["clear_sky"]
        holidays = is_of_people if s["holidays"] is None else s["holidays"]
        if clear_sky and site.place is None and "clear_sky" in s and not self._is_unsure:
            self._faults.add(
                s.at("clear_sky"),
                "'clear_sky' at a site that does not say where it is",
                "add 'latitude: ...' and 'longitude: ...' to 'site'",
            )
        if holidays and site.holidays is None and "holidays" in s and not self._is_unsure:
            self._faults.add(
                s.at("holidays"),
                "'holidays' at a site that does not say whose",
                "add 'holidays: DE', say, to 'site'",
            )
        used = Surroundings(site.place if clear_sky else None, site.holidays if holidays else None)
        for name in used.columns:
            if name in told:
                self._faults.add(s.at("known"), f"{quote(name)} is reckoned ahead already", "rename it")
        return used

    def _quantiles(self, s: Settings) -> tuple[float, ...]:
        quantiles: Sequence[float] = s["quantiles"] or ()
        if "quantiles" not in s or not s.is_sound("quantiles"):
            return tuple(quantiles)
        rising = list(quantiles) == sorted(set(quantiles))
        if not rising or 0.5 not in quantiles or not 3 <= len(quantiles) <= MAX_QUANTILES:
            self._faults.add(
                s.at("quantiles"),
                f"'quantiles' {', '.join(map(str, quantiles)) or 'empty'}",
                f"write 3 to {MAX_QUANTILES}, rising, with 0.5 among them",
            )
        return tuple(quantiles)

    def _lengths(self, s: Settings) -> None:
        if s.is_sound("short_min") and s["short_min"] % 5:
            self._faults.add(s.at("short_min"), f"'short_min' is {s['short_min']}", "write a multiple of 5")
        if s.is_sound("models") and not s["models"]:
            self._faults.add(s.at("models"), "'models' is empty", f"name some of {', '.join(ForecastModel)}")

    def _declare(
        self,
        name: ScalarNode,
        s: Settings,
        target: Tag,
        quantiles: Sequence[float],
        classes: Mapping[str, tuple[str, ...]],
    ) -> tuple[tuple[QuantileTag, ...], tuple[tuple[str, int], ...], tuple[ConsumerClass, ...]]:
        """Put the forecast's tags behind the others."""
        prefix = f"{FOLDER}.{name.text}."
        like = Tag(
            name="",
            type=ValueType.DOUBLE,
            owner=FORECAST_OWNER,
            area=s["area"] or "",
            device=FOLDER,
            unit=target.unit,
            decimals=3 if target.decimals is None else target.decimals,
            stale_after_ms=STALE_AFTER_MS,
        )
        found: list[QuantileTag] = []
        own: list[tuple[str, int]] = []

        def put(ending: str, tag: Tag) -> int:
            if prefix + ending in self._index:
                self._faults.add(
                    name.place,
                    f"the tag {quote(prefix + ending)} a second time (the site has it already)",
                    "rename one of the two",
                )
            self._tags.append(replace(tag, name=prefix + ending))
            return len(self._tags) - 1

        what = s["description"] or f"Forecast of {target.name}"
        shown = {"low": quantiles[0], "middle": 0.5, "high": quantiles[-1]}
        leads = [(word, lead, False) for word, lead in _LEADS if lead <= s["horizon_h"] * 3_600]
        leads += [(word, lead, True) for word, lead in _SHORT_LEADS if s["short_min"]]
        for quantile in shown.values():
            label = f"p{quantile * 100:04.1f}".removesuffix(".0").replace(".", "_")
            for word, lead, is_short in leads:
                text = f"{what}: {quantile * 100:g} % lie below, {word} from now"
                at = put(f"{label}_{word}", replace(like, description=text))
                found.append(QuantileTag(at, quantile, lead, is_short))
            if s["horizon_h"] >= 24:
                text = f"{what}: {quantile * 100:g} % quantile at the peak of the next 24 h"
                at = put(f"{label}_peak_24h", replace(like, description=text))
                found.append(QuantileTag(at, quantile, PEAK_S, False))
        for ending, type, unit, decimals, text in (*_ROWS, *(_SPIKE_ROWS if "alert_above" in s else ())):
            row = replace(
                like,
                type=type,
                unit=unit,
                decimals=decimals,
                description=text,
                string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
                states={0: "no", 1: "yes"} if type is ValueType.BOOL else {},
                alert=_ALERTS[ending].of(name.text) if ending in _ALERTS else None,
            )
            own.append((ending, put(ending, row)))
        told = tuple(
            ConsumerClass(
                label,
                members,
                tuple((ending, put(f"{label}_{ending}", row)) for ending, row in class_rows(members, like)),
            )
            for label, members in classes.items()
        )
        return tuple(found), tuple(own), told
