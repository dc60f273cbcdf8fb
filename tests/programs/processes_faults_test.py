"""Several processes: faults, signals, and predict and eval. Everything that a backend does not change."""
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from processes import ENVIRONMENT, FAKE, LAUNCH, Processes
from tiny_run import BIN


class Faults(Processes):
    def test_predict_and_eval_share_the_rows(self):
        run = self.launch(1, "run", "--train.epochs=1")[0]
        for options in ((), ("--predict.swap=true", "--predict.batch=3")):
            arguments = ["--run", run, "--input", self.dir / "train.tsv", *options]
            outputs = [self.dir / f"scores{n}.csv" for n in (1, 3)]
            for n, output in zip((1, 3), outputs):
                launch = [*LAUNCH, "-np", str(n)] if n > 1 else []
                done = subprocess.run([*launch, BIN / "predict", *arguments, "--output", output],
                                      capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.count("scores written to"), 1)
            self.assertEqual(outputs[0].read_bytes(), outputs[1].read_bytes())
        measured = [subprocess.run([*launch, BIN / "eval", *arguments, "--bootstrap", "50"],
                                   capture_output=True, text=True, env=ENVIRONMENT, timeout=120).stdout
                    for launch in ([], [*LAUNCH, "-np", "2"])]
        self.assertIn("AUC", measured[0])
        self.assertEqual(measured[0], measured[1])
        for more, what in (("--output=-", "standard input"), ("--latency", "--latency")):
            given = "-" if more == "--output=-" else self.dir / "train.tsv"
            command = [*LAUNCH, "-np", "2", BIN / "predict", "--run", run, "--input", given, more]
            done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count(f"predict: error: {what}: several processes "
                                               "cannot share it; start one\n"), 1)

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

    @unittest.skipIf(FAKE, "there the host does the work of GPUs, and waits with them")
    def test_a_rank_that_hangs_is_waited_for_so_long(self):
        run = self.dir / "hangs"
        process = self.start(2, run, "--train.epochs=50", "--run.wait_seconds=2")
        self.wait_for_step(run, process, 1)
        ranks = self.children(process)
        os.kill(ranks[1], signal.SIGSTOP)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, out + err)
        self.assertRegex(err, r"train: error: it has waited 2 s for rank 1 of 2 on \S+: no answer; "
                              r"the same command resumes the run; run\.wait_seconds sets the limit\n")
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
            self.assertRegex(done.stderr, f"train: error: rank 1 of 2 on .* has another {what} than rank 0; "
                                          "start all with the same\n")
            self.assertFalse(run.exists())

    def test_an_error_of_all_ranks_is_told_once_and_one_of_a_rank_with_its_name(self):
        done = self.launch(2, "run", "--train.lr=-1", code=2)[1]
        self.assertEqual(done.stderr.count("train: error:"), 1, done.stderr)
        done = self.launch_two(self.dir / "run", "--data.test=none.tsv")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"train: error: rank 1 of 2 on [^:]*: \S*none\.tsv: cannot be opened")

    def test_tasks_of_srun_without_mpi_are_refused(self):
        done = subprocess.run(self.command(1, self.dir / "run"), capture_output=True, text=True, timeout=60,
                              env={**os.environ, "SLURM_STEP_NUM_TASKS": "2"})
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "train: error: srun started 2 processes that do not know each other; "
                                      "start them by srun --mpi=pmix\n")
        self.assertFalse((self.dir / "run").exists())

    def test_numbers_that_cannot_be_shared(self):
        done = self.launch(2, "run", "--train.shards=3", code=2)[1]
        self.assertIn("train.shards = 3: 2 processes cannot share them; start as many as divide 3",
                      done.stderr)
        done = self.launch(2, "run", "--train.batch=1", code=2)[1]
        self.assertIn("train.shards = 2: a step has only train.batch = 1 pairs to share", done.stderr)


if __name__ == "__main__":
    unittest.main()
