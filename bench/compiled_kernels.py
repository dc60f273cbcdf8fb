#!/usr/bin/env python3
"""Records what nvcc makes of the kernels of a training step, without a GPU: bench/results/compiled.json.

  bench/compiled_kernels.py build/cuda-build.log

The log is of a build of preset cuda from scratch with WARPBERT_PTXAS_LOG=ON (.ci/run makes it): registers and
shared memory. build/cuda's kernels_bench names each kernel's launch shape and bytes. The PTX interpreter
(simt/README.md) runs each row once and counts what it executes.
"""
import argparse
import csv
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from commands import output_of  # noqa: E402
from ptxas import demangle, parse  # noqa: E402

BUILD = ROOT / "build/cuda"


def registers(log):
    """{name: {architecture: {"registers", "smem"}}}"""
    parsed, found = list(parse(log)), {}
    for name, (_, architecture, use) in zip(demangle([name for name, _, _ in parsed]), parsed):
        found.setdefault(name, {})[architecture] = {key: use[key] for key in ("registers", "smem")}
    return found


def bench(*arguments, **environment):
    variables = {**os.environ, "LD_PRELOAD": str(BUILD / "cuda_host/libcuda_on_cpu.so"), **environment}
    return subprocess.run([BUILD / "bin/kernels_bench", *arguments], text=True, stdout=subprocess.PIPE,
                          check=True, env=variables).stdout


def counts(row):
    """{kernel: what the interpreter counts in one run of the row}"""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "counts")
        bench("--once", f"--only={row}", PTX_COUNTS=str(path))
        table = list(csv.DictReader(path.open(), delimiter="\t"))
    names = demangle([line.pop("kernel") for line in table])
    return {name: {key: int(value) for key, value in line.items()} for name, line in zip(names, table)}


def merged(launches, used, counted):
    """Adds registers and counts to each launch, of which the log and the interpreter must know the kernel."""
    for launch in launches:
        name = launch["kernel"]
        if name not in used or name not in counted[launch["row"]]:
            sys.exit(f"compiled_kernels: the log or the counts have no {name}; was it a build from scratch?")
        launch |= used[name] | {"counts": counted[launch["row"]][name]}
    return launches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("log", type=pathlib.Path, metavar="LOG")
    used = registers(parser.parse_args().log.read_text(errors="replace"))
    launches = [json.loads(line) for line in bench("--launches").splitlines()]
    counted = {row: counts(row) for row in dict.fromkeys(launch["row"] for launch in launches)}
    version = output_of(str(BUILD / "bin/train"), "--version")
    about = json.dumps({"build": version, "date": str(datetime.date.today())})
    kernels = ",\n".join(json.dumps(launch) for launch in merged(launches, used, counted))  # one a line
    (ROOT / "bench/results/compiled.json").write_text(f'{about[:-1]}, "kernels": [\n{kernels}\n]}}\n')


if __name__ == "__main__":
    main()
