#!/usr/bin/env python3
"""Every sensible peer, each in a process of its own, and a table of Markdown.

  run_all.py                        on a GPU, eight and a half minutes at most; the strongest first
  run_all.py --quick                a rehearsal at tiny size, on a CPU: the times mean nothing
  run_all.py --only packed          those whose peer and mode contain the text
  run_all.py --ours build/cuda/bin  our losses beside theirs

What finds no time left, fails or runs into its limit is named in the table with the reason. A first run may spend most
of its time compiling; what it compiled stays in build/inductor, so that the next one gets further. Also prints the
losses of the first steps with dropout off, from the same weights on the same batches: that all do the same work.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from run_limited import end_children_on_signals, run_limited  # noqa: E402

# Peer and mode, more options, limit in seconds. Losses are compared in eager mode without dropout.
LOSSES = ["--dropout", "0", "--losses", "3", "--steps", "0"]
TOLERANCE = {"bf16": 0.01, "fp32": 1e-4}  # relative; bf16: 0.4 % per rounding, averaged by sums
PARITY = [("packed eager", LOSSES, 60), ("padded eager", LOSSES, 60), ("transformers eager", LOSSES, 60)]
STRONGEST = [  # strongest competitors, run first
    ("packed compile+graph", [], 240),
    ("packed compile+graph", ["--autotune"], 420),
]
RUNS = [
    ("packed graph", [], 60),
    ("packed compile+graph", ["--gather"], 120),
    ("packed compile+graph", ["--attention", "grid"], 120),
    ("transformers eager", [], 60),
    ("transformers compile+graph", [], 120),
    ("padded compile+graph", [], 120),
    ("packed graph", ["--attention", "grid"], 60),
    ("padded graph", [], 60),
    ("transformers compile", [], 120),
    ("transformers graph", [], 60),
    ("packed eager", [], 60),
    ("packed compile", [], 120),
]
SHORTEST = 25  # seconds; no run starts with less left
RESERVE = 75  # seconds the strongest leave for comparing losses


def note_of(stderr):
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    return lines[-1][:160].replace("|", "/") if lines else "no message"


def inductor_cache():
    """Compiled code of one run is there for the next, wherever /tmp goes."""
    return {**os.environ, "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR") or str(ROOT / "build/inductor")}


def run(what, options, common, limit):
    """The peer's line of JSON, or a note why there is none."""
    peer, mode = what.split()
    command = [sys.executable, str(HERE / "peer.py"), "--peer", peer, "--mode", mode, *common, *options]
    code, (stdout, stderr) = run_limited(command, limit, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=inductor_cache())
    if code is None:
        return {"note": f"not finished: stopped after {limit:.0f} s"}
    if code:
        return {"note": f"failed ({code}): {note_of(stderr)}", "stderr": stderr[-4000:]}
    return judged(json.loads(stdout.strip().splitlines()[-1]))


def judged(result):
    """Times of steps on NaNs are no times of a training."""
    if result.get("finite", True):
        return result
    return {"note": "failed: its losses are not finite", "unjudged": {k: result.pop(k) for k in ("ms", "losses") if k in result}}


