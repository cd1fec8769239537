const INTERVAL = 1.96;
const FIRST = 25; // features before "Show all"
const body = document.querySelector("#table tbody");
const search = document.getElementById("search");
const chooser = document.getElementById("block");
const more = document.getElementById("more");
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
let showAll = features.length <= FIRST + 5;
let sorting = { key: "importance", down: true };

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

/* The table */

function draw() {
  const { values, errors } = pageData.blocks[block];
  const reach = (index) => (errors && errors[index] !== null ? INTERVAL * errors[index] : 0);
  const longest = Math.max(...values.map((value, i) => (value === null ? 0 : value + reach(i)))) || 1;
  const ranked = features.slice().sort((a, b) => compare(values[b.index], values[a.index]));
  ranked.forEach(({ row, index }, position) => {
    const [place, , bar, cell] = row.cells;
    place.textContent = position + 1;
    bar.firstChild.replaceChildren(...drawBar(values[index], errors && reach(index), longest));
    cell.replaceChildren(...told(values[index], errors && reach(index)));
  });
  const ordered = sorting.key === "name"
    ? features.slice().sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
    : ranked;
  if (sorting.key === "name" ? sorting.down : !sorting.down) ordered.reverse();
  arrange(ordered);
}

// A bar and the interval around its end, on an axis up to `longest`.
function drawBar(value, reach, longest) {
  const share = (size) => Math.min(Math.max((100 * size) / longest, 0), 100);
  const parts = [make("rect", { width: `${share(value ?? 0)}%` })];
  if (reach !== null) {
    const [low, high] = [value - reach, value + reach].map(share);
    parts.push(make("rect", { class: "error", x: `${low}%`, width: `${high - low}%` }));
  }
  return parts;
}

function told(value, reach) {
  return reach === null ? [write(value)] : [write(value), " ", make("small", {}, `± ${write(reach, 2)}`)];
}

function compare(one, other) {
  return (one ?? -Infinity) - (other ?? -Infinity) || 0;
}

function arrange(ordered) {
  const wanted = search.value.trim().toLowerCase();
  const found = ordered.filter(({ name }) => name.toLowerCase().includes(wanted));
  const shown = new Set(showAll || wanted ? found : found.slice(0, FIRST));
  for (const feature of ordered) {
    body.append(feature.row);
    feature.row.hidden = !shown.has(feature);
    if (feature.detail) {
      body.append(feature.detail);
      feature.detail.hidden = feature.row.hidden;
    }
  }
  more.hidden = shown.size === found.length;
  more.textContent = `Show all ${found.length.toLocaleString("en-US")} features`;
  document.getElementById("count").textContent =
    `${shown.size.toLocaleString("en-US")} of ${features.length.toLocaleString("en-US")} features`;
  redrawStrips();
}

for (const head of document.querySelectorAll("#table thead th[data-sort]")) {
  const label = head.querySelector("span");
  const button = make("button", { type: "button" }, label.textContent);
  label.replaceWith(button);
  button.addEventListener("click", () => {
    const key = head.dataset.sort;
    sorting = { key, down: sorting.key === key ? !sorting.down : key !== "name" };
    markSorting(head);
    draw();
  });
}

function markSorting(head) {
  for (const other of document.querySelectorAll("#table thead th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
}

search.addEventListener("input", draw);
more.addEventListener("click", () => {
  const next = features.filter(({ row }) => row.hidden).map(({ button }) => button);
  showAll = true;
  draw();
  if (next.length) body.querySelectorAll("tr:not([hidden]) .name button")[FIRST]?.focus();
});
if (chooser) {
  chooser.addEventListener("change", () => {
    block = Number(chooser.value);
    draw();
    for (const feature of features) if (feature.detail) fill(feature);
  });
}

/* One feature */

for (const feature of features) {
  const name = feature.row.querySelector("bdi");
  const button = make("button", { type: "button", "aria-expanded": "false" });
  name.replaceWith(button);
  button.append(name);
  if (feature.name.length > 60) button.title = feature.name;
  feature.button = button;
  button.addEventListener("click", () => toggle(feature));
  button.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && feature.detail) toggle(feature);
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const all = [...body.querySelectorAll("tr:not([hidden]) > .name button")];
    all[all.indexOf(button) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  });
}

function toggle(feature) {
  const open = !feature.detail;
  feature.button.setAttribute("aria-expanded", String(open));
  if (!open) {
    feature.detail.remove();
    feature.detail = null;
    feature.button.removeAttribute("aria-controls");
    return;
  }
  const id = `detail-${feature.index}`;
  feature.detail = make("tr", { class: "detail", id });
  feature.button.setAttribute("aria-controls", id);
  feature.row.after(feature.detail);
  fill(feature);
}

