"""Training in several processes: equal bits for any number of them."""
import os
import shutil
import subprocess
import unittest

from processes import ENVIRONMENT, FAKE, LAUNCH, Processes
from tiny_run import BIN


class Bits(Processes):
    def test_the_bits_do_not_depend_on_the_number_of_processes(self):
        for more in ((), ("--train.precision=bf16", "--train.micro_batch=2", "--train.skip_outliers=3"),
                     ("--train.precision=bf16", "--train.fgm=0.5", "--loss.scale=keras_fill",
                      "--train.epochs=1"),
                     ("--train.clip_norm=0",)):  # Adam beside backward
            several = (4,) if FAKE else (2, 4)  # slow there, and the trees are those of preset cpu
            runs = {n: self.launch(n, f"run{n}{''.join(more)[-9:]}", "--train.shards=4", *more)[0]
                    for n in (1, *several)}
            for n in several:
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

    @unittest.skipUnless(FAKE, "for the CUDA that runs without a GPU")
    def test_a_gpu_for_each_process(self):
        one_gpu = {**ENVIRONMENT, "CUDA_ON_CPU_DEVICES": "1"}
        done = subprocess.run(self.command(2, self.dir / "run"), capture_output=True, text=True, env=one_gpu,
                              timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"train: error: ranks 0 and 1 share one GPU of \S+; "
                                      r"start at most one process for each GPU\n")
        self.assertFalse((self.dir / "run/config.ini").exists())

    @unittest.skipUnless(FAKE, "for the CUDA that runs without a GPU")
    def test_one_process_by_nccl_and_a_rank_without_a_gpu(self):
        run = self.launch(1, "run", "--train.shards=2", "--train.epochs=1")[0]
        by_nccl = self.command(1, self.dir / "nccl", "--train.shards=2", "--train.epochs=1")
        subprocess.run([*LAUNCH, "-np", "1", *by_nccl], capture_output=True,
                       env={**ENVIRONMENT, "WARPBERT_NCCL": "1"}, timeout=120, check=True)
        self.assertEqual(self.results(self.dir / "nccl"), self.results(run))
        script = ('[ "$OMPI_COMM_WORLD_RANK" = 0 ] || export CUDA_ON_CPU_DEVICES=0; '
                  f"exec {BIN}/train --config {self.ini}")
        done = subprocess.run([*LAUNCH, "-np", "2", "sh", "-c", script], text=True, capture_output=True,
                              timeout=120, env=ENVIRONMENT)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"train: error: rank 1 of 2 on \S+: no usable GPU \(none found\)")

    @unittest.skipUnless(FAKE, "for the CUDA that runs without a GPU")
    def test_nccl_is_loaded_when_it_is_needed(self):
        """A copy of the program, beside a library that is none."""
        for folder in ("bin", "lib"):
            (self.dir / folder).mkdir()
        for library in (BIN.parent / "lib").glob("*.so*"):
            (self.dir / "lib" / library.name).symlink_to(library)
        copy = shutil.copy(BIN / "train", self.dir / "bin/train")
        broken = self.dir / "lib/libnccl.so.2"
        broken.touch()
        environment = {**ENVIRONMENT, "LD_PRELOAD": os.environ["LD_PRELOAD"]}
        command = [copy if word == str(BIN / "train") else word for word in self.command(2, self.dir / "run")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr,
                         r"train: error: NCCL cannot be loaded, which several processes on GPUs need: "
                         r"\S+/libnccl\.so\.2: file too short; "
                         r"install libnccl2, or add the folder of libnccl\.so\.2 to LD_LIBRARY_PATH\n")
        alone = [copy, *self.command(1, self.dir / "alone")[1:], "--train.shards=2", "--train.epochs=1"]
        done = subprocess.run(alone, capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
