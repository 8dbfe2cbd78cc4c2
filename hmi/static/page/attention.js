// What is not as it should be, worst first: a line a device and reason.

import { h, setText } from "./dom.js";
import { valueText } from "./format.js";
import { attentionOf } from "./kinds.js";
import { RANK } from "./tags.js";

const LINES = 40; // more than fits any screen; the rest is counted

const CHIP = { bad: "BAD", stale: "STALE", uncertain: "UNC", attention: "!" };
const ORDER = { ...RANK, attention: 2.5 };

export class Attention {
  constructor(tags, openFaceplate) {
    this.tags = tags;
    this.openFaceplate = openFaceplate;
    this.list = document.getElementById("attention");
    this.count = document.getElementById("attention-count");
    this.shown = "";
  }

  update() {
    const lines = this.tags.clock.isLive() ? [...this.lines()] : [{ level: "stale", device: null, text: "Connection lost: nothing is known to be true now." }];
    lines.sort((a, b) => ORDER[b.level] - ORDER[a.level]);
    setText(this.count, String(lines.length));
    this.count.dataset.some = lines.length ? "yes" : "no";
    const shown = lines.slice(0, LINES);
    const key = JSON.stringify([shown, lines.length]);
    if (key === this.shown) return;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.device : null;
    this.shown = key;
    this.list.replaceChildren(
      ...shown.map(({ level, device, text }) =>
        h(
          "li",
          { "data-level": level },
          device === null
            ? h("p", {}, h("span", { class: "chip" }, CHIP[level]), text)
            : h("button", { type: "button", "data-device": device, onclick: () => this.openFaceplate(device, null) }, h("span", { class: "chip" }, CHIP[level]), h("b", {}, device), ` ${text}`),
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
        if (state.isQuiet && state.worst !== "good") continue;
        if (state.worst === "good") {
          const says = attentionOf(tag, Object.keys(tag.states).length ? valueText(tag) : null);
          if (says !== null) groups.set(tag.name, { level: "attention", device, text: says });
          continue;
        }
        const key = `${state.worst} ${state.why}`;
        const group = groups.get(key) ?? { level: state.worst, device, why: state.why, points: [] };
        group.points.push(tag.point);
        groups.set(key, group);
      }
      for (const { level, text, why, points } of groups.values()) {
        if (points === undefined) yield { level, device, text };
        else yield { level, device, text: [why, points.length === 1 ? points[0] : `${points.length} of ${all.length} tags`].filter(Boolean).join(" \u00b7 ") };
      }
    }
  }
}
