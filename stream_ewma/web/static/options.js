// How a series is drawn: uPlot's options, and the data to go with them.

import { clock, isoDay } from "./dom.js";
import { colour, factorColour } from "./palette.js";
import uPlot from "./uplot.js";

const AXIS_FONT = '11px system-ui, "Segoe UI", Roboto, sans-serif';
const MINUTE = 60_000;
const DAY = 86_400_000;

// Readings so many spreads away from nine in ten others do not stretch the axis.
const FAR = 4;
const FEW = 20;

const DASHED = {
  centre: { stroke: "limit", dash: [2, 4], width: 1 },
  ucl: { stroke: "limit", dash: [6, 4], width: 1.25 },
  lcl: { stroke: "limit", dash: [6, 4], width: 1.25 },
  level: { stroke: "trend", dash: [], width: 1.5 },
  forecast: { stroke: "trend", dash: [3, 3], width: 1.25 },
};

/**
 * The drawn columns of a series, behind to front: {group, colour, make(series, from, to)} with
 * uPlot's own options of it.
 */
export function layersOf(value, lines) {
  const factors = [...new Set(lines.filter((each) => each.base === "ewma").map((e) => e.factor))];
  const colourOf = (factor) => factorColour(Math.max(factors.indexOf(factor), 0));
  const layers = [rawLayer(value)];
  const bands = [];
  for (const line of lines.filter((each) => each.base === "ewma")) {
    const name = colourOf(line.factor);
    const spread = spreadOf(lines, line.factor);
    if (spread) {
      bands.push({ series: [layers.length + 1, layers.length + 2], fill: colour(`${name}-band`) });
      layers.push(edgeLayer(line, spread, name, 2), edgeLayer(line, spread, name, -2));
    }
  }
  for (const line of lines) {
    if (DASHED[line.base]) layers.push(plainLayer(line, DASHED[line.base]));
  }
  for (const line of lines.filter((each) => each.base === "ewma")) {
    layers.push(plainLayer(line, { stroke: colourOf(line.factor), dash: [], width: 2.25 }));
  }
  for (const line of lines.filter((each) => each.base === "out_of_control")) {
    layers.push(alarmLayer(value, line));
  }
  return { layers, bands };
}

const spreadOf = (lines, factor) =>
  lines.find((each) => each.base === "std" && each.factor === factor) ??
  lines.find((each) => each.base === "variance" && each.factor === factor);

function rawLayer(value) {
  return {
    group: "Raw",
    colour: "raw",
    shape: "dot",
    make: (series, from, to) => cut(series, `in:${value}`, from, to),
    options: {
      isReadings: true,
      paths: () => null,
      points: { show: true, size: 4, width: 0, fill: colour("raw") },
    },
  };
}

function edgeLayer(line, spread, name, deviations) {
  const deviation = spread.base === "variance" ? Math.sqrt : (each) => each;
  return {
    group: spread.group,
    colour: `${name}-band`,
    shape: "band",
    make: (series, from, to) => {
      const mean = cut(series, `out:${line.output}`, from, to);
      const width = cut(series, `out:${spread.output}`, from, to);
      return mean.map((each, at) =>
        each === null || width[at] === null ? null : each + deviations * deviation(width[at]),
      );
    },
    options: { stroke: colour(`${name}-band`), width: 1, points: { show: false } },
  };
}

function plainLayer(line, { stroke, dash, width }) {
  return {
    name: `out:${line.output}`,
    group: line.group,
    colour: stroke,
    shape: dash.length ? "dashes" : "line",
    make: (series, from, to) => cut(series, `out:${line.output}`, from, to),
    options: { stroke: colour(stroke), dash, width, points: { show: false } },
  };
}

function alarmLayer(value, line) {
  return {
    group: line.group,
    colour: "alarm",
    shape: "dot",
    make: (series, from, to) => {
      const raw = cut(series, `in:${value}`, from, to);
      return cut(series, `out:${line.output}`, from, to).map((is, at) => (is ? raw[at] : null));
    },
    options: {
      isReadings: true,
      paths: () => null,
      points: { show: true, size: 8, width: 2, stroke: colour("alarm"), fill: "transparent" },
    },
  };
}

