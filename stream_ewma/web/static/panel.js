// One plot with its numbers: a value of a key.

import { elsewhere } from "./asking.js";
import { brief, clock, exact, make, setText, whole } from "./dom.js";
import { attachGestures } from "./gestures.js";
import { layersOf, plotOptions, uPlot } from "./options.js";
import { calming } from "./store.js";

const HEIGHT = 190;
const WIDE_HEIGHT = 380;
/** Below this the line is no calmer than the points, which then have little noise. */
const LEAST_CALM = 1.05;

const short = (value) => (Number.isInteger(value) ? whole(value) : brief(value));

/** `view` is what all panels share, as app.js makes it. */
export class Panel {
  constructor(key, value, isOnly, series, view) {
    this.key = key;
    this.value = value;
    this.series = series;
    this._view = view;
    this._naming = null;
    this._signature = "";
    this._plot = null;
    this._layers = [];
    this._isHovered = false;
    this._range = null;
    this._build(isOnly);
    this._resizing = new ResizeObserver(() => this._resize());
    this._resizing.observe(this.area);
  }

  get groups() {
    return this._layers;
  }

  get range() {
    return this._range;
  }

  _build(isOnly) {
    const title = isOnly ? this.key : `${this.key} · ${this.value}`;
    this.area = make("div", {
      class: "plot",
      tabindex: 0,
      role: "group",
      "aria-label": `${title}: raw and smoothed values over event time. Left and right move the cursor.`,
    });
    this._raw = make("span", { class: "now raw", title: "raw: the record as it arrived" }, "–");
    this._smooth = make("span", { class: "now smoothed", title: "smoothed: what is published" }, "–");
    this._calm = make("span", {
      class: "calm",
      title: "by how much the smoothed line is calmer than the raw points",
    });
    this._readout = make("p", { class: "readout" }, "no sample since this page opened");
    const wide = make("button", { type: "button", class: "icon", "aria-pressed": "false" }, "⤢");
    wide.setAttribute("aria-label", `Enlarge ${title}`);
    wide.title = "enlarge";
    wide.addEventListener("click", () => {
      const isWide = this.card.classList.toggle("wide");
      wide.setAttribute("aria-pressed", String(isWide));
      this._resize();
    });
    const away = make("button", { type: "button", class: "icon", title: "remove" }, "✕");
    away.setAttribute("aria-label", `Remove ${title}`);
    away.addEventListener("click", () => this._view.remove(this.key));
    this.card = make(
      "article",
      { class: "card panel", "aria-label": title },
      make(
        "header",
        {},
        make("h3", { title }, title),
        make("span", { class: "numbers" }, this._raw, this._smooth),
        make("span", { class: "tools" }, wide, away),
      ),
      this.area,
      make("div", { class: "below" }, this._readout, this._calm),
    );
  }

  /** The state as it was before any sample came. */
  showState(state) {
    if (this.series.length || !state) return;
    const outputs = Object.entries(state.outputs).map(([name, each]) => `${name} ${exact(each)}`);
    setText(this._readout, `waiting for a record; so far: ${outputs.slice(0, 4).join(" · ")}`);
  }

  /** Another member has the key: no sample of it comes to this page. */
  showElsewhere(owner) {
    if (!this.series.length) setText(this._readout, elsewhere(owner));
  }

  /** Draw what there is between `range.min` and `range.max`. */
  draw(range, naming) {
    this._range = range;
    this._prepare(naming);
    if (!this._plot) return;
    const from = Math.max(this.series.from(range.min) - 1, this.series.first);
    const to = Math.min(this.series.from(range.max) + 1, this.series.length);
    const data = [this.series.times.slice(from, to)];
    for (const layer of this._layers) data.push(layer.make(this.series, from, to));
    this._offset = from;
    this._plot.batch(() => {
      this._plot.setData(data, false);
      this._plot.setScale("x", range);
    });
    if (!this._isHovered) this.pointAt(this._view.cursor);
    this._calming(data);
  }

