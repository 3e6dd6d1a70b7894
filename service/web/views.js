// The views, the list with a frame, the exam and the live picture, and the way back from one to the other.

import { byId } from "./dom.js";
import { startHistory } from "./history.js";

const NAMES = ["frames", "exam", "live"];

export class Views {
  #remember = startHistory(() => this.#here(), (place) => this.#open(place));

  constructor(session, exam, frameList, live) {
    Object.assign(this, { session, exam, frameList, live, shown: "frames" });
    for (const name of NAMES) byId(`view-${name}`).addEventListener("click", () => this.show(name));
    session.addEventListener("list", () => this.#arrange());
  }

  // Show a view; the focus stays where it is.
  show(name) {
    if (name === this.shown) return;
    this.#remember({ view: name });
    this.#change(name);
  }

  // Show the exam of files that were just added.
  land() {
    this.show("exam");
    this.exam.focus();
  }

  openFrame(item, index) {
    const place = { view: "frames", item: item.id, index };
    this.#remember(place);
    this.#open(place);
  }

  #here() {
    return { view: this.shown, item: this.session.chosen?.id, index: this.session.chosen?.shown };
  }

  #open({ view, item: id, index }) {
    this.#change(view);
    const item = view === "frames" && this.session.items.find((each) => each.id === id);
    if (item) this.session.choose(item, index);
    this.focus();
  }

  // Move the focus to the chosen frame in the view that is shown.
  focus() {
    if (this.shown === "live") byId("live-title").focus();
    else if (this.shown === "exam" && this.session.items.length) this.exam.focus(this.session.chosen);
    else this.frameList.focus();
  }

  #change(name) {
    this.shown = name;
    for (const each of NAMES) byId(`view-${each}`).setAttribute("aria-pressed", String(each === name));
    this.#arrange();
  }

  #arrange() {
    const hasItems = this.session.items.length > 0;
    const isLive = this.shown === "live";
    byId("welcome").hidden = hasItems || isLive;
    byId("views").hidden = !hasItems && !isLive;
    byId("export").hidden = !hasItems || isLive;
    byId("live-view").hidden = !isLive;
    for (const name of ["frames", "exam"]) byId(name).hidden = !hasItems || this.shown !== name;
    this.refresh();
  }

  // Draw the exam again if it is shown.
  refresh() {
    if (this.shown === "live") this.live.show();
    if (this.session.items.length && this.shown === "exam") this.exam.show();
  }
}
