// Style sheet of report.html. Series have the colour-blind-safe colours of Okabe & Ito (2008): blue,
// vermilion, green, purple, and two more for comparisons; lighter in dark mode. Everything else is grey.
#pragma once

namespace warpbert {

inline constexpr const char* report_style = R"(
:root { --ink: #1c1e21; --soft: #687076; --grid: #e6e8eb; --axis: #b4bac0; --page: #ffffff; --card: #f8f9fa;
  --c0: #8b949e; --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #a8548a; --c5: #b37d00; --c6: #3a9bd9; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa3ab; --grid: #30353b; --axis: #59616a;
  --page: #14171a; --card: #1c2024; --c0: #7d8690; --c1: #56b4e9; --c2: #f0883e; --c3: #2fc79a; --c4: #d48bb8; --c5: #e6b422; --c6: #9aa5ff; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1200px; margin: 0 auto; padding: 36px 24px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 18px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 40px 0 12px; }
.tiles { display: flex; flex-wrap: wrap; gap: 14px 44px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; margin-bottom: 20px; }
figure { margin: 0; padding: 16px 18px 12px; background: var(--card); border-radius: 10px; }
figure.wide { grid-column: 1 / -1; }
figcaption { color: var(--soft); font-size: 13.5px; margin-bottom: 10px; }
figcaption b { display: block; color: var(--ink); font-size: 15px; font-weight: 600; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; font-variant-numeric: tabular-nums; }
.tick { fill: var(--soft); }
.label { font-weight: 600; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--axis); }
.dashed { stroke-dasharray: 4 4; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); }
polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
polyline.faint { stroke-width: 1; opacity: 0.35; }
circle, rect, text.label { fill: var(--c); }
circle.ring { fill: var(--card); stroke: var(--c); stroke-width: 2.5; }
rect.bar { opacity: 0.72; }
table { border-collapse: collapse; }
th, td { padding: 4px 20px 4px 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td { overflow-wrap: anywhere; }
.numbers td, .numbers th { text-align: right; white-space: nowrap; padding: 3px 0 3px 26px; font-variant-numeric: tabular-nums; }
.numbers th:first-child { text-align: left; padding-left: 0; }
.note { color: var(--soft); font-size: 13.5px; margin: 4px 0 8px; } .scroll { overflow-x: auto; }
.dot { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; background: var(--c); }
.numbers tr.best td { font-weight: 650; color: var(--c1); }
.beside { display: flex; flex-wrap: wrap; gap: 18px 56px; align-items: center; padding: 10px 0; }
.confusion { border-collapse: separate; border-spacing: 4px; }
.confusion th { padding: 4px 8px; } .confusion tr + tr th { vertical-align: middle; text-align: right; }
.confusion td { padding: 12px 20px; min-width: 104px; text-align: center; border-radius: 6px; line-height: 1.35;
  background: color-mix(in srgb, var(--c) calc(8% + var(--share) * 0.6), var(--card)); }
.confusion td.right { --c: var(--c1); } .confusion td.wrong { --c: var(--c2); }
.timebar { display: flex; gap: 2px; height: 26px; border-radius: 6px; overflow: hidden; margin: 14px 0 12px; }
.timebar span, .legend i { background: var(--c); }
.legend { list-style: none; margin: 0; padding: 0; max-width: 420px; }
.legend li { display: grid; grid-template-columns: 22px 1fr auto 64px; padding: 2px 0; align-items: center;
  font-variant-numeric: tabular-nums; }
.legend i { width: 11px; height: 11px; border-radius: 3px; } .legend b { font-weight: 600; }
.legend span { text-align: right; color: var(--soft); }
details { margin: 6px 0; } summary { cursor: pointer; padding: 4px 0; }
pre { background: var(--card); border-radius: 10px; padding: 14px 16px; overflow: auto; font-size: 12.5px; line-height: 1.45; }
@media print { :root { --card: #ffffff; } body { max-width: none; padding: 0; font-size: 12px; }
  figure { border: 1px solid var(--grid); break-inside: avoid; } .charts { grid-template-columns: 1fr 1fr; }
  .timebar span, .confusion td, rect { print-color-adjust: exact; } }
)";

}  // namespace warpbert
