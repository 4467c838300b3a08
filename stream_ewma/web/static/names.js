// Which output of a record is which line of a plot, by its name.
//
// With several factors the name of the factor follows (ewma_fast), with several values that of the
// value comes first (temp_ewma); `output.names` may give other names.

const DRAWN = {
  ewma: "Smoothed",
  std: "Band ±2σ",
  variance: "Band ±2σ",
  centre: "Control limits",
  ucl: "Control limits",
  lcl: "Control limits",
  out_of_control: "Out of control",
  level: "Trend",
  forecast: "Forecast",
};
const BASES = Object.keys(DRAWN).sort((a, b) => b.length - a.length);

/** How the service names things, out of its settings. */
export class Naming {
  constructor(config = {}) {
    const names = config.output?.names ?? {};
    this._given = new Map(
      Object.entries(names)
        .filter(([, shown]) => shown != null)
        .map(([name, shown]) => [shown, name]),
    );
    this.factors = Object.keys(config.smoothing?.factors ?? {});
  }

  /** The drawn quantities of one value of the record: a list of {output, base, factor, group}. */
  lines(value, values, outputs) {
    const found = [];
    for (const output of outputs) {
      let name = this._given.get(output) ?? output;
      if (values.length > 1) {
        if (!name.startsWith(`${value}_`)) continue;
        name = name.slice(value.length + 1);
      }
      const base = BASES.find((each) => name === each || name.startsWith(`${each}_`));
      if (base === undefined) continue;
      const factor = name.slice(base.length + 1);
      const group = base === "ewma" && factor ? `Smoothed: ${factor}` : DRAWN[base];
      found.push({ output, base, factor, group });
    }
    return found;
  }
}

const UNITS = ["alpha", "span", "com", "half_life_samples", "half_life"];

function factorWords(factor) {
  const name = UNITS.find((each) => factor?.[each] != null);
  if (name === undefined) return "smoothing";
  const amount = factor[name];
  return name === "half_life" && typeof amount === "number"
    ? `half-life ${amount / 1000} s`
    : `${name.replaceAll("_", " ").replace("half life", "half-life")} ${amount}`;
}

/** The smoothing in words, as `half-life 30s`. */
export function smoothingWords(smoothing = {}) {
  const factors = Object.entries(smoothing.factors ?? {});
  if (factors.length === 0) return factorWords(smoothing);
  return factors.map(([name, factor]) => `${name}: ${factorWords(factor)}`).join(", ");
}
