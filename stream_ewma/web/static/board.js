// All panels and what they share: the part of time that is shown, the cursor, what is switched off.

import { duration, remember, remembered } from "./dom.js";
import { Panel } from "./panel.js";
import { Series } from "./store.js";

const FIRST_SPAN = 5_000;
const SHORTEST_ZOOM = 50;
const POINTS_SHOWN = 300;
const LADDER = [10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 43_200, 86_400, 604_800, 2_592_000];

export class Board {
  /** `on`: remove(key), changed(), layers(). */
  constructor(grid, on) {
    this._grid = grid;
    this._on = on;
    this._series = new Map();
    this._panels = new Map();
    this._naming = null;
    this._isScheduled = false;
    this._frozen = null;
    this.window = null;
    this.zoom = null;
    this.view = {
      hidden: new Set(remembered("hidden", [])),
      cursor: null,
      remove: (key) => on.remove(key),
      reset: () => this.resetZoom(),
      zoomBy: (factor, time, panel) => this.zoomBy(factor, time, panel),
      zoomTo: (min, max) => this.zoomTo(min, max),
      point: (time, panel) => this.point(time, panel),
      layersChanged: () => on.layers(),
    };
  }

  get keys() {
    return [...this._series.keys()];
  }

  get panels() {
    return [...this._panels.values()].flat();
  }

  get isPaused() {
    return this._frozen !== null;
  }

  name(naming) {
    this._naming = naming;
    this.schedule();
  }

  /** Show these keys, and no others. */
  show(keys) {
    for (const key of this.keys.filter((each) => !keys.includes(each))) {
      for (const panel of this._panels.get(key) ?? []) panel.close();
      this._panels.delete(key);
      this._series.delete(key);
    }
    for (const key of keys.filter((each) => !this._series.has(each))) {
      this._series.set(key, new Series());
      this._place(key, ["value"]);
    }
    this._arrange(keys);
    this.schedule();
  }

  showState(key, state) {
    for (const panel of this._panels.get(key) ?? []) panel.showState(state);
  }

  showElsewhere(key, owner) {
    for (const panel of this._panels.get(key) ?? []) panel.showElsewhere(owner);
  }

  add(sample) {
    const series = this._series.get(sample.key);
    if (!series) return false;
    series.add(sample);
    const panels = this._panels.get(sample.key);
    const values = panels.map((panel) => panel.value);
    if (values.length !== series.values.length || values.some((v, i) => v !== series.values[i])) {
      this._place(sample.key, series.values);
    }
    if (!this.isPaused) this.schedule();
    return true;
  }

  /** The cards in the order of the keys; what stands right stays where it is, and keeps the focus. */
  _arrange(keys) {
    let at = this._grid.firstElementChild;
    for (const { card } of keys.flatMap((key) => this._panels.get(key))) {
      if (card === at) at = at.nextElementSibling;
      else this._grid.insertBefore(card, at);
    }
  }

  /** The panels of a key: one for each value of its records. */
  _place(key, values) {
    const before = this._panels.get(key) ?? [];
    const series = this._series.get(key);
    const panels = values.map((value) => new Panel(key, value, values.length < 2, series, this.view));
    const cards = panels.map((panel) => panel.card);
    if (before.length) before[0].card.before(...cards);
    else this._grid.append(...cards);
    for (const panel of before) panel.close();
    this._panels.set(key, panels);
  }

  // -- drawing ------------------------------------------------------------------------------------

  schedule() {
    if (this._isScheduled) return;
    this._isScheduled = true;
    requestAnimationFrame(() => {
      this._isScheduled = false;
      this._draw();
    });
  }

  _draw() {
    if (!this._naming) return;
    const filled = [...this._series.values()].filter((series) => series.length > 0);
    if (filled.length === 0) return;
    const live = this._frozen ?? this._live(filled);
    for (const panel of this.panels) {
      if (panel.series.length) panel.draw(this.zoom ?? this._rangeOf(panel.series, live), this._naming);
    }
  }

