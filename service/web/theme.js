// Light or dark: the system's setting until the button is pressed. Large text, for projectors. Choices are not stored.

import { byId } from "./dom.js";

export function startTheme() {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : system.matches;
  };
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
  byId("large").addEventListener("click", ({ currentTarget: large }) => {
    const on = document.documentElement.toggleAttribute("data-large");
    large.setAttribute("aria-pressed", String(on));
  });
}
