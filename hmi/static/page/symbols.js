// Symbols of the single line, after IEC 60617 where it has one; strokes take the colour of the text.

import { s } from "./dom.js";

const line = (d, more = {}) => s("path", { d, ...more });

const DRAWINGS = {
  // a lattice mast: the utility's line
  utility: () => [line("M12 44L20 6H28L36 44M9 16H39M12 24H36M15 30L33 44M33 30L15 44M20 6L28 16M28 6L20 16")],
  // a module and its inverter's sine
  pv: () => [
    s("rect", { x: 6, y: 8, width: 36, height: 24 }),
    line("M18 8V32M30 8V32M6 20H42"),
    line("M14 40C17 35 21 35 24 40S31 45 34 40"),
  ],
  wind: () => [
    s("circle", { cx: 24, cy: 17, r: 2.5 }),
    line("M24 14.5C22 9 23 5 25 2C27 6 27 10 24 14.5M26.3 18C32 17 36 19 38 22C33 23 29 22 26.3 18M22 18.5C20 24 16 26 13 26C14 21 17 18.5 22 18.5M23 20L21.5 46H26.5L25 20"),
  ],
  // IEC 60617 06-15-01: cells
  battery: () => [line("M24 4V14M10 14H38M16 20H32M10 28H38M16 34H32M24 34V44M24 20V28", { "stroke-dasharray": "none" })],
  // IEC 60617 06-04-01: a machine, G and the alternating sign
  genset: () => [
    s("circle", { cx: 24, cy: 24, r: 19 }),
    s("text", { x: 24, y: 26, "text-anchor": "middle" }, "G"),
    line("M15 33C18 28 21 28 24 33S30 38 33 33"),
  ],
  load: () => [line("M24 4V30M12 30H36L24 44Z")],
  charger: () => [
    s("rect", { x: 8, y: 6, width: 20, height: 38, rx: 2 }),
    s("rect", { x: 12, y: 11, width: 12, height: 8 }),
    line("M19 23L14 31H19L17 38L23 29H18Z"),
    line("M28 32H33C36 32 36 28 36 26V18L41 13M36 18V12"),
  ],
};

export function symbol(name) {
  return s("svg", { class: "symbol", viewBox: "0 0 48 48", "aria-hidden": "true" }, ...DRAWINGS[name]());
}

// Points down; style turns it the way the power flows.
export function arrow() {
  return s("svg", { class: "arrow", viewBox: "0 0 16 12", "aria-hidden": "true" }, line("M1 1H15L8 11Z"));
}

// A square: filled with the contact along the line when closed, hollow with the contact across when open.
export function breakerSquare() {
  return s(
    "svg",
    { class: "breaker-square", viewBox: "0 0 24 24", "aria-hidden": "true" },
    s("rect", { x: 2, y: 2, width: 20, height: 20 }),
    line("M12 5V19", { class: "contact-closed" }),
    line("M5 12H19", { class: "contact-open" }),
    s("text", { x: 12, y: 17.5, "text-anchor": "middle", class: "contact-unknown" }, "?"),
  );
}