  /** The part of event time that follows the newest points. */
  _live(filled) {
    const newest = Math.max(...filled.map((series) => series.last));
    const length = this.window ?? autoWindow(filled);
    this.shown = length;
    const near = filled.filter((series) => newest - series.last < length);
    const oldest = Math.min(...near.map((series) => series.times[series.first]));
    const min = Math.min(Math.max(newest - length, oldest), newest - FIRST_SPAN);
    return { min, max: newest };
  }

  /** A series that is elsewhere in event time (history is read again, say) is shown where it is. */
  _rangeOf(series, live) {
    if (series.last >= live.min) return live;
    return { min: series.last - (live.max - live.min), max: series.last };
  }

  // -- what is shown ------------------------------------------------------------------------------

  pause(isPaused) {
    const filled = [...this._series.values()].filter((series) => series.length > 0);
    this._frozen = isPaused && filled.length ? this._live(filled) : null;
    this.schedule();
  }

  zoomTo(min, max) {
    if (max - min < SHORTEST_ZOOM) return;
    this.zoom = { min, max };
    this._on.changed();
    this.schedule();
  }

  zoomBy(factor, time = null, panel = this.panels.find((each) => each.range)) {
    const range = this.zoom ?? panel?.range;
    if (!range) return;
    const centre = time ?? (range.min + range.max) / 2;
    const { oldest, newest } = this._extent();
    const min = centre - (centre - range.min) * factor;
    const max = centre + (range.max - centre) * factor;
    this.zoomTo(Math.max(min, Math.min(oldest, range.min)), Math.min(max, Math.max(newest, range.max)));
  }

  /** All of event time that there is: to zoom out further shows nothing. */
  _extent() {
    const filled = [...this._series.values()].filter((series) => series.length > 0);
    const oldest = Math.min(...filled.map((series) => series.times[series.first]));
    return { oldest, newest: Math.max(...filled.map((series) => series.last)) };
  }

  resetZoom() {
    this.zoom = null;
    this._on.changed();
    this.schedule();
  }

  setWindow(milliseconds) {
    this.window = milliseconds;
    this.resetZoom();
  }

  point(time, from = null) {
    this.view.cursor = time;
    for (const panel of this.panels) if (panel !== from) panel.pointAt(time);
  }

  /** Move the cursor by points of the panel that has the focus, or of the first one. */
  step(steps) {
    const focused = this.panels.find((panel) => panel.area === document.activeElement);
    const panel = focused ?? this.panels.find((each) => each.range);
    const time = panel?.neighbour(this.view.cursor, steps);
    if (time != null) this.point(time);
  }

  // -- groups of lines ----------------------------------------------------------------------------

  /** What can be switched: {group, colour, shape}, in order of drawing. */
  groups() {
    const found = new Map();
    for (const panel of this.panels) {
      for (const layer of panel.groups) found.set(layer.group, found.get(layer.group) ?? layer);
    }
    return [...found.values()];
  }

  toggle(group) {
    const { hidden } = this.view;
    if (!hidden.delete(group)) hidden.add(group);
    remember("hidden", [...hidden]);
    for (const panel of this.panels) if (panel.groups.length) panel.showGroups();
  }

  repaint() {
    for (const panel of this.panels) panel.repaint();
  }

  windowWords() {
    return this.shown ? duration(this.shown) : "";
  }
}

/** A window that holds some hundreds of points of most series, a round one. */
function autoWindow(filled) {
  const spans = filled
    .map((series) => {
      const at = Math.max(series.first, series.length - POINTS_SHOWN);
      return ((series.last - series.times[at]) / (series.length - at)) * POINTS_SHOWN;
    })
    .sort((a, b) => a - b);
  const wanted = spans[spans.length >> 1] / 1000;
  return (LADDER.find((seconds) => seconds >= wanted) ?? LADDER[LADDER.length - 1]) * 1000;
}
