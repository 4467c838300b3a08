// What has arrived, by key: bounded, in order of event time.

export const MOST_POINTS = 5_000;

/** One series: columns of equal length, in order of time. */
export class Series {
  constructor() {
    this.times = [];
    this.offsets = [];
    this.columns = new Map();
    this.values = [];
    this.outputs = [];
    this.version = 0;
  }

  get length() {
    return this.times.length;
  }

  get last() {
    return this.times[this.times.length - 1];
  }

  column(name) {
    return this.columns.get(name);
  }

  /** Take in a sample; a late one finds its place, one that came again replaces itself. */
  add(sample) {
    this._learn(sample);
    const place = this._place(sample);
    const again = this.times[place] === sample.timestamp && this.offsets[place] === sample.offset;
    const removed = again ? 1 : 0;
    const atEnd = place === this.times.length;
    const put = (list, item) => {
      if (atEnd) list.push(item);
      else list.splice(place, removed, item);
    };
    put(this.times, sample.timestamp);
    put(this.offsets, sample.offset);
    for (const [name, list] of this.columns) put(list, number(this._read(sample, name)));
    // The front goes in one piece now and then, not point by point.
    if (this.times.length >= 2 * MOST_POINTS) this._drop(MOST_POINTS);
    this.version += 1;
  }

  /** Where event time `time` begins: index of the first point not before it. */
  from(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The oldest of the points that count. */
  get first() {
    return Math.max(0, this.times.length - MOST_POINTS);
  }

  _read(sample, name) {
    return name.startsWith("in:") ? sample.values[name.slice(3)] : sample.outputs[name.slice(4)];
  }

  _learn(sample) {
    const values = Object.keys(sample.values);
    const outputs = Object.keys(sample.outputs);
    const names = [...values.map((name) => `in:${name}`), ...outputs.map((name) => `out:${name}`)];
    if (names.length === this.columns.size && names.every((name) => this.columns.has(name))) return;
    // The settings are others since a restart: what is gone goes, what is new has a past of nulls.
    const columns = names.map((name) => [
      name,
      this.columns.get(name) ?? new Array(this.times.length).fill(null),
    ]);
    this.columns = new Map(columns);
    this.values = values;
    this.outputs = outputs;
  }

  _place(sample) {
    let place = this.times.length;
    while (place > 0 && this.times[place - 1] > sample.timestamp) place -= 1;
    for (let at = place - 1; at >= 0 && this.times[at] === sample.timestamp; at -= 1) {
      if (this.offsets[at] === sample.offset) return at;
    }
    return place;
  }

  _drop(count) {
    this.times.splice(0, count);
    this.offsets.splice(0, count);
    for (const list of this.columns.values()) list.splice(0, count);
  }
}

const number = (value) => (value === true ? 1 : value === false ? 0 : (value ?? null));

/** How much calmer the line is than the points: the ratio of their steps' deviations. */
export function calming(raw, smoothed) {
  const noise = (list) => {
    let count = 0;
    let sum = 0;
    for (let at = 1; at < list.length; at += 1) {
      if (list[at] === null || list[at - 1] === null) continue;
      sum += (list[at] - list[at - 1]) ** 2;
      count += 1;
    }
    return count < 20 ? NaN : Math.sqrt(sum / count);
  };
  const ratio = noise(raw) / noise(smoothed);
  return Number.isFinite(ratio) ? ratio : null;
}
