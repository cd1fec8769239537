const search = document.getElementById("search");
const rows = [...document.querySelectorAll("#table tbody tr")].map((row) => ({
  row,
  name: row.querySelector("th").textContent.toLocaleLowerCase(),
}));
search.addEventListener("input", () => {
  const query = search.value.trim().toLocaleLowerCase();
  let matches = 0;
  for (const { row, name } of rows) {
    row.hidden = !name.includes(query);
    matches += row.hidden ? 0 : 1;
  }
  document.getElementById("count").textContent = query ? `${matches} of ${rows.length}` : "";
});
