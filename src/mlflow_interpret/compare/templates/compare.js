const search = document.getElementById("search");
const lines = [...document.querySelectorAll("#table tbody tr")].map((line) => ({
  line,
  name: line.querySelector("th").textContent.toLocaleLowerCase(),
}));
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLocaleLowerCase();
  let found = 0;
  for (const { line, name } of lines) {
    line.hidden = !name.includes(wanted);
    found += line.hidden ? 0 : 1;
  }
  document.getElementById("count").textContent = wanted ? `${found} of ${lines.length}` : "";
});
