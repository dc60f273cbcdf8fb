// Draws the traces in `packed`: base64 of deflated JSON, one or two traces (docs/study.md has the format).
"use strict";
const make = (name, attributes = {}, text = "") => {
  const node = document.createElement(name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  node.textContent = text;
  return node;
};
const escape = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
const plural = (n, word) => `${n} ${word}${
    n === 1                                      ? "" :
        word.endsWith("s") || word.endsWith("h") ? "es" :
                                                   "s"}`;
const lanesOf = mask => [...Array(32).keys()].filter(lane => mask >>> lane & 1);
const short = v => typeof v !== "number" || Number.isInteger(v) && Math.abs(v) < 1e7 ? String(v) :
    Math.abs(v) >= 1e4 || Math.abs(v) < 1e-3                                         ? v.toExponential(1) :
                                               String(Number(v.toPrecision(3)));

const kinds = [
  ["gl", "global load"], ["gs", "global store"], ["sl", "shared load"], ["ss", "shared store"],
  ["cp", "cp.async"], ["at", "atomic"], ["co", "shuffle, mma, warp barrier"], ["ba", "block barrier"]
];

class View {
  constructor(trace, node) {
    this.trace = trace;
    this.node = node;
    this.time = 0;
    this.warp = 0;
    this.lane = -1;
    this.warps = Math.ceil(trace.block[0] * trace.block[1] * trace.block[2] / 32);
    trace.steps.forEach((step, i) => step.i = i);
    this.byWarp = [...Array(this.warps).keys()].map(w => trace.steps.filter(s => s.w === w));
    this.find = css => node.querySelector(css);
    this.head();
    this.timeline();
    this.find(".previous").onclick = () => move(this, this.time - 1, this.warp);
    this.find(".next").onclick = () => move(this, this.time + 1, this.warp);
    this.slider = this.find("input");
    this.slider.max = trace.times - 1;
    this.slider.oninput = () => move(this, Number(this.slider.value), this.warp);
    node.addEventListener("pointerdown", () => active = this);
    node.addEventListener("focusin", () => active = this);
  }

  memory(array) {
    return this.trace.arrays[array] || {name: "unknown memory", shared: false};
  }
  array(step, i) {
    return Array.isArray(step.a) ? step.a[i] : step.a;
  }
  css(step) {
    if (step.k === "load" || step.k === "store")
      return (this.memory(this.array(step, 0)).shared ? "s" : "g") + step.k[0];
    return {atomic: "at", copy: "cp", wait: "cp", collective: "co", barrier: "ba"}[step.k];
  }

  head() {
    const t = this.trace, totals = t.totals, facts = t.facts || {};
    const threads = t.block[0] * t.block[1] * t.block[2];
    this.find(".name").textContent = t.variant;
    this.find(".about").textContent = [
      `block (${t.at.join(",")}) of grid (${t.grid.join(",")}), ` +
          `${plural(threads, "thread")} in ${plural(this.warps, "warp")}` +
          (t.dynamic_shared ? `, ${t.dynamic_shared} bytes of dynamic shared memory` : ""),
      Object.entries(facts).map(([k, v]) => k === "precision" ? v : `${k} ${v}`).join(", "), t.by
    ].filter(x => x).join("; ");
    const ratio = ([used, least]) => least ? (used / least).toFixed(2) : "–";
    const tile = (value, text, bad) =>
        `<li class="${bad ? "bad" : ""}"><b>${value}</b><span>${text}</span></li>`;
    this.find(".tiles").innerHTML = tile(totals.steps, "warp steps") +
        tile(totals.barriers, "block barriers") +
        tile(ratio(totals.sectors), `sectors, ${totals.sectors[0]} of least ${totals.sectors[1]}`) +
        tile(ratio(totals.passes),
             totals.passes[1] ? `bank passes, ${totals.passes[0]} of least ${totals.passes[1]}` :
                                "bank passes: no shared memory") +
        tile(totals.races ?? "–",
             totals.races === null  ? "races are not looked for in PTX" :
                 totals.races === 1 ? "step races" :
                                      "steps race",
             totals.races);
    const used = new Set(t.steps.map(s => this.css(s)));
    this.find(".legend").innerHTML = kinds.filter(([css]) => used.has(css))
                                         .map(([css, text]) => `<li class="${css}"><i></i>${text}</li>`)
                                         .join("") +
        (totals.races ? `<li><i class="ring"></i>race</li>` : "");
  }

  // ---- Timeline: a row for each warp
  timeline() {
    const t = this.trace, h = this.warps > 12 ? 10 : this.warps > 6 ? 13 : 18;
    const room = Math.max(200, this.find(".strip").clientWidth || 600);
    const x = Math.max(3, Math.min(18, room / t.times)), gap = x > 6 ? 1.5 : x > 4 ? 1 : 0.4;
    Object.assign(this, {rowHeight: h, cell: x});
    const paths = {}, rings = [];
    for (const s of t.steps) {
      const d =
          `M${(s.t * x).toFixed(1)} ${s.w * h + 1}h${(x - gap).toFixed(1)}v${h - 3}h${(gap - x).toFixed(1)}z`;
      paths[this.css(s)] = (paths[this.css(s)] || "") + d;
      if (s.r)
        rings.push(`<circle class="raced" cx="${s.t * x + x / 2 - gap / 2}" cy="${s.w * h + h / 2 - 0.5}"
        r="${Math.min(4, x / 2 + 1)}"></circle>`);
    }
    let wait = "";  // from a warp's barrier until the block's
    for (const steps of this.byWarp)
      for (const s of steps.filter(step => step.k === "barrier")) {
        const end = t.epochs.find(start => start > s.t) ?? t.times;
        if (end > s.t + 1)
          wait += `M${(s.t + 1) * x} ${s.w * h + 1}H${end * x - gap}v${h - 3}H${(s.t + 1) * x}z`;
      }
    const width = t.times * x, height = this.warps * h, svg = this.find(".strip svg");
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute(
        "aria-label", `${t.steps.length} steps of ${plural(this.warps, "warp")} over ${t.times} times`);
    svg.innerHTML = `<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse"
      patternTransform="rotate(45)"><rect width="1.2" height="5" fill="var(--soft)"
      opacity="0.55"></rect></pattern></defs>
      <rect class="row" width="${width}" height="${h - 1}"></rect><path class="wait" d="${wait}"></path>` +
        Object.entries(paths).map(([css, d]) => `<path class="${css}" d="${d}"></path>`).join("") +
        t.epochs.slice(1)
            .map(e => `<line class="edge" x1="${e * x - gap / 2}" x2="${e * x - gap / 2}" y1="0"
        y2="${height}"></line>`)
            .join("") +
        `<rect class="veil" y="0" height="${height}"></rect>${rings.join("")}
      <rect class="cursor" width="${x}" height="${height - 1}" y="0.5" rx="2"></rect>`;
    svg.onclick = event => {
      const box = svg.getBoundingClientRect();
      move(this, Math.floor((event.clientX - box.left) / x), Math.floor((event.clientY - box.top) / h));
    };
    this.find(".warps").replaceChildren(...this.byWarp.map((_, w) => {
      const button = make("button", {style: `height: ${h}px`}, `warp ${w}`);
      button.onclick = () => move(this, this.time, w);
      return button;
    }));
  }

  // The step that warp w takes at this time, or took last.
  stepAt(time, warp) {
    const steps = this.byWarp[warp];
    let low = 0, high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle].t <= time)
        low = middle + 1;
      else
        high = middle;
    }
    return steps[low - 1];
  }

  go(time, warp) {
    this.time = Math.max(0, Math.min(this.trace.times - 1, time));
    this.warp = Math.max(0, Math.min(this.warps - 1, warp));
    this.draw();
  }

  // The next time that the warp has a step of which `wanted` holds.
  next(wanted) {
    const found = this.byWarp[this.warp].find(s => s.t > this.time && wanted(s));
    return found ? found.t : this.time;
  }
  nextRace() {
    const found =
        this.trace.steps.find(s => s.r && (s.t > this.time || s.t === this.time && s.w > this.warp));
    return found ? [found.t, found.w] : [this.time, this.warp];
  }

  draw() {
    const step = this.stepAt(this.time, this.warp), x = this.cell, h = this.rowHeight;
    this.slider.value = this.time;
    this.find(".now").textContent = `time ${this.time} of ${this.trace.times - 1}`;
    const svg = this.find(".strip svg"), set = (css, values) => {
      for (const key in values) svg.querySelector(css).setAttribute(key, values[key]);
    };
    set(".row", {y: this.warp * h});
    set(".veil", {x: (this.time + 1) * x, width: Math.max(0, (this.trace.times - this.time - 1) * x)});
    set(".cursor", {x: this.time * x - 0.75});
    const strip = this.find(".strip"), at = this.time * x;
    if (at < strip.scrollLeft || at + x > strip.scrollLeft + strip.clientWidth)
      strip.scrollLeft = Math.max(0, at - strip.clientWidth / 3);
    this.find(".warps").querySelectorAll("button").forEach(
        (b, w) => b.setAttribute("aria-pressed", String(w === this.warp)));
    for (const card of ["fragments", "sectors", "banks", "flight", "variables", "shared"])
      this.find("." + card).hidden = true;
    if (!step) {
      this.find(".what").textContent = `Warp ${this.warp} has done nothing yet.`;
      this.find(".lanes").replaceChildren();
      return;
    }
    this.source(step);
    this.lanes(step);
    if (step.sec) this.sectors(step);
    if (step.pas) this.banks(step);
    if (step.mma) this.mma(step);
    if ((step.op || "").startsWith("ldmatrix")) this.ldmatrix(step);
    this.flight();
    this.variables(step);
    this.shared(step);
  }

  // ---- Source: each line from the kernel to the innermost helper
  source(step) {
    const files = Object.keys(this.trace.sources), place = this.trace.places[step.p];
    const excerpts = [];
    place.forEach(([file, line], i) => {
      const last = i === place.length - 1,
            around = last ? 5 :
          i === 0         ? 4 :
                            2,
            before = excerpts.find(e => e.file === file && line >= e.from - 3 && line <= e.to + 3);
      const part = before || {file, from: line - around, to: line + around, lines: new Map()};
      part.from = Math.max(1, Math.min(part.from, line - around));
      part.to = Math.max(part.to, line + around);
      part.lines.set(line, last ? "on" : "call");
      if (!before) excerpts.push(part);
    });
    this.find(".source").innerHTML =
        excerpts
            .map(e => {
              if (!this.trace.sources[files[e.file]])
                return `<h4>${escape(files[e.file])}, no source of this project</h4>`;
              const text = this.trace.sources[files[e.file]].split("\n");
              let html = `<h4>${escape(files[e.file])}</h4><pre>`;
              for (let l = e.from; l <= Math.min(e.to, text.length); l++)
                html += `<div class="${e.lines.get(l) || ""}"><span class="n">${l}</span>${
                    colour(text[l - 1])}</div>`;
              return html + "</pre>";
            })
            .join("");
    const on = this.find(".source .on"), box = this.find(".source");
    if (on) {
      const top = on.offsetTop - box.offsetTop;
      if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 40)
        box.scrollTop = top - box.clientHeight / 2;
    }
  }

  // ---- Lanes
  sentence(step) {
    const bytes = `${plural(step.b, "byte")} a lane`, name = this.memory(this.array(step, 0));
    const where = `${name.shared ? "shared" : "global"} ${name.name}`;
    const call = step.op ? `${step.op}, ` : "";
    switch (step.k) {
      case "load":
        return `${call}load ${bytes} from ${where}`;
      case "store":
        return `${call}store ${bytes} to ${where}`;
      case "atomic":
        return `${call}atomic, ${bytes} of ${where}`;
      case "copy":
        return `cp.async, ${bytes} from global ${
                   this.memory(Array.isArray(step.fa) ? step.fa[0] : step.fa).name} ` +
            `to ${where}, group ${step.g}`;
      case "wait":
        return `cp.async wait: ${
                   plural(this.trace.steps.filter(s => s.l === step.i).length, "copy")
                       .replace("copys", "copies")} ` +
            "of this warp complete";
      case "barrier":
        return "__syncthreads: waits until all threads of the block are here";
      default:
        return step.op;
    }
  }

  lanes(step) {
    const active = lanesOf(step.m), place = new Map(active.map((lane, i) => [lane, i]));
    const races = new Map((step.r || []).map(r => [r[0], r]));
    const late = step.t < this.time;
    this.find(".what").textContent = `Warp ${this.warp}: ${this.sentence(step)}` +
        (active.length < 32 ? ` (${active.length} of 32 lanes)` : "") +
        (!late                    ? "" :
             step.k === "barrier" ? `; there since time ${step.t}` :
                                    `; done since time ${step.t}`);
    this.find(".race").textContent = step.r ? this.raceText(step) : "";
    const box = this.find(".lanes");
    if (box.children.length !== 32)
      box.replaceChildren(...[...Array(32).keys()].map(lane => {
        const button = make("button", {style: `--l: ${lane}`});
        button.onclick = () => {
          this.lane = this.lane === lane ? -1 : lane;
          this.draw();
        };
        return button;
      }));
    [...box.children].forEach((button, lane) => {
      const i = place.get(lane), on = i !== undefined;
      const values = on && step.v ? step.v[i] :
          on && step.mma          ? step.mma.d[i] :
                                    [],
            results = on && step.x ? step.x[i] : [];
      const offset = on && step.o ? ` +${step.o[i]}` : on && step.f ? ` ← ${step.f[i]}` : "";
      const shown = values.slice(0, 4).map(short);
      if (values.length > 4) shown.push("…");
      shown.push(...results.map((v, k) => (k ? "" : "→ ") + short(v)));
      button.className = (on ? "" : "off") + (races.has(lane) ? " raced" : "");
      button.setAttribute("aria-pressed", String(lane === this.lane));
      button.title = this.laneText(step, lane, i);
      button.innerHTML = `<small>${lane}${offset}</small><div>` +
          shown.map(text => `<span>${escape(text)}</span>`).join(" ") + "</div>";
    });
    this.find(".detail").textContent = this.lane >= 0 ? this.laneText(step, this.lane, place.get(this.lane)) :
                                                        "Choose a lane to see all of its values.";
  }

  laneText(step, lane, i) {
    const name = `lane ${lane}, thread ${this.warp * 32 + lane}`;
    if (i === undefined) return `${name}: not active`;
    let text = name;
    if (step.o) text += `: ${this.memory(this.array(step, i)).name} +${step.o[i]} bytes`;
    if (step.fo)
      text += ` from ${this.memory(Array.isArray(step.fa) ? step.fa[i] : step.fa).name} +${step.fo[i]}`;
    if (step.f) text += `: takes the value of lane ${step.f[i]}`;
    if (step.v) text += ` = ${step.v[i].join(", ")}`;
    if (step.x) text += ` → ${step.x[i].join(", ")}`;
    if (step.mma)
      text += `: a ${step.mma.a[i].join(" ")}; b ${step.mma.b[i].join(" ")}; c ${step.mma.c[i].join(" ")}; ` +
          `d ${step.mma.d[i].join(" ")}`;
    return text;
  }

  raceText(step) {
    const [lane, thread, other] = step.r[0], before = this.trace.steps[other];
    const lines = this.trace.places[before.p].map(
        ([file, line]) => `${Object.keys(this.trace.sources)[file]}:${line}`);
    const at = lines.length ? ` at ${lines.at(-1)}` : "",
          caller = lines.length > 1 ? `, called from ${lines[0]}` : "";
    const verb = kind => kind === "load"   ? "reads" :
        kind === "copy" || kind === "wait" ? "copies to" :
                                             "writes";
    return `Race: lane ${lane} (thread ${this.warp * 32 + lane}) ${verb(step.k)} what thread ${thread} ` +
        `${verb(before.k)}${at}${caller}, time ${
               before.t}, and no barrier is between them. On a GPU either may come first.` +
        (step.r.length > 1 ? ` ${plural(step.r.length, "lane")} of this step race.` : "");
  }

  // ---- Global memory: 32-byte sectors
  sectors(step) {
    const offsets = step.fo || step.o, lanes = lanesOf(step.m), touched = new Map();
    lanes.forEach((lane, i) => {
      for (let b = offsets[i]; b < offsets[i] + step.b;) {
        const end = Math.min(offsets[i] + step.b, (Math.floor(b / 32) + 1) * 32), sector = Math.floor(b / 32);
        if (!touched.has(sector)) touched.set(sector, []);
        touched.get(sector).push([b % 32, end - b, lane]);
        b = end;
      }
    });
    const sorted = [...touched.keys()].sort((a, b) => a - b), per = 16, w = 44, h = 20;
    const rows = Math.ceil(sorted.length / per);
    let svg =
        `<svg class="drawing" viewBox="0 0 ${per * w} ${rows * (h + 16)}" role="img" aria-label="sectors">`;
    sorted.forEach((sector, i) => {
      const x = i % per * w, y = Math.floor(i / per) * (h + 16) + 12;
      const jump = i > 0 && sector !== sorted[i - 1] + 1;
      if (i % per === 0 || jump) svg += `<text x="${x}" y="${y - 3}">+${sector * 32}</text>`;
      svg += `<rect class="empty" x="${x}" y="${y}" width="${w - 2}" height="${h}"></rect>`;
      for (const [begin, bytes, lane] of touched.get(sector))
        svg += `<rect class="lane ${lane === this.lane ? "chosen" : ""}" style="--l: ${lane}" y="${
            y}" height="${h}"
          x="${(x + begin / 32 * (w - 2)).toFixed(1)}" width="${(bytes / 32 * (w - 2)).toFixed(1)}"
          ><title>lane ${lane}, +${sector * 32 + begin}</title></rect>`;
    });
    this.show(
        "sectors", `Coalescing: ${plural(step.sec[0], "sector")} of 32 bytes, ${step.sec[1]} would do`,
        svg + "</svg>");
  }

  // ---- Shared memory: 32 banks of 4 bytes, a pass for each word that a bank must serve
  banks(step) {
    const together = step.b <= 4 ? 32 : 128 / step.b, lanes = lanesOf(step.m), cells = [];
    let passes = 0;
    for (let first = 0; first < 32; first += together) {
      const words = new Map();  // by bank
      let most = 0, any = false;
      lanes.forEach((lane, i) => {
        if (lane < first || lane >= first + together) return;
        any = true;
        for (let q = 0; q < Math.max(1, step.b / 4); q++) {
          const word = Math.floor(step.o[i] / 4) + q, bank = word % 32;
          if (!words.has(bank)) words.set(bank, []);
          const list = words.get(bank);
          if (!list.includes(word)) list.push(word);
          most = Math.max(most, list.length);
          cells.push([bank, passes + list.indexOf(word), lane, word]);
        }
      });
      if (any) passes += Math.max(1, most);
    }
    const w = 22, h = 17;
    let svg =
        `<svg class="drawing" data-passes="${passes}" viewBox="0 0 ${32 * w} ${passes * h + 14}" role="img"
      aria-label="banks">`;
    for (let b = 0; b < 32; b++) svg += `<text x="${b * w + 5}" y="9">${b}</text>`;
    for (let p = 0; p < passes; p++)
      for (let b = 0; b < 32; b++)
        svg += `<rect class="empty" x="${b * w}" y="${p * h + 13}" width="${w - 1.5}" height="${
            h - 1.5}"></rect>`;
    for (const [bank, pass, lane, word] of cells)
      svg += `<rect class="lane ${lane === this.lane ? "chosen" : ""}" style="--l: ${lane}" x="${bank * w}"
        y="${pass * h + 13}" width="${w - 1.5}" height="${h - 1.5}"><title>lane ${lane}, word ${
          word}</title></rect>
        <text class="number" x="${bank * w + w / 2}" y="${pass * h + 24}">${lane}</text>`;
    this.show("banks", `Banks: ${plural(step.pas[0], "pass")}, ${step.pas[1]} would do`, svg + "</svg>");
  }

  show(card, title, html) {
    const node = this.find("." + card);
    node.hidden = false;
    node.querySelector("h3").textContent = title;
    node.querySelector("h3 + *").innerHTML = html;
  }

  // ---- Fragments: which lane holds which element (PTX ISA, m16n8k16)
  matrix(name, rows, columns, lane, value) {
    const w = 20, h = 16;
    let svg = `<svg class="drawing" style="width: ${columns * w}px" viewBox="0 0 ${columns * w} ${
        rows * h}" role="img"
      aria-label="${name}">`;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const l = lane(r, c), v = value(r, c, l);
        svg +=
            `<rect class="lane ${l === this.lane ? "chosen" : ""}" style="--l: ${l}" x="${c * w}" y="${r * h}"
          width="${w - 1.5}" height="${h - 1.5}"><title>${name}[${r}][${c}] = ${v}, lane ${l}</title></rect>
          <text class="number" x="${c * w + w / 2 - 1}" y="${r * h + 11}">${l}</text>`;
      }
    return `<figure><figcaption>${name}</figcaption>${svg}</svg></figure>`;
  }
  mma(step) {
    const {a, b, c, d} = step.mma;
    const outer = (r, col) => r % 8 * 4 + (col % 8 >> 1);  // lane 4g + t: row g, columns 2t, 2t + 1
    const left = (r, k, l) => a[l][2 * ((r >> 3) + 2 * (k >> 3)) + k % 2];
    const right = (k, n, l) => b[l][2 * (k >> 3) + k % 2];
    const sum = m => (r, n, l) => m[l][2 * (r >> 3) + n % 2];
    this.show(
        "fragments", "Fragments: d = a·b + c, the number is the lane that holds the element",
        this.matrix("a, 16 × 16", 16, 16, outer, left) +
            this.matrix("b, 16 × 8", 16, 8, (k, n) => n * 4 + (k % 8 >> 1), right) +
            this.matrix("c, 16 × 8", 16, 8, outer, sum(c)) + this.matrix("d, 16 × 8", 16, 8, outer, sum(d)));
  }
  ldmatrix(step) {
    const turned = step.op.includes("trans");
    const target = (r, c) => turned ? c * 4 + (r >> 1) : r * 4 + (c >> 1);
    this.show(
        "fragments",
        `Fragments: rows come from the lane that names them, elements go to the numbered lane` +
            (turned ? ", transposed" : ""),
        [0, 1, 2, 3]
            .map(
                m => this.matrix(
                    `matrix ${m}, lanes ${8 * m}–${8 * m + 7}`, 8, 8, target,
                    (r, c) => (step.v[8 * m + r] || [])[c]))
            .join(""));
  }

  // ---- Copies in flight, variables, shared memory
  flight() {
    const steps = this.trace.steps, groups = new Map();
    for (const s of steps) {
      if (s.k !== "copy" || s.t > this.time || s.l >= 0 && steps[s.l].t <= this.time) continue;
      const key = `${s.w} ${s.g}`,
            group = groups.get(key) || {w: s.w, g: s.g, lanes: 0, first: s.t, until: s.l};
      group.lanes += lanesOf(s.m).length;
      groups.set(key, group);
    }
    const card = this.find(".flight");
    card.hidden = groups.size === 0;
    card.querySelector("ul").replaceChildren(...[...groups.values()].map(
        g => make(
            "li", {},
            `warp ${g.w}, group ${g.g}: ${g.lanes * 16} bytes since time ${g.first}, ` +
                (g.until >= 0 ? `awaited at time ${steps[g.until].t}` : "never awaited"))));
  }

  variables(step) {
    const table = this.trace.variables && this.trace.variables[step.i];
    if (!table) return;
    const lanes = lanesOf(step.m), names = Object.keys(table);
    this.show(
        "variables", "Variables here, by lane",
        `<table><tr><th>lane</th>${lanes.map(l => `<th>${l}</th>`).join("")}</tr>` +
            names
                .map(
                    n => `<tr><th>${escape(n)}</th>${
                        table[n].map(v => `<td>${escape(v)}</td>`).join("")}</tr>`)
                .join("") +
            "</table>");
  }

  shared(step) {
    const pieces = this.trace.arrays.map((array, i) => ({...array, i})).filter(a => a.shared);
    if (!pieces.length) return;
    const state = new Map(pieces.map(p => [p.i, new Int16Array(Math.ceil(p.bytes / 4)).fill(-1)]));
    const flying = new Map(pieces.map(p => [p.i, new Uint8Array(Math.ceil(p.bytes / 4))]));
    const steps = this.trace.steps;
    for (const s of steps) {
      if (s.t > this.time) break;
      if (s.k !== "store" && s.k !== "atomic" && s.k !== "copy") continue;
      const pending = s.k === "copy" && !(s.l >= 0 && steps[s.l].t <= this.time);
      s.o.forEach((offset, i) => {
        const words = state.get(this.array(s, i));
        if (!words) return;
        for (let q = offset >> 2; q < offset + s.b + 3 >> 2; q++) {
          words[q] = s.w;
          flying.get(this.array(s, i))[q] = pending;
        }
      });
    }
    const card = this.find(".shared");
    card.hidden = false;
    card.querySelector("div").replaceChildren(...pieces.map(p => {
      const words = state.get(p.i), fly = flying.get(p.i), written = words.filter(w => w >= 0).length;
      const inFlight = fly.reduce((a, b) => a + b, 0);
      const writers = [...new Set(words)].filter(w => w >= 0).sort((a, b) => a - b);
      const figure = make("figure"), canvas = make("canvas", {role: "img"});
      const caption =
          `${p.name}, ${p.bytes} bytes (${p.declared}): ${written} of ${words.length} words written` +
          (writers.length ? `, last by ${writers.length === 1 ? "warp" : "warps"} ${ranges(writers)}` : "") +
          (inFlight ? `; ${inFlight} in flight` : "");
      canvas.setAttribute("aria-label", caption);
      const touched = new Set();
      if (step.t === this.time && step.o)
        step.o.forEach((offset, i) => {
          if (this.array(step, i) === p.i)
            for (let q = offset >> 2; q < offset + step.b + 3 >> 2; q++) touched.add(q);
        });
      paint(canvas, words, fly, touched);
      figure.append(make("figcaption", {}, caption), canvas);
      return figure;
    }));
  }
}