  /** The plot, anew where what is drawn has become something else. */
  _prepare(naming) {
    if (this.series.length === 0) return;
    const { values, outputs } = this.series;
    const signature = JSON.stringify([values, outputs]);
    if (signature === this._signature && naming === this._naming) return;
    this._signature = signature;
    this._naming = naming;
    this._plot?.destroy();
    const made = layersOf(this.value, naming.lines(this.value, values, outputs));
    this._layers = made.layers;
    this._main = made.layers.findIndex((layer) => layer.group.startsWith("Smoothed"));
    this._mainName = made.layers[this._main]?.name;
    const hooks = { setCursor: [() => this._cursorMoved()], setSelect: [() => this._selected()] };
    const options = plotOptions(made, this._size(), this._view.hidden, hooks, () => {
      this._view.reset();
      return null;
    });
    this._plot = new uPlot(options, [[], ...made.layers.map(() => [])], this.area);
    this._listen(this._plot.over);
    this._view.layersChanged();
  }

  _listen(over) {
    over.addEventListener("mouseenter", () => {
      this._isHovered = true;
    });
    over.addEventListener("mouseleave", () => {
      this._isHovered = false;
      this._view.point(null);
    });
    attachGestures(over, {
      zoom: (factor, x) => this._view.zoomBy(factor, this._plot.posToVal(x, "x"), this),
      point: (x) => this._view.point(this._plot.posToVal(x, "x")),
    });
  }

  _size() {
    const height = this.card.classList.contains("wide") ? WIDE_HEIGHT : HEIGHT;
    return { width: Math.max(this.area.clientWidth, 120), height };
  }

  _resize() {
    const size = this._size();
    if (!this._plot || (this._plot.width === size.width && this._plot.height === size.height)) return;
    this._plot.setSize(size);
  }

  _selected() {
    const { left, width } = this._plot.select;
    if (width < 4) return;
    const [min, max] = [left, left + width].map((x) => this._plot.posToVal(x, "x"));
    this._plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this._view.zoomTo(min, max);
  }

  _cursorMoved() {
    if (!this._isHovered) return;
    const at = this._plot.cursor.idx;
    this._view.point(at == null ? null : this._plot.data[0][at], this);
    this._say(at);
  }

  /** Put the cursor at an event time; null: away. */
  pointAt(time) {
    if (!this._plot) return;
    const left = time == null ? -10 : this._plot.valToPos(time, "x");
    this._plot.setCursor({ left, top: 10 }, false);
    this._say(time == null ? null : this._plot.cursor.idx);
  }

  /** The event time of the point `steps` away from the cursor. */
  neighbour(time, steps) {
    const times = this._plot?.data[0] ?? [];
    if (times.length === 0) return null;
    if (time == null) return steps < 0 ? times[times.length - 1] : times[0];
    const at = this._plot.valToIdx(time);
    return times[Math.min(Math.max(at + steps, 0), times.length - 1)];
  }

  /** The numbers at a point, all digits of them; null: the newest, in short. */
  _say(at) {
    const { data } = this._plot;
    const length = data[0].length;
    if (length === 0) return;
    const isPointed = at != null;
    this.card.classList.toggle("pointed", isPointed);
    const write = isPointed ? exact : short;
    const parts = this._quantities(this._offset + (at ?? length - 1), write);
    // In short, what stands in large figures above need not be said again.
    const said = parts.filter((each) => isPointed || !each.isAbove);
    setText(this._readout, said.map((each) => each.text).join(" · "));
    const value = (list) => (isPointed ? list[at] : list.findLast((each) => each !== null));
    setText(this._raw, brief(value(data[1])));
    setText(this._smooth, brief(this._main < 0 ? null : value(data[this._main + 1])));
  }

  _quantities(place, write) {
    const parts = [{ text: clock(this.series.times[place]) }];
    for (const [name, list] of this.series.columns) {
      if (name.startsWith("in:") && name !== `in:${this.value}`) continue;
      const label = name.startsWith("in:") ? "raw" : name.slice(4);
      const isAbove = label === "raw" || name === this._mainName;
      parts.push({ text: `${label} ${write(list[place])}`, isAbove });
    }
    return parts;
  }

  _calming(data) {
    const ratio = this._main < 0 ? null : calming(data[1], data[this._main + 1]);
    setText(this._calm, ratio === null || ratio < LEAST_CALM ? "" : `noise ÷ ${ratio.toFixed(1)}`);
  }

  /** Which groups are to be seen is another now. */
  showGroups() {
    this._layers.forEach((layer, at) => {
      const show = !this._view.hidden.has(layer.group);
      if (this._plot.series[at + 1].show !== show) this._plot.setSeries(at + 1, { show });
    });
  }

  repaint() {
    this._plot?.redraw(false);
  }

  close() {
    this._resizing.disconnect();
    this._plot?.destroy();
    this.card.remove();
  }
}
