"use strict";
// Values by which cells are sorted: as given, as printed in a column of figures, or the text.
const units = { "ms": 1e-3, "µs": 1e-6, "kB": 1e3, "MB": 1e6, "GB": 1e9, "%": 0.01 };
const printed = (text) => {
  // No difference that shows is a gain of 1, whatever the estimate is.
  if (/^(?:[▲▼✓✗?]\s)?~(?:$| \()/.test(text)) return 1;
  const found = /^(?:[▲▼✓✗?]\s)?(?:~ )?(-?[\d.]+)\s*(ms|µs|kB|MB|GB|%)?/.exec(text.replaceAll(",", ""));
  return found ? found[1] * (units[found[2]] ?? 1) : NaN;
};
const order = (cell, isFigure) => {
  if (cell.dataset.order !== undefined) return Number(cell.dataset.order);
  return isFigure ? printed(cell.textContent) : cell.textContent;
};
const collator = new Intl.Collator("en", { numeric: true });
const isAbsent = (value) => Number.isNaN(value) || value === "–";
const compare = (a, b, direction) => {
  // What is absent comes last, whichever way the others are sorted.
  if (isAbsent(a) || isAbsent(b)) return isAbsent(a) - isAbsent(b);
  if (typeof a === typeof b) return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
  return typeof a === "number" ? -1 : 1;
};
const next = { none: "ascending", ascending: "descending", descending: "none" };
function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) return;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const sort = next[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", sort);
      const isFigure = table.classList.contains("r" + (column + 1));
      const key = (row) => order(row.cells[column], isFigure);
      const direction = sort === "descending" ? -1 : 1;
      const rows = [...original];
      if (sort !== "none") rows.sort((a, b) => compare(key(a), key(b), direction));
      body.append(...rows);
    });
  });
}
document.querySelectorAll("main table").forEach(makeSortable);

function tool(text, action) {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", action);
  document.getElementById("tools").append(button);
}
tool("Light or dark", () => {
  const root = document.documentElement;
  const isDark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
});
// The raw data: JSON, compressed by gzip, in base64.
async function rawData() {
  const bytes = Uint8Array.from(atob(document.getElementById("results").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
tool("Download the raw data", async () => {
  const data = new Blob([await rawData()], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = "report-data.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

if (matchMedia("(min-width: 64rem)").matches) {
  document.querySelectorAll("nav details").forEach((one) => { one.open = true; });
}
// The section that is read is marked in the contents.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const id of links.keys()) {
  const section = document.getElementById(id);
  if (section) watch.observe(section);
}

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("main details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
});
