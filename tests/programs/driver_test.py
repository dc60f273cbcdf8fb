"""An NVIDIA driver that is older than the toolkit: one message names both.

driver_test.py BIN_DIR [unittest arguments]
"""
import os
import pathlib
import subprocess
import sys
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()


@unittest.skipUnless("cuda_on_cpu" in os.environ.get("LD_PRELOAD", ""),
                     "for the CUDA runtime that needs no GPU")
class Driver(unittest.TestCase):
    def message(self, driver):
        tiny = pathlib.Path(__file__).resolve().parent.parent / "golden/tiny"
        command = [BIN / "train", "--config", BIN / "base.ini", f"--data.train={tiny}/pairs.tsv",
                   "--data.test=", "--data.vocab=", "--data.counts=", "--model.weights=",
                   "--run.directory=/nonexistent/run", "--dry-run"]
        done = subprocess.run(command, capture_output=True, text=True,
                              env={**os.environ, "CUDA_ON_CPU_DRIVER": driver})
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_a_driver_that_is_too_old_is_named_with_the_toolkit(self):
        self.assertRegex(self.message("11080"),
                         r"^train: error: no usable GPU: this build needs a driver for CUDA 1[2-9]\.\d, "
                         r"and the installed one is for CUDA 11\.8: update it, or build with a toolkit of "
                         r"at most 11\.8; the CPU needs no GPU: .*\n$")

    def test_no_driver_is_said(self):
        self.assertRegex(self.message("0"),
                         r"^train: error: no usable GPU: this build needs a driver for CUDA 1[2-9]\.\d, "
                         r"and none is installed; the CPU needs no GPU: .*\n$")


if __name__ == "__main__":
    unittest.main()
