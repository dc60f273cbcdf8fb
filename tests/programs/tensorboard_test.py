"""Reads the output of run.tensorboard and run.csv, also of a stopped and resumed run.

tensorboard_test.py BIN_DIR [unittest arguments]; skipped where the package tensorboard is not installed.
"""
import csv
import json
import math
import signal
import unittest

from tiny_run import TinyRun

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    EventAccumulator = None

TAGS = {
    "step": {"loss/total": "loss", "loss/mlm": "loss_mlm", "loss/cls": "loss_cls", "lr": "lr",
             "speed/pairs_per_s": "pairs_per_s", "speed/tokens_per_s": "tokens_per_s",
             "speed/tflops": "tflops", "grad_norm": "grad_norm", "memory/mib": "memory_mib",
             "memory/peak_mib": "memory_peak_mib"},
    "epoch": {"epoch/loss": "loss", "epoch/loss_mlm": "loss_mlm", "epoch/loss_cls": "loss_cls",
              "epoch/pairs_per_s": "pairs_per_s", "epoch/seconds": "seconds", "validation/auc": "auc",
              "validation/log_loss": "log_loss", "validation/accuracy": "accuracy", "validation/f1": "f1",
              "validation/best_threshold": "best_threshold",
              "validation/accuracy_at_best_f1": "accuracy_at_best_f1", "validation/best_f1": "best_f1"},
}


class Readers(TinyRun):
    def stopped_run(self):
        options = ("--run.log_every=3", "--train.epochs=4", "--run.checkpoint_steps=5", "--run.csv=true",
                   "--run.tensorboard=true")
        run = self.dir / "stopped"
        for at, signal_ in ((2, signal.SIGKILL), (8, signal.SIGINT)):
            process = self.start(run, *options)
            self.wait_for_steps(run, process, at)
            process.send_signal(signal_)
            process.communicate(timeout=60)
        self.train(*options, f"--run.directory={run}")
        return run, [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def test_csv_of_a_stopped_run_holds_its_metrics(self):
        run, records = self.stopped_run()
        for kind in ("step", "epoch"):
            with open(run / f"{kind}s.csv", newline="") as file:
                rows = [{k: json.loads(v) if v else None for k, v in row.items()}
                        for row in csv.DictReader(file)]
            expected = [{k: v for k, v in r.items() if k != "kind"} for r in records if r["kind"] == kind]
            self.assertEqual(rows, expected)
        # Also on a finished run.
        self.train("--train.epochs=1")
        self.assertFalse((self.run_dir / "steps.csv").exists())
        self.assertIn("finished", self.train("--train.epochs=1", "--run.csv=true").stdout)
        self.assertEqual(len((self.run_dir / "epochs.csv").read_text().splitlines()), 2)

    @unittest.skipUnless(EventAccumulator, "the package tensorboard is not installed")
    def test_tensorboard_reads_what_metrics_jsonl_says(self):
        run, records = self.stopped_run()
        self.assertEqual(len(list(run.glob("events.out.tfevents.*"))), 1)
        events = EventAccumulator(str(run), size_guidance={"scalars": 0})
        events.Reload()
        self.assertEqual(events.file_version, 2)
        found = set()
        for kind, tags in TAGS.items():
            for tag, key in tags.items():
                step, expected = 0, []
                for r in records:
                    step = r.get("step", step)
                    if r["kind"] == kind and r[key] is not None:
                        expected.append((step, r[key], r["time"]))
                if not expected:
                    continue
                found.add(tag)
                scalars = events.Scalars(tag)
                self.assertEqual([(e.step, e.wall_time) for e in scalars],
                                 [(s, t) for s, _, t in expected], tag)
                for e, (_, value, _) in zip(scalars, expected):
                    self.assertTrue(math.isclose(e.value, value, rel_tol=1e-7), (tag, e.value, value))
        self.assertEqual(found, set(events.Tags()["scalars"]))
        self.assertLessEqual({"loss/total", "lr", "validation/auc"}, found)


if __name__ == "__main__":
    unittest.main()
