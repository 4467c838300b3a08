// Finding a key by how it begins, among however many.

import { askKey, elsewhere } from "./asking.js";
import { brief, byId, make, setText } from "./dom.js";

const PAUSE_MS = 150;
const MOST_STEPS = 8;
const ENOUGH = 20;
const MOST_OFFERED = 200;

/** A box for a key's beginning, with a list under it; `chosen` and `toggle` are the page's. */
export class Picker {
  constructor({ isChosen, toggle }) {
    this._isChosen = isChosen;
    this._toggle = toggle;
    this._box = byId("search");
    this._list = byId("found");
    this._note = byId("found-note");
    this._more = byId("search-on");
    this._panel = byId("suggestions");
    this._timer = 0;
    this._asking = new AbortController();
    this._keys = [];
    this._cursor = "";
    this._owner = null;
    this._at = -1;
    this._listen();
  }

  focus() {
    this._box.focus();
    this._box.select();
  }

  close() {
    this._panel.hidden = true;
    this._box.setAttribute("aria-expanded", "false");
    this._mark(-1);
  }

  refresh() {
    for (const option of this._list.children) {
      option.setAttribute("aria-selected", String(this._isChosen(option.dataset.key)));
    }
  }

  _listen() {
    this._box.addEventListener("input", () => this._later());
    this._box.addEventListener("focus", () => this._panel.hidden && this._anew());
    this._box.addEventListener("keydown", (event) => this._key(event));
    this._more.addEventListener("click", () => this._search());
    byId("picker").addEventListener("focusout", (event) => {
      if (!byId("picker").contains(event.relatedTarget)) this.close();
    });
    // A press on the list leaves the focus in the box.
    this._panel.addEventListener("pointerdown", (event) => event.preventDefault());
    this._list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this._choose(option);
    });
  }

  _key(event) {
    const last = this._list.children.length - 1;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this._panel.hidden) this._anew();
      else this._mark(Math.min(Math.max(this._at + (event.key === "ArrowDown" ? 1 : -1), 0), last));
    } else if (event.key === "Enter") {
      const option = this._list.children[Math.max(this._at, 0)];
      if (option) this._choose(option);
    } else if (event.key === "Escape") {
      this.close();
    }
  }

  _mark(at) {
    this._list.children[this._at]?.classList.remove("marked");
    this._at = at;
    const option = this._list.children[at];
    option?.classList.add("marked");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this._box.setAttribute("aria-activedescendant", option.id);
    else this._box.removeAttribute("aria-activedescendant");
  }

  _choose(option) {
    this._toggle(option.dataset.key);
    this.refresh();
  }

  _later() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._anew(), PAUSE_MS);
  }

  _anew() {
    this._keys = [];
    this._cursor = "";
    this._at = -1;
    this._list.replaceChildren();
    this._panel.hidden = false;
    this._box.setAttribute("aria-expanded", "true");
    this._search();
  }

  /** Look further: some steps, each of which the server bounds, until enough is found. */
  async _search() {
    this._asking.abort();
    const asking = new AbortController();
    this._asking = asking;
    // What is hidden loses the focus, and with it the list would close.
    if (document.activeElement === this._more) this._box.focus();
    this._more.hidden = true;
    setText(this._note, "searching …");
    const wanted = this._keys.length + ENOUGH;
    try {
      if (this._cursor === "") await this._whole(asking.signal);
      for (let step = 0; step < MOST_STEPS && this._keys.length < wanted; step += 1) {
        if (this._cursor === null) break;
        await this._page(asking.signal);
      }
      this._tell();
    } catch (error) {
      if (!asking.signal.aborted) setText(this._note, `no answer (${error.message}): try again`);
      this._more.hidden = asking.signal.aborted;
    }
  }

  /** The key that is just what was typed: found at once, among however many. */
  async _whole(signal) {
    this._owner = null;
    if (!this._box.value) return;
    const { state, owner } = await askKey(this._box.value, signal);
    if (signal.aborted) return;
    if (state) this._offer(state);
    this._owner = owner ?? null;
  }

  async _page(signal) {
    const query = new URLSearchParams({ prefix: this._box.value, limit: "50" });
    if (this._cursor) query.set("cursor", this._cursor);
    const answer = await fetch(`/v1/keys?${query}`, { signal });
    if (!answer.ok) throw new Error(answer.status === 503 ? "starting" : `status ${answer.status}`);
    const page = await answer.json();
    if (signal.aborted) return;
    this._cursor = page.cursor;
    for (const found of page.keys) {
      if (this._keys.length >= MOST_OFFERED) this._cursor = null;
      else if (!this._keys.includes(found.key)) this._offer(found);
    }
  }

  _offer(found) {
    this._keys.push(found.key);
    const option = make(
      "li",
      {
        id: `found-${this._keys.length}`,
        role: "option",
        "data-key": found.key,
        "aria-selected": this._isChosen(found.key),
      },
      make("span", { class: "key" }, found.key),
      make("span", { class: "value" }, brief(found.ewma)),
    );
    this._list.append(option);
  }

  _tell() {
    const count = this._keys.length;
    const isFull = count >= MOST_OFFERED;
    this._more.hidden = this._cursor === null || isFull;
    if (isFull) setText(this._note, `the first ${MOST_OFFERED}: type more of the key`);
    else if (count === 0) setText(this._note, this._cursor === null ? this._nowhere() : "none so far");
    else setText(this._note, count === 1 ? "1 key" : `${count} keys${this._cursor ? " so far" : ""}`);
  }

  _nowhere() {
    return this._owner ? elsewhere(this._owner) : "no such key";
  }
}
