#!/usr/bin/env python3
"""Renders bench/results/*.json as tables of Markdown.

  bench/tables.py                writes the tables of docs/benchmarks.md and docs/kernels/
  bench/tables.py --check        fails, naming the page, if a page differs from the results
  bench/tables.py FILE.json ...  prints a report of these results of scripts/gpu_check

A page shows the latest results of each GPU. compiled.json (bench/compiled_kernels.py) is what nvcc makes of
the kernels, without a GPU.
"""
import argparse
import json
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED_KB = {"sm_80": 164, "sm_90": 228}  # shared memory of a multiprocessor
TB_PER_S = (2.0, 3.35, 4.8)  # nominal: A100 80 GB, H100 SXM, H200
MULTIPROCESSORS, GHZ = 132, 1.7  # H100 and H200 SXM; at least this clock under load
# Warp instructions per clock and SM, compute capability 9.0 (CUDA C++ Programming Guide, "Arithmetic
# Instructions", divided by 32 lanes). Shared memory: passes over its 32 banks.
RATES = {"fp32": 4, "integer": 2, "special": 0.5, "fp64": 2, "shuffle": 1, "shared memory": 1}
UNITS = ("integer", "fp32", "fp64", "special", "mma", "shuffle", "shared", "global", "control")


def table(head, rows):
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


