// Every tag of the site with its present sample, and what is to be said of its quality.

import { codeOf, durationText, reasonOf } from "./format.js";

const SEVERITY = ["good", "uncertain", "bad", "bad"]; // the two top bits of a StatusCode (OPC 10000-4 7.39)
const SYSTEM = "_system";
// Bad to a client, but nothing is wrong: a free charger knows no state of charge, and logic that has released a point
// demands nothing of it, and no day has ended yet that a total could tell of.
const ABSENT = new Map([["Bad_NotSupported", null], ["Bad_NoData", "none at present"]]);
// So is a setpoint that nobody has given yet: of the logic, or one that a device does not tell of, as on a CAN bus.
const WAITING = "Bad_WaitingForInitialData";
// A sum over a period that was not measured all through: marked where it is read, but nobody can act on it.
const PARTLY_MEASURED = "Uncertain_DataSubNormal";
const NEVER_STALE_MS = 1e12;
const LABEL = { bad: "BAD", stale: "STALE", uncertain: "UNC", absent: "", good: "" };
export const RANK = { good: 0, absent: 0, uncertain: 1, stale: 2, bad: 3 };

export class Tags {
  constructor(clock) {
    this.clock = clock;
    this.digest = null;
    this.all = [];
    this.byIndex = new Map();
    this.byName = new Map();
    this.byDevice = new Map();
    this.statuses = {};
    this.areas = new Map();
  }

  load(hello) {
    this.digest = hello.site.digest;
    this.statuses = hello.statuses;
    this.areas = new Map(hello.areas);
    this.all = hello.tags.map((row) => tagOf(hello.columns, row));
    this.byIndex = new Map(this.all.map((tag) => [tag.index, tag])); // an index may be nobody's: a reload took its tag away
    this.byName = new Map(this.all.map((tag) => [tag.name, tag]));
    this.byDevice = new Map();
    for (const tag of this.all) {
      if (this.byDevice.has(tag.device)) this.byDevice.get(tag.device).push(tag);
      else this.byDevice.set(tag.device, [tag]);
    }
  }

  apply(message) {
    const { tags, values, status, source_ms: source, receipt_ms: receipt } = message;
    for (let i = 0; i < tags.length; i++) {
      const tag = this.byIndex.get(tags[i]);
      if (tag === undefined) continue;
      tag.value = values[i];
      tag.status = status[i];
      tag.source = source[i];
      tag.receipt = receipt[i];
    }
  }

  get(device, point) {
    return this.byName.get(`${device}.${point}`) ?? null;
  }

  // {quality: good | absent | uncertain | bad, isStale, worst, isQuiet, label, why, text, ageMs}; worst may be stale as
  // well; isQuiet: nothing of it calls for attention
  assess(tag) {
    if (tag.status === null) {
      return { quality: "bad", isStale: false, worst: "bad", isQuiet: false, label: LABEL.bad, why: "No data", text: "BAD No data", ageMs: null };
    }
    const now = this.clock.now();
    let quality = SEVERITY[tag.status >>> 30];
    let why = quality === "good" ? "" : reasonOf(tag.status, this.statuses);
    if (quality === "good" && tag.value === null) [quality, why] = ["bad", "No number"];
    const status = this.statuses[codeOf(tag.status)];
    if (ABSENT.has(status)) [quality, why] = ["absent", ABSENT.get(status) ?? why];
    if (status === WAITING && (tag.writable || tag.staleAfterMs >= NEVER_STALE_MS)) [quality, why] = ["absent", "none given yet"];
    const isLost = !this.clock.isLive();
    const isOld = tag.staleAfterMs < NEVER_STALE_MS && status !== WAITING && now - tag.receipt > tag.staleAfterMs;
    // What is Bad or not there says so already, and is not told again while it is; it is stale as well only when the
    // whole picture is.
    const isStale = isLost || (isOld && quality !== "bad" && quality !== "absent");
    const ageMs = tag.value === null ? null : Math.max(0, now - (isStale ? tag.receipt : tag.source));
    const worst = quality === "bad" ? "bad" : isStale ? "stale" : quality;
    const parts = [];
    if (quality === "absent") parts.push(why);
    else if (quality !== "good") parts.push(`${quality.toUpperCase()} ${why}`);
    if (isStale) parts.push("STALE");
    if (RANK[worst] > RANK.uncertain && parts.length && ageMs !== null) parts.push(durationText(ageMs));
    const label = LABEL[worst];
    const isQuiet = RANK[worst] === RANK.good || (worst === "uncertain" && status === PARTLY_MEASURED);
    return { quality, isStale, worst, isQuiet, label, why, text: parts.join(" · "), ageMs };
  }

  // The number if it may be reckoned with as present, else null.
  present(tag) {
    return tag !== null && typeof tag.value === "number" && this.isUsable(tag) ? tag.value : null;
  }

  // true, false, or null where it is not known now.
  presentBool(tag) {
    return tag !== null && typeof tag.value === "boolean" && this.isUsable(tag) ? tag.value : null;
  }

  isUsable(tag) {
    const { worst } = this.assess(tag);
    return worst === "good" || worst === "uncertain";
  }
}

function tagOf(columns, row) {
  const raw = Object.fromEntries(columns.map((column, i) => [column, row[i]]));
  // Tieline's own counters of a device carry its name, but are not its points.
  const device = raw.area === SYSTEM ? `${SYSTEM}.${raw.device}` : raw.device;
  const point = raw.name.startsWith(`${device}.`) ? raw.name.slice(device.length + 1) : raw.name;
  return {
    index: raw.index,
    name: raw.name,
    point,
    type: raw.type,
    unit: raw.unit,
    decimals: raw.decimals,
    low: raw.low,
    high: raw.high,
    states: raw.states,
    staleAfterMs: raw.stale_after_ms,
    area: raw.area,
    device,
    description: raw.description,
    writable: raw.writable,
    alert: raw.alert,
    hold: raw.hold,
    value: null,
    status: null,
    source: null,
    receipt: null,
  };
}
