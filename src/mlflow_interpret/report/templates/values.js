// What the page knows: importances, contributions and values.
const INTERVAL = 1.96;
const body = document.querySelector("#table tbody");
const points = pageData.points;
const known = (index) => points !== null && index < points.values.length;
const features = [...body.rows].map((row, index) => ({
  row,
  index, // its place in the importances over all classes
  name: row.querySelector("bdi").textContent,
  button: null,
  detail: null,
}));
let block = 0;

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function write(value, digits = 3) {
  if (value === null) return "not finite";
  if (value < 0) return `−${write(-value, digits)}`;
  if (value === 0) return "0";
  if (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6) {
    return value.toExponential(digits - 1).replace("e+", "e");
  }
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toLocaleString("en-US", {
    minimumFractionDigits: Math.max(decimals, 0), maximumFractionDigits: Math.max(decimals, 0),
  });
}

// Contributions of the shown rows to the chosen class, in their own unit.
function contributions(feature) {
  if (!known(feature)) return null;
  let layer = points.contributions[block];
  if (typeof layer === "number") layer = points.contributions[layer];
  if (!layer) return null;
  const [low, high, coded] = layer[feature];
  return Array.from(bytes(coded), (byte) => low + (byte / 255) * (high - low));
}

function valuesOf(feature) {
  return known(feature) ? points.values[feature] : null;
}

// Value between 0 and 1 for each shown row, null where it is missing.
function placesOf(values) {
  return Array.from(bytes(values.bytes), (byte) => (byte === 255 ? null : byte / 254));
}