const cut = (series, name, from, to) =>
  series.column(name)?.slice(from, to) ?? new Array(to - from).fill(null);

/** uPlot's options for these layers; `hooks` as uPlot has them. */
export function plotOptions({ layers, bands }, size, hidden, hooks, onReset) {
  return {
    ...size,
    ms: 1,
    pxAlign: 0,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    focus: { alpha: 1 },
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 8, width: 2 },
      bind: { dblclick: () => onReset },
    },
    scales: { x: { time: true, auto: false }, y: { range: roomy } },
    axes: [
      axis({ values: timeLabels, size: 28, space: 76, grid: { show: false } }),
      axis({ values: numberLabels, size: labelRoom, space: 34 }),
    ],
    series: [
      {},
      ...layers.map((layer) => ({
        label: layer.group,
        show: !hidden.has(layer.group),
        spanGaps: false,
        ...layer.options,
      })),
    ],
    bands,
    hooks: { ...hooks, draw: [markFar] },
  };
}

function axis(options) {
  const line = { stroke: colour("grid"), width: 1 };
  return {
    font: AXIS_FONT,
    stroke: colour("muted"),
    gap: 6,
    ticks: { ...line, size: 4 },
    ...options,
    grid: { ...line, ...options.grid },
  };
}

/** Room for the longest label, in few widths: plots keep still, and mostly line up. */
function labelRoom(_plot, labels) {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return longest <= 5 ? 52 : longest <= 7 ? 66 : 84;
}

/** A little room above and below; a flat line stands in the middle. */
function roomy(plot, least, most) {
  if (least == null || most == null) return [0, 1];
  const [low, high] = near(plot, least, most);
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

/** From `least` to `most`, without the readings that lie far from all else. */
function near(plot, least, most) {
  let [low, high] = [Infinity, -Infinity];
  const readings = [];
  plot.series.forEach((series, at) => {
    if (at === 0 || !series.show) return;
    for (const each of plot.data[at]) {
      if (each === null) continue;
      if (series.isReadings) readings.push(each);
      else [low, high] = [Math.min(low, each), Math.max(high, each)];
    }
  });
  if (readings.length < FEW) return [least, most];
  readings.sort((a, b) => a - b);
  const last = readings.length - 1;
  const [lower, upper] = [readings[Math.floor(last * 0.05)], readings[Math.ceil(last * 0.95)]];
  const far = FAR * Math.max(upper - lower, high - low, 0);
  if (far === 0) return [least, most];
  const kept = readings.filter((each) => each >= lower - far && each <= upper + far);
  return [Math.min(low, kept[0]), Math.max(high, kept[kept.length - 1])];
}

/** An arrow at the edge for each reading beyond it. */
function markFar(plot) {
  const { ctx } = plot;
  const { left, top, height } = plot.bbox;
  const { min, max } = plot.scales.y;
  const size = 5 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = colour("raw")();
  plot.series.forEach((series, at) => {
    if (at === 0 || !series.show || !series.isReadings) return;
    plot.data[at].forEach((each, row) => {
      if (each === null || (each >= min && each <= max)) return;
      const x = plot.valToPos(plot.data[0][row], "x", true);
      if (x < left) return;
      const [edge, way] = each > max ? [top, 1] : [top + height, -1];
      ctx.beginPath();
      ctx.moveTo(x, edge);
      ctx.lineTo(x - size, edge + way * 1.5 * size);
      ctx.lineTo(x + size, edge + way * 1.5 * size);
      ctx.fill();
    });
  });
  ctx.restore();
}

function timeLabels(_plot, splits, _axis, _space, step) {
  return splits.map((time) => {
    if (step < 1_000) return clock(time).slice(-9);
    if (step < MINUTE) return clock(time, false).slice(-8);
    const date = new Date(time);
    return step < DAY ? clock(time, false).slice(-8, -3) : isoDay(date);
  });
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

function numberLabels(_plot, splits, _axis, _space, step) {
  let digits = 0;
  while (digits < 7 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) {
    digits += 1;
  }
  return splits.map((number) => {
    if (Math.abs(number) >= 1e5) return compact.format(number);
    return digits > 6 ? number.toExponential(1) : number.toFixed(digits);
  });
}

export { uPlot };
