/** How the page looks, in light, in dark and on paper. */

// Blue, vermilion, amber, purple and teal can be told apart by those who see no red or no green, too.
export const style = `
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #fff; --ink: #1a1f26; --muted: #59636e; --line: #e2e5ea; --grid: #eceef1;
  --ok: #2f6fb7; --a: #d1491b; --b: #e3a008; --c: #8e4bab; --d: #12866f; --e: #7b4a21; --rest: #98a1ac;
}
@media screen and (prefers-color-scheme: dark) {
  :root:not([data-paper]) {
    --page: #0f1216; --card: #171b21; --ink: #e7eaee; --muted: #98a3b0; --line: #2a313a; --grid: #232930;
    --ok: #5b9ce3; --a: #f0774c; --b: #f0be4a; --c: #c18ddd; --d: #3dbfa3; --e: #c99468; --rest: #6c7682;
  }
}
:root[data-paper] { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 40px; }
h1, h2, p, dl, dd, figure { margin: 0; }
h1 { font-size: 26px; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 16px; line-height: 1.3; font-weight: 620; }
.kicker { color: var(--muted); font-size: 12px; font-weight: 600; letter-spacing: .08em; text-transform: uppercase; }
.about { color: var(--muted); margin-top: 4px; overflow-wrap: anywhere; }
.about span + span::before { content: "·"; margin: 0 8px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px; margin-top: 16px; min-width: 0; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 16px; }
.result { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 12px; }
.result strong { font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.02em; }
.result span { color: var(--muted); }
.share { display: block; width: 100%; height: 10px; margin: 14px 0 12px; border-radius: 5px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0; padding: 0; list-style: none; color: var(--muted); font-size: 13px; }
.legend li { overflow-wrap: anywhere; min-width: 0; }
.legend b { color: var(--ink); font-weight: 600; margin-left: 2px; }
.legend svg { width: 10px; height: 10px; margin-right: 6px; border-radius: 2px; }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 1px; margin-top: 16px;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.tiles div { background: var(--card); padding: 14px 16px; min-width: 0; }
.tiles dt { color: var(--muted); font-size: 13px; }
.tiles dd { font-size: 21px; line-height: 1.35; font-weight: 620; letter-spacing: -.01em; white-space: nowrap; }
.tiles dd + dd { color: var(--muted); font-size: 13px; font-weight: 400; letter-spacing: 0; white-space: normal; }
.notes { margin: 16px 0 0; padding: 12px 16px; list-style: none; border: 1px solid var(--line); border-left: 3px solid var(--b);
  border-radius: 6px; background: var(--card); }
.summary { color: var(--muted); margin: 2px 0 12px; font-size: 14px; max-width: 78ch; }
.summary.closeup { margin-top: 22px; }
.box { position: relative; height: 240px; margin-top: 10px; }
.box.tall { height: 300px; }
h2 + .box, .summary + .box { margin-top: 0; }
details { margin-top: 12px; font-size: 13px; }
summary { color: var(--muted); cursor: pointer; width: fit-content; border-radius: 3px; }
summary:focus-visible { outline: 2px solid var(--ok); outline-offset: 2px; }
.scroll { overflow-x: auto; margin-top: 8px; }
.scroll:focus-visible { outline: 2px solid var(--ok); }
table { border-collapse: collapse; width: 100%; font-size: 13px; line-height: 1.45; }
figure details table { width: auto; min-width: min(100%, 320px); }
th, td { text-align: left; vertical-align: top; padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; white-space: nowrap; vertical-align: bottom; }
tr:last-child > td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; }
.id { min-width: 13ch; max-width: 28ch; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text { min-width: 26ch; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text p { white-space: pre-wrap; }
.text small { display: block; color: var(--muted); font-size: 12px; }
.code { min-width: 12ch; overflow-wrap: anywhere; unicode-bidi: isolate; }
.story { width: 180px; padding-top: 9px; }
.story svg { display: block; width: 100%; min-width: 150px; height: 12px; }
.wide .story { width: 50%; }
.more, footer { color: var(--muted); font-size: 13px; margin-top: 12px; }
footer { margin-top: 24px; max-width: 92ch; }
.t-ok { fill: var(--ok); } .t-a { fill: var(--a); } .t-b { fill: var(--b); } .t-c { fill: var(--c); }
.t-d { fill: var(--d); } .t-e { fill: var(--e); } .t-rest { fill: var(--rest); } .t-line { fill: var(--grid); }
@media (max-width: 1000px) {
  .tiles { grid-template-columns: repeat(3, 1fr); }
}
@media (max-width: 560px) {
  main { padding: 20px 12px 32px; }
  .card { padding: 16px 14px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles div { padding: 10px 12px; }
  .tiles dd { font-size: 18px; }
  .text { min-width: 56ch; }
}
@page { margin: 12mm; }
@media print {
  :root { --page: #fff; }
  body { font-size: 12px; }
  main { max-width: none; padding: 0; }
  .tiles { grid-template-columns: repeat(3, 1fr); }
  .card, .tiles, tr { break-inside: avoid; }
  .card.long { break-inside: auto; }
  .two { grid-template-columns: 1fr 1fr; }
  .two .card { padding: 14px; }
  canvas { max-width: 100% !important; height: auto !important; }
  .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`
