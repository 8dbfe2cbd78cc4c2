// The strip at the top: grid-connected or islanded, frequency, totals.

import { h, setData, setText } from "./dom.js";
import { NO_VALUE, numberText } from "./format.js";
import { BUS_FREQUENCY, ISLANDED, TOTALS } from "./kinds.js";
import { ValueView } from "./value.js";
import { devicesOfKinds } from "./totals.js";

const IDLE_KW = 0.05; // half of the last digit shown

export class Headline {
  constructor(tags, totals) {
    this.tags = tags;
    this.totals = totals;
    this.state = document.getElementById("grid-state");
    this.list = document.getElementById("headline");
    const [utility] = devicesOfKinds(tags, ({ kind }) => kind === "utility")[0].devices;
    this.islanded = utility === undefined ? null : tags.get(utility, ISLANDED);
    const frequency = utility === undefined ? null : tags.get(utility, BUS_FREQUENCY);
    this.frequency = frequency === null ? null : new ValueView(tags, frequency);
    this.cells = TOTALS.filter(({ id }) => totals.members.get(id).length).map((total) => {
      const direction = h("span", { class: "direction" });
      const number = h("span", { class: "number" });
      const value = h("span", { class: "value", "data-total": total.id }, number, h("span", { class: "unit" }, "\u202fkW"));
      const mark = h("span", { class: "mark" });
      value.append(h("wbr"), mark);
      return { total, direction, number, value, mark, element: cell([total.label, " ", direction], value) };
    });
    this.state.hidden = this.islanded === null;
    this.list.replaceChildren(
      ...(this.frequency === null ? [] : [cell(["Frequency"], this.frequency.element)]),
      ...this.cells.map(({ element }) => element),
    );
    this.update();
  }

  update() {
    if (this.islanded !== null) {
      const islanded = this.tags.presentBool(this.islanded);
      setData(this.state, "state", islanded === null ? "unknown" : islanded ? "islanded" : "connected");
      const was = this.islanded.value === null ? "" : `, WAS ${this.islanded.value ? "ISLANDED" : "CONNECTED"}`;
      setText(this.state, islanded === null ? was ? `UNKNOWN${was}` : "GRID STATE UNKNOWN" : islanded ? "ISLANDED" : "GRID CONNECTED");
    }
    this.frequency?.update();
    const isLost = !this.tags.clock.isLive();
    for (const { total, direction, number, value, mark } of this.cells) {
      const { value: present, known, count, last } = this.totals.sum(total.id);
      const sum = isLost ? last : present;
      setText(number, sum === null ? NO_VALUE : numberText(total.negative ? Math.abs(sum) : sum, 1));
      setData(value, "stale", isLost ? "yes" : "no");
      setData(value, "quality", isLost || known === count ? "good" : known ? "uncertain" : "bad");
      setText(mark, isLost ? "STALE" : known === count ? "" : `${known} of ${count}`);
      const isIdle = sum === null || Math.abs(sum) < IDLE_KW;
      setText(direction, !total.negative || isLost ? "" : isIdle ? "idle" : sum > 0 ? total.positive : total.negative);
    }
  }
}

function cell(label, value) {
  return h("div", {}, h("dt", {}, ...label), h("dd", {}, value));
}