const ranges = numbers => {  // 0, 1, 2, 5 -> "0–2, 5"
  const parts = [];
  for (const n of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1)
      last[1] = n;
    else
      parts.push([n, n]);
  }
  return parts.map(([a, b]) => a === b ? a : `${a}–${b}`).join(", ");
};

// A word is 5 × 5 pixels: hue by the warp that wrote it last, pale in flight, dark frame if this step touches
// it.
function paint(canvas, words, flying, touched) {
  const per = Math.min(words.length, words.length > 8192 ? 256 : 128), size = 5,
        rows = Math.ceil(words.length / per);
  canvas.width = Math.max(per, 32) * size;
  canvas.height = rows * size;
  const style = getComputedStyle(document.documentElement), c = canvas.getContext("2d");
  const dark = style.colorScheme === "dark", ink = style.getPropertyValue("--ink");
  c.fillStyle = style.getPropertyValue("--cell");
  c.fillRect(0, 0, canvas.width, canvas.height);
  words.forEach((w, i) => {
    const x = i % per * size, y = Math.floor(i / per) * size;
    if (w >= 0) {
      c.fillStyle = `hsl(${(w * 67 + 205) % 360} 55% ${flying[i] ? dark ? 25 : 85 : dark ? 50 : 55}%)`;
      c.fillRect(x, y, size - 0.5, size - 0.5);
    }
    if (touched.has(i)) {
      c.strokeStyle = ink;
      c.strokeRect(x + 0.5, y + 0.5, size - 1.5, size - 1.5);
    }
  });
}

