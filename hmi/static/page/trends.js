// Sparklines of the last five minutes, one sample a second; a gap where the value was not known.

import { h, s, setText } from "./dom.js";
import { numberText } from "./format.js";
import { TRENDS } from "./kinds.js";
import { devicesOfKinds } from "./totals.js";

const SAMPLES = 300;
const HEIGHT = 100;

export class Trends {
  constructor(tags, totals) {
    this.tags = tags;
    this.totals = totals;
    this.lines = TRENDS.map((trend) => this.line(trend)).filter((line) => line !== null);
    const root = document.getElementById("trends");
    root.hidden = this.lines.length === 0;
    for (const old of root.querySelectorAll(".trend")) old.remove();
    root.append(...this.lines.map(({ element }) => element));
  }

  line(trend) {
    const [device] = trend.point ? devicesOfKinds(this.tags, ({ kind }) => kind === trend.point[0])[0].devices : [];
    const tag = device === undefined ? null : this.tags.get(device, trend.point[1]);
    const isThere = trend.total ? this.totals.members.get(trend.total).length > 0 : tag !== null;
    if (!isThere) return null;
    const path = s("path", { "vector-effect": "non-scaling-stroke" });
    const zero = s("path", { class: "zero", "vector-effect": "non-scaling-stroke" });
    const [high, low, present] = ["high", "low", "present"].map((name) => h("span", { class: name }));
    const element = h(
      "figure",
      { class: "trend" },
      h("figcaption", {}, trend.label, present),
      h("div", { class: "plot" }, s("svg", { viewBox: `0 0 ${SAMPLES - 1} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${trend.label}, last five minutes` }, zero, path), high, low),
    );
    return { trend, tag, path, zero, high, low, present, element, samples: [] };
  }

  // Call once a second.
  sample() {
    for (const line of this.lines) {
      line.samples.push(this.value(line));
      if (line.samples.length > SAMPLES) line.samples.shift();
      draw(line);
    }
  }

  value({ trend, tag }) {
    if (!trend.total) return this.tags.present(tag);
    const { value, known, count } = this.totals.sum(trend.total);
    return known === count ? value : null; // a sum that lacks a member would draw a step that never was
  }
}

function draw({ trend, samples, path, zero, high, low, present }) {
  const known = samples.filter((value) => value !== null);
  const last = samples.at(-1);
  setText(present, last === null ? "\u2013\u2013\u2013" : `${numberText(last, trend.decimals)}\u202f${trend.unit}`);
  if (known.length === 0) return;
  let [least, most] = [Math.min(...known), Math.max(...known)];
  const pad = Math.max((most - least) * 0.08, (trend.leastSpan - (most - least)) / 2);
  [least, most] = [least - pad, most + pad];
  const y = (value) => HEIGHT - (HEIGHT * (value - least)) / (most - least);
  const first = SAMPLES - samples.length;
  let drawn = "";
  samples.forEach((value, i) => {
    if (value === null) return;
    const isStart = i === 0 || samples[i - 1] === null;
    drawn += `${isStart ? "M" : "L"}${first + i} ${y(value).toFixed(2)}`;
    if (isStart) drawn += "h0.01"; // a lone sample is a dot, not nothing
  });
  path.setAttribute("d", drawn);
  zero.setAttribute("d", least < 0 && most > 0 ? `M0 ${y(0).toFixed(2)}H${SAMPLES - 1}` : "");
  setText(high, numberText(most, trend.decimals));
  setText(low, numberText(least, trend.decimals));
}
