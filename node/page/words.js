// Numbers, times and names as people read them, and the elements that they stand in. Everything becomes text, never markup:
// members choose their names.

const SVG = "http://www.w3.org/2000/svg";
const GROUPS = new Intl.NumberFormat("en-GB");
const KWH = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const LONG = new Intl.DateTimeFormat("en-GB", {
  weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
});

/** Return an element; properties whose value is undefined are left out, children are elements or text. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  return dressed(made, properties, children);
}

export function svg(name, properties = {}, ...children) {
  return dressed(document.createElementNS(SVG, name), properties, children);
}

function dressed(made, properties, children) {
  for (const [key, value] of Object.entries(properties)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Return a name that somebody chose, apart from the direction of the text around it. */
export const chosen = (name) => el("bdi", {}, name.trim() || "(no name)");

export const number = (quantity) => Number(quantity);
export const grouped = (value) => GROUPS.format(value).replaceAll(",", "\u202f");
export const kwh = (wh) => KWH.format(wh / 1000).replaceAll(",", "\u202f");
export const short = (hash) => `${hash.slice(0, 10)}…${hash.slice(-6)}`;
export const counted = (count, one, many = `${one}s`) => `${grouped(count)} ${count === 1 ? one : many}`;

const date = (seconds) => new Date(1000 * seconds);
export const clockTime = (seconds) => CLOCK.format(date(seconds));
export const longTime = (seconds) => LONG.format(date(seconds));
export const day = (seconds) => DAY.format(date(seconds));
export const span = (from, length) => `${MINUTE.format(date(from))}–${MINUTE.format(date(from + length))}`;

/** Return how long ago something was, in words. */
export function ago(seconds) {
  if (seconds < 2) return "just now";
  if (seconds < 120) return `${Math.floor(seconds)} seconds ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} minutes ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} hours ago`;
  return `${grouped(Math.floor(seconds / 86_400))} days ago`;
}

/** Return a table: a caption, headings and rows of cells; a cell is what stands in it, or an element of its own. */
export function table(caption, headings, rows, name) {
  const head = headings.map(([text, kind]) => el("th", { scope: "col", class: kind }, text));
  const body = rows.map((cells) =>
    el("tr", {}, ...cells.map((cell, at) => {
      const properties = { class: headings[at][1] };
      if (at === 0) properties.scope = "row";
      return el(at === 0 ? "th" : "td", properties, ...[cell].flat());
    })),
  );
  return el("table", { class: name }, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}
