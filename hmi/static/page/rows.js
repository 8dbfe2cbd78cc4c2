// A table of tags, a row each: value, quality, and how old it is.

import { h, setData, setText } from "./dom.js";
import { durationText, utcText } from "./format.js";
import { ValueView } from "./value.js";

export class Rows {
  constructor(tags, shown, caption) {
    this.tags = tags;
    this.rows = shown.map((tag) => new Row(tags, tag));
    this.element = h(
      "table",
      { class: "rows" },
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, ...["Point", "Value", "Quality", "Source time", "Age"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...this.rows.map(({ element }) => element)),
    );
  }

  update() {
    for (const row of this.rows) row.update();
  }
}

class Row {
  constructor(tags, tag) {
    this.tags = tags;
    this.tag = tag;
    this.value = new ValueView(tags, tag, { marks: "none" });
    this.quality = h("td", { class: "quality" });
    this.demand = tag.hold === null ? null : tags.byName.get(tag.hold.demand);
    this.held = this.demand === null ? null : h("small", { class: "held", hidden: "" }, heldText(tag.hold));
    this.time = h("td", { class: "time" });
    this.age = h("td", { class: "time" });
    this.element = h(
      "tr",
      {},
      h("th", { scope: "row" }, tag.point, tag.writable ? h("span", { class: "writable", title: "takes commands" }, " \u270e") : null, tag.description ? h("small", {}, tag.description) : null, this.held),
      h("td", { class: "number-cell" }, this.value.element),
      this.quality,
      this.time,
      this.age,
    );
    this.update();
  }

  update() {
    const state = this.value.update();
    setText(this.quality, state.text || "Good");
    if (this.demand !== null) this.held.hidden = this.tags.assess(this.demand).worst !== "good";
    setData(this.element, "worst", state.worst);
    const { source } = this.tag;
    const isKnown = source !== null && source > 0;
    setText(this.time, isKnown ? utcText(source) : "");
    setText(this.age, isKnown ? durationText(Math.max(0, this.tags.clock.now() - source)) : "");
  }
}

function heldText({ release }) {
  return release ? `HELD BY THE LOGIC \u00b7 write ${release} to have it let go` : "HELD BY THE LOGIC";
}
