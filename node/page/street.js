// A house for every validator: the same node key always has the same house. Lit windows are a vote in the newest block.

import { svg } from "./words.js";

const GROUND = 88;

/** Return the drawing of a house, beside words that say the same. */
export function house(nodeKey, { lit, cut }) {
  const byte = (at) => parseInt(nodeKey.slice(2 + 2 * at, 4 + 2 * at), 16);
  const width = 44 + 6 * (byte(0) % 4);
  const wall = 30 + 7 * (byte(1) % 3);
  const rise = 16 + 5 * (byte(2) % 3);
  const left = 62 - width / 2;
  const right = left + width;
  const top = GROUND - wall;
  const mirrored = byte(3) % 2 === 1;
  const at = (x, w) => (mirrored ? left + right - x - w : x); // a side of the house, or the other
  const chimney = at(right - 14, 6);
  const ridge = top - rise + 2;
  const pane = (x, y) => svg("rect", { class: "pane", x: at(x, 9), y, width: 9, height: 10 });
  const upper = byte(4) % 2 === 0 && wall > 36;
  const parts = [
    svg("path", { d: `M${left} ${GROUND}V${top}M${right} ${GROUND}V${top}` }),
    svg("path", { d: `M${left - 5} ${top + 3}L62 ${top - rise}L${right + 5} ${top + 3}Z` }),
    svg("path", { d: `M${chimney} ${top - rise / 2.2}V${ridge - 3}H${chimney + 6}V${top - rise / 2.2}` }),
    svg("path", { d: `M${at(left + 7, 10)} ${GROUND}v-18h10v18` }),
    pane(right - 18, GROUND - 19),
  ];
  if (width > 50) parts.push(pane(right - 32, GROUND - 19));
  if (upper) parts.push(pane(left + 8, top + 6), pane(right - 18, top + 6));
  const kind = ["house", lit ? "lit" : "", cut ? "cut" : ""].join(" ").trim();
  return svg("svg", { viewBox: `0 0 124 ${GROUND}`, preserveAspectRatio: "xMidYMax meet", "aria-hidden": "true" }, svg("g", { class: kind }, ...parts));
}

/** Return a row of dots, the newest at the right: a filled one for a vote in the certificate, a ring for none. */
export function dots(signed, most) {
  const missing = most - signed.length;
  const circles = signed.map((yes, at) =>
    svg("circle", { class: yes ? "yes" : undefined, cx: 10 * (missing + at) + 5, cy: 5, r: 3 }),
  );
  return svg("svg", { class: "dots", viewBox: `0 0 ${10 * most} 10`, "aria-hidden": "true" }, ...circles);
}
