// Sums of power over kinds of devices, and how much of each sum is known.

import { KINDS, POWER, TOTALS, kindOf } from "./kinds.js";

export class Totals {
  constructor(tags) {
    this.tags = tags;
    const devices = [...tags.byDevice.keys()];
    this.members = new Map(
      TOTALS.map((total) => [
        total.id,
        devices
          .filter((device) => total.kinds.includes(kindOf(device)?.kind))
          .map((device) => tags.get(device, POWER))
          .filter((tag) => tag !== null),
      ]),
    );
  }

  // {value, known, count, last}: the sum of what is known now, null where nothing is; and of what was known last.
  sum(id) {
    const members = this.members.get(id);
    const numbers = members.map((tag) => this.tags.present(tag)).filter((value) => value !== null);
    return {
      value: numbers.length ? numbers.reduce((a, b) => a + b, 0) : null,
      known: numbers.length,
      count: members.length,
      last: members.reduce((sum, tag) => sum + (typeof tag.value === "number" ? tag.value : 0), 0),
    };
  }
}

// Devices in order of kind, then of number: ev2 before ev10.
export function devicesOfKinds(tags, wanted) {
  const collator = new Intl.Collator("en", { numeric: true });
  return KINDS.filter(wanted).map((kind) => ({
    kind,
    devices: [...tags.byDevice.keys()]
      .filter((device) => kind.match.test(device) && tags.get(device, POWER) !== null) // not `ev`, of whom the logic only has settings
      .sort(collator.compare),
  }));
}
