// The colours of the plots, out of the style sheet: they follow the theme.

let colours = new Map();

const read = (name) => {
  if (!colours.has(name)) {
    const style = getComputedStyle(document.documentElement);
    colours.set(name, style.getPropertyValue(`--${name}`).trim());
  }
  return colours.get(name);
};

export const colour = (name) => () => read(name);

export function forgetColours() {
  colours = new Map();
}

const FACTORS = ["smoothed", "factor-2", "factor-3", "factor-4", "factor-5"];

/** A factor's colour name, by its place. */
export const factorColour = (place) => FACTORS[place % FACTORS.length];
