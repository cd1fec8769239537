"use strict";
// Names are untrusted data: write them as text only, never as markup.
const root = document.documentElement;
root.classList.add("scripted");

const pageData = (() => {
  const block = document.getElementById("data");
  return block ? JSON.parse(block.textContent) : null;
})();

function make(tag, attributes = {}, text = null) {
  const isDrawing = ["svg", "g", "rect", "line", "circle", "path", "text", "title"].includes(tag);
  const element = isDrawing
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

// The choice is lost with the page, since a sandboxed frame has no storage.
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.dispatchEvent(new Event("themechange"));
});
