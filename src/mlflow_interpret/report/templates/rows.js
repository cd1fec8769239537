// A single row as a waterfall: from the base value over the contributions to the model's output.
const MAX_BARS = 10; // contributions with a bar of their own
const rowInput = document.getElementById("row-number");
const rowOutputSelect = document.getElementById("row-output");
const rowNumbers = points ? points.rows.numbers ?? [...Array(points.rows.count).keys()] : [];
let selectedRow = points ? 0 : null; // index among the sampled rows

/* The data of a row */

// The base value, or null, and the outputs of the sampled rows; null if they are not finite.
function rowOutputs(output) {
  const entry = points.rows.outputs[output || (layerOf(0)?.number ?? 0)];
  return entry ? { base: entry[0], sums: decodeRange(entry[1], 2) } : null;
}

// The label of the selected row, with the names of the targets if there are several labels.
function labelText(columns, output) {
  if (!columns) return null;
  const hasOwnColumn = columns.length > 1 && pageData.output_kind === "target";
  const shown = hasOwnColumn ? [columns[(output || layerOf(0).number) - 1]] : columns;
  return shown.map((column) => {
    const text = column.names ? column.names[decode(column.codes, 2)[selectedRow]] : formatNumber(column.numbers[selectedRow]);
    return column.name ? `${text} (${column.name})` : text;
  }).join(", ");
}

// The output to show: the chosen one, or the class with the largest output, or that of the plots.
function rowOutput() {
  const chosen = Number(rowOutputSelect?.value ?? 0);
  const classes = pageData.outputs.slice(1);
  if (chosen || pageData.output_kind === "target" || classes.length < 3) return chosen;
  const sums = classes.map((_, i) => rowOutputs(i + 1)?.sums[selectedRow] ?? -Infinity);
  return 1 + sums.indexOf(Math.max(...sums));
}

// Choose the output that is selected for the whole page: that of the plots if none is.
function selectRowOutput() {
  if (!rowOutputSelect) return;
  rowOutputSelect.value = selectedOutput;
  if (rowOutputSelect.selectedIndex < 0) rowOutputSelect.value = layerOf(0)?.number ?? 1;
}

// The value of a feature in the selected row, null if it is unknown.
function valueText(feature) {
  const values = valuesOf(feature);
  if (!values) return null;
  const position = positionsOf(values)[selectedRow];
  if (position === null) return "missing";
  if (values.kind === "category") return values.categories[Math.round(position * (values.categories.length - 1))];
  if (!values.ends) return null;
  const [low, high] = values.ends;
  if (values.kind === "time") return timeText(low, high, position);
  const value = low === high ? low : low + position * (high - low);
  const bound = values.outside && position === 0 ? "≤ " : values.outside && position === 1 ? "≥ " : "";
  const isWhole = values.whole && Math.abs(value) < 1e6;
  return bound + (isWhole ? formatNumber(Math.round(value), 1).replace(",", "") : formatNumber(value));
}

