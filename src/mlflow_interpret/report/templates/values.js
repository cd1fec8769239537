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

// Whole numbers of one or two bytes, the lowest byte first.
function decode(text, nBytes) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return nBytes === 1 ? bytes : Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
}

const LARGEST = { 1: 255, 2: 65535 };

// Numbers from their range and the positions in it.
function decodeRange([low, high, encoded], nBytes) {
  return Array.from(decode(encoded, nBytes), (step) => low + (step / LARGEST[nBytes]) * (high - low));
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

// The contributions of all features to an output, with the number of the layer that holds them and a
// sign: those to one of two classes may be the negative ones to the other.
function layerOf(output) {
  const layer = points?.contributions[output];
  if (!layer) return null;
  if (Array.isArray(layer)) return { columns: layer, number: output, sign: 1 };
  return { ...layerOf(layer.layer), sign: layer.sign };
}

// The output whose contributions are shown for a feature: the selected one, or else the class for which
// the feature is most important. Targets may have different units, so theirs are not mixed.
function outputOf(feature) {
  if (selectedOutput || pageData.output_kind === "target" || pageData.outputs.length <= 3) return selectedOutput;
  const sizes = pageData.outputs.slice(1).map(({ values }) => values[feature] ?? -Infinity);
  return 1 + sizes.indexOf(Math.max(...sizes));
}

// The contributions of the sampled rows to an output.
function contributions(feature, output = outputOf(feature)) {
  const layer = hasDistribution(feature) && layerOf(output);
  if (!layer) return null;
  return decodeRange(layer.columns[feature], points.n_bytes).map((value) => layer.sign * value);
}

// The smallest and the largest contribution of all features to the outputs that are shown.
function contributionRange() {
  const ends = points.values.flatMap((_, feature) => {
    const layer = layerOf(outputOf(feature));
    return layer ? layer.columns[feature].slice(0, 2).map((end) => layer.sign * end) : [];
  });
  return [Math.min(0, ...ends), Math.max(0, ...ends)];
}

function valuesOf(feature) {
  return hasDistribution(feature) ? points.values[feature] : null;
}

// A position from 0 to 1 for each sampled row, or null if the value is missing.
function positionsOf(values) {
  const missing = LARGEST[points.n_bytes];
  return Array.from(decode(values.bytes, points.n_bytes), (step) => (step === missing ? null : step / (missing - 1)));
}
