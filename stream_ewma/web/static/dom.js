// Elements and numbers. Text of a stream only ever becomes text: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("aria-")) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Change the text only where it is another: screens and readers are spared. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const whole = (number) => (number == null ? "–" : grouped.format(number));

/** A number for a glance: about four digits. */
export function brief(number) {
  if (number == null || Number.isNaN(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size >= 1e7 || size < 1e-3)) return number.toExponential(2);
  const decimals = Math.max(0, 3 - Math.floor(Math.log10(Math.max(size, 1))));
  return number.toFixed(Math.min(decimals, 3));
}

/** A number as it is, all digits. */
export const exact = (value) => (value == null ? "–" : String(value));

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let size = number ?? 0;
  for (; size >= 1024 && at < units.length - 1; at += 1) size /= 1024;
  return `${size.toFixed(at === 0 || size >= 100 ? 0 : 1)} ${units[at]}`;
}

const two = (number) => String(number).padStart(2, "0");

/** Time of day, with milliseconds where wanted; the date, too, where it is not today's. */
export function clock(milliseconds, fine = true) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return "–";
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = date.toDateString() === new Date().toDateString() ? "" : `${isoDay(date)} `;
  return `${day}${time}${fine ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : ""}`;
}

export const isoDay = (date) =>
  `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** What was remembered under `name`, else `other`; storage may be switched off. */
export function remembered(name, other) {
  try {
    return JSON.parse(localStorage.getItem(`stream-ewma.${name}`)) ?? other;
  } catch {
    return other;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`stream-ewma.${name}`, JSON.stringify(value));
  } catch {
    // It lasts as long as the page, then.
  }
}
