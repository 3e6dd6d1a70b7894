// Small helpers for the page's elements. Text is only ever set as text, never as markup.

export const byId = (id) => document.getElementById(id);

// Make an element: `h("p", {class: "muted", onclick: f}, "text", child)`. What is null or false is left out.
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

// Set a text only where it differs, so that screen readers and layout are left in peace.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Run `work` once, a moment later, however often it was asked for until then; also where nothing is drawn.
export function soon(work) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      work();
    }, 50);
  };
}

// Run `work` once, at the next picture that the browser draws, however often it was asked for until then.
export function oncePerFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
