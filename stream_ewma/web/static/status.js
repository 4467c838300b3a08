// How the service is: rates, partitions, and what could not be smoothed.

import { byId, bytes, clock, make, setText, whole } from "./dom.js";

const MOST_DEAD = 50;
const RATE_S = 5;
const SPARKS = 60;
/** Reasons that do not explain themselves. */
const REASONS = new Map([
  ["decode", "unreadable"],
  ["not_numeric", "not a number"],
  ["non_finite", "not finite"],
  ["name_taken", "field name taken"],
  ["output_refused", "refused by the broker"],
]);

export class Status {
  constructor() {
    this._past = [];
    this._rates = [];
    this._dead = [];
    this._known = new Set();
    this._rows = new Map();
    this._missed = 0;
  }

  /** Counts begin anew with a new connection: rates must not mix two processes. */
  reconnected() {
    this._past = [];
  }

  show(status) {
    const last = this._past[this._past.length - 1];
    if (last && status.consumed < last.consumed) this._past = [];
    this._past.push(status);
    while (this._past.length > 2 && status.time - this._past[0].time > RATE_S) this._past.shift();
    this._tiles(status);
    this._partitions(status.partitions);
    this._unready(status.unready);
    this._missing(status.missed);
  }

  _rate(name) {
    const [first] = this._past;
    const last = this._past[this._past.length - 1];
    const seconds = last.time - first.time;
    return seconds > 0 ? (last[name] - first[name]) / seconds : 0;
  }

  _tiles(status) {
    const consumed = this._rate("consumed");
    const sum = (name) => status.partitions.reduce((total, each) => total + (each[name] ?? 0), 0);
    const rejected = total(status.rejected);
    tile("rate", whole(Math.round(consumed)), `${whole(status.consumed)} in all`);
    tile("emitted", whole(Math.round(this._rate("emitted"))), `${whole(status.emitted)} in all`);
    tile("lag", whole(sum("lag")), sum("lag") ? "records waiting" : "up to date");
    tile("keys", whole(sum("keys")), bytes(sum("state_bytes")));
    const recoveries = status.recoveries === 1 ? "1 recovery" : `${whole(status.recoveries)} recoveries`;
    tile("commits", whole(status.commits), recoveries);
    tile("dead", whole(rejected), rejected ? causes(status.rejected) : "all records readable");
    byId("tile-dead").classList.toggle("bad", rejected > 0);
    byId("tile-commits").classList.toggle("warn", status.recoveries > 0);
    const skipped = total(status.skipped);
    setText(byId("skipped"), skipped ? `Left out on purpose: ${causes(status.skipped)}.` : "");
    this._spark(consumed);
  }

  _spark(rate) {
    this._rates.push(rate);
    if (this._rates.length > SPARKS) this._rates.shift();
    const top = Math.max(...this._rates, 1);
    const points = this._rates.map((each, at) => {
      const x = 100 - (this._rates.length - 1 - at) * (100 / (SPARKS - 1));
      return `${x.toFixed(1)},${(22 - (each / top) * 20).toFixed(1)}`;
    });
    byId("spark").setAttribute("points", points.join(" "));
  }

  _unready(unready) {
    const lines = Object.entries(unready).map(([name, why]) => `${name}: ${why}`);
    const banner = byId("unready");
    banner.hidden = lines.length === 0;
    setText(banner, lines.length ? `Not ready. ${lines.join("; ")}` : "");
  }

  _missing(missed) {
    byId("missed").hidden = missed === 0;
    if (missed) {
      const text = `This browser is too slow for all of it: ${whole(missed)} samples were left out here (not in the output).`;
      setText(byId("missed"), text);
    }
  }

  _partitions(partitions) {
    const body = byId("partitions");
    const names = partitions.map((each) => `${each.topic}-${each.partition}`);
    for (const [name, row] of this._rows) {
      if (!names.includes(name)) {
        row.remove();
        this._rows.delete(name);
      }
    }
    partitions.forEach((each, at) => {
      const name = names[at];
      if (!this._rows.has(name)) this._rows.set(name, partitionRow(name));
      const row = this._rows.get(name);
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
      fill(row, each);
    });
    byId("no-partitions").hidden = partitions.length > 0;
  }

  /** A record that could not be smoothed; after a reconnection the last ones come again. */
  reject(record) {
    const name = `${record.topic}-${record.partition}@${record.offset}`;
    if (this._known.has(name)) return;
    this._known.add(name);
    this._dead.unshift(name);
    const body = byId("dead-letters");
    body.prepend(deadRow(record, name));
    while (this._dead.length > MOST_DEAD) {
      this._known.delete(this._dead.pop());
      body.lastElementChild.remove();
    }
    byId("no-dead").hidden = true;
    byId("dead-table").hidden = false;
  }
}

const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);

const words = (reason) => REASONS.get(reason) ?? reason.replaceAll("_", " ");

const causes = (counts) =>
  Object.entries(counts)
    .filter(([, count]) => count)
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${whole(count)} ${words(name)}`)
    .join(", ");

function tile(name, value, note) {
  setText(byId(`${name}-value`), value);
  setText(byId(`${name}-note`), note);
}

const COLUMNS = ["phase", "position", "committed", "lag", "keys", "memory", "event-time"];

function partitionRow(name) {
  const row = make("tr", {}, make("th", { scope: "row", class: "key" }, name));
  for (const column of COLUMNS) row.append(make("td", { class: column }));
  row.querySelector(".phase").append(
    make("span", { class: "badge" }),
    make("progress", { max: 1, hidden: true }),
    make("span", { class: "restored" }),
  );
  return row;
}

function fill(row, partition) {
  const { phase, restore } = partition;
  const put = (name, text) => setText(row.querySelector(`.${name}`), text);
  const badge = row.querySelector(".badge");
  badge.dataset.phase = phase;
  setText(badge, restore ? "restoring" : phase);
  const bar = row.querySelector("progress");
  bar.hidden = !restore;
  if (restore) {
    bar.value = restore.share;
    bar.setAttribute("aria-label", `state of ${partition.topic}-${partition.partition} read back`);
  }
  put("restored", restore ? `${Math.round(restore.share * 100)} %, ${whole(restore.rows)} rows` : "");
  put("position", whole(partition.position));
  put("committed", whole(partition.committed));
  put("lag", whole(partition.lag));
  put("keys", whole(partition.keys));
  put("memory", bytes(partition.state_bytes));
  put("event-time", partition.event_time == null ? "–" : clock(partition.event_time));
  row.querySelector(".lag").classList.toggle("behind", partition.lag > 0);
}

function deadRow(record, name) {
  const preview = record.preview ?? "null";
  const cut = record.size > preview.length ? " …" : "";
  return make(
    "tr",
    {},
    make("td", { class: "when" }, clock(record.timestamp)),
    make("td", {}, make("span", { class: "badge", "data-phase": "rejected" }, words(record.reason))),
    make("td", { class: "key" }, name),
    make("td", { class: "key" }, record.key ?? "–"),
    make("td", { class: "preview", title: preview }, make("code", {}, preview + cut)),
  );
}
