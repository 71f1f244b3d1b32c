"use strict";
// Sorts a table by the column whose heading is pressed; pressed again, the other way round.
// Rows without a value stay last, and rows that are equal keep their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.sort, row]);
      const numeric = keyed.every(([key]) => key === "" || !Number.isNaN(Number(key)));
      keyed.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = numeric ? Number(a) - Number(b) : a.localeCompare(b);
        return descending ? -order : order;
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

// On paper everything is unfolded.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});

function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// A figure in a file of its own has no page whose colours it could take.
for (const button of document.querySelectorAll("figure .save button")) {
  button.addEventListener("click", () => {
    const drawing = new XMLSerializer().serializeToString(button.closest("figure").querySelector("svg"));
    save(button.dataset.name, drawing.replaceAll("currentColor", "#1a1a1a"), "image/svg+xml");
  });
}

document.getElementById("copy-methods").addEventListener("click", (event) => {
  const button = event.currentTarget;
  const paragraphs = [...document.querySelectorAll("#methods p")].map((part) => part.textContent);
  navigator.clipboard.writeText(paragraphs.join("\n\n")).then(
    () => { button.textContent = "Copied"; },
    () => { getSelection().selectAllChildren(document.getElementById("methods")); },
  );
});