# ---- Kernels as nvcc compiles them -------------------------------------------------------------------------
def up(n, step):
    return -(-n // step) * step


def warps(kernel):
    return up(math.prod(kernel["block"]), 32) // 32


def resident_blocks(kernel, architecture):
    """Blocks that a multiprocessor holds at once (CUDA's occupancy calculator for sm_80 and sm_90). Registers
    are allocated in units of 256 a warp and of four warps; a block reserves 1 KB of shared memory besides its
    own, in units of 128 bytes. The limits are 64 warps and 32 blocks."""
    use, n = kernel[architecture], warps(kernel)
    by_registers = 65536 // up(max(use["registers"], 1) * 32, 256) // 4 * 4 // n
    by_shared = SHARED_KB[architecture] * 1024 // up(shared(kernel, architecture) + 1024, 128)
    return min(64 // n, by_registers, by_shared, 32)


def shared(kernel, architecture):
    return kernel[architecture]["smem"] + kernel["dynamic_shared"]


def firsts(kernels):
    """(kernel, its row's name, or "" if the previous kernel has the same row)"""
    rows = [None, *(k["row"] for k in kernels)]
    return [(k, k["row"] if k["row"] != previous else "") for k, previous in zip(kernels, rows)]


def kernels_table(kernels, measured):
    """measured: {GPU: {row: µs}}"""
    def both(value):
        shown = [str(value(architecture)) for architecture in SHARED_KB]
        return shown[0] if len(set(shown)) == 1 else "/".join(shown)

    rows = []
    for k, row in firsts(kernels):
        blocks = math.prod(k["grid"])
        waves = blocks / (resident_blocks(k, "sm_90") * MULTIPROCESSORS)
        cells = [f"{k['bytes'] * 1e-6:.3g}", *(f"{k['bytes'] / tb * 1e-6:.3g}" for tb in TB_PER_S),
                 *(f"{us[row]:.2f}" if row in us else "" for us in measured.values())]
        rows.append([row, f"`{k['kernel']}`", math.prod(k["block"]), blocks,
                     both(lambda a: k[a]["registers"]), both(lambda a: shared(k, a)),
                     both(lambda a: f"{resident_blocks(k, a) * warps(k) / 64:.0%}"), f"{waves:.2f}",
                     *(cells if row else [""] * len(cells))])  # a row's first kernel shows the bytes of all
    head = ["row", "kernel", "threads", "blocks", "registers", "shared, B", "occupancy", "waves", "MB"]
    return table(head + [f"µs at {tb} TB/s" for tb in TB_PER_S] + [f"µs, {gpu}" for gpu in measured], rows)


def counts_table(kernels):
    def ratio(a, b):
        return f"{a / b:.2f}" if b else ""

    rows = []
    for k, row in firsts(kernels):
        c = k["counts"]
        total = sum(c[unit] for unit in UNITS)
        issued = {**c, "shared memory": c["shared_passes"]}
        clocks = {unit: issued[unit] / rate for unit, rate in RATES.items()}
        busiest = max(clocks, key=clocks.get)
        us = 1e-3 / MULTIPROCESSORS / GHZ / c["launches"]
        rows.append([row, f"`{k['kernel']}`", f"{total / c['launches']:.0f}", f"{total / 4 * us:.2f}",
                     busiest, f"{clocks[busiest] * us:.2f}", f"{c['threads'] / total / 32:.0%}",
                     ratio(c["global_sectors"], c["global_least"]),
                     ratio(c["shared_passes"], c["shared_least"])])
    return table(["row", "kernel", "warp instructions", "µs to issue them", "busiest", "its µs",
                  "lanes active", "sectors / least", "passes / least"], rows)


# ---- Results of a GPU --------------------------------------------------------------------------------------
def part(results, *names):
    return [row for row in results["rows"] if row["part"] in names]


def kernel_times(results):
    """{row: µs}, of the run without --tune if there are both."""
    runs = sorted(part(results, "kernels"), key=lambda run: "tune" not in run["name"])
    return {row["row"]: row["us"] for run in runs for row in run.get("rows", [])}


def lower_bound(row, rates):
    rate = rates["tflops"].get(row["precision"], rates["tflops"]["bf16"])
    return row["gflop"] / rate + row["mb"] * 1e-3 / rates["tb_per_s"]


def steps_table(results):
    rates, rows = next((row for row in part(results, "rates") if "tflops" in row), None), []
    for r in part(results, "steps", "peers", "scaling"):
        if "pairs_per_s" in r:  # step_bench
            bound = f"{lower_bound(r, rates):.3f}" if rates else ""
            cells = [f"{r[key]:.3f}" for key in ("ms", "median_ms", "p10_ms", "p90_ms")]
            cells += [bound, f"{r['tokens']:.0f}", f"{r['pairs_per_s']:.0f}", f"{r['memory_mib']:.0f}"]
        elif "pairs_s" in r:  # a peer
            cells = [f"{r[key]:.3f}" for key in ("mean", "ms", "p10", "p90")]
            cells += ["", f"{r['tokens']:.0f}", f"{r['pairs_s']:.0f}", r["memory_MiB"] or ""]
        else:
            cells = [r["status"], *[""] * 7]
        rows.append([r["name"], *cells])
    head = ["ms/step, mean", "median", "p10", "p90", "lower bound", "tokens", "pairs/s", "memory, MiB"]
    return table(["", *head], rows) if rows else ""


def losses_table(results):
    runs = [r for r in part(results, "losses") if "losses" in r]
    rows = [[r["name"], *(f"{x:.4f}" for x in r["losses"]), f"{r.get('difference', 0):.2g}", r["status"]]
            for r in runs]
    return table(["losses, dropout off", "step 1", "2", "3", "from ours", ""], rows) if rows else ""


def caption(results):
    torch = f", PyTorch {results['torch']}" if results["torch"] else ""
    driver = f", driver {results['driver']}" if results["driver"] else ""
    return f"{results['gpu']}{driver}{torch}; {results['build']}; {results['date']}"


def rates_line(results):
    def gemms(tflops):
        return ", ".join(f"{rate:.0f} TFLOP/s in {precision}" for precision, rate in tflops.items())

    return "".join(f"Large GEMMs reach {gemms(r['tflops'])}; copies {r['tb_per_s']:.2f} TB/s.\n"
                   for r in part(results, "rates") if "tflops" in r)


def section(results):
    """What a page says about a GPU."""
    body = [rates_line(results), steps_table(results), losses_table(results)]
    return f"### {results['gpu']}\n" + "\n".join([caption(results) + ".\n", *filter(None, body)])


def sections(all_results):
    """All GPUs, under a heading; "" if nothing has been measured."""
    head = ("## Results by GPU\nBERT-base, 64 pairs of 15.5 tokens, bf16, unless a row says otherwise. "
            "*Lower bound* is that of the\nrow's own batches at the GPU's measured rates.\n\n")
    return head + "\n".join(map(section, all_results)) if all_results else ""


def report(results):
    kernels = [[name, f"{us:.2f}"] for name, us in kernel_times(results).items()]
    others = [[r["part"], r["name"], r["status"], r.get("printed", "")] for r in results["rows"]]
    return "\n".join([section(results), table(["kernel", "µs"], kernels) if kernels else "",
                      table(["part", "row", "result", ""], others)])


# ---- Pages -------------------------------------------------------------------------------------------------
def filled(page, text, tables):
    """The text with each table between its markers."""
    for name, body in tables.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"tables: {page}: no {begin.strip()} … {end}")
        text = text.partition(begin)[0] + begin + body + end + text.partition(end)[2]
    return text


def pages(root):
    """{page: its text with the tables of the results}"""
    latest, folder = {}, root / "bench/results"
    compiled = json.loads((folder / "compiled.json").read_text())["kernels"]
    for path in sorted(folder.glob("*-20*.json"), key=lambda p: p.stem[-10:]):
        results = json.loads(path.read_text())
        latest[results["gpu"]] = results
    measured = {gpu: times for gpu, results in latest.items() if (times := kernel_times(results))}
    tables = {"kernels": kernels_table(compiled, measured), "counts": counts_table(compiled),
              "measured": sections(list(latest.values()))}
    page = root / "docs/benchmarks.md"
    found = {page: filled(page, page.read_text(), tables)}
    for page in sorted((root / "docs/kernels").glob("*.md")):  # the kernels of kernels/<page>*.cu
        sources = "".join(path.read_text() for path in (root / "kernels").glob(f"{page.stem}*.cu"))
        names = set(re.findall(r"\w+_kernel\b", sources))
        own = [k for k in compiled if k["kernel"].partition("<")[0] in names]
        if "<!-- begin kernels -->" in page.read_text():
            if not own:
                sys.exit(f"tables: {page.name}: compiled.json has no kernel of kernels/{page.stem}*.cu; "
                         "bench/compiled_kernels.py makes it anew")
            found[page] = filled(page, page.read_text(), {"kernels": kernels_table(own, measured)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE.json")
    arguments = parser.parse_args()
    if arguments.files:
        return print("\n".join(report(json.loads(file.read_text())) for file in arguments.files), end="")
    stale = {page: text for page, text in pages(ROOT).items() if page.read_text() != text}
    if arguments.check and stale:
        names = ", ".join(str(page.relative_to(ROOT)) for page in stale)
        sys.exit(f"tables: {names}: not what bench/tables.py writes")
    for page, text in stale.items():
        page.write_text(text)


if __name__ == "__main__":
    main()
