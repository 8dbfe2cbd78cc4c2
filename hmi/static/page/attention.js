// What is not as it should be, worst first, and of those the newest: a line a device and reason.

import { Alerts } from "./alerts.js";
import { h, setText } from "./dom.js";
import { sinceText } from "./format.js";
import { RANK } from "./tags.js";

const LINES = 40; // more than fits any screen; the rest is counted

const CHIP = { bad: "BAD", stale: "STALE", uncertain: "UNC", attention: "!" };
const ORDER = { ...RANK, attention: 2.5 };

export class Attention {
  constructor(tags, openFaceplate) {
    this.tags = tags;
    this.alerts = new Alerts(tags);
    this.openFaceplate = openFaceplate;
    this.list = document.getElementById("attention");
    this.count = document.getElementById("attention-count");
    this.shown = "";
  }

  update() {
    const lines = this.tags.clock.isLive() ? [...this.lines()] : [{ level: "stale", device: null, text: "Connection lost: nothing is known to be true now.", more: "" }];
    lines.sort((a, b) => ORDER[b.level] - ORDER[a.level] || (b.since ?? 0) - (a.since ?? 0));
    setText(this.count, String(lines.length));
    this.count.dataset.some = lines.length ? "yes" : "no";
    const shown = lines.slice(0, LINES);
    const key = JSON.stringify([shown, lines.length]);
    if (key === this.shown) return;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.device : null;
    this.shown = key;
    this.list.replaceChildren(
      ...shown.map(({ level, device, text, more }) =>
        h(
          "li",
          { "data-level": level },
          device === null
            ? h("p", {}, h("span", { class: "chip" }, CHIP[level]), text)
            : h("button", { type: "button", "data-device": device, onclick: () => this.openFaceplate(device, null) }, h("span", { class: "chip" }, CHIP[level]), h("b", {}, titleOf(device)), ` ${text}`, more ? h("small", {}, ...withCode(more)) : null),
        ),
      ),
      ...(lines.length > LINES ? [h("li", {}, `and ${lines.length - LINES} more`)] : []),
      ...(lines.length ? [] : [h("li", { class: "none" }, "Everything is as it should be.")]),
    );
    if (focused !== null) [...this.list.querySelectorAll("button")].find(({ dataset }) => dataset.device === focused)?.focus();
  }

  *lines() {
    for (const [device, all] of this.tags.byDevice) {
      const groups = new Map();
      for (const tag of all) {
        const state = this.tags.assess(tag);
        const found = state.worst === "good" ? this.alerts.of(tag) : state.quality === "bad" ? this.alerts.ofBad(tag) : null;
        if (found !== null) groups.set(tag.name, { level: state.worst === "good" ? "attention" : "bad", device, text: found.text, since: found.since, more: moreOf(found) });
        if (state.isQuiet) continue;
        const key = `${state.worst} ${state.why}`;
        const group = groups.get(key) ?? { level: state.worst, device, why: state.why, points: [] };
        group.points.push(tag.point);
        groups.set(key, group);
      }
      for (const { level, text, since, more, why, points } of groups.values()) {
        if (points === undefined) yield { level, device, text, since, more };
        else yield { level, device, more: "", text: [why, points.length === 1 ? points[0] : `${points.length} of ${all.length} tags`].filter(Boolean).join(" \u00b7 ") };
      }
    }
  }
}

// Tieline's own tags stand under their own name: an operator knows the history, not _system.history.
function titleOf(device) {
  return device.replace(/^_system\./, "");
}

// What stands between `` is to be typed as it is.
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

function moreOf({ since, action }) {
  return [since === null ? "" : `Since ${sinceText(since)}.`, action].filter(Boolean).join(" ");
}