function colour(line) {
  const at = line.indexOf("//"), code = at < 0 ? line : line.slice(0, at),
        comment = at < 0 ? "" : line.slice(at);
  const words =
      /\b(if|else|for|while|return|const|constexpr|auto|int|unsigned|float|double|bool|void|template|class|struct|static|size_t)\b/g;
  return escape(code).replace(words, `<span class="word">$1</span>`) +
      (comment ? `<span class="comment">${escape(comment)}</span>` : "");
}

// ---- Both views
let views = [], active = null;

function move(view, time, warp) {
  const together = views.length > 1 && document.querySelector("#together input").checked;
  for (const v of together ? views : [view]) v.go(time, warp);
  const place = `#t=${view.time}&w=${view.warp}`;
  try {
    history.replaceState(null, "", place);
  } catch {
    // a frame without an address
  }
}

function follow() {
  const numbers =
      Object.fromEntries([...location.hash.matchAll(/(\w)=(\d+)/g)].map(m => [m[1], Number(m[2])]));
  for (const view of views) view.go(numbers.t ?? view.time, numbers.w ?? view.warp);
}

function onKey(event) {
  const v = active || views[0];
  if (!v || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=checkbox]"))
    return;
  const line = step => step && JSON.stringify(v.trace.places[step.p].at(-1));
  const keys = {
    ArrowRight: () => move(v, v.time + 1, v.warp),
    ArrowLeft: () => move(v, v.time - 1, v.warp),
    ArrowDown: () => move(v, v.time, v.warp + 1),
    ArrowUp: () => move(v, v.time, v.warp - 1),
    Home: () => move(v, 0, v.warp),
    End: () => move(v, v.trace.times - 1, v.warp),
    b: () => move(v, v.next(s => s.k === "barrier"), v.warp),
    r: () => move(v, ...v.nextRace()),
    l: () => move(v, v.next(s => line(s) !== line(v.stepAt(v.time, v.warp))), v.warp)
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

async function start() {
  const bytes = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const traces = JSON.parse(await new Response(stream).text()), box = document.getElementById("views");
  box.classList.toggle("two", traces.length > 1);
  document.getElementById("together").hidden = traces.length < 2;
  views = traces.map(trace => {
    const node = document.getElementById("view").content.firstElementChild.cloneNode(true);
    box.append(node);
    return new View(trace, node);
  });
  active = views[0];
  follow();
  addEventListener("hashchange", follow);
  addEventListener("keydown", onKey);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    for (const v of views) v.timeline(), v.draw();
  });
  document.body.dataset.ready = "1";
}
start();
