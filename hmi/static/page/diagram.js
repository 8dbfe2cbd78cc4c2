// The single line: sources above the bus, loads below it, built from the devices the site has.

import { Bar } from "./bar.js";
import { h, setData, setText } from "./dom.js";
import { NO_VALUE, numberText, valueText } from "./format.js";
import { BUS_FREQUENCY, BUS_VOLTAGE, POWER } from "./kinds.js";
import { arrow, breakerSquare, symbol } from "./symbols.js";
import { RANK } from "./tags.js";
import { devicesOfKinds } from "./totals.js";
import { ValueView } from "./value.js";

const LIVE_VOLTS = 50; // above extra-low voltage a conductor counts as live (IEC 61140)
const IDLE_KW = 0.05; // half of the last digit shown: no direction
const SOURCES_A_ROW = 6;
const LOAD_COLUMNS_A_ROW = 8;
const GATHERED_COLUMNS = 3.5; // a gathered bay is as wide as so many single ones

export class Diagram {
  constructor(tags, openFaceplate) {
    this.tags = tags;
    this.openFaceplate = openFaceplate;
    this.parts = [];
    const sources = devicesOfKinds(tags, ({ side }) => side === "source").flatMap((group) => this.bays(group));
    const loads = devicesOfKinds(tags, ({ side }) => side === "load").flatMap((group) => this.bays(group));
    const tie = sources.find(({ kind }) => kind.kind === "utility");
    this.voltage = tie ? tags.get(tie.device, BUS_VOLTAGE) : null;
    this.frequency = tie ? tags.get(tie.device, BUS_FREQUENCY) : null;
    const root = document.getElementById("diagram");
    root.hidden = sources.length + loads.length === 0;
    const sourceRows = rows(sources, SOURCES_A_ROW);
    const loadRows = rows(loads, LOAD_COLUMNS_A_ROW);
    const sections = Math.max(sourceRows.length, loadRows.length);
    root.replaceChildren(
      h("h2", { class: "unseen" }, "Single line diagram"),
      ...Array.from({ length: sections }, (_, i) =>
        h("div", { class: "section" }, row("sources", sourceRows[i] ?? []), this.bus(i), row("loads", loadRows[i] ?? [])),
      ),
    );
    this.update();
  }

  // One bay a device, or one for all of a gathered kind.
  bays({ kind, devices }) {
    if (devices.length === 0) return [];
    const built = kind.gathered
      ? [new GatheredBay(this, kind, devices)]
      : devices.map((device, i) => new Bay(this, kind, device, devices.length > 1 ? ` ${i + 1}` : ""));
    this.parts.push(...built);
    return built;
  }

  bus(i) {
    const bus = new Bus(this, i);
    this.parts.push(bus);
    return bus.element;
  }

  busEnergised() {
    return energised(this.tags, this.voltage);
  }

  update() {
    for (const part of this.parts) part.update();
  }
}

class Bus {
  constructor(diagram, i) {
    this.diagram = diagram;
    this.values = [diagram.voltage, diagram.frequency]
      .filter((tag) => tag !== null)
      .map((tag) => new ValueView(diagram.tags, tag));
    this.note = h("span", { class: "bus-note" });
    this.element = h(
      "div",
      { class: "bus" },
      h("span", { class: "bus-bar", "aria-hidden": "true" }),
      h("span", { class: "bus-label" }, h("b", {}, i === 0 ? "Main bus" : "Main bus, continued"), ...this.values.map(({ element }) => element), this.note),
    );
  }

  update() {
    const state = this.diagram.busEnergised();
    setData(this.element, "energised", state);
    setText(this.note, { yes: "", no: "DEAD", unknown: "STATE UNKNOWN" }[state]);
    for (const value of this.values) value.update();
  }
}

// The line between a device and the bus, with its breaker if there is one and the way the power flows.
class Drop {
  constructor(tags, breaker) {
    this.tags = tags;
    this.breaker = breaker;
    this.far = h("span", { class: "wire" }, arrow());
    this.near = h("span", { class: "wire" });
    this.text = h("span", { class: "breaker-text" });
    this.square = breaker === null ? null : h("span", { class: "breaker", "data-tag": breaker.name, role: "img" }, breakerSquare(), this.text);
    this.element = h("div", { class: "drop" }, this.far, this.square, this.near);
  }

  // flow: "to-bus", "from-bus", "none"; bus and far: "yes", "no", "unknown" (energised); far null: the same as the bus
  // where the breaker lets it through.
  update(flow, bus, far) {
    const closed = this.breaker === null ? true : this.tags.presentBool(this.breaker);
    if (this.square !== null) {
      setData(this.square, "state", closed === null ? "unknown" : closed ? "closed" : "open");
      const state = this.tags.assess(this.breaker);
      const last = this.breaker.value === null ? "" : this.breaker.value ? "CLOSED" : "OPEN";
      const text = closed === null ? `${state.label}${last ? `\nwas ${last}` : ""}` : last;
      setText(this.text, text);
      const label = `Breaker ${text}`;
      if (this.square.getAttribute("aria-label") !== label) this.square.setAttribute("aria-label", label);
    }
    setData(this.near, "energised", bus);
    setData(this.far, "energised", far ?? (closed === null ? "unknown" : closed ? bus : "no"));
    setData(this.element, "flow", flow);
  }
}

