// The server's events, through restarts and hidden tabs.

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;
const SILENT_MS = 8_000;
const HIDDEN_MS = 30_000;

/** Keeps one stream of events open; `on` has sample, rejected, status and state. */
export class Stream {
  constructor(on) {
    this._on = on;
    this._source = null;
    this._next = null;
    this._keys = [];
    this._others = 0;
    this._retry_ms = FIRST_RETRY_MS;
    this._timer = 0;
    this._silence = 0;
    this._hiding = 0;
    document.addEventListener("visibilitychange", () => this._visibility());
    addEventListener("pagehide", () => this._close());
    addEventListener("pageshow", (event) => event.persisted && this._open());
  }

  /** Watch these keys from now on, and so many other rows of each step. */
  watch(keys, others) {
    this._keys = [...keys];
    this._others = others;
    if (!document.hidden || this._source) this._open();
  }

  /** What is open stays so until the new stream speaks: nothing falls between the two. */
  _open() {
    clearTimeout(this._timer);
    this._next?.close();
    const query = new URLSearchParams(this._keys.map((key) => ["key", key]));
    query.set("others", String(this._others));
    const source = new EventSource(`/v1/events?${query}`);
    this._next = source;
    for (const name of ["sample", "rejected", "status"]) {
      source.addEventListener(name, (event) => {
        if (source !== this._source && source !== this._next) return;
        if (name === "status") this._alive(source);
        this._on[name](JSON.parse(event.data));
      });
    }
    source.onerror = () => (source === this._source || source === this._next) && this._again();
    this._watchSilence();
  }

  _alive(source) {
    if (source === this._next) {
      this._source?.close();
      this._source = source;
      this._next = null;
    }
    this._retry_ms = FIRST_RETRY_MS;
    this._watchSilence();
    this._on.state("open");
  }

  /** A connection may die without a word: a status comes each second, or something is wrong. */
  _watchSilence() {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => this._again(), SILENT_MS);
  }

  _again() {
    this._close();
    this._on.state("reconnecting");
    this._timer = setTimeout(() => this._open(), this._retry_ms);
    this._retry_ms = Math.min(this._retry_ms * 2, LAST_RETRY_MS);
  }

  _close() {
    clearTimeout(this._timer);
    clearTimeout(this._silence);
    this._source?.close();
    this._next?.close();
    this._source = this._next = null;
  }

  /** Nobody looks: after a while nothing is fetched. */
  _visibility() {
    clearTimeout(this._hiding);
    if (document.hidden) {
      this._hiding = setTimeout(() => {
        this._close();
        this._on.state("hidden");
      }, HIDDEN_MS);
    } else if (!this._source && !this._next) {
      this._retry_ms = FIRST_RETRY_MS;
      this._open();
    }
  }
}