function timeText(low, high, position) {
  if (low === high || position === 0) return low;
  if (position === 1) return high;
  const [start, end] = [low, high].map((text) => Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`));
  if (Number.isNaN(end - start)) return null; // durations
  const time = new Date(start + position * (end - start)).toISOString();
  return end - start > 200 * 864e5 ? time.slice(0, 10) : time.slice(0, 16).replace("T", " ");
}

// The steps from the base value to the output: the largest contributions, then the sum of the others.
function waterfallSteps(output, { base, sums }) {
  const all = layerOf(output).columns.map((_, index) => ({ index, value: contributions(index, output)[selectedRow] }));
  all.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const isComplete = all.length === pageData.n_features && all.length <= MAX_BARS + 1;
  const shown = isComplete ? all : all.slice(0, MAX_BARS);
  const sum = shown.reduce((total, { value }) => total + value, base ?? 0);
  const nOthers = pageData.n_features - shown.length;
  return nOthers ? [...shown, { index: null, nOthers, value: sums[selectedRow] - sum }] : shown;
}

/* The table */

function drawRow() {
  const output = rowOutput();
  const row = rowOutputs(output);
  const isKnown = row !== null && Boolean(layerOf(output));
  document.getElementById("waterfall").hidden = !isKnown;
  document.getElementById("row-missing").hidden = isKnown;
  rowInput.value = rowNumbers[selectedRow];
  document.getElementById("row-labels").textContent = rowLabels(output);
  document.getElementById("row-before").disabled = selectedRow === 0;
  document.getElementById("row-after").disabled = selectedRow === rowNumbers.length - 1;
  const lines = document.querySelector("#waterfall tbody");
  lines.replaceChildren();
  if (!isKnown) return;
  const start = row.base ?? 0;
  const end = row.sums[selectedRow];
  let at = start;
  const parts = waterfallSteps(output, row).map((step) => ({ ...step, from: at, to: (at += step.value) }));
  const ends = [start, end, ...parts.map(({ to }) => to)];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const x = (value) => 2 + (96 * (value - low)) / (high - low || 1); // percent
  const baseName = row.base === null ? "0 (the base value was not recorded)" : "Base value";
  lines.append(waterfallLine("end", [baseName], [mark(x(start))], formatNumber(start)));
  for (const part of parts) lines.append(contributionLine(part, x));
  lines.append(waterfallLine("end", [outputName(output, row.base)], [mark(x(end))], formatNumber(end)));
}

function rowLabels(output) {
  const kind = pageData.task === "regression" ? "value" : "class";
  const [predicted, actual] = [points.rows.predicted, points.rows.true].map((columns) => labelText(columns, output));
  const { probability } = points.rows;
  const percent = probability ? ` (probability ${formatNumber(decodeRange(probability, 2)[selectedRow])})` : "";
  const texts = [predicted && `Predicted ${kind}: ${predicted}${percent}.`, actual && `True ${kind}: ${actual}.`];
  return texts.filter(Boolean).join(" ");
}

function outputName(output, base) {
  const { title } = pageData.outputs[output];
  if (base === null) return "Sum of the contributions";
  const unit = pageData.unit && pageData.unit !== "prediction" ? ` (${pageData.unit})` : "";
  return `${title ? `Output for ${title}` : "Prediction"}${unit}`;
}

function contributionLine({ index, nOthers, value, from, to }, x) {
  const name = index === null ? [count(nOthers, "other feature", "other features")] : [make("bdi", {}, features[index].name)];
  const text = index === null ? null : valueText(index);
  if (text !== null) name.push(" = ", make("bdi", { class: "muted" }, text));
  const width = Math.max(Math.abs(x(to) - x(from)), 0.3);
  const bar = make("rect", { class: value < 0 ? "down" : "up", x: `${Math.min(x(from), x(to))}%`, width: `${width}%` });
  const number = value === 0 ? "0" : `${value > 0 ? "+" : ""}${formatNumber(value)}`;
  return waterfallLine("step", name, [bar], number);
}

function waterfallLine(kind, name, drawing, number) {
  const line = make("tr", { class: kind });
  const head = make("th", { scope: "row", class: "name" });
  const bar = make("svg", { class: "bar", "aria-hidden": "true" });
  const cell = make("td");
  head.append(...name);
  bar.append(...drawing);
  cell.append(bar);
  line.append(head, cell, make("td", { class: "number" }, number));
  return line;
}

function mark(x) {
  return make("rect", { class: "mark", x: `${x}%`, width: "3" });
}

/* Selection */

function selectRow(row, { scroll = false } = {}) {
  selectedRow = row;
  drawRow();
  redrawStrips();
  for (const feature of features) if (feature.detail) fill(feature);
  if (scroll) document.getElementById("row").scrollIntoView({ block: "nearest" });
}

// Select the row with the typed number, or the next one in the same direction that is on the page.
function selectNumber() {
  const number = Number(rowInput.value);
  const current = rowNumbers[selectedRow];
  if (rowInput.value === "" || Number.isNaN(number)) return selectRow(selectedRow);
  const after = rowNumbers.findIndex((other) => other >= number);
  const before = rowNumbers.findLastIndex((other) => other <= number);
  const row = number > current ? (after < 0 ? rowNumbers.length - 1 : after) : Math.max(before, 0);
  const isMissing = rowNumbers[row] !== number;
  document.getElementById("row-note").textContent = isMissing
    ? `Row ${number} is not on this page; row ${rowNumbers[row]} is shown.` : "";
  selectRow(row);
}

if (points) {
  rowInput.addEventListener("change", selectNumber);
  for (const [id, step] of [["row-before", -1], ["row-after", 1]]) {
    document.getElementById(id).addEventListener("click", () => {
      document.getElementById("row-note").textContent = "";
      selectRow(Math.min(Math.max(selectedRow + step, 0), rowNumbers.length - 1));
    });
  }
  rowOutputSelect?.addEventListener("change", drawRow);
}