function fill(feature) {
  const cell = make("td", { colspan: columns() });
  const grid = make("div", { class: "detail-grid" });
  const plot = make("div");
  grid.append(plot);
  if (pageData.blocks.length > 1 && !pageData.mirrored) grid.append(byClass(feature.index));
  else grid.classList.add("single");
  cell.append(grid);
  feature.detail.replaceChildren(cell);
  plot.append(...scatter(feature.index, plot.clientWidth));
}

// Narrow pages leave columns out, and a cell over more columns than there are makes new ones.
function columns() {
  return [...document.querySelectorAll("#table thead th")].filter((head) => head.offsetParent).length;
}

// Targets may have different units, so theirs are shares.
function byClass(index) {
  const box = make("div");
  const targets = pageData.block_word === "target";
  const blocks = pageData.blocks.slice(1)
    .map(({ name, values, errors }) => {
      const whole = targets ? values.reduce((sum, value) => sum + (value ?? 0), 0) / 100 || 1 : 1;
      return { name, value: values[index] && values[index] / whole, reach: errors && (INTERVAL * (errors[index] ?? 0)) / whole };
    })
    .sort((a, b) => compare(b.value, a.value));
  const shown = blocks.slice(0, 12);
  const what = targets ? "Share of each target's importances (%)" : "Importance by class";
  box.append(make("h3", {}, `${what}${shown.length < blocks.length ? ", the 12 largest" : ""}`));
  const list = make("div", { class: "classes" });
  const longest = Math.max(...shown.map(({ value, reach }) => (value ?? 0) + reach)) || 1;
  for (const { name, value, reach } of shown) {
    const bar = make("svg", { class: "bar", "aria-hidden": "true" });
    bar.append(...drawBar(value, reach, longest));
    const number = make("span");
    number.append(...told(value, reach));
    list.append(make("bdi", { title: name }, name), bar, number);
  }
  box.append(list);
  return box;
}

/* Contributions against values */

