const INITIAL_ROWS = 25; // before "Show all"
const search = document.getElementById("search");
const outputSelect = document.getElementById("output");
const showAllButton = document.getElementById("more");
let showAll = features.length <= INITIAL_ROWS + 5;
let sorting = { key: "importance", isDescending: true };

/* The table */

function draw() {
  const { values, errors } = pageData.outputs[selectedOutput];
  const halfWidth = (index) => (errors && errors[index] !== null ? INTERVAL * errors[index] : 0);
  const axisEnd = Math.max(...values.map((value, i) => (value === null ? 0 : value + halfWidth(i)))) || 1;
  const ranked = features.slice().sort((a, b) => compare(values[b.index], values[a.index]));
  ranked.forEach(({ row, index }, position) => {
    const [rankCell, , barCell, valueCell] = row.cells;
    rankCell.textContent = position + 1;
    barCell.firstChild.replaceChildren(...drawBar(values[index], errors && halfWidth(index), axisEnd));
    valueCell.replaceChildren(...valueNodes(values[index], errors && halfWidth(index)));
  });
  const ordered = sorting.key === "name"
    ? features.slice().sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
    : ranked;
  if (sorting.key === "name" ? sorting.isDescending : !sorting.isDescending) ordered.reverse();
  arrange(ordered);
}

// A bar and the interval around its end, on an axis from 0 to `axisEnd`.
function drawBar(value, halfWidth, axisEnd) {
  const percent = (size) => Math.min(Math.max((100 * size) / axisEnd, 0), 100);
  const parts = [make("rect", { width: `${percent(value ?? 0)}%` })];
  if (halfWidth !== null) {
    const [low, high] = [value - halfWidth, value + halfWidth].map(percent);
    parts.push(make("rect", { class: "error", x: `${low}%`, width: `${high - low}%` }));
  }
  return parts;
}

function valueNodes(value, halfWidth) {
  const text = formatNumber(value);
  return halfWidth === null ? [text] : [text, " ", make("small", {}, `± ${formatNumber(halfWidth, 2)}`)];
}

function compare(a, b) {
  return (a ?? -Infinity) - (b ?? -Infinity) || 0;
}

function arrange(ordered) {
  const query = search.value.trim().toLowerCase();
  const matches = ordered.filter(({ name }) => name.toLowerCase().includes(query));
  const shown = new Set(showAll || query ? matches : matches.slice(0, INITIAL_ROWS));
  for (const feature of ordered) {
    body.append(feature.row);
    feature.row.hidden = !shown.has(feature);
    if (feature.detail) {
      body.append(feature.detail);
      feature.detail.hidden = feature.row.hidden;
    }
  }
  showAllButton.hidden = shown.size === matches.length;
  showAllButton.textContent = `Show all ${matches.length.toLocaleString("en-US")} features`;
  document.getElementById("count").textContent =
    `${shown.size.toLocaleString("en-US")} of ${features.length.toLocaleString("en-US")} features`;
  redrawStrips();
}

for (const header of document.querySelectorAll("#table thead th[data-sort]")) {
  const label = header.querySelector("span");
  const button = make("button", { type: "button" }, label.textContent);
  label.replaceWith(button);
  button.addEventListener("click", () => {
    const key = header.dataset.sort;
    sorting = { key, isDescending: sorting.key === key ? !sorting.isDescending : key !== "name" };
    markSorting(header);
    draw();
  });
}

function markSorting(header) {
  for (const other of document.querySelectorAll("#table thead th")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", sorting.isDescending ? "descending" : "ascending");
}

search.addEventListener("input", draw);
showAllButton.addEventListener("click", () => {
  const hasHiddenRows = features.some(({ row }) => row.hidden);
  showAll = true;
  draw();
  if (hasHiddenRows) body.querySelectorAll("tr:not([hidden]) .name button")[INITIAL_ROWS]?.focus();
});
if (outputSelect) {
  outputSelect.addEventListener("change", () => {
    selectedOutput = Number(outputSelect.value);
    selectRowOutput();
    nameContributions();
    draw();
    for (const feature of features) if (feature.detail) fill(feature);
    if (points) drawRow();
  });
}

// The output of the contributions: in the head of their column, or below each strip if they differ.
function nameContributions() {
  const head = document.querySelector("#table th.strips span");
  if (!head) return;
  const differ = features.some(({ index }) => outputOf(index) !== selectedOutput);
  const { label } = pageData.outputs[selectedOutput];
  head.textContent = differ ? "Contributions" : label.replace("contribution", "Contributions");
  for (const { row, index } of features) {
    const note = row.querySelector("td.strips small");
    if (note) note.textContent = differ ? `to ${pageData.outputs[outputOf(index)].title}` : "";
  }
}

/* Details of a feature */

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
    const buttons = [...body.querySelectorAll("tr:not([hidden]) > .name button")];
    buttons[buttons.indexOf(button) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  });
}

