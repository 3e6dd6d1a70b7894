// Helpers for the page's elements. Text is always set as text, never as markup, so no file name can inject HTML.

export const byId = (id) => document.getElementById(id);

// Create an element: `h("p", {class: "muted", onclick: f}, "text", child)`. Skips null, undefined and false.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

// Set a text only if it differs, so that screen readers do not repeat it and the layout is not recomputed.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Return a function that runs `work` at most once per 50 ms, also in a tab that is not drawn; less often if it takes long.
export function throttle(work) {
  let timer = 0;
  let took = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      const began = performance.now();
      work();
      took = performance.now() - began;
    }, Math.max(50, 4 * took));
  };
}

// Return a function that runs `work` at most once per animation frame.
export function oncePerFrame(work) {
  let requested = false;
  return () => {
    if (requested) return;
    requested = true;
    requestAnimationFrame(() => {
      requested = false;
      work();
    });
  };
}
