"""The page's one style sheet: narrow and wide, light and dark, screen and paper."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --soft: #565b62; --line: #d9dce0; --shade: #f4f5f7;
  --link: #0059b3; --good: #00674b; --careful: #8a4b00; --stop: #a31515; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e8e9eb; --soft: #a9aeb6; --line: #3a3e45; --shade: #202327;
    --link: #7cb8ff; --good: #4fd0a5; --careful: #f0b35a; --stop: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1480px; padding: 1rem clamp(0.75rem, 3vw, 2.5rem) 3rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.4rem; margin: 2.5rem 0 0.75rem; padding-top: 0.5rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.1rem; margin: 0 0 0.5rem; }
p, figcaption, dl.terms { max-width: 78ch; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.kicker { color: var(--soft); margin: 0; font-size: 0.9rem; }
.question { font-size: 1.15rem; margin: 0.5rem 0; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; margin: 0.75rem 0 0; }
.verdict { border-left: 6px solid; padding: 0.75rem 1rem;
  background: var(--shade); font-size: 1.1rem; margin: 0 0 1rem; }
.verdict.good { border-color: var(--good); } .verdict.good strong { color: var(--good); }
.verdict.careful { border-color: var(--careful); } .verdict.careful strong { color: var(--careful); }
.verdict.stop { border-color: var(--stop); } .verdict.stop strong { color: var(--stop); }
.formula { font: italic 1.25rem/1.6 Georgia, "Times New Roman", "DejaVu Serif", serif; margin: 1rem 0; }
sup { font-size: 0.7em; line-height: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.75rem; margin: 1rem 0; }
.facts div { border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem 0.9rem; }
.facts dt { color: var(--soft); font-size: 0.9rem; }
.facts dd { margin: 0; } .facts .value { font-size: 1.5rem; font-weight: 600; line-height: 1.35; }
.facts .note { color: var(--soft); font-size: 0.85rem; line-height: 1.4; }
.findings { list-style: none; padding: 0; margin: 0; display: grid; gap: 0.75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.findings li { border: 1px solid var(--line); border-left: 6px solid var(--soft); border-radius: 4px;
  padding: 0.6rem 0.9rem; }
.findings p { margin: 0.15rem 0; overflow-wrap: anywhere; }
.findings .refuse { border-left-color: var(--stop); } .findings .warn { border-left-color: var(--careful); }
.findings .level { text-transform: uppercase; font-size: 0.75rem; font-weight: 700; letter-spacing: 0.05em;
  color: var(--soft); }
.findings .refuse .level { color: var(--stop); } .findings .warn .level { color: var(--careful); }
.findings .source { color: var(--soft); font-size: 0.85rem; }
figure { margin: 0 0 2.5rem; }
.panels { display: grid; gap: 0.75rem; margin-bottom: 0.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.panels-1 { max-width: 38rem; }
.panel { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: 0.4rem; }
.still svg, .still img { display: block; width: 100%; height: auto; }
.live { display: none; }
.scripted .panel:has(.live.drawn) { background: none; }
.scripted .still { display: none; } .scripted .live { display: block; min-height: 20rem; }
.filter { display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: baseline; margin: 0 0 0.5rem; }
.filter input { font: inherit; padding: 0.25rem 0.5rem; min-width: 0; width: min(22rem, 100%); color: var(--ink);
  background: var(--paper); border: 1px solid var(--soft); border-radius: 4px; }
.filter output { color: var(--soft); font-size: 0.9rem; }
th button { font: inherit; font-weight: 700; color: inherit; background: none; border: 0; padding: 0;
  text-align: inherit; cursor: pointer; } th button::after { content: "\\00a0↕"; color: var(--soft); }
[aria-sort=ascending] button::after { content: "\\00a0↑"; color: var(--ink); }
[aria-sort=descending] button::after { content: "\\00a0↓"; color: var(--ink); }
figcaption { color: var(--soft); font-size: 0.92rem; }
.scroll { overflow-x: auto; margin: 0 0 1.75rem; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
caption strong { color: var(--ink); }
caption { text-align: left; font-size: 0.95rem; color: var(--soft); padding-bottom: 0.4rem;
  max-width: min(78ch, 100vw - 1.75rem); }
th, td { padding: 0.3rem 0.7rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody th { font-weight: 600; }
.number { text-align: right; } thead th { white-space: normal; }
td, tbody th { white-space: nowrap; } .prose.prose { white-space: normal; min-width: min(17rem, 52vw);
  max-width: 44rem; }
.terms dt { font-weight: 600; margin-top: 0.75rem; } .terms dd { margin: 0; }
pre { overflow: auto; max-height: 24rem; background: var(--shade); padding: 0.75rem; font-size: 0.8rem; }
summary { cursor: pointer; }
@media (min-width: 1100px) {
  figure:has(.panels-1) { display: grid; grid-template-columns: minmax(0, 38rem) minmax(0, 1fr); column-gap: 2rem; }
  figure:has(.panels-1) h3 { grid-column: 1 / -1; } }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --shade: #fff; --link: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav, details, .filter { display: none; }
  .scripted .still { display: block; } .scripted .live { display: none; }
  th button::after { content: none !important; }
  figure, .findings li, .facts div, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } table { font-size: 7pt; }
  td, tbody th { white-space: normal; }
  .panels { grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); }
}
"""
