// Where the marks of an axis are, what stands at them, and which of many points a line needs. The server says the same
// in knossos/web/plot_scale.py, where the reasons stand.

const LARGE = 1e6;
const FINE = 1e-7;

/** An axis over values from low to high, with some room around them: {low, high, marks: [[value, text], ...]}. */
export function valueAxis(low, high, most) {
  const same = high - low <= Math.max(Math.abs(low), Math.abs(high)) * 1e-12;
  const room = same ? Math.abs(low) * 1e-3 || 1 : (high - low) * 0.06;
  return { low: low - room, high: high + room, marks: marks(low - room, high + room, most) };
}

/** An axis over the numbers of values, whose marks are whole. */
export function numberAxis(first, last, most) {
  const high = Math.max(last, first + 1);
  return { low: first, high, marks: marks(first, high, most, 1).filter(([at]) => at <= high) };
}

/** Where a value lies on an axis, from 0 to 1. */
export function place(axis, value) {
  return (value - axis.low) / (axis.high - axis.low);
}

function marks(low, high, most, least = 0) {
  const size = Math.max(step((high - low) / most), least);
  const first = Math.ceil(low / size - 1e-9);
  const last = Math.floor(high / size + 1e-9);
  const values = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * size);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const digit = Math.floor(Math.log10(size) + 1e-9);
  if (largest >= LARGE || size < FINE) {
    const digits = largest ? Math.min(12, Math.max(0, Math.floor(Math.log10(largest)) - digit)) : 0;
    return values.map((value) => [value, exponent(value.toExponential(digits))]);
  }
  return values.map((value) => [value, signed(value.toFixed(Math.max(0, -digit)))]);
}

function step(rough) {
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  for (const factor of [1, 2, 5]) if (rough <= factor * power * (1 + 1e-9)) return factor * power;
  return 10 * power;
}

function signed(text) {
  return /^[-0.]*$/.test(text) ? text.replace(/^-/, "") : text.replaceAll("-", "\u2212");
}

function exponent(text) {
  return signed(text).replace("e+", "e");
}

/** A value for people. */
export function written(value) {
  return exponent(String(Number(value.toPrecision(12))));
}

/** The points that a line needs which is so many columns wide; a point is [number, value]. */
export function thinned(points, columns) {
  if (points.length <= 4 * columns) return points;
  const first = points[0][0];
  const span = points.at(-1)[0] - first;
  const found = [];
  let column = [];
  let at = 0;
  for (const point of points) {
    const here = Math.min(columns - 1, Math.floor(((point[0] - first) * columns) / span));
    if (here !== at && column.length > 0) {
      found.push(...outline(column));
      column = [];
    }
    at = here;
    column.push(point);
  }
  found.push(...outline(column));
  return found;
}

function outline(column) {
  let lowest = column[0];
  let highest = column[0];
  for (const point of column) {
    if (point[1] < lowest[1]) lowest = point;
    if (point[1] > highest[1]) highest = point;
  }
  return [...new Set([column[0], lowest, highest, column.at(-1)])].sort((one, other) => one[0] - other[0]);
}
