"""Several processes by mpirun, for tests. Needs a build with MPI."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

from tiny_run import BIN, TinyRun

VERSION = subprocess.run([BIN / "train", "--version"], capture_output=True, text=True).stdout
MPIRUN = shutil.which("mpirun")
LAUNCH = [MPIRUN or "mpirun", "--oversubscribe"]
# As root, which is what a container has.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# Preset cuda without a GPU: NCCL over MPI, and as many GPUs as a test wants.
FAKE = "cuda_on_cpu" in os.environ.get("LD_PRELOAD", "")
if FAKE:
    ENVIRONMENT |= {"LD_PRELOAD": f"{os.environ['LD_PRELOAD']} {BIN.parent}/cuda_host/libnccl.so.2",
                    "CUDA_ON_CPU_DEVICES": "4"}
ON_GPUS = "CUDA" in VERSION and not FAKE
GPUS = (subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
        if shutil.which("nvidia-smi") else 0)
OPTIONS = ("--run.threads=1", "--run.csv=true", "--run.log_every=2", "--train.ema=0.9",
           "--train.clip_norm=0.5", "--model.attention_dropout=0.1", "--train.batch=14",
           "--train.layer_decay=0.9", "--train.weight_decay=0.01")


@unittest.skipUnless(MPIRUN and "MPI" in VERSION, "needs mpirun and a build with MPI")
@unittest.skipIf(ON_GPUS and GPUS < 4, "needs four GPUs")
class Processes(TinyRun):
    def command(self, processes, run, *args):
        given = {str(arg).partition("=")[0] for arg in args}
        defaults = [option for option in OPTIONS if option.partition("=")[0] not in given]
        train = [BIN / "train", "--config", self.ini, f"--run.directory={run}", *defaults, *args]
        return list(map(str, train if processes == 1 else [*LAUNCH, "-np", str(processes), *train]))

    def start(self, processes, run, *args):
        return subprocess.Popen(self.command(processes, run, *args), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)

    def launch(self, processes, name, *args, code=0):
        run = self.dir / name
        done = subprocess.run(self.command(processes, run, *args), capture_output=True, text=True,
                              timeout=300, env=ENVIRONMENT)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return run, done

    def launch_two(self, run, option):
        """Two processes, the second with one option more."""
        train = f"{BIN}/train --config {self.ini} --run.directory={run}"
        script = f'[ "$OMPI_COMM_WORLD_RANK" = 0 ] && exec {train}; exec {train} {option}'
        return subprocess.run([*LAUNCH, "-np", "2", "sh", "-c", script], text=True, capture_output=True,
                              timeout=120, env=ENVIRONMENT)

    def results(self, run):
        """What must be equal: files, and the metrics without times and sizes."""
        measured = {"seconds", "pairs_per_s", "tokens_per_s", "tflops", "time", "memory_mib",
                    "memory_peak_mib"}
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        metrics = [{key: value for key, value in line.items() if key not in measured} for line in lines]
        files = [hashlib.sha256((run / name).read_bytes()).hexdigest() for name in ("best.npz", "scores.csv")]
        return [*files, metrics]

    def wait_for_step(self, run, process, steps):
        deadline = time.monotonic() + 120
        metrics = run / "metrics.jsonl"
        while not (metrics.exists() and metrics.read_text().count('"step"') >= steps):
            self.assertIsNone(process.poll(), "it ended too early")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def children(self, process):
        """Processes of train under this mpirun, by rank."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                folder = pathlib.Path("/proc", entry)
                environment = (folder / "environ").read_text(errors="replace").split("\0")
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            rank = [line.partition("=")[2] for line in environment
                    if line.startswith("OMPI_COMM_WORLD_RANK=")]
            if rank and int(parent) == process.pid:
                found[int(rank[0])] = int(entry)
        return found
