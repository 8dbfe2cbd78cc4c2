// A value in its range: a bar from zero (or the low end), and a mark where it is asked to be.

import { h, setData } from "./dom.js";

export class Bar {
  constructor(tags, tag, setpoint = null) {
    this.tags = tags;
    this.tag = tag;
    this.setpoint = setpoint;
    this.fill = h("span", { class: "bar-fill" });
    this.zero = h("span", { class: "bar-zero" });
    this.mark = setpoint === null ? null : h("span", { class: "bar-mark" });
    this.element = h("span", { class: "bar", "aria-hidden": "true" }, this.fill, this.zero, this.mark);
    this.zero.style.left = `${this.place(0)}%`;
    this.update();
  }

  static fits(tag) {
    return tag !== null && tag.low !== null && tag.high !== null && tag.high > tag.low;
  }

  place(value) {
    const { low, high } = this.tag;
    return Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)));
  }

  update() {
    const value = this.tags.present(this.tag);
    setData(this.element, "known", value === null ? "no" : "yes");
    const from = this.place(0);
    const to = value === null ? from : this.place(value);
    this.fill.style.left = `${Math.min(from, to)}%`;
    this.fill.style.width = `${Math.abs(to - from)}%`;
    if (this.mark === null) return;
    const asked = this.tags.present(this.setpoint);
    this.mark.hidden = asked === null;
    if (asked !== null) this.mark.style.left = `${this.place(asked)}%`;
  }
}