class Bay {
  constructor(diagram, kind, device, number) {
    const { tags } = diagram;
    this.diagram = diagram;
    this.tags = tags;
    this.kind = kind;
    this.device = device;
    this.columns = 1;
    this.all = tags.byDevice.get(device);
    const get = (point) => (point ? tags.get(device, point) : null);
    this.power = get(POWER);
    this.farVoltage = get(kind.farVoltage);
    this.drop = new Drop(tags, get(kind.breaker));
    this.views = [];
    this.state = get(kind.state);
    this.direction = h("span", { class: "direction" });
    this.powerMark = h("span", { class: "mark" });
    this.stateText = h("span", { class: "device-state" });
    this.status = h("p", { class: "bay-status" });
    const title = `bay-${device}`;
    this.box = h(
      "div",
      { class: "box" },
      h(
        "div",
        { class: "bay-head" },
        symbol(kind.symbol),
        h(
          "h3",
          { id: title },
          h("button", { type: "button", class: "device-name", onclick: (event) => diagram.openFaceplate(device, event.currentTarget) }, `${kind.title}${number}`, h("small", {}, device)),
        ),
      ),
      this.power === null ? null : h("p", { class: "power" }, this.view(this.power, { marks: "none" }), this.powerMark, this.direction),
      Bar.fits(this.power) ? this.keep(new Bar(tags, this.power, get(kind.setpoint))).element : null,
      this.level(kind.level, get),
      h("dl", { class: "facts" }, ...kind.facts.map(([point, label]) => [get(point), label]).filter(([tag]) => tag !== null).map(([tag, label]) => h("div", {}, h("dt", {}, label), h("dd", {}, this.view(tag))))),
      this.state === null ? null : h("p", { class: "state-line" }, h("span", { class: "label" }, "State"), this.stateText),
      this.status,
    );
    this.element = h("article", { class: `bay ${kind.side}`, "data-device": device, "aria-labelledby": title }, this.box, this.drop.element);
  }

  view(tag, options = { marks: "letter" }) {
    return this.keep(new ValueView(this.tags, tag, options)).element;
  }

  keep(view) {
    this.views.push(view);
    return view;
  }

  level(level, get) {
    const tag = level ? get(level[0]) : null;
    if (tag === null) return null;
    return h("p", { class: "level" }, h("span", { class: "label" }, level[1]), this.view(tag), Bar.fits(tag) ? this.keep(new Bar(this.tags, tag)).element : null);
  }

  update() {
    for (const view of this.views) view.update();
    const power = this.tags.present(this.power);
    setText(this.direction, directionOf(this.kind, power));
    if (this.power !== null) {
      const { worst, label } = this.tags.assess(this.power);
      setText(this.powerMark, label);
      setData(this.powerMark, "level", worst);
    }
    if (this.state !== null) {
      const { worst, label } = this.tags.assess(this.state);
      setText(this.stateText, `${valueText(this.state)}${label ? ` ${label}` : ""}`);
      setData(this.stateText, "quality", worst);
    }
    const bus = this.diagram.busEnergised();
    const far = this.farVoltage === null ? null : energised(this.tags, this.farVoltage);
    this.drop.update(flowOf(this.kind, power), bus, far);
    const status = statusOf(this.tags, this.all);
    setText(this.status, status.text);
    setData(this.element, "worst", status.worst);
  }
}

// Many alike on one drop, each a small cell: chargers.
class GatheredBay {
  constructor(diagram, kind, devices) {
    const { tags } = diagram;
    this.diagram = diagram;
    this.tags = tags;
    this.kind = kind;
    this.columns = GATHERED_COLUMNS;
    this.drop = new Drop(tags, null);
    this.cells = devices.map((device) => new Cell(diagram, kind, device));
    this.sum = h("span", { class: "number" });
    this.sumValue = h("span", { class: "value" }, this.sum, h("span", { class: "unit" }, "\u202fkW"));
    this.direction = h("span", { class: "direction" });
    this.sumMark = h("span", { class: "mark" });
    this.summary = h("small", {});
    const title = `bay-${kind.kind}`;
    this.element = h(
      "article",
      { class: `bay gathered ${kind.side}`, "data-device": kind.kind, "aria-labelledby": title },
      h(
        "div",
        { class: "box" },
        h(
          "div",
          { class: "bay-head" },
          symbol(kind.symbol),
          h("h3", { id: title }, kind.title, this.summary),
          h("p", { class: "power" }, this.sumValue, this.sumMark, this.direction),
        ),
        h("ul", { class: "cells" }, ...this.cells.map(({ element }) => h("li", {}, element))),
      ),
      this.drop.element,
    );
  }

