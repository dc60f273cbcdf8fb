// Draws the traces in `packed`: base64 of deflated JSON, one or two traces (docs/study.md has the format).
"use strict";
const make = (name, attributes = {}, text = "") => {
  const node = document.createElement(name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  node.textContent = text;
  return node;
};
const escape = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
const plural = (n, word) =>
    `${n} ${n === 1 ? word : word.replace(/y$/, "ie").replace(/(s|h)$/, "$1e") + "s"}`;
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
  array(step, i, key = "a") {
    return Array.isArray(step[key]) ? step[key][i] : step[key];
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
    svg.innerHTML = `<rect class="row" width="${width}" height="${h - 1}"></rect><path class="wait" d="${wait}"></path>` +
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
    return this.byWarp[warp].findLast(step => step.t <= time);
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
    if (step.sec) drawSectors(this, step);
    if (step.pas) drawBanks(this, step);
    if (step.mma) drawMma(this, step);
    if ((step.op || "").startsWith("ldmatrix")) drawLdmatrix(this, step);
    drawFlight(this);
    drawVariables(this, step);
    drawShared(this, step);
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
        return `cp.async, ${bytes} from global ${this.memory(this.array(step, 0, "fa")).name} ` +
            `to ${where}, group ${step.g}`;
      case "wait":
        return `cp.async wait: ${plural(this.trace.steps.filter(s => s.l === step.i).length, "copy")} ` +
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
    if (step.fo) text += ` from ${this.memory(this.array(step, i, "fa")).name} +${step.fo[i]}`;
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

  show(card, title, html) {
    const node = this.find("." + card);
    node.hidden = false;
    node.querySelector("h3").textContent = title;
    node.querySelector("h3 + *").innerHTML = html;
  }
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
