// Check the frames of an exam against the items of a protocol, by the rules of service/analysis/protocols/check.py.

import { h } from "./dom.js";
import { ITEM_STATES } from "./text.js";

// Return the items, each with its `state`, the `frames` that count and the `doubtful` ones, most probable first.
// `candidates` are frames {item, index, rank, plane, probability, subPlane, subPlaneClose, doubt}, where `rank` is the
// place of the file in the exam; `left` is the number of files that are not read to their end.
export function checkItems(items, candidates, left) {
  return items.map((wanted) => {
    const found = candidates.map((frame) => fit(wanted, frame)).filter(Boolean)
      .sort((a, b) => b.probability - a.probability || a.rank - b.rank || a.index - b.index);
    const frames = found.filter(({ doubt }) => !doubt);
    const doubtful = found.filter(({ doubt }) => doubt);
    return { ...wanted, frames, doubtful, state: stateOf(wanted.min, frames.length, doubtful.length, left) };
  });
}

function stateOf(least, sure, doubtful, left) {
  if (sure >= least) return "fulfilled";
  if (left) return "not-read-yet";
  return sure + doubtful >= least ? "doubtful" : "missing";
}

// What a frame is for an item: one that counts, one with a doubt, or null.
export function fit({ one_of: planes }, frame) {
  const found = planes.map((each) => fitPlane(each, frame)).filter(Boolean);
  return found.find(({ doubt }) => !doubt) ?? found[0] ?? null;
}

function fitPlane({ plane, sub_plane: subPlane }, frame) {
  if (plane !== frame.plane) return null;
  if (!subPlane) return { ...frame, subPlane: null };
  if (!frame.subPlane) {
    const looked = frame.subPlaneClose || frame.doubt === "uncertain"; // else the model did not look for a sub-plane
    return looked ? { ...frame, subPlane, doubt: frame.doubt ?? "sub-plane" } : null;
  }
  if (frame.subPlane.plane !== subPlane) return null;
  return { ...frame, subPlane, probability: frame.probability * frame.subPlane.probability };
}

// What becomes of a frame's answer in a check; null where no plane has a name.
export function candidateOf({ abstain_reason: reason, predictions: [first], sub_plane: subPlane, sub_plane_reason: subPlaneReason }, close) {
  if (reason && reason !== "uncertain") return null;
  const doubt = reason ?? (close ? "close" : null);
  return { plane: first.plane, probability: first.probability, subPlane: reason ? null : subPlane, subPlaneClose: subPlaneReason === "close", doubt };
}

const SIGNS = { fulfilled: "✓", doubtful: "?", missing: "–", "not-read-yet": "…" };

// The list of checked items. `describe` returns what follows the label of an item; `unread` names the state of one not read yet.
export function checklist(items, describe, unread = ITEM_STATES["not-read-yet"]) {
  return h("ol", { class: "checklist", "aria-label": "Protocol" }, ...items.map((item, number) => {
    const count = item.min > 1 ? ` · ${Math.min(item.frames.length, item.min)} of ${item.min}` : "";
    return h("li", { "data-state": item.state },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[item.state]),
      h("div", {}, h("b", {}, item.label), item.optional ? h("span", { class: "muted" }, " optional") : null,
        item.note && h("p", { class: "muted" }, item.note)),
      h("span", { class: "item-state" }, `${item.state === "not-read-yet" ? unread : ITEM_STATES[item.state]}${count}`),
      describe(item, number));
  }));
}

// Name, version, source and limits of a protocol.
export function aboutProtocol({ name, version, exam, source, not_covered: notCovered }) {
  if (!source) return h("p", { class: "muted" }, "Each plane of the model. A guideline asks for more.");
  return h("details", { class: "muted" }, h("summary", {}, "What this protocol covers"),
    h("p", {}, `${name}, version ${version}. ${exam}.`),
    h("p", {}, `Source: ${[source.guideline, source.date, source.doi && `doi:${source.doi}`].filter(Boolean).join(", ")}.`),
    notCovered && h("p", {}, h("b", {}, "Not covered: "), notCovered));
}

// The choice between protocols; `choose` receives the chosen one.
export function protocolChoice(protocols, chosen, choose, name = "protocol") {
  const select = h("select", { id: name, onchange: ({ target }) => choose(protocols.find(({ id }) => id === target.value)) },
    ...protocols.map(({ id, name, version }) => h("option", { value: id, selected: id === chosen.id }, `${name} (${version})`)));
  return h("div", { class: "bar" }, h("label", { for: name }, "Protocol"), select);
}