def our_losses(programs, batches, weights, size, precision, directory, limit):
    """Those of the program inspect, which has dropout off. It wants a configuration, hence a file of pairs."""
    import numpy as np

    heads = {"tiny": 4, "base": 12, "large": 16}[size]
    rows = [f"{100 + i} {101 + i}\t{102 + i}\t{i % 2}" for i in range(20)]
    (directory / "train.tsv").write_text("\n".join(rows) + "\n")
    (directory / "run.ini").write_text(f"[data]\ntrain = train.tsv\n[model]\nheads = {heads}\n[train]\nlr = 1e-5\nprecision = {precision}\n")
    command = [str(programs / "inspect"), "--config", str(directory / "run.ini"), "--batch", str(batches), "--steps", "3"]
    command += ["--output", str(directory / "ours.npz"), f"--model.weights={weights}"]
    code, (_, stderr) = run_limited(command, limit, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if code != 0:
        return {"note": "not finished" if code is None else f"failed ({code}): {note_of(stderr)}"}
    with np.load(directory / "ours.npz") as file:
        losses = [float(x) for x in file["losses"]]
    return judged({"losses": losses, "precision": precision, "finite": bool(np.isfinite(losses).all())})


def hold_against(ours, results):
    """How far each one's losses are from ours, at most; too far is failed."""
    for r in results:
        if "losses" in r and "losses" in ours and r is not ours:
            differences = [abs(a - b) / b for a, b in zip(r["losses"], ours["losses"])]
            r["difference"] = max(d if math.isfinite(d) else math.inf for d in differences)  # max skips NaN
            if r["difference"] > TOLERANCE[ours["precision"]]:
                r["note"] = f"failed: its losses are not ours, {100 * r['difference']:.2g} % away"


def label(what, options):
    shown = [o.lstrip("-") for o in options if o not in ("--attention",)]
    return " ".join([what, *shown])


class Results:
    def __init__(self, path, budget):
        self.path, self.end, self.all = path, time.monotonic() + budget, []

    def add(self, what, options, common, limit, reserve=0):
        left = self.end - time.monotonic() - reserve
        enough = left >= SHORTEST
        result = run(what, options, common, min(limit, left)) if enough else {"note": "not run: no time left"}
        return self.keep(label(what, [] if "--losses" in options else options), result)

    def keep(self, name, result):
        result["name"] = name
        self.all.append(result)
        self.write()
        print(f"{name}: {result.get('note') or result.get('ms') or result['losses']}", file=sys.stderr, flush=True)
        return result

    def write(self):
        self.path.write_text("".join(json.dumps(r) + "\n" for r in self.all))  # results survive a timeout


def table(results, quick):
    measured = [r for r in results if "device" in r]
    where = f"{measured[0]['device']}, PyTorch {measured[0]['torch']}" if measured else "nothing ran"
    rows = [f"{where}; {datetime.date.today()}{'; a rehearsal, its times mean nothing' if quick else ''}", ""]
    rows += ["| peer | ms/step, median | p10 | p90 | pairs/s | memory, MiB | rows/targets | preparation, s |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for r in results:
        if "ms" not in r:
            rows.append(f"| {r['name']} | {r.get('note', '')} | | | | | | |")
            continue
        shapes = ", ".join(f"{s[0]}/{s[3]}" for s in sorted(r["shapes"]))
        figures = f"{r['ms']:.3f} | {r['p10']:.3f} | {r['p90']:.3f} | {r['pairs_s']:.0f}"
        rows.append(f"| {r['name']} | {figures} | {r['memory_MiB'] or '-'} | {shapes} | {r['prepare_s']:.0f} |")
    return "\n".join(rows)


def parity_table(results):
    rows = ["Losses of the first steps, dropout off, the same weights and batches:", "", "| peer | precision | losses | from ours, at most | |", "|---|---|---|---|---|"]
    for r in results:
        losses = " ".join(f"{x:.4f}" for x in r.get("losses", []))
        difference = f"{100 * r['difference']:.2g} %" if "difference" in r else ""
        rows.append(f"| {r['name']} | {r.get('precision', '')} | {losses} | {difference} | {r.get('note', '')} |")
    return "\n".join(rows)


def vocabulary_of(path):
    import numpy as np

    with np.load(path) as file:
        return int(file["vocabulary"][0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few steps")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    parser.add_argument("--size", default="base", choices=["tiny", "base", "large"])
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--batches", help="the .npz of batches.py; default: made anew, of the real workload's statistics")
    parser.add_argument("--weights", help=".safetensors to start from; default: random")
    parser.add_argument("--budget", type=float, help="seconds for all; default 510, of a rehearsal 1800")
    parser.add_argument("--ours", type=pathlib.Path, metavar="DIR", help="our programs: their losses are held against the peers'")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("peers.jsonl"), help="all lines of JSON")
    a = parser.parse_args()
    end_children_on_signals()
    with tempfile.TemporaryDirectory() as directory:
        path = a.batches or os.path.join(directory, "batches.npz")
        if not a.batches:
            few = ["--pairs", "16", "--count", "8", "--vocabulary", "300"] if a.quick else []
            made = [sys.executable, str(HERE / "batches.py"), "--output", path, *few]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        common = ["--batches", path, "--size", "tiny" if a.quick else a.size, "--precision", a.precision]
        common += ["--steps", "8", "--warmup", "2"] if a.quick else []
        patience = 5 if a.quick else 1  # a CPU may be shared
        results = Results(a.output, a.budget or (1800 if a.quick else 510))
        if not a.weights and a.ours:  # inspect needs a weights file
            a.weights = os.path.join(directory, "weights.safetensors")
            made = [sys.executable, str(HERE / "weights.py"), a.weights, common[3], str(vocabulary_of(path))]
            subprocess.run(made, check=True)
        common += ["--weights", a.weights] if a.weights else []
        chosen = lambda runs: [r for r in runs if a.only in label(*r[:2])]
        timed = [results.add(*r[:2], common, patience * r[2], RESERVE) for r in chosen(STRONGEST)]
        parity = [results.add(*r[:2], common, patience * r[2]) for r in PARITY if a.only in label(r[0], [])]
        if a.ours and (left := results.end - time.monotonic()) > 0:
            ours = our_losses(a.ours, path, a.weights, common[3], a.precision, pathlib.Path(directory), min(left, 60 * patience))
            parity.insert(0, results.keep("warpbert", ours))
            hold_against(ours, parity)
            results.write()
        timed += [results.add(*r[:2], common, patience * r[2]) for r in chosen(RUNS)]
    print(table(timed, a.quick), parity_table(parity), sep="\n\n")
    sys.exit(any("note" in r and r["note"].startswith("failed") for r in results.all))


if __name__ == "__main__":
    main()
