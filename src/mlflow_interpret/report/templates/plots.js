// Plot of the contributions of one feature against its values. A click selects the next row.

function scatterPlot(index, availableWidth) {
  const rowContributions = contributions(index);
  if (!rowContributions) return [make("p", { class: "muted" }, missingReason(index))];
  const values = valuesOf(index);
  const { name } = features[index];
  const { label } = pageData.outputs[outputOf(index)];
  const unit = pageData.unit ? ` (${pageData.unit})` : "";
  const title = make("h3", {}, `${label[0].toUpperCase()}${label.slice(1)}${unit}`);
  const positions = values ? positionsOf(values) : rowContributions.map(() => 0.5);
  const low = Math.min(0, ...rowContributions);
  const high = Math.max(0, ...rowContributions);
  const width = Math.min(Math.max(availableWidth, 240), 960);
  const box = { left: 58, right: width - 12, top: 8, bottom: 190 };
  const y = (value) => box.bottom - ((value - low) / (high - low || 1)) * (box.bottom - box.top);
  const categories = values?.kind === "category" ? values.categories.length : 0;
  const edge = categories ? (box.right - box.left) / (2 * categories) : 12;
  const x = (position) => box.left + edge + position * (box.right - box.left - 2 * edge);
  const valueLabels = values ? labelsOf(values, box.right - box.left - 2 * edge, categories) : [];
  // Many categories and long times alternate between two lines.
  const alternates = categories > 4 || (values?.kind === "time" && areTouching(valueLabels, box.right - box.left - 2 * edge));
  const description = `${label} against the values of ${name}: from ${formatNumber(Math.min(...rowContributions))} to ${formatNumber(Math.max(...rowContributions))}`;
  const svg = make("svg", { class: "plot", width, viewBox: `0 0 ${width} ${alternates ? 240 : 228}`, role: "img", "aria-label": description });
  for (const [tick, text] of formatTicks(ticks(low, high, 3))) {
    svg.append(make("line", { class: "axis", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    svg.append(make("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, text));
  }
  svg.append(make("line", { class: "zero", x1: box.left, x2: box.right, y1: y(0), y2: y(0) }));
  const spread = categories ? edge : values ? 0 : box.right - box.left - 2 * edge;
  const centers = rowContributions.map((value, i) => {
    const jitter = spread * (((i * 0.61803) % 1) - 0.5);
    return [positions[i] === null ? box.left + 4 : x(positions[i]) + jitter, y(value)];
  });
  const partner = partnerOf(index);
  const styles = centers.map((_, i) => (positions[i] === null ? "missing" : partner?.styles[i] ?? ""));
  for (const style of new Set(styles)) {
    const dots = centers.filter((_, i) => styles[i] === style).map(([left, top]) => `M${left.toFixed(1)} ${top.toFixed(1)}h.01`);
    svg.append(make("path", { class: `points ${style}`.trim(), d: dots.join("") }));
  }
  const [left, top] = centers[selectedRow];
  svg.append(make("circle", { class: "selected", cx: left, cy: top, r: 6 }));
  svg.addEventListener("click", (event) => {
    const frame = svg.getBoundingClientRect();
    const scale = width / frame.width;
    const [clickX, clickY] = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    const row = nearest(centers.map(([cx, cy]) => Math.hypot(cx - clickX, cy - clickY)), 14);
    if (row !== null) selectRow(row, { scroll: true });
  });
  if (values) {
    svg.append(make("path", { class: "mean", d: meanLine(positions, rowContributions, values, x, y) }));
    valueLabels.forEach(([position, text, anchor], i) => {
      const baseline = box.bottom + (alternates && i % 2 ? 29 : 16);
      svg.append(make("text", { x: x(position), y: baseline, "text-anchor": anchor }, text));
    });
  }
  svg.append(make("text", { x: (box.left + box.right) / 2, y: box.bottom + (alternates ? 45 : 32), "text-anchor": "middle" }, values ? truncateToWidth(box.right - box.left, name) : "the values of the rows were not stored"));
  return [title, svg, make("p", { class: "muted small" }, directionText(index) + caption(values, rowContributions.length) + (partner?.caption ?? ""))];
}

function directionText(index) {
  const direction = pageData.directions[outputOf(index)]?.[index];
  return direction ? `Direction: ${direction}. ` : "";
}

// The colors of the rows by the value of the feature with the largest interaction, or null.
function partnerOf(index) {
  const partner = pageData.partners[index];
  const values = partner === undefined ? null : valuesOf(partner);
  if (!values || (values.kind === "category" && !values.ordered)) return null;
  const names = ["low", "lower", "middle", "higher", "high"];
  const styles = positionsOf(values).map((position) => (position === null ? "middle" : names[Math.min(Math.floor(position * 5), 4)]));
  return { styles, caption: ` Color: the value of ${features[partner].name}, low to high; its interaction with this feature is the largest.` };
}

function missingReason(index) {
  if (!points) return "There is no distribution, since no contributions of single rows were stored.";
  if (!hasDistribution(index)) return "Only the most important features have distributions on this page.";
  return `There are no contributions of single rows to this ${pageData.output_kind}.`;
}

// About five round numbers, at least `minimum`; whole numbers if the values are whole.
function ticks(low, high, minimum = 1, whole = false) {
  const span = high - low;
  if (!(span > 0)) return [0];
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const steps = [10, 5, 2, 1, 0.5, 0.2].map((factor) => factor * power).filter((step) => !whole || step > 0.99);
  let result = [];
  for (const step of steps.slice(steps.filter((step) => step >= rough).length - 1)) {
    result = [];
    for (let i = Math.ceil(low / step); i * step <= high; i += 1) result.push(i * step);
    if (result.length >= minimum) break;
  }
  return result;
}

// Ticks with their texts, with as many decimals as the step between them.
function formatTicks(values) {
  const step = values.length > 1 ? values[1] - values[0] : Math.abs(values[0] ?? 0);
  const decimals = step > 0 ? Math.max(-Math.floor(Math.log10(step) + 1e-9), 0) : 0;
  const isPlain = decimals <= 4 && values.every((tick) => Math.abs(tick) < 1e6);
  const format = {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    useGrouping: values.some((tick) => Math.abs(tick) >= 1e4), // smaller numbers may be years
  };
  return values.map((tick) => {
    const text = isPlain ? Math.abs(tick).toLocaleString("en-US", format) : formatNumber(Math.abs(tick), 2);
    return [tick, tick < 0 ? `−${text}` : text];
  });
}

const textMeasure = document.createElement("canvas").getContext("2d");

function textWidth(text) {
  textMeasure.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return textMeasure.measureText(text).width;
}

function truncateToWidth(width, text) {
  const letters = [...text];
  while (letters.length > 1 && textWidth(letters.join("")) > width) letters.splice(-2, 2, "…");
  return letters.join("");
}

// Whether labels side by side have no gap between them.
function areTouching(labels, width) {
  const starts = { start: 0, middle: 0.5, end: 1 };
  const ends = labels.map(([position, text, anchor]) => {
    const left = position * width - starts[anchor] * textWidth(text);
    return [left, left + textWidth(text)];
  });
  return ends.some(([left], i) => i > 0 && left < ends[i - 1][1] + 6);
}

// Positions from 0 to 1 with texts and their anchors, as many as fit.
function labelsOf(values, width, categories) {
  if (values.kind === "category") {
    const last = Math.max(categories - 1, 1);
    const lines = categories > 4 ? 2 : 1;
    return values.categories.map((name, i) => [i / last, truncateToWidth((lines * width) / last - 6, name), "middle"]);
  }
  if (!values.ends) return [];
  const text = (end) => (typeof end === "number" ? formatNumber(end) : end);
  const [low, high] = values.ends;
  if (low === high) return [[0.5, text(low), "middle"]];
  if (typeof low !== "number") return [[0, low, "start"], [1, high, "end"]];
  let labels = formatTicks(ticks(low, high, 3, values.whole)).map(([tick, tickText]) => [(tick - low) / (high - low), tickText, "middle"]);
  while (areTouching(labels, width)) labels = labels.filter((_, i) => i % 2 === 0);
  return labels;
}

// The mean contributions: of each category, or of groups of rows with similar values. There are up
// to 12 groups of at least 5 rows, and rows with equal values are in the same group.
function meanLine(positions, rowContributions, values, x, y) {
  const rows = positions.map((position, i) => [position, rowContributions[i]]).filter(([position]) => position !== null);
  const mean = (group, column) => group.reduce((sum, row) => sum + row[column], 0) / group.length;
  if (values.kind === "category") {
    const groups = new Map();
    for (const row of rows) groups.set(row[0].toFixed(2), [...(groups.get(row[0].toFixed(2)) ?? []), row]);
    return [...groups.values()].map((group) => `M${x(mean(group, 0)) - 12} ${y(mean(group, 1))}h24`).join("");
  }
  rows.sort((a, b) => a[0] - b[0]);
  const size = Math.max(Math.ceil(rows.length / 12), 5);
  let path = "";
  for (let start = 0, end = 0; start < rows.length; start = end) {
    end = start + size;
    while (end < rows.length && rows[end][0] === rows[end - 1][0]) end += 1;
    const group = rows.slice(start, end);
    path += `${path ? "L" : "M"}${x(mean(group, 0)).toFixed(1)} ${y(mean(group, 1)).toFixed(1)}`;
  }
  return path;
}

function count(number, singular, plural) {
  return `${number.toLocaleString("en-US")} ${number === 1 ? singular : plural}`;
}

function caption(values, nRows) {
  const parts = [count(nRows, "row", "rows")];
  if (values) parts.push(values.kind === "category" ? "marks: mean of each category" : "line: mean of rows with similar values");
  if (values?.missing) parts.push(`${count(values.missing, "missing value", "missing values")}, gray, on the left`);
  if (values?.outside) parts.push(count(values.outside, "value outside of the axis is drawn at its end", "values outside of the axis are drawn at its ends"));
  return `${parts.join("; ")}.`;
}
