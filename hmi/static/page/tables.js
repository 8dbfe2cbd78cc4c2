// All tags below the diagram, by area and device: of use to any site, whatever its devices are.

import { h, setData, setText } from "./dom.js";
import { RANK } from "./tags.js";
import { Rows } from "./rows.js";

const OPEN_AT_ONCE = 400; // a filter that leaves more rows than this shows the devices closed
const LIVE_ROWS = 1000; // rows kept up to date at once; a device opened beyond that is refused until others close

export class Tables {
  constructor(tags, hasDiagram) {
    this.tags = tags;
    this.body = document.getElementById("tags-body");
    this.filter = document.getElementById("tags-filter");
    this.onlyAbnormal = document.getElementById("tags-abnormal");
    this.devices = [];
    const byArea = new Map();
    for (const [device, all] of tags.byDevice) {
      const area = all[0].area;
      byArea.set(area, [...(byArea.get(area) ?? []), [device, all]]);
    }
    const collator = new Intl.Collator("en", { numeric: true });
    const order = [...tags.areas.keys()]; // as the site file has them
    const place = (area) => (order.includes(area) ? order.indexOf(area) : order.length);
    const areas = [...byArea].sort(([a], [b]) => Number(a.startsWith("_")) - Number(b.startsWith("_")) || place(a) - place(b) || collator.compare(a, b));
    this.areas = areas.map(([area, devices]) => {
      const built = devices.sort(([a], [b]) => collator.compare(a, b)).map(([device, all]) => new DeviceTable(this, device, all));
      this.devices.push(...built);
      const description = tags.areas.get(area);
      const element = h("section", { class: "area" }, h("h3", {}, area || "No area", description ? h("small", {}, description) : null), h("div", { class: "devices" }, ...built.map(({ element }) => element)));
      return { element, devices: built };
    });
    this.body.replaceChildren(...this.areas.map(({ element }) => element));
    setText(document.getElementById("tags-count"), String(tags.all.length));
    this.filter.oninput = () => this.choose();
    this.onlyAbnormal.onchange = () => this.choose();
    if (!hasDiagram && tags.all.length <= OPEN_AT_ONCE) for (const device of this.devices) device.element.open = true;
    this.choose();
  }

  choose() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isWanted = (tag) => {
      const text = `${tag.name} ${tag.description} ${tag.unit ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word)) && !(this.onlyAbnormal.checked && RANK[this.tags.assess(tag).worst] === RANK.good);
    };
    const isFiltered = words.length > 0 || this.onlyAbnormal.checked;
    let left = 0;
    for (const device of this.devices) left += device.choose(isFiltered ? isWanted : null);
    if (isFiltered) for (const device of this.devices) device.element.open = left <= OPEN_AT_ONCE;
    for (const { element, devices } of this.areas) element.hidden = devices.every((device) => device.element.hidden);
  }

  liveRows() {
    return this.devices.reduce((sum, device) => sum + (device.rows === null ? 0 : device.shown.length), 0);
  }

  update() {
    for (const device of this.devices) device.update();
  }
}

class DeviceTable {
  constructor(tables, device, all) {
    this.tables = tables;
    this.tags = tables.tags;
    this.device = device;
    this.all = all;
    this.shown = all;
    this.rows = null; // made when opened
    this.summary = h("span", { class: "summary" });
    this.element = h("details", { "data-device": device }, h("summary", {}, h("b", {}, device || "No device"), this.summary));
    this.element.addEventListener("toggle", () => this.toggle());
    this.update();
  }

  // Keep the rows that `isWanted` (null: all); how many that is.
  choose(isWanted) {
    const shown = isWanted === null ? this.all : this.all.filter(isWanted);
    this.element.hidden = shown.length === 0;
    const isSame = shown.length === this.shown.length && shown.every((tag, i) => tag === this.shown[i]);
    if (!isSame) {
      this.shown = shown;
      this.drop();
      this.toggle();
    }
    return shown.length;
  }

  toggle() {
    if (!this.element.open || this.element.hidden) {
      this.drop();
    } else if (this.rows === null) {
      if (this.tables.liveRows() + this.shown.length > LIVE_ROWS && this.tables.liveRows() > 0) {
        this.element.open = false;
        return;
      }
      this.rows = new Rows(this.tags, this.shown, `Tags of ${this.device}`);
      this.element.append(h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Tags of ${this.device}` }, this.rows.element));
    }
  }

  drop() {
    this.rows = null;
    this.element.querySelector(".scroll")?.remove();
  }

  update() {
    this.rows?.update();
    const counts = { bad: 0, stale: 0, uncertain: 0, absent: 0, good: 0 };
    for (const tag of this.all) counts[this.tags.assess(tag).worst] += 1;
    const wrong = ["bad", "stale", "uncertain", "absent"].filter((level) => counts[level]).map((level) => `${counts[level]} ${level}`);
    setText(this.summary, `${this.all.length} tags, ${wrong.length ? wrong.join(", ") : "all good"}`);
    const worst = Object.keys(counts).filter((level) => counts[level]).sort((a, b) => RANK[b] - RANK[a])[0];
    setData(this.element, "worst", worst);
  }
}
