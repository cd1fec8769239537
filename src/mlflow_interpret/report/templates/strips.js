// Strips: all rows of a feature on an axis that the features share, coloured by value.

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
