#!/usr/bin/env python3
"""Every sensible peer, each in a process of its own, and a table of Markdown.

  run_all.py                        on a GPU, six minutes at most; the strongest first
  run_all.py --quick                a rehearsal at tiny size, on a CPU: the times mean nothing
  run_all.py --only packed          those whose peer and mode contain the text

What finds no time left, fails or runs into its limit is named in the table with the reason. Also prints the losses of
the first steps with dropout off, from the same weights on the same batches: that the peers do the same work.
"""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# peer and mode, further options, limit in seconds. Losses are compared eagerly, without dropout.
LOSSES = ["--dropout", "0", "--losses", "3", "--steps", "0"]
PARITY = [("packed eager", LOSSES, 60), ("padded eager", LOSSES, 60), ("transformers eager", LOSSES, 60)]
RUNS = [
    ("packed compile+graph", [], 240),  # the one to beat: it must be there
    ("packed graph", [], 60),
    ("packed compile+graph", ["--attention", "grid"], 120),
    ("transformers eager", [], 60),
    ("transformers compile+graph", [], 120),
    ("padded compile+graph", [], 120),
    ("packed compile+graph", ["--autotune"], 240),
    ("packed graph", ["--attention", "grid"], 60),
    ("padded graph", [], 60),
    ("transformers compile", [], 120),
    ("transformers graph", [], 60),
    ("packed eager", [], 60),
    ("packed compile", [], 120),
]
SHORTEST = 25  # seconds: a run that has less left is not begun


def note_of(done):
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return lines[-1][:160].replace("|", "/") if lines else "no message"


def run(what, options, common, limit):
    """The peer's line of JSON, or a note why there is none."""
    peer, mode = what.split()
    command = [sys.executable, str(HERE / "peer.py"), "--peer", peer, "--mode", mode, *common, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"note": f"stopped after {limit:.0f} s"}
    if done.returncode:
        return {"note": f"failed ({done.returncode}): {note_of(done)}", "stderr": done.stderr[-4000:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def label(what, options):
    shown = [o.lstrip("-") for o in options if o not in ("--attention",)]
    return " ".join([what, *shown])


class Results:
    def __init__(self, path, budget):
        self.path, self.end, self.all = path, time.monotonic() + budget, []

    def add(self, what, options, common, limit):
        left = self.end - time.monotonic()
        enough = left >= SHORTEST
        result = run(what, options, common, min(limit, left)) if enough else {"note": "not run: no time left"}
        result["name"] = label(what, [] if "--losses" in options else options)
        self.all.append(result)
        self.path.write_text("".join(json.dumps(r) + "\n" for r in self.all))  # what was learnt survives a timeout
        print(f"{result['name']}: {result.get('note') or result.get('ms') or result['losses']}", file=sys.stderr, flush=True)
        return result


def table(results, quick):
    measured = [r for r in results if "device" in r]
    where = f"{measured[0]['device']}, PyTorch {measured[0]['torch']}" if measured else "nothing ran"
    rows = [f"{where}; {datetime.date.today()}{'; a rehearsal, its times mean nothing' if quick else ''}", ""]
    rows += ["| peer | ms/step, median | p10 | p90 | pairs/s | memory, MiB | rows | preparation, s |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for r in results:
        if "ms" not in r:
            rows.append(f"| {r['name']} | {r.get('note', '')} | | | | | | |")
            continue
        shapes = ", ".join(str(s[0]) for s in sorted(r["shapes"]))
        figures = f"{r['ms']:.3f} | {r['p10']:.3f} | {r['p90']:.3f} | {r['pairs_s']:.0f}"
        rows.append(f"| {r['name']} | {figures} | {r['memory_MiB'] or '-'} | {shapes} | {r['prepare_s']:.0f} |")
    return "\n".join(rows)


def parity_table(results):
    rows = ["Losses of the first steps, dropout off, the same weights and batches:", "", "| peer | precision | losses |", "|---|---|---|"]
    for r in results:
        losses = " ".join(f"{x:.4f}" for x in r["losses"]) if "losses" in r else r["note"]
        rows.append(f"| {r['name']} | {r.get('precision', '')} | {losses} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few steps")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    parser.add_argument("--size", default="base", choices=["tiny", "base", "large"])
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--batches", help="the .npz of batches.py; default: made anew, of the real workload's statistics")
    parser.add_argument("--weights", help=".safetensors to start from; default: random")
    parser.add_argument("--budget", type=float, help="seconds for all; default 345, of a rehearsal 1800")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("peers.jsonl"), help="all lines of JSON")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = a.batches or os.path.join(directory, "batches.npz")
        if not a.batches:
            few = ["--pairs", "16", "--count", "8", "--vocabulary", "300"] if a.quick else []
            made = [sys.executable, str(HERE / "batches.py"), "--output", path, *few]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        common = ["--batches", path, "--size", "tiny" if a.quick else a.size, "--precision", a.precision]
        common += ["--steps", "8", "--warmup", "2"] if a.quick else []
        common += ["--weights", a.weights] if a.weights else []
        patience = 5 if a.quick else 1  # a CPU may be busy with others
        results = Results(a.output, a.budget or (1800 if a.quick else 345))
        parity = [results.add(*r[:2], common, patience * r[2]) for r in PARITY if a.only in label(r[0], [])]
        timed = [results.add(*r[:2], common, patience * r[2]) for r in RUNS if a.only in label(*r[:2])]
    print(table(timed, a.quick), parity_table(parity), sep="\n\n")
    sys.exit(any("note" in r and r["note"].startswith("failed") for r in results.all))


if __name__ == "__main__":
    main()
