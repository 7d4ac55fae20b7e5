// Tables that sort by a click or a key on their headings, and show the rows that have every word of a filter.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const heads = [...table.tHead.rows[0].cells];

  // Rows without a value come last either way.
  function compare(a, b, column, sign) {
    const [left, right] = [a, b].map((row) => row.cells[column]);
    const numeric = heads[column].classList.contains("number");
    const [x, y] = [left, right].map((cell) => (numeric ? cell.dataset.key : cell.textContent));
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...[...rows].sort((a, b) => compare(a, b, column, descending ? -1 : 1)));
    });
  });

  const label = document.createElement("label");
  label.textContent = "Show rows with ";
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "words, e.g. “held out done”";
  label.append(field);
  const count = document.createElement("output");
  const filter = document.createElement("div");
  filter.className = "filter";
  filter.append(label, count);
  function show() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
  }
  field.addEventListener("input", show);
  show();
  table.parentElement.before(filter);
}
