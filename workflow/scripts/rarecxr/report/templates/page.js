"use strict";
// Sorts a table by the column whose heading is pressed; pressed again, in the other direction.
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

// Tables begin with the arms that the answer is about; a button shows the others.
for (const button of document.querySelectorAll(".unfold button")) {
  const table = document.getElementById(button.dataset.table);
  const text = button.textContent;
  table.classList.add("folded");
  button.hidden = false;
  button.addEventListener("click", () => {
    const folded = table.classList.toggle("folded");
    button.setAttribute("aria-pressed", String(!folded));
    button.textContent = folded ? text : "Show fewer arms";
  });
}

// The overview: a pressed cell shows the numbers of its row in the tables below.
const numbers = document.getElementById("numbers");
let pressed = null;
function choose(button) {
  if (pressed) pressed.setAttribute("aria-expanded", "false");
  pressed = button === pressed ? null : button;
  numbers.hidden = !pressed;
  if (!pressed) return;
  pressed.setAttribute("aria-expanded", "true");
  const row = document.getElementById(pressed.dataset.row);
  const table = row.closest("table");
  const heads = table.tHead.rows;
  const groups = heads.length > 1
    ? [...heads[0].cells].flatMap((cell) => Array(cell.colSpan).fill(cell.textContent)) : [];
  const list = document.createElement("dl");
  [...row.cells].forEach((cell, column) => {
    if (cell.textContent === "") return;
    const item = document.createElement("div");
    const name = document.createElement("dt");
    const heading = heads[heads.length - 1].cells[column].textContent;
    name.textContent = groups[column] ? `${groups[column]}: ${heading}` : heading;
    const value = document.createElement("dd");
    value.textContent = [...cell.childNodes].map((part) => part.textContent).join(" ");
    item.append(name, value);
    list.append(item);
  });
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => {
    const back = pressed;
    choose(back);
    back.focus();
  });
  numbers.replaceChildren(list, close);
  numbers.scrollIntoView({ block: "nearest" });
}
for (const button of document.querySelectorAll("#matrix button")) {
  button.addEventListener("click", () => choose(button));
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && pressed) choose(pressed);
});

// A training's rows of images become one row with a slider over time; it begins at the last.
for (const stack of document.querySelectorAll(".over-time")) {
  const rows = [...stack.querySelectorAll("img")];
  if (rows.length < 2) continue;
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = rows.length - 1;
  slider.value = rows.length - 1;
  slider.setAttribute("aria-label", stack.dataset.label);
  const move = () => rows.forEach((row, place) => {
    const now = place === Number(slider.value);
    row.classList.toggle("now", now);
    if (now) row.loading = "eager";
  });
  slider.addEventListener("input", move);
  stack.classList.add("sliding");
  move();
  stack.before(slider);
}

// A link to a section unfolds what is folded away in it.
function unfoldTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const folded = target && target.querySelector(":scope > details");
  if (folded) folded.open = true;
}
addEventListener("hashchange", unfoldTarget);
unfoldTarget();

// On paper everything is unfolded, and every image is there.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  for (const image of document.images) image.loading = "eager";
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
