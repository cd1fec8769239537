// Strips: the contributions of a feature on an axis that all features share, colored by value.

let axis = null;
let observer = null;

function redrawStrips() {
  if (!points) return;
  const [low, high] = contributionRange();
  axis = { low, high };
  observer?.disconnect();
  observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      drawStrip(target);
    }
  }, { rootMargin: "200px" });
  for (const { row } of features) {
    const canvas = row.querySelector("canvas");
    if (canvas && !row.hidden) observer.observe(canvas);
  }
}

function drawStrip(canvas) {
  const index = Number(canvas.dataset.index);
  const rowContributions = contributions(index);
  const width = canvas.clientWidth;
  const height = 26;
  if (!width) return;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const x = (value) => stripX(value, width);
  context.fillStyle = colorOf("--line");
  context.fillRect(x(0), 0, 1, height);
  if (!rowContributions) return;
  const values = valuesOf(index);
  const isColored = values && (values.kind !== "category" || values.ordered);
  const positions = isColored ? positionsOf(values) : null;
  const gradient = ["--low", "--middle", "--high"].map((name) => colorParts(colorOf(name)));
  const bins = new Map();
  const counts = rowContributions.map((value) => {
    const bin = Math.round(x(value) / 3);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
    return bins.get(bin) - 1;
  });
  const step = Math.min(3, (height - 6) / Math.max(...bins.values(), 1));
  context.globalAlpha = 0.75;
  rowContributions.forEach((value, i) => {
    const side = counts[i] % 2 ? -1 : 1;
    const position = positions ? positions[i] : null;
    context.fillStyle = position === null ? colorOf("--middle") : blend(gradient, position);
    context.beginPath();
    context.arc(x(value), height / 2 + side * Math.ceil(counts[i] / 2) * step, 1.9, 0, 7);
    context.fill();
  });
  markRow(context, x, rowContributions, height);
}

function stripX(value, width) {
  return 4 + ((value - axis.low) / (axis.high - axis.low || 1)) * (width - 8);
}

// A ring around the selected row.
function markRow(context, x, rowContributions, height) {
  if (selectedRow === null) return;
  context.globalAlpha = 1;
  context.strokeStyle = colorOf("--text");
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x(rowContributions[selectedRow]), height / 2, 4.5, 0, 7);
  context.stroke();
}

// The sampled row whose point is next to a click, or null if none is near.
function rowInStrip(canvas, clientX) {
  const rowContributions = contributions(Number(canvas.dataset.index));
  const frame = canvas.getBoundingClientRect();
  if (!rowContributions || !axis) return null;
  return nearest(rowContributions.map((value) => Math.abs(stripX(value, frame.width) - (clientX - frame.left))), 6);
}

function nearest(distances, limit) {
  const smallest = Math.min(...distances);
  return smallest <= limit ? distances.indexOf(smallest) : null;
}

// The value of a custom property: light-dark() depends on the theme.
const probe = make("span", { hidden: "" });
document.body.append(probe);
const resolvedColors = new Map();

function colorOf(name) {
  if (!resolvedColors.has(name)) {
    probe.style.color = `var(${name})`;
    resolvedColors.set(name, getComputedStyle(probe).color);
  }
  return resolvedColors.get(name);
}

function colorParts(color) {
  return color.match(/[\d.]+/g).slice(0, 3).map(Number);
}

function blend([low, middle, high], position) {
  const [from, to, share] = position < 0.5 ? [low, middle, position * 2] : [middle, high, position * 2 - 1];
  return `rgb(${from.map((part, i) => Math.round(part + share * (to[i] - part))).join(" ")})`;
}

function changeTheme() {
  resolvedColors.clear();
  redrawStrips();
}
