"""Style sheet and script of the page, as text: the page asks for nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ink: #22262e; --faint: #5b6370; --paper: #ffffff; --card: #f6f7f9; --line: #d9dde3;
  --accent: #0072b2; --good: #17714f; --good-back: #dff3ea; --warn: #9a3412; --warn-back: #fdeee2; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --faint: #a7aeba; --paper: #14171c;
  --card: #1c2027; --line: #363c47; --accent: #6cbcf0; --good: #7fd6b0; --good-back: #143528; --warn: #f5b48a;
  --warn-back: #3d2517; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3rem; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif; }
.page { max-width: 1160px; margin: 0 auto; padding: 0 1.25rem 3rem; }
h1 { font-size: 1.7rem; margin: 1.6rem 0 0.2rem; letter-spacing: -0.01em; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.8rem; padding-bottom: 0.3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.4rem 0 0.5rem; }
p { margin: 0.4rem 0; max-width: 75ch; }
a { color: var(--accent); }
code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.86em;
  overflow-wrap: anywhere; }
.faint { color: var(--faint); }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); }
nav ul { max-width: 1160px; margin: 0 auto; padding: 0.5rem 1.25rem; list-style: none; display: flex; flex-wrap: wrap;
  gap: 0.2rem 1.3rem; font-size: 0.9rem; }
nav a { text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); font-size: 0.88rem; padding: 0.2rem 0 0.4rem; }
th, td { padding: 0.42rem 0.6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { font-size: 0.82rem; color: var(--faint); font-weight: 600; border-bottom: 2px solid var(--line); white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 15rem; }
table.sources tbody th { min-width: 0; }
table.sources td.hash { min-width: 11rem; overflow-wrap: anywhere; }
td.wrap { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
table.figures thead th:first-child { width: 34%; }
table.figures thead th { width: 14%; }
table.figures thead th:last-child { width: 8%; }
td.value { font-weight: 600; }
tbody tr:hover { background: var(--card); }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th button::after { content: "\\2195"; opacity: 0.4; padding-left: 0.3em; }
th[aria-sort=ascending] button::after { content: "\\2191"; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\2193"; opacity: 1; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(168px, 1fr)); gap: 0.8rem; margin: 0; padding: 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 0.8rem 1rem; list-style: none; }
.card .name { color: var(--faint); font-size: 0.88rem; overflow-wrap: anywhere; }
.card .big { font-size: 1.75rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card .small { font-size: 0.82rem; color: var(--faint); font-variant-numeric: tabular-nums; }
.tag { display: inline-block; font-size: 0.74rem; font-weight: 600; padding: 0.05rem 0.45rem; border-radius: 999px;
  color: var(--good); background: var(--good-back); white-space: nowrap; }
.tag.warn { color: var(--warn); background: var(--warn-back); }
.plots { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 10px; padding: 0.8rem; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figure img { width: 100%; height: auto; display: block; }
figure img.dark { display: none; }
@media screen and (prefers-color-scheme: dark) { figure img.dark { display: block; } figure img.light { display: none; } }
figcaption { font-weight: 600; font-size: 0.95rem; margin-bottom: 0.5rem; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 0.7rem; margin: 0; padding: 0; }
.examples li { list-style: none; border: 1px solid var(--line); border-radius: 10px; padding: 0.5rem; text-align: center;
  font-size: 0.85rem; min-width: 0; overflow-wrap: anywhere; }
.examples img { width: 100%; max-width: 180px; height: auto; display: block; margin: 0 auto 0.3rem; }
.bar { text-decoration: overline; }
details { margin-top: 0.15rem; font-size: 0.86rem; font-weight: 400; color: var(--faint); }
details summary { cursor: pointer; color: var(--accent); font-size: 0.8rem; }
details p { margin: 0.25rem 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 1.2rem; margin: 0; font-size: 0.9rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 760px) { .plots { grid-template-columns: minmax(0, 1fr); } tbody th { min-width: 9rem; } }
@media print { th button::after { content: none; }
  nav, details:not([open]) { display: none; } body { font-size: 10pt; } .page { max-width: none; padding: 0; }
  figure, .card, .examples li, tr { break-inside: avoid; } h2, h3, caption { break-after: avoid; } .scroll { overflow: visible; }
  .examples { grid-template-columns: repeat(6, minmax(0, 1fr)); } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const compare = (a, b) => {
        const first = key(a), second = key(b);
        if (first === "" || second === "") return (first === "") - (second === "");
        const order = isNaN(first) || isNaN(second) ? first.localeCompare(second) : first - second;
        return up ? order : -order;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}
"""
