// Contributions against values.

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
  return `There are no contributions of single rows to this ${pageData.output_kind}.`;
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