  update() {
    for (const cell of this.cells) cell.update();
    const known = this.cells.map(({ power }) => this.tags.present(power)).filter((value) => value !== null);
    const sum = known.length ? total(known) : null;
    const isLost = !this.tags.clock.isLive();
    const shown = isLost ? total(this.cells.map(({ power }) => power?.value ?? 0)) : sum;
    setText(this.sum, shown === null ? NO_VALUE : numberText(shown, 1));
    const isWhole = known.length === this.cells.length;
    setData(this.sumValue, "quality", isWhole || isLost ? "good" : known.length ? "uncertain" : "bad");
    setData(this.sumValue, "stale", isLost ? "yes" : "no");
    setText(this.sumMark, isLost ? "STALE" : isWhole ? "" : `${known.length} of ${this.cells.length}`);
    setData(this.sumMark, "level", isLost ? "stale" : "uncertain");
    setText(this.direction, directionOf(this.kind, sum));
    const connected = this.cells.filter(({ connected: tag }) => this.tags.presentBool(tag) === true).length;
    setText(this.summary, isLost ? "connections not known" : `${connected} of ${this.cells.length} connected`);
    this.drop.update(flowOf(this.kind, sum), this.diagram.busEnergised(), null);
    setData(this.element, "worst", isWhole ? "good" : "uncertain");
  }
}

class Cell {
  constructor(diagram, kind, device) {
    const { tags } = diagram;
    const get = (point) => (point ? tags.get(device, point) : null);
    this.tags = tags;
    this.kind = kind;
    this.all = tags.byDevice.get(device);
    this.power = get(POWER);
    this.state = get(kind.state);
    this.connected = get(kind.connected);
    const level = kind.level ? get(kind.level[0]) : null;
    this.views = this.power === null ? [] : [new ValueView(tags, this.power, { marks: "none" })];
    this.level = level === null ? null : new ValueView(tags, level, { marks: "none" });
    this.bar = Bar.fits(level) ? new Bar(tags, level) : null;
    this.words = h("span", { class: "cell-state" });
    this.mark = h("span", { class: "mark" });
    this.element = h(
      "button",
      { type: "button", class: "cell", "data-device": device, onclick: (event) => diagram.openFaceplate(device, event.currentTarget) },
      h("span", { class: "cell-head" }, h("b", {}, device), this.words, this.mark),
      h("span", { class: "cell-values" }, ...this.views.map(({ element }) => element), this.level?.element ?? null),
      this.bar?.element ?? null,
    );
  }

  update() {
    for (const view of this.views) view.update();
    this.level?.update();
    this.bar?.update();
    const connected = this.connected === null ? true : this.tags.presentBool(this.connected);
    const power = this.tags.present(this.power);
    // what the power says, else what the charger says
    const words =
      connected === false
        ? (this.connected.states[0] ?? "free")
        : power !== null && Math.abs(power) >= IDLE_KW
          ? power > 0
            ? this.kind.brief.positive
            : this.kind.brief.negative
          : this.state === null
            ? "idle"
            : valueText(this.state);
    setText(this.words, words);
    setData(this.element, "connected", connected === null ? "unknown" : connected ? "yes" : "no");
    const status = statusOf(this.tags, this.all);
    setData(this.element, "worst", status.worst);
    setText(this.mark, status.label);
    if (this.element.title !== status.text) this.element.title = status.text;
  }
}

function total(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

function energised(tags, voltage) {
  const volts = voltage === null ? null : tags.present(voltage);
  return volts === null ? "unknown" : volts > LIVE_VOLTS ? "yes" : "no";
}

function directionOf(kind, power) {
  if (power === null) return "";
  return Math.abs(power) < IDLE_KW ? (kind.idle ?? "IDLE") : power > 0 ? kind.positive : kind.negative;
}

function flowOf(kind, power) {
  if (power === null || Math.abs(power) < IDLE_KW) return "none";
  const feedsBus = kind.side === "source" || kind.isSource ? power > 0 : power < 0;
  return feedsBus ? "to-bus" : "from-bus";
}

const QUIET = { worst: "good", text: "", label: "" };

// The worst of a device's tags, and how many are like it.
function statusOf(tags, all) {
  let worst = null;
  let count = 0;
  for (const tag of all) {
    const found = tags.assess(tag);
    const state = found.isQuiet ? QUIET : found;
    if (worst === null || RANK[state.worst] > RANK[worst.worst]) [worst, count] = [state, 0];
    if (state.worst === worst.worst) count += 1;
  }
  if (RANK[worst.worst] === RANK.good) return QUIET;
  return { worst: worst.worst, label: worst.label, text: `${worst.text} \u00b7 ${count} of ${all.length}` };
}

function rows(bays, columns) {
  const done = [];
  let used = columns;
  for (const bay of bays) {
    if (used + bay.columns > columns) {
      done.push([]);
      used = 0;
    }
    done.at(-1).push(bay);
    used += bay.columns;
  }
  return done;
}

function row(side, bays) {
  const element = h("div", { class: `row ${side}` }, ...bays.map(({ element }) => element));
  element.style.setProperty("--columns", bays.map(({ columns }) => `minmax(0, ${columns}fr)`).join(" ") || "1fr");
  return element;
}
