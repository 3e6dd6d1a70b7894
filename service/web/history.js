// Back and Forward go from a frame to the exam and to the list. The address stays the same: it never names a file.

const visit = performance.timeOrigin; // entries of an earlier visit, before a reload, mean nothing

// Returns a function that adds an entry for a place {view, item, index}. `read` returns the place that is shown now, and
// `open` shows one.
export function startHistory(read, open) {
  history.replaceState({ visit, place: null }, "");
  addEventListener("popstate", ({ state }) => {
    if (state?.visit === visit && state.place) open(state.place);
  });
  return (place) => {
    history.replaceState({ visit, place: read() }, ""); // where Back returns to
    history.pushState({ visit, place }, "");
  };
}
