// Drawings of a step: sectors, banks, fragments, copies in flight, variables, shared memory.
// ---- Global memory: 32-byte sectors
function drawSectors(view, step) {
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
      svg += `<rect class="lane ${lane === view.lane ? "chosen" : ""}" style="--l: ${lane}" y="${
          y}" height="${h}"
        x="${(x + begin / 32 * (w - 2)).toFixed(1)}" width="${(bytes / 32 * (w - 2)).toFixed(1)}"
        ><title>lane ${lane}, +${sector * 32 + begin}</title></rect>`;
  });
  view.show(
      "sectors", `Coalescing: ${plural(step.sec[0], "sector")} of 32 bytes, ${step.sec[1]} would do`,
      svg + "</svg>");
}

// ---- Shared memory: 32 banks of 4 bytes, a pass for each word that a bank must serve
function drawBanks(view, step) {
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
    svg += `<rect class="lane ${lane === view.lane ? "chosen" : ""}" style="--l: ${lane}" x="${bank * w}"
      y="${pass * h + 13}" width="${w - 1.5}" height="${h - 1.5}"><title>lane ${lane}, word ${
        word}</title></rect>
      <text class="number" x="${bank * w + w / 2}" y="${pass * h + 24}">${lane}</text>`;
  view.show("banks", `Banks: ${plural(step.pas[0], "pass")}, ${step.pas[1]} would do`, svg + "</svg>");
}

// ---- Fragments: which lane holds which element (PTX ISA, m16n8k16)
function drawMatrix(view, name, rows, columns, lane, value) {
  const w = 20, h = 16;
  let svg = `<svg class="drawing" style="width: ${columns * w}px" viewBox="0 0 ${columns * w} ${
      rows * h}" role="img"
    aria-label="${name}">`;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const l = lane(r, c), v = value(r, c, l);
      svg +=
          `<rect class="lane ${l === view.lane ? "chosen" : ""}" style="--l: ${l}" x="${c * w}" y="${r * h}"
        width="${w - 1.5}" height="${h - 1.5}"><title>${name}[${r}][${c}] = ${v}, lane ${l}</title></rect>
        <text class="number" x="${c * w + w / 2 - 1}" y="${r * h + 11}">${l}</text>`;
    }
  return `<figure><figcaption>${name}</figcaption>${svg}</svg></figure>`;
}
function drawMma(view, step) {
  const {a, b, c, d} = step.mma;
  const outer = (r, col) => r % 8 * 4 + (col % 8 >> 1);  // lane 4g + t: row g, columns 2t, 2t + 1
  const left = (r, k, l) => a[l][2 * ((r >> 3) + 2 * (k >> 3)) + k % 2];
  const right = (k, n, l) => b[l][2 * (k >> 3) + k % 2];
  const sum = m => (r, n, l) => m[l][2 * (r >> 3) + n % 2];
  view.show(
      "fragments", "Fragments: d = a·b + c, the number is the lane that holds the element",
      drawMatrix(view, "a, 16 × 16", 16, 16, outer, left) +
          drawMatrix(view, "b, 16 × 8", 16, 8, (k, n) => n * 4 + (k % 8 >> 1), right) +
          drawMatrix(view, "c, 16 × 8", 16, 8, outer, sum(c)) + drawMatrix(view, "d, 16 × 8", 16, 8, outer, sum(d)));
}
function drawLdmatrix(view, step) {
  const turned = step.op.includes("trans");
  const target = (r, c) => turned ? c * 4 + (r >> 1) : r * 4 + (c >> 1);
  view.show(
      "fragments",
      `Fragments: rows come from the lane that names them, elements go to the numbered lane` +
          (turned ? ", transposed" : ""),
      [0, 1, 2, 3]
          .map(
              m => drawMatrix(view, 
                  `matrix ${m}, lanes ${8 * m}–${8 * m + 7}`, 8, 8, target,
                  (r, c) => (step.v[8 * m + r] || [])[c]))
          .join(""));
}

// ---- Copies in flight, variables, shared memory
function drawFlight(view) {
  const steps = view.trace.steps, groups = new Map();
  for (const s of steps) {
    if (s.k !== "copy" || s.t > view.time || s.l >= 0 && steps[s.l].t <= view.time) continue;
    const key = `${s.w} ${s.g}`,
          group = groups.get(key) || {w: s.w, g: s.g, lanes: 0, first: s.t, until: s.l};
    group.lanes += lanesOf(s.m).length;
    groups.set(key, group);
  }
  const card = view.find(".flight");
  card.hidden = groups.size === 0;
  card.querySelector("ul").replaceChildren(...[...groups.values()].map(
      g => make(
          "li", {},
          `warp ${g.w}, group ${g.g}: ${g.lanes * 16} bytes since time ${g.first}, ` +
              (g.until >= 0 ? `awaited at time ${steps[g.until].t}` : "never awaited"))));
}

function drawVariables(view, step) {
  const table = view.trace.variables && view.trace.variables[step.i];
  if (!table) return;
  const lanes = lanesOf(step.m), names = Object.keys(table);
  view.show(
      "variables", "Variables here, by lane",
      `<table><tr><th>lane</th>${lanes.map(l => `<th>${l}</th>`).join("")}</tr>` +
          names
              .map(
                  n => `<tr><th>${escape(n)}</th>${
                      table[n].map(v => `<td>${escape(v)}</td>`).join("")}</tr>`)
              .join("") +
          "</table>");
}

function drawShared(view, step) {
  const pieces = view.trace.arrays.map((array, i) => ({...array, i})).filter(a => a.shared);
  if (!pieces.length) return;
  const state = new Map(pieces.map(p => [p.i, new Int16Array(Math.ceil(p.bytes / 4)).fill(-1)]));
  const flying = new Map(pieces.map(p => [p.i, new Uint8Array(Math.ceil(p.bytes / 4))]));
  const steps = view.trace.steps;
  for (const s of steps) {
    if (s.t > view.time) break;
    if (s.k !== "store" && s.k !== "atomic" && s.k !== "copy") continue;
    const pending = s.k === "copy" && !(s.l >= 0 && steps[s.l].t <= view.time);
    s.o.forEach((offset, i) => {
      const words = state.get(view.array(s, i));
      if (!words) return;
      for (let q = offset >> 2; q < offset + s.b + 3 >> 2; q++) {
        words[q] = s.w;
        flying.get(view.array(s, i))[q] = pending;
      }
    });
  }
  const card = view.find(".shared");
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
    if (step.t === view.time && step.o)
      step.o.forEach((offset, i) => {
        if (view.array(step, i) === p.i)
          for (let q = offset >> 2; q < offset + step.b + 3 >> 2; q++) touched.add(q);
      });
    paint(canvas, words, fly, touched);
    figure.append(make("figcaption", {}, caption), canvas);
    return figure;
  }));
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

const keywords = new RegExp(
    "\\b(if|else|for|while|return|const|constexpr|auto|int|unsigned|float|double|bool|void|template|" +
        "class|struct|static|size_t)\\b",
    "g");

// Source text with keywords and comments marked.
function colour(line) {
  const at = line.indexOf("//"), code = at < 0 ? line : line.slice(0, at),
        comment = at < 0 ? "" : line.slice(at);
  return escape(code).replace(keywords, `<span class="word">$1</span>`) +
      (comment ? `<span class="comment">${escape(comment)}</span>` : "");
}
