"""Training in several processes: equal bits for any number of them, faults, signals. Needs mpirun and a build with MPI."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from tiny_run import BIN, TinyRun

VERSION = subprocess.run([BIN / "train", "--version"], capture_output=True, text=True).stdout
MPIRUN = shutil.which("mpirun")
LAUNCH = [MPIRUN or "mpirun", "--oversubscribe"]
# As root, which is what a container has.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
OPTIONS = ("--run.threads=1", "--run.csv=true", "--run.log_every=2", "--train.ema=0.9", "--train.clip_norm=0.5",
           "--model.attention_dropout=0.1", "--train.batch=14", "--train.layer_decay=0.9", "--train.weight_decay=0.01")


@unittest.skipUnless(MPIRUN and "MPI" in VERSION, "needs mpirun and a build with MPI")
class Processes(TinyRun):
    def command(self, processes, run, *args):
        given = {str(arg).partition("=")[0] for arg in args}
        defaults = [option for option in OPTIONS if option.partition("=")[0] not in given]
        train = [BIN / "train", "--config", self.ini, f"--run.directory={run}", *defaults, *args]
        return list(map(str, train if processes == 1 else [*LAUNCH, "-np", str(processes), *train]))

    def start(self, processes, run, *args):
        return subprocess.Popen(self.command(processes, run, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=ENVIRONMENT)

    def launch(self, processes, name, *args, code=0):
        run = self.dir / name
        done = subprocess.run(self.command(processes, run, *args), capture_output=True, text=True, timeout=300,
                              env=ENVIRONMENT)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return run, done

    def launch_two(self, run, option):
        """Two processes, the second with one option more."""
        train = f"{BIN}/train --config {self.ini} --run.directory={run}"
        script = f'[ "$OMPI_COMM_WORLD_RANK" = 0 ] && exec {train}; exec {train} {option}'
        return subprocess.run([*LAUNCH, "-np", "2", "sh", "-c", script], text=True, capture_output=True, timeout=120,
                              env=ENVIRONMENT)

    def results(self, run):
        """What must be equal: files, and the metrics without times and sizes."""
        measured = {"seconds", "pairs_per_s", "tokens_per_s", "tflops", "time", "memory_mib", "memory_peak_mib"}
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        metrics = [{key: value for key, value in line.items() if key not in measured} for line in lines]
        return [(run / "best.npz").read_bytes(), (run / "scores.csv").read_bytes(), metrics]

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
            rank = [line.partition("=")[2] for line in environment if line.startswith("OMPI_COMM_WORLD_RANK=")]
            if rank and int(parent) == process.pid:
                found[int(rank[0])] = int(entry)
        return found

    # ---- Bits ----------------------------------------------------------------------------------------------

    def test_the_bits_do_not_depend_on_the_number_of_processes(self):
        for more in ((), ("--train.precision=bf16", "--train.micro_batch=2", "--train.skip_outliers=3"),
                     ("--train.precision=bf16", "--train.fgm=0.5", "--loss.scale=keras_fill", "--train.epochs=1")):
            runs = {n: self.launch(n, f"run{n}{len(more)}", "--train.shards=4", *more)[0] for n in (1, 2, 4)}
            for n in (2, 4):
                self.assertEqual(self.results(runs[n]), self.results(runs[1]))
            self.assertIn("\nshards = 4\n", (runs[4] / "config.ini").read_text())

    def test_shards_are_as_many_as_processes_and_stay_when_it_is_resumed(self):
        whole = self.launch(1, "whole", "--train.shards=4", "--train.epochs=4")[0]
        run = self.launch(4, "run", "--train.epochs=1")[0]
        self.assertIn("\nshards = 4\n", (run / "config.ini").read_text())
        for processes, epochs in ((1, 2), (2, 3), (4, 4)):
            _, done = self.launch(processes, "run", f"--train.epochs={epochs}")
            self.assertIn("resuming", done.stdout)
        self.assertEqual(self.results(run), self.results(whole))

    def test_a_run_with_one_shard_is_unchanged_and_nearly_that_of_two(self):
        exact = ("--train.epochs=1", "--train.clip_norm=0")
        one = self.launch(1, "one", *exact)[0]
        two = self.launch(2, "two", *exact)[0]
        losses = [[line.get("loss") for line in self.results(run)[2]] for run in (one, two)]
        self.assertNotEqual(losses[0], losses[1])
        for a, b in zip(*losses):
            self.assertAlmostEqual(a, b, delta=1e-4 * a)  # fp32 sums in another order, over a few steps

    # ---- Faults --------------------------------------------------------------------------------------------

    def test_a_killed_rank_ends_all_and_the_run_resumes_on_another_number(self):
        options = ("--train.shards=4", "--run.checkpoint_steps=1")
        whole = self.launch(1, "whole", *options)[0]
        rng = random.Random(7)
        for _ in range(int(os.environ.get("KILLS", 3))):
            run = self.dir / "killed"
            shutil.rmtree(run, ignore_errors=True)
            process = self.start(4, run, *options)
            self.wait_for_step(run, process, 1)
            time.sleep(rng.random() * 0.5)
            ranks = self.children(process)
            if len(ranks) == 4:  # else it is done already
                os.kill(ranks[rng.randrange(4)], signal.SIGKILL)
            began = time.monotonic()
            process.communicate(timeout=60)
            self.assertLess(time.monotonic() - began, 30)
            self.assertEqual(self.children(process), {})
            self.launch(rng.choice((1, 2)), "killed", *options)
            self.assertEqual(self.results(run), self.results(whole))

    def test_a_signal_to_one_rank_checkpoints_and_ends_all(self):
        whole = self.launch(1, "whole", "--train.shards=2", "--train.epochs=5")[0]
        run = self.dir / "stopped"
        process = self.start(2, run, "--train.epochs=5")
        self.wait_for_step(run, process, 1)
        os.kill(self.children(process)[1], signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, out + err)
        self.assertEqual(out.count("the same command resumes it"), 1)
        self.launch(2, "stopped", "--train.epochs=5")
        self.assertEqual(self.results(run), self.results(whole))

    def test_signals_to_the_launcher(self):
        """Open MPI hands on SIGUSR1. After SIGTERM or Ctrl-C it kills what has not ended within a second."""
        whole = self.launch(1, "whole", "--train.shards=2", "--train.epochs=5")[0]
        for name, code in (("SIGUSR1", 130), ("SIGTERM", None), ("SIGINT", None)):
            with self.subTest(name):
                run = self.dir / name
                process = self.start(2, run, "--train.epochs=5")
                self.wait_for_step(run, process, 1)
                process.send_signal(getattr(signal, name))
                out, err = process.communicate(timeout=60)
                if code:
                    self.assertEqual(process.returncode, code, out + err)
                self.assertEqual(self.children(process), {})
                self.launch(2, name, "--train.epochs=5")
                self.assertEqual(self.results(run), self.results(whole))

    def test_a_rank_that_hangs_is_waited_for_so_long(self):
        run = self.dir / "hangs"
        process = self.start(2, run, "--train.epochs=50", "--run.wait_seconds=2")
        self.wait_for_step(run, process, 1)
        ranks = self.children(process)
        os.kill(ranks[1], signal.SIGSTOP)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, out + err)
        self.assertIn("train: error: it has waited 2 s for the other processes, one of which is gone or hangs; the same "
                      "command resumes the run; run.wait_seconds sets the limit\n", err)
        self.assertEqual(self.children(process), {})

    def test_another_configuration_or_data_on_one_rank_is_refused(self):
        other = self.dir / "other.tsv"
        other.write_text((self.dir / "train.tsv").read_text()[:-2] + "0\n")
        if other.read_text() == (self.dir / "train.tsv").read_text():
            other.write_text((self.dir / "train.tsv").read_text()[:-2] + "1\n")
        self.train("--train.epochs=0", f"--run.directory={self.dir}/start")
        for option, what in ((f"--data.train={other}", "data"), ("--train.seed=7", "configuration"),
                             (f"--model.weights={self.dir}/start/best.npz", "model.weights")):
            run = self.dir / "refused"
            done = self.launch_two(run, option)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, f"train: error: rank 1 of 2 on .* has another {what} than rank 0; start all with the same\n")
            self.assertFalse(run.exists())

    def test_an_error_of_all_ranks_is_told_once_and_one_of_a_rank_with_its_name(self):
        done = self.launch(2, "run", "--train.lr=-1", code=2)[1]
        self.assertEqual(done.stderr.count("train: error:"), 1, done.stderr)
        done = self.launch_two(self.dir / "run", "--data.test=none.tsv")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"train: error: rank 1 of 2 on [^:]*: \S*none\.tsv: cannot be opened")

    def test_numbers_that_cannot_be_shared(self):
        done = self.launch(2, "run", "--train.shards=3", code=2)[1]
        self.assertIn("train.shards = 3: 2 processes cannot share them; start as many as divide 3", done.stderr)
        done = self.launch(2, "run", "--train.batch=1", code=2)[1]
        self.assertIn("train.shards = 2: a step has only train.batch = 1 pairs to share", done.stderr)


if __name__ == "__main__":
    unittest.main()
