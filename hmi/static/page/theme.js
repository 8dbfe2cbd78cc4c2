// Light, dark, or as the system says; remembered in this browser.

import { setText } from "./dom.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const WORD = { auto: "Auto", light: "Light", dark: "Dark" };
const KEY = "tieline.theme";

export function startTheme() {
  const button = document.getElementById("theme");
  let theme = NEXT[localStorage.getItem(KEY)] ? localStorage.getItem(KEY) : "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    setText(button, WORD[theme]);
    button.setAttribute("aria-label", `Colours: ${WORD[theme]}`);
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    localStorage.setItem(KEY, theme);
    show();
  });
  show();
}
