// One device whole: all its points beside the diagram, which stays in sight. Escape closes it.

import { h } from "./dom.js";
import { Rows } from "./rows.js";

export class Faceplate {
  constructor() {
    this.element = document.getElementById("faceplate");
    this.rows = null;
    this.device = null;
    this.openedBy = null;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.device !== null) this.close();
    });
  }

  open(tags, device, openedBy) {
    this.device = device;
    this.openedBy = openedBy ?? document.activeElement;
    const all = tags.byDevice.get(device);
    this.rows = new Rows(tags, all, `Points of ${device}`);
    const close = h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.close() }, "\u2715");
    this.element.replaceChildren(
      h("div", { class: "faceplate-head" }, h("h2", { id: "faceplate-title" }, device, h("small", {}, tags.areas.get(all[0].area) ?? all[0].area)), close),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Points of ${device}` }, this.rows.element),
    );
    this.element.hidden = false;
    close.focus({ preventScroll: true });
  }

  close() {
    this.element.hidden = true;
    this.element.replaceChildren();
    this.rows = null;
    this.device = null;
    if (this.openedBy?.isConnected) this.openedBy.focus({ preventScroll: true });
  }

  update() {
    this.rows?.update();
  }
}
