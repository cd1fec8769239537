const FIRST = 25; // features before "Show all"
const search = document.getElementById("search");
const chooser = document.getElementById("block");
const more = document.getElementById("more");
let showAll = features.length <= FIRST + 5;
let sorting = { key: "importance", down: true };

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
  const targets = pageData.output_kind === "target";
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

/* The start */

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
