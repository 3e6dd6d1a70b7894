// One Tab stop for a group of controls: arrow keys, Home and End move between them (ARIA practices, roving tabindex).

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
const OWN_ARROWS = 'input:not([type="checkbox"]), select, textarea';

// The controls of `group` that match `selector`. Those that match `companions` are reached by Tab from the control in the
// same list item. The controls may be replaced; one with the same id stays the Tab stop.
export function roving(group, selector = "button", companions = null) {
  let current = null;
  let visited = false; // until then the first control is the Tab stop, also one that was hidden before
  group.dataset.roving = "";
  const controls = () => [...group.querySelectorAll(selector)].filter((each) => !each.disabled && !each.closest("[hidden]"));
  const mark = () => {
    const all = controls();
    if (!visited || !all.includes(current)) current = (visited && all.find(({ id }) => id && id === current?.id)) || all[0];
    for (const each of all) each.tabIndex = each === current ? 0 : -1;
    if (!companions) return;
    const row = current?.closest("li");
    for (const each of group.querySelectorAll(companions)) each.tabIndex = each.closest("li") === row ? 0 : -1;
  };
  group.addEventListener("focusin", ({ target }) => {
    if (!target.matches(selector)) return;
    current = target;
    visited = true;
    mark();
  });
  group.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (!(key in STEPS) || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || target.matches(OWN_ARROWS)) return;
    const from = target.matches(selector) ? target : companions && target.matches(companions) ? current : null;
    if (!from) return;
    const all = controls();
    event.preventDefault();
    all[Math.min(all.length - 1, Math.max(0, all.indexOf(from) + STEPS[key]))].focus();
  });
  const changes = { childList: true, subtree: true, attributes: true, attributeFilter: ["hidden", "disabled"] };
  new MutationObserver(mark).observe(group, changes);
  mark();
}