function toggle(feature) {
  const isOpening = !feature.detail;
  feature.button.setAttribute("aria-expanded", String(isOpening));
  if (!isOpening) {
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
  const cell = make("td", { colspan: visibleColumns() });
  const grid = make("div", { class: "detail-grid" });
  const plot = make("div");
  grid.append(plot);
  if (pageData.outputs.length > 1 && !pageData.mirrored) grid.append(byClass(feature.index));
  else grid.classList.add("single");
  cell.append(grid);
  feature.detail.replaceChildren(cell);
  plot.append(...scatterPlot(feature.index, plot.clientWidth));
}

// Narrow pages hide columns, and a cell that spans more than the visible ones would add columns.
function visibleColumns() {
  return [...document.querySelectorAll("#table thead th")].filter((header) => header.offsetParent).length;
}

// The importances of one feature by output. Targets may have different units, so theirs are shares.
function byClass(index) {
  const box = make("div");
  const hasTargets = pageData.output_kind === "target";
  const outputs = pageData.outputs.slice(1)
    .map(({ name, values, errors }) => {
      const unit = hasTargets ? values.reduce((sum, value) => sum + (value ?? 0), 0) / 100 || 1 : 1;
      return { name, value: values[index] && values[index] / unit, halfWidth: errors && (INTERVAL * (errors[index] ?? 0)) / unit };
    })
    .sort((a, b) => compare(b.value, a.value));
  const shown = outputs.slice(0, 12);
  const title = hasTargets ? "Share of each target's importances (%)" : "Importance by class";
  box.append(make("h3", {}, `${title}${shown.length < outputs.length ? ", the 12 largest" : ""}`));
  const list = make("div", { class: "classes" });
  const axisEnd = Math.max(...shown.map(({ value, halfWidth }) => (value ?? 0) + halfWidth)) || 1;
  for (const { name, value, halfWidth } of shown) {
    const bar = make("svg", { class: "bar", "aria-hidden": "true" });
    bar.append(...drawBar(value, halfWidth, axisEnd));
    const number = make("span");
    number.append(...valueNodes(value, halfWidth));
    list.append(make("bdi", { title: name }, name), bar, number);
  }
  box.append(list);
  return box;
}

/* Initialization */

for (const { row, index, button } of features) {
  const cell = make("td", { class: "strips needs-script" });
  if (hasDistribution(index)) cell.append(make("canvas", { class: "strip", "data-index": index, "aria-hidden": "true" }), make("small"));
  else cell.append(make("small", {}, "not on this page"));
  cell.addEventListener("click", (event) => {
    const selected = event.target.matches("canvas") ? rowInStrip(event.target, event.clientX) : null;
    if (selected === null) button.click();
    else selectRow(selected, { scroll: true });
  });
  row.cells[2].addEventListener("click", () => button.click());
  row.append(cell);
}
if (!points) document.querySelectorAll(".strips").forEach((cell) => cell.remove());
document.addEventListener("themechange", changeTheme);
// Draw the strips that were never scrolled into view.
addEventListener("beforeprint", () => {
  for (const { row } of features) if (!row.hidden) row.querySelectorAll("canvas").forEach(drawStrip);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changeTheme);
let resizeTimer = null;
addEventListener("resize", () => {
  clearTimeout(resizeTimer);
  resizeTimer = setTimeout(() => {
    for (const feature of features) if (feature.detail) fill(feature);
    redrawStrips();
  }, 150);
});
nameContributions();
draw();
selectRowOutput();
if (points) drawRow();
if (points && features.length) toggle(features[0]);
