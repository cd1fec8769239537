// Importances, contributions and values of the explanation.
const INTERVAL = 1.96;
const body = document.querySelector("#table tbody");
const points = pageData.points;
const hasDistribution = (index) => points !== null && index < points.values.length;
const features = [...body.rows].map((row, index) => ({
  row,
  index, // rank by the importance over all outputs
  name: row.querySelector("bdi").textContent,
  button: null,
  detail: null,
}));
let selectedOutput = 0; // 0 stands for all outputs

function decode(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function formatNumber(value, digits = 3) {
  if (value === null) return "not finite";
  if (value < 0) return `−${formatNumber(-value, digits)}`;
  if (value === 0) return "0";
  if (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6) {
    return value.toExponential(digits - 1).replace("e+", "e");
  }
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toLocaleString("en-US", {
    minimumFractionDigits: Math.max(decimals, 0), maximumFractionDigits: Math.max(decimals, 0),
  });
}

// The contributions of all features to the selected output, or a falsy value.
function contributionLayer() {
  const layer = points.contributions[selectedOutput];
  return typeof layer === "number" ? points.contributions[layer] : layer;
}

// The contributions of the sampled rows to the selected output.
function contributions(feature) {
  if (!hasDistribution(feature)) return null;
  const layer = contributionLayer();
  if (!layer) return null;
  const [low, high, encoded] = layer[feature];
  return Array.from(decode(encoded), (byte) => low + (byte / 255) * (high - low));
}

function valuesOf(feature) {
  return hasDistribution(feature) ? points.values[feature] : null;
}

// A position from 0 to 1 for each sampled row, or null if the value is missing.
function positionsOf(values) {
  return Array.from(decode(values.bytes), (byte) => (byte === 255 ? null : byte / 254));
}
