// A person reviews frames, by click or by key: confirms an answer, rejects it, or says which plane or sub-plane it is. A key
// goes on to the next frame to review.

import { byId } from "./dom.js";
import { ofKind, originalsOf } from "./outcome.js";
import { announce } from "./progress.js";
import { confirming, NO_PLANE, openFrames, reviewText, verdictOf, wordOf } from "./review.js";
import { plural } from "./text.js";

export const SUB_PLANE_KEYS = "asdfg";

export class Reviewing {
  #planes = [];
  #subPlanes = []; // {plane, subPlane}: the plane that they belong to, and {plane, label}; the last one is none of them

  constructor({ session, history, views, exam, frameList, answer }) {
    Object.assign(this, { session, history, views, exam, frameList, answer });
  }

  set model({ planes, sub_planes: finer }) {
    this.#planes = planes;
    const plane = finer && planes.find(({ id }) => id === finer.plane);
    const named = (finer?.sub_planes ?? []).map(({ id, label }) => ({ plane: id, label }));
    this.#subPlanes = plane ? [...named, null].map((subPlane) => ({ plane, subPlane })) : [];
  }

  // What can be said: {text, key, review}, planes first.
  get choices() {
    const ids = this.#planes.map((plane, number) => ({
      text: plane.label, key: number < 9 ? String(number + 1) : "", review: { plane, subPlane: undefined },
    }));
    const finer = this.#subPlanes.map(({ plane, subPlane }, number) => ({
      text: subPlane?.label ?? `${plane.label}, another view`, key: (SUB_PLANE_KEYS[number] ?? "").toUpperCase(), review: { plane, subPlane },
    }));
    return [...ids, ...finer];
  }

  confirm(stay = false) {
    const target = this.#target();
    const { answer } = target?.item.results.get(target.index) ?? {};
    if (target && !answer) return announce("No answer yet: nothing to confirm.");
    if (target) this.#say(target, confirming(answer), stay);
  }

  reject(stay = false) {
    this.#say(this.#target(), NO_PLANE, stay);
  }

  plane(number) {
    if (this.#planes[number]) this.#say(this.#target(), { plane: this.#planes[number], subPlane: undefined });
  }

  subPlane(number) {
    if (this.#subPlanes[number]) this.#say(this.#target(), this.#subPlanes[number]);
  }

  // Say what the chosen frame shows; null takes the review back.
  choose(review) {
    this.#say(this.#target(), review, true);
  }

  // The frame that a key is meant for: the chosen one; in the exam the one that has the focus.
  #target() {
    const { chosen, items } = this.session;
    if (this.views.shown === "frames") return chosen && { item: chosen, index: chosen.shown };
    const tile = this.views.shown === "exam" && document.activeElement.closest("#exam .tile[data-item]");
    const item = tile && items.find(({ id }) => String(id) === tile.dataset.item);
    if (!item && this.views.shown === "exam") announce("Choose a frame of the exam first.");
    return item && { item, index: Number(tile.dataset.index) };
  }

  // `stay`: do not go to the next frame.
  #say(target, review, stay = false) {
    if (!target) return;
    const { item, index } = target;
    const { state, answer } = item.results.get(index) ?? {};
    if (state === "refused") return announce(`${item.name} was not classified: it cannot be reviewed.`);
    const next = stay ? null : this.#following(item, index);
    const before = item.reviews.get(index) ?? null;
    const name = item.count > 1 ? `${item.name}, frame ${index + 1}` : item.name;
    const word = review ? [reviewText(review), answer && wordOf(verdictOf(answer, review))].filter(Boolean).join(", ") : "review taken back";
    const set = (value) => {
      this.session.review(item, index, value);
      this.session.choose(item, index);
    };
    this.session.review(item, index, review);
    this.history.add({
      text: `${name}: ${word}.`, undone: `${name}: review taken back.`, undo: () => set(before), redo: () => set(review),
    });
    this.#goOn(next, `${name}: ${word}. ${this.#leftText()}`, stay);
  }

  // The places after a frame, in the order of what is shown, then those before it.
  #following(item, index) {
    if (this.views.shown === "exam") {
      const frames = [...document.querySelectorAll("#exam .tile[data-item]")].map(({ dataset }) => [Number(dataset.item), Number(dataset.index)]);
      const at = frames.findIndex(([id, each]) => id === item.id && each === index);
      return [...frames.slice(at + 1), ...frames.slice(0, at)].map(([id, each]) => ({ item: this.session.items.find((one) => one.id === id), index: each }));
    }
    const items = ofKind(this.session.items, this.session.filter);
    const at = items.indexOf(item);
    const own = openFrames(item).map((each) => ({ item, index: each }));
    const others = [...items.slice(at + 1), ...items.slice(0, Math.max(0, at))].flatMap((each) => openFrames(each).map((one) => ({ item: each, index: one })));
    return [...own.filter((each) => each.index > index), ...others, ...own.filter((each) => each.index < index)];
  }

  #goOn(following, text, stay) {
    const originals = originalsOf(this.session.items);
    const next = following?.find(({ item, index }) => !originals.has(item) && openFrames(item).includes(index));
    if (stay || !next) {
      if (!stay && this.session.filter === "to-review") this.session.show(null); // nothing would be shown
      return announce(text);
    }
    if (this.views.shown === "exam") {
      this.session.choose(next.item, next.index);
      this.exam.show();
      this.exam.focus(next.item);
      return announce(text);
    }
    const inList = document.activeElement.matches("#tiles .tile");
    if (!inList) this.answer.preface = `${text} `; // the next answer is said after it; in the list the tile says it
    this.session.choose(next.item, next.index);
    if (!inList) return;
    announce(text);
    this.frameList.focus();
  }

  #leftText() {
    const left = ofKind(this.session.items, "to-review").length;
    return left ? `${plural(left, "file")} to review.` : "Everything is reviewed.";
  }
}