function scatter(index, room) {
  const given = contributions(index);
  if (!given) return [make("p", { class: "muted" }, why(index))];
  const values = valuesOf(index);
  const { name } = features[index];
  const { toward } = pageData.blocks[block];
  const unit = pageData.unit ? ` (${pageData.unit})` : "";
  const title = make("h3", {}, `${toward[0].toUpperCase()}${toward.slice(1)}${unit}`);
  const across = values ? placesOf(values) : given.map(() => 0.5);
  const low = Math.min(0, ...given);
  const high = Math.max(0, ...given);
  const width = Math.min(Math.max(room, 240), 600);
  const box = { left: 58, right: width - 12, top: 8, bottom: 190 };
  const y = (value) => box.bottom - ((value - low) / (high - low || 1)) * (box.bottom - box.top);
  const categories = values?.kind === "category" ? values.categories.length : 0;
  const edge = categories ? (box.right - box.left) / (2 * categories) : 12;
  const x = (place) => box.left + edge + place * (box.right - box.left - 2 * edge);
  const labels = values ? valueLabels(values, box.right - box.left - 2 * edge, categories) : [];
  // Names of many categories, and long times, take turns on two lines.
  const turns = categories > 4 || (values?.kind === "time" && touching(labels, box.right - box.left - 2 * edge));
  const label = `${toward} against the values of ${name}: from ${write(Math.min(...given))} to ${write(Math.max(...given))}`;
  const svg = make("svg", { class: "plot", width, viewBox: `0 0 ${width} ${turns ? 240 : 228}`, role: "img", "aria-label": label });
  for (const [tick, told] of named(ticks(low, high, 3))) {
    svg.append(make("line", { class: "axis", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    svg.append(make("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, told));
  }
  svg.append(make("line", { class: "zero", x1: box.left, x2: box.right, y1: y(0), y2: y(0) }));
  const spread = categories ? edge : values ? 0 : box.right - box.left - 2 * edge;
  const there = [];
  const gone = [];
  given.forEach((value, i) => {
    const place = across[i];
    const jitter = spread * (((i * 0.61803) % 1) - 0.5);
    const height = y(value).toFixed(1);
    if (place === null) gone.push(`M${box.left + 4} ${height}h.01`);
    else there.push(`M${(x(place) + jitter).toFixed(1)} ${height}h.01`);
  });
  svg.append(make("path", { class: "points", d: there.join("") }));
  if (gone.length) svg.append(make("path", { class: "points gone", d: gone.join("") }));
  if (values) {
    svg.append(make("path", { class: "mean", d: means(across, given, values, x, y) }));
    labels.forEach(([place, text, anchor], i) => {
      const below = box.bottom + (turns && i % 2 ? 29 : 16);
      svg.append(make("text", { x: x(place), y: below, "text-anchor": anchor }, text));
    });
  }
  svg.append(make("text", { x: (box.left + box.right) / 2, y: box.bottom + (turns ? 45 : 32), "text-anchor": "middle" }, values ? "value of the feature" : "the rows themselves were not kept"));
  return [title, svg, make("p", { class: "muted small" }, remarks(values, given))];
}

function why(index) {
  if (!points) return "No contributions of single rows were kept, so there is no distribution to show.";
  if (!known(index)) return "Distributions are on this page for the most important features only.";
  return `There are no contributions of single rows to this ${pageData.block_word}.`;
}

// Round numbers, about five of them and at least so many; whole ones where the values are.
function ticks(low, high, least = 1, whole = false) {
  const span = high - low;
  if (!(span > 0)) return [0];
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const steps = [10, 5, 2, 1, 0.5, 0.2].map((factor) => factor * power).filter((one) => !whole || one > 0.99);
  let found = [];
  for (const step of steps.slice(steps.filter((one) => one >= rough).length - 1)) {
    found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(i * step);
    if (found.length >= least) break;
  }
  return found;
}

// Ticks with as many decimals as their steps have.
function named(found) {
  const step = found.length > 1 ? found[1] - found[0] : Math.abs(found[0] ?? 0);
  const decimals = step > 0 ? Math.max(-Math.floor(Math.log10(step) + 1e-9), 0) : 0;
  const plain = decimals <= 4 && found.every((tick) => Math.abs(tick) < 1e6);
  const format = {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    useGrouping: found.some((tick) => Math.abs(tick) >= 1e4), // 2007 may be a year
  };
  return found.map((tick) => {
    const told = plain ? Math.abs(tick).toLocaleString("en-US", format) : write(Math.abs(tick), 2);
    return [tick, tick < 0 ? `−${told}` : told];
  });
}

const ruler = document.createElement("canvas").getContext("2d");

function pixels(text) {
  ruler.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

function cutTo(room, text) {
  const letters = [...text];
  while (letters.length > 1 && pixels(letters.join("")) > room) letters.splice(-2, 2, "…");
  return letters.join("");
}

// Whether labels side by side leave no gap between them.
function touching(labels, room) {
  const starts = { start: 0, middle: 0.5, end: 1 };
  const ends = labels.map(([place, text, anchor]) => {
    const left = place * room - starts[anchor] * pixels(text);
    return [left, left + pixels(text)];
  });
  return ends.some(([left], i) => i > 0 && left < ends[i - 1][1] + 6);
}

// Places from 0 to 1 with texts and their anchors, as many as have room.
function valueLabels(values, room, categories) {
  if (values.kind === "category") {
    const last = Math.max(categories - 1, 1);
    const lines = categories > 4 ? 2 : 1;
    return values.categories.map((name, i) => [i / last, cutTo((lines * room) / last - 6, name), "middle"]);
  }
  if (!values.ends) return [];
  const text = (end) => (typeof end === "number" ? write(end) : end);
  const [low, high] = values.ends;
  if (low === high) return [[0.5, text(low), "middle"]];
  if (typeof low !== "number") return [[0, low, "start"], [1, high, "end"]];
  let labels = named(ticks(low, high, 3, values.whole)).map(([tick, told]) => [(tick - low) / (high - low), told, "middle"]);
  while (touching(labels, room)) labels = labels.filter((_, i) => i % 2 === 0);
  return labels;
}

// The mean contribution: of each category, or of twelfths of the rows ordered by value, at least
// five, where rows of equal values stay together.
function means(across, given, values, x, y) {
  const rows = across.map((place, i) => [place, given[i]]).filter(([place]) => place !== null);
  const mean = (list, at) => list.reduce((sum, row) => sum + row[at], 0) / list.length;
  if (values.kind === "category") {
    const groups = new Map();
    for (const row of rows) groups.set(row[0].toFixed(2), [...(groups.get(row[0].toFixed(2)) ?? []), row]);
    return [...groups.values()].map((list) => `M${x(mean(list, 0)) - 12} ${y(mean(list, 1))}h24`).join("");
  }
  rows.sort((a, b) => a[0] - b[0]);
  const size = Math.max(Math.ceil(rows.length / 12), 5);
  let path = "";
  for (let start = 0, end = 0; start < rows.length; start = end) {
    end = start + size;
    while (end < rows.length && rows[end][0] === rows[end - 1][0]) end += 1;
    const list = rows.slice(start, end);
    path += `${path ? "L" : "M"}${x(mean(list, 0)).toFixed(1)} ${y(mean(list, 1)).toFixed(1)}`;
  }
  return path;
}

function count(number, one, several) {
  return `${number.toLocaleString("en-US")} ${number === 1 ? one : several}`;
}

function remarks(values, given) {
  const said = [count(given.length, "row", "rows")];
  if (values) said.push(values.kind === "category" ? "marks: mean of a category" : "line: means over rows of like values");
  if (values?.missing) said.push(`${values.missing.toLocaleString("en-US")} without a value, grey at the left`);
  if (values?.beyond) said.push(count(values.beyond, "value beyond the axis is drawn at its end", "values beyond the axis are drawn at its ends"));
  return `${said.join("; ")}.`;
}

/* Strips: all rows of a feature on an axis that the features share, coloured by value */

let axis = null;
let watched = null;

function redrawStrips() {
  if (!points) return;
  let low = 0;
  let high = 0;
  const layer = points.contributions[block];
  for (const part of (typeof layer === "number" ? points.contributions[layer] : layer) ?? []) {
    low = Math.min(low, part[0]);
    high = Math.max(high, part[1]);
  }
  axis = { low, high };
  watched?.disconnect();
  watched = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watched.unobserve(target);
      strip(target);
    }
  }, { rootMargin: "200px" });
  for (const { row } of features) {
    const canvas = row.querySelector("canvas");
    if (canvas && !row.hidden) watched.observe(canvas);
  }
}

function strip(canvas) {
  const index = Number(canvas.dataset.index);
  const given = contributions(index);
  const width = canvas.clientWidth;
  const height = 26;
  if (!width) return;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(document.body);
  const at = (value) => 4 + ((value - axis.low) / (axis.high - axis.low || 1)) * (width - 8);
  pen.fillStyle = colourOf("--line", style);
  pen.fillRect(at(0), 0, 1, height);
  if (!given) return;
  const values = valuesOf(index);
  const coloured = values && (values.kind !== "category" || values.categories.length === 2);
  const across = coloured ? placesOf(values) : null;
  const ends = ["--low", "--middle", "--high"].map((name) => parts(colourOf(name, style)));
  const bins = new Map();
  const counts = given.map((value) => {
    const bin = Math.round(at(value) / 3);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
    return bins.get(bin) - 1;
  });
  const step = Math.min(3, (height - 6) / Math.max(...bins.values(), 1));
  pen.globalAlpha = 0.75;
  given.forEach((value, i) => {
    const side = counts[i] % 2 ? -1 : 1;
    const place = across ? across[i] : null;
    pen.fillStyle = place === null ? colourOf("--middle", style) : blend(ends, place);
    pen.beginPath();
    pen.arc(at(value), height / 2 + side * Math.ceil(counts[i] / 2) * step, 1.9, 0, 7);
    pen.fill();
  });
}

// A custom property as the browser resolves it: light-dark() depends on the theme.
const probe = make("span", { hidden: "" });
document.body.append(probe);
const resolved = new Map();

function colourOf(name) {
  if (!resolved.has(name)) {
    probe.style.color = `var(${name})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

function parts(colour) {
  return colour.match(/[\d.]+/g).slice(0, 3).map(Number);
}

function blend([low, middle, high], place) {
  const [from, to, share] = place < 0.5 ? [low, middle, place * 2] : [middle, high, place * 2 - 1];
  return `rgb(${from.map((part, i) => Math.round(part + share * (to[i] - part))).join(" ")})`;
}

function changeTheme() {
  resolved.clear();
  redrawStrips();
}

for (const { row, index, button } of features) {
  const cell = make("td", { class: "strips needs-script" });
  if (known(index)) cell.append(make("canvas", { class: "strip", "data-index": index, "aria-hidden": "true" }));
  cell.addEventListener("click", () => button.click());
  row.cells[2].addEventListener("click", () => button.click());
  row.append(cell);
}
if (!points) document.querySelectorAll(".strips").forEach((cell) => cell.remove());
document.addEventListener("themechange", changeTheme);
// What was never scrolled to is printed, too.
addEventListener("beforeprint", () => {
  for (const { row } of features) if (!row.hidden) row.querySelectorAll("canvas").forEach(strip);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changeTheme);
let waiting = null;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    for (const feature of features) if (feature.detail) fill(feature);
    redrawStrips();
  }, 150);
});
draw();
if (points && features.length) toggle(features[0]);
