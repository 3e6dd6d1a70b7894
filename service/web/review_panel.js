// The buttons that review the chosen frame, and the bar that counts what was reviewed.

import { byId, h, oncePerFrame, setText } from "./dom.js";
import { originalsOf } from "./outcome.js";
import { reviewsOf, verdictOf } from "./review.js";
import { plural } from "./text.js";

export class ReviewPanel {
  #choices = []; // {review, button}

  constructor(session, reviewing) {
    Object.assign(this, { session, reviewing });
    byId("review-confirm").addEventListener("click", () => reviewing.confirm(true));
    byId("review-reject").addEventListener("click", () => reviewing.reject(true));
    byId("review-clear").addEventListener("click", () => {
      reviewing.choose(null);
      byId("review-confirm").focus(); // the button is gone
    });
    const count = oncePerFrame(() => this.#count());
    for (const event of ["list", "item"]) session.addEventListener(event, count);
  }

  set model(model) {
    this.reviewing.model = model;
    this.#choices = this.reviewing.choices.map(({ text, key, review }) => {
      const button = h("button", { type: "button", "aria-keyshortcuts": key || null, "aria-pressed": "false", onclick: () => this.reviewing.choose(review) },
        text, key && h("kbd", { "aria-hidden": "true" }, key));
      return { review, button };
    });
    byId("review-choices").replaceChildren(...this.#choices.map(({ button }) => button));
  }

  // Show what a person said of the item's current frame.
  show(item) {
    const { state, answer } = item.result ?? {};
    const review = item.reviews.get(item.shown);
    byId("review").hidden = !state || state === "refused";
    const verdict = review && answer && verdictOf(answer, review);
    byId("review-confirm").setAttribute("aria-disabled", String(!answer));
    byId("review-confirm").setAttribute("aria-pressed", String(verdict === "accepted"));
    byId("review-reject").setAttribute("aria-pressed", String(Boolean(review) && !review.plane));
    byId("review-clear").hidden = !review;
    for (const { review: choice, button } of this.#choices) {
      const same = review?.plane?.id === choice.plane.id && (choice.subPlane === undefined || review.subPlane?.plane === choice.subPlane?.plane);
      button.setAttribute("aria-pressed", String(same && (choice.subPlane === undefined || review.subPlane !== undefined)));
    }
  }

  #count() {
    const { items } = this.session;
    const originals = originalsOf(items);
    const reviews = items.filter((item) => !originals.has(item)).flatMap(reviewsOf);
    byId("review-bar").hidden = !reviews.length;
    const changed = reviews.filter(({ verdict }) => verdict !== "accepted").length;
    setText(byId("review-count"), `${plural(reviews.length, "frame")} reviewed${changed ? `, ${changed} of them corrected` : ""}.`);
  }
}
