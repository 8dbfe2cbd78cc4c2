// One value on the screen, with its unit and whatever is wrong with it.

import { h, setData, setText, setTitle } from "./dom.js";
import { NO_VALUE, valueText } from "./format.js";

// marks: "short" BAD, STALE or UNC beside it; "letter" B, S or U where many stand in a column; "none" where the words
// are beside it anyway.
export class ValueView {
  constructor(tags, tag, { marks = "short", unit = true } = {}) {
    this.tags = tags;
    this.tag = tag;
    this.marks = marks;
    this.number = h("span", { class: "number" });
    this.mark = h("span", { class: "mark" });
    this.element = h("span", { class: "value", "data-tag": tag.name, "data-quality": "bad", "data-stale": "no" }, this.number);
    if (unit && tag.unit) this.element.append(h("span", { class: "unit" }, `\u202f${tag.unit}`));
    if (marks !== "none") this.element.append(h("wbr"), this.mark);
    this.update();
  }

  update() {
    const state = this.tags.assess(this.tag);
    // what is left of a value the device no longer has would mislead
    setText(this.number, state.quality === "absent" ? NO_VALUE : valueText(this.tag));
    setData(this.element, "quality", state.quality);
    setData(this.element, "stale", state.isStale ? "yes" : "no");
    setText(this.mark, this.marks === "letter" ? state.label.slice(0, 1) : state.label);
    setTitle(this.element, `${this.tag.name}${this.tag.description ? `: ${this.tag.description}` : ""}${state.text ? `\n${state.text}` : ""}`);
    return state;
  }
}
