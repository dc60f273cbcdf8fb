"""End-to-end tests of the programs: train, predict and others on files, messages and exit codes.

programs_test.py BIN_DIR [unittest arguments]
"""
import fcntl
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
import unittest
import zipfile

from tiny_run import BIN, GOLDEN, LABELLED, ON_GPU, UNLABELLED, TinyRun, call, pairs

# Makes runs long enough to be interrupted by a signal.
STOPPED = f"--train.epochs={100 if ON_GPU and 'cuda_on_cpu' not in os.environ.get('LD_PRELOAD', '') else 5}"


class Programs(TinyRun):
    def page_data(self, page):
        return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script',
                                    page.read_text(), re.S)[1])

    def run_json(self, run=None):
        """The run's run.json, which is also what its page holds."""
        run = run or self.run_dir
        values = json.loads((run / "run.json").read_text())
        self.assertEqual(self.page_data(run / "report.html"), values)
        return values

    def test_a_run_leaves_model_metrics_scores_and_report(self):
        self.train()
        lines = [json.loads(l) for l in (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        epochs = [l for l in lines if l["kind"] == "epoch"]
        self.assertEqual([e["epoch"] for e in epochs], [1, 2])
        for key in ("loss", "loss_mlm", "loss_cls", "auc", "pairs_per_s"):
            self.assertIsInstance(epochs[0][key], float, key)
        self.assertLess(epochs[1]["loss"], epochs[0]["loss"])
        for key in ("log_loss", "accuracy", "f1", "best_threshold", "accuracy_at_best_f1", "best_f1"):
            self.assertIsInstance(epochs[0][key], float, key)
        self.assertLessEqual(epochs[0]["accuracy"], 1)
        self.assertLessEqual(epochs[0]["f1"], epochs[0]["best_f1"])
        step = [l for l in lines if l["kind"] == "step"][-1]
        self.assertIn("grad_norm", step)
        self.assertGreater(step["tflops"], 0)
        self.assertTrue(0 < step["memory_mib"] <= step["memory_peak_mib"])
        self.assertTrue(abs(step["time"] - time.time()) < 600)
        scores = (self.run_dir / "scores.csv").read_text().splitlines()
        self.assertEqual(len(scores), UNLABELLED)
        for s in scores:
            self.assertTrue(0 < float(s) < 1)
        names = zipfile.ZipFile(self.run_dir / "best.npz").namelist()
        self.assertIn("bert.encoder.layer.0.attention.self.query.weight.npy", names)
        self.assertIn("vocab/cipher_ids.npy", names)
        self.assertEqual(len(names), 3 + 2 + 16 + 5 + 2)
        report = self.run_json()
        self.assertEqual(report["best_auc"], max(e["auc"] for e in epochs))
        self.assertEqual([e["loss"] for e in report["epochs"]], [e["loss"] for e in epochs])
        self.assertEqual(report["last_epoch"]["loss"], epochs[-1]["loss"])
        self.assertEqual(report["steps"]["step"], [l["step"] for l in lines if l["kind"] == "step"])
        self.assertEqual(lines[0]["time"], report["first_record"])
        self.assertLessEqual(epochs[-1]["time"], report["ended"])
        labels = [int(row[-1]) for row in (self.dir / "train.tsv").read_text().splitlines()]
        for part, rows in (("training", [l for i, l in enumerate(labels) if i % 10]),
                           ("validation", labels[::10])):
            self.assertIn({"name": part, "match": sum(rows), "no_match": len(rows) - sum(rows)},
                          report["classes"])

    def test_a_configuration_from_standard_input(self):
        done = call("train", "--config", "-", "--train.epochs=0", cwd=self.dir, input=self.ini.read_text())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue((self.dir / "runs/-/best.npz").exists())

    def test_predict_repeats_the_scores_of_the_run(self):
        self.train()
        out = self.dir / "again.csv"
        self.program("predict", "--run", self.run_dir, "--input", self.dir / "test.tsv", "--output", out)
        self.assertEqual(out.read_text(), (self.run_dir / "scores.csv").read_text())

    def test_the_same_bits_for_any_number_of_threads(self):
        for precision in ("fp32", "bf16"):
            for threads in (1, 2, 3):
                self.train(f"--run.threads={threads}", f"--train.precision={precision}",
                           f"--run.directory={self.dir}/{threads}{precision}")
            for name in ("best.npz", "scores.csv"):
                first = (self.dir / f"1{precision}" / name).read_bytes()
                self.assertEqual(first, (self.dir / f"2{precision}" / name).read_bytes(), name)
                self.assertEqual(first, (self.dir / f"3{precision}" / name).read_bytes(), name)

    def test_another_seed_gives_another_model(self):
        self.train(f"--run.directory={self.dir}/one", "--train.epochs=1")
        self.train(f"--run.directory={self.dir}/two", "--train.epochs=1", "--train.seed=1")
        self.assertNotEqual((self.dir / "one/best.npz").read_bytes(),
                            (self.dir / "two/best.npz").read_bytes())

    def test_bf16_trains(self):
        self.train("--train.precision=bf16")
        self.assertEqual(len((self.run_dir / "scores.csv").read_text().splitlines()), UNLABELLED)

    def metrics(self, run):
        """metrics.jsonl without fields that depend on time or on the process's history."""
        varies = ("pairs_per_s", "tokens_per_s", "tflops", "seconds", "time", "memory_mib", "memory_peak_mib")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k not in varies} for line in lines]

    def assert_same_results(self, one, two):
        self.assertEqual(self.metrics(one), self.metrics(two))
        for name in ("best.npz", "scores.csv"):
            self.assertEqual((one / name).read_bytes(), (two / name).read_bytes(), name)

    def test_a_run_stopped_by_ctrl_c_goes_on_to_the_same_bits(self):
        for precision in ("fp32", "bf16"):
            options = ("--run.log_every=3", f"--train.precision={precision}", STOPPED,
                       "--model.attention_dropout=0.1")
            straight, stopped = self.dir / f"straight-{precision}", self.dir / f"stopped-{precision}"
            self.train(*options, f"--run.directory={straight}")
            for at, signal_ in ((2, signal.SIGINT), (8, signal.SIGTERM)):
                process = self.start(stopped, *options)
                self.wait_for_steps(stopped, process, at)
                process.send_signal(signal_)
                out, err = process.communicate(timeout=60)
                self.assertEqual((process.returncode, err), (130, ""), out)
                self.assertIn("the same command resumes it", out)
            self.assertIn("resuming from its last checkpoint",
                          self.train(*options, f"--run.directory={stopped}").stdout)
            self.assert_same_results(straight, stopped)

    def test_a_closed_terminal_and_a_closed_pipe_leave_a_checkpoint(self):
        straight, stopped = self.dir / "straight", self.dir / "stopped"
        options = ("--run.log_every=3", STOPPED)
        self.train(*options, f"--run.directory={straight}")
        process = self.start(stopped, *options)
        self.wait_for_steps(stopped, process, 1)
        process.send_signal(signal.SIGHUP)
        self.assertEqual((process.communicate(timeout=60)[1], process.returncode), ("", 130))
        process = self.start(stopped, *options)
        self.wait_for_steps(stopped, process, 6)
        process.stdout.close()
        self.assertEqual((process.stderr.read(), process.wait(timeout=60)), ("", 130))
        process.stderr.close()
        self.assertIn("resuming from its last checkpoint",
                      self.train(*options, f"--run.directory={stopped}").stdout)
        self.assert_same_results(straight, stopped)

    def test_nohup_is_not_stopped_by_a_closed_terminal(self):
        command = [BIN / "train", "--config", self.ini, "--run.log_every=1", STOPPED]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_steps(self.run_dir, process, 2)
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(timeout=300), 0)

    def test_a_killed_run_goes_on_to_the_same_bits(self):
        options = ("--run.log_every=4", "--run.checkpoint_steps=3", "--run.keep_checkpoints=2", STOPPED)
        straight, killed = self.dir / "straight", self.dir / "killed"
        self.train(*options, f"--run.directory={straight}")
        self.assertEqual(len(list((straight / "checkpoints").iterdir())), 2)
        process = self.start(killed, *options)
        self.wait_for_steps(killed, process, 4)
        process.kill()
        process.communicate()
        newest = sorted((killed / "checkpoints").glob("*.npz"))[-1]
        newest.write_bytes(newest.read_bytes()[:-1000])  # damaged: falls back to the previous one
        done = call("train", "--config", self.ini, f"--run.directory={killed}", *options, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn(f"warning: {newest}", done.stderr)
        self.assertIn("trying the one before", done.stderr)
        self.assert_same_results(straight, killed)

    def test_a_run_without_a_readable_checkpoint_is_not_thrown_away(self):
        self.train()
        (checkpoint,) = (self.run_dir / "checkpoints").iterdir()
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
        best = (self.run_dir / "best.npz").read_bytes()
        message = self.refuses("no other checkpoint is left; to start over, remove " + str(self.run_dir),
                               "--train.epochs=3")
        self.assertIn(str(checkpoint), message)
        self.assertEqual((self.run_dir / "best.npz").read_bytes(), best)

    def test_files_of_no_run_are_not_removed(self):
        theirs = {"models/bert.npz": "weights", "checkpoints/model.ckpt": "theirs",
                  "events.out.tfevents.1.host": "log"}
        for name, text in theirs.items():
            path = self.run_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.run_dir / "scores.csv").write_text("0.5")
        self.refuses(f"{self.run_dir}/scores.csv: there already, but its folder has no config.ini: "
                     "it belongs to no run; a new run would replace it")
        self.assertEqual((self.run_dir / "scores.csv").read_text(), "0.5")
        (self.run_dir / "scores.csv").unlink()
        self.train()
        for checkpoint in (self.run_dir / "checkpoints").glob("0*.npz"):
            checkpoint.unlink()
        for name in ("best.npz", "scores.csv", "run.json", "report.html"):
            (self.run_dir / name).unlink()
        self.assertIn("no complete checkpoint; starting over", self.train().stdout)
        for name, text in theirs.items():
            self.assertEqual((self.run_dir / name).read_text(), text)

    def test_a_damaged_checkpoint_is_not_the_newest_for_ever(self):
        options = ("--run.keep_checkpoints=2", "--run.checkpoint_steps=3", "--train.epochs=2")
        self.train(*options)
        newest, older = sorted((self.run_dir / "checkpoints").iterdir(), reverse=True)
        newest.write_bytes(newest.read_bytes()[:1000])
        (self.run_dir / "report.html").unlink()
        done = call("train", "--config", self.ini, "--run.keep_checkpoints=1", *options[1:])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("trying the one before", done.stderr)
        self.assertEqual(sorted(p.name for p in (self.run_dir / "checkpoints").iterdir()),
                         [newest.name, newest.name + ".damaged"])
        self.assertIn("resuming from its last",
                      self.train("--run.keep_checkpoints=1", *options[1:-1], "--train.epochs=3").stdout)

    def test_a_checkpoint_of_another_format_is_named(self):
        self.train()
        (checkpoint,) = (self.run_dir / "checkpoints").iterdir()
        older = lambda data: data.replace(b'"format":3,', b'"format":1,')
        self.rewrite(checkpoint, lambda name, data: older(data) if name == "state/run.npy" else data)
        self.refuses(f"{checkpoint}: state/run: an unknown format; no other checkpoint is left",
                     "--train.epochs=3")

    def test_a_run_directory_that_another_process_uses(self):
        self.run_dir.mkdir(parents=True)
        with open(self.run_dir / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refuses(f"{self.run_dir}: another process is working in this run directory; "
                         "wait for it, or set run.directory")
            self.assertEqual([path.name for path in self.run_dir.iterdir()], ["lock"])
        self.train()

    def test_folders_that_cannot_be_made(self):
        below_a_file = self.dir / "train.tsv/run"
        self.refuses(f"{below_a_file}: cannot make the run directory: Not a directory",
                     f"--run.directory={below_a_file}")
        self.train("--train.epochs=1", "--run.keep_best=2")
        shutil.rmtree(self.run_dir / "models")
        (self.run_dir / "models").write_text("")
        self.refuses(f"{self.run_dir}/models: cannot be made: ", "--train.epochs=2", "--run.keep_best=2")
        stderr = self.program("export", "--run", self.run_dir, "--output", below_a_file, code=1).stderr
        self.assertIn(f"{below_a_file}: cannot make the folder: Not a directory", stderr)

    def test_what_is_not_finite_is_never_saved(self):
        """Step 1 leaves finite but huge weights; step 2 has a non-finite loss."""
        options = ("--train.lr=10", "--train.weight_decay=1", "--train.layer_decay=1",
                   "--train.embedding_rate=1000", "--run.log_every=100", "--run.checkpoint_steps=1")
        message = "not finite at or before step"
        steps = self.refuses(message, *options)
        self.assertIn("what was saved stays", steps)
        checkpoints = [p.read_bytes() for p in sorted((self.run_dir / "checkpoints").iterdir())]
        # Resumes from the checkpoint and fails at the same step.
        self.assertEqual(self.refuses(message, *options), steps)
        self.assertEqual([p.read_bytes() for p in sorted((self.run_dir / "checkpoints").iterdir())],
                         checkpoints)

    def test_every_training_option_resumes_to_the_same_bits(self):
        """EMA, FGM, outlier filter, layer-wise lr decay; and micro-batches."""
        for name, options in {
            "attacked": ("--train.ema=0.9", "--train.fgm=0.3", "--train.skip_outliers=3",
                         "--train.layer_decay=0.9", "--train.clip_norm=1"),
            "parts": ("--train.micro_batch=5", "--train.ema=0.9", "--train.embedding_rate=2",
                      "--mask.ngram=0.7,0.2,0.1"),
        }.items():
            options = ("--run.log_every=3", STOPPED, *options)
            straight, stopped = self.dir / f"{name}-straight", self.dir / f"{name}-stopped"
            self.train(*options, f"--run.directory={straight}")
            process = self.start(stopped, *options)
            self.wait_for_steps(stopped, process, 5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (130, ""), out)
            self.assertIn("resuming from its last checkpoint",
                          self.train(*options, f"--run.directory={stopped}").stdout)
            self.assert_same_results(straight, stopped)
            steps = [line for line in self.metrics(straight) if line["kind"] == "step"]
            self.assertTrue(all(line["grad_norm"] > 0 for line in steps))

    def test_the_running_mean_is_what_is_kept_and_scored(self):
        self.train("--train.ema=0.9", f"--run.directory={self.dir}/mean")
        self.train(f"--run.directory={self.dir}/last")
        self.assertNotEqual((self.dir / "mean/best.npz").read_bytes(),
                            (self.dir / "last/best.npz").read_bytes())
        keys = ("loss", "loss_mlm", "loss_cls")  # training is unaffected
        self.assertEqual(*([[line[k] for k in keys] for line in self.metrics(self.dir / run)
                            if line["kind"] == "epoch"] for run in ("mean", "last")))
        self.program("predict", "--run", self.dir / "mean", "--input", self.dir / "test.tsv",
                     "--output", self.dir / "again.csv")
        self.assertEqual((self.dir / "again.csv").read_bytes(), (self.dir / "mean/scores.csv").read_bytes())

    def test_parts_of_a_batch_learn_what_the_batch_learns(self):
        self.train("--model.dropout=0", f"--run.directory={self.dir}/whole")
        self.train("--model.dropout=0", "--train.micro_batch=3", f"--run.directory={self.dir}/parts")
        whole, parts = (self.metrics(self.dir / run) for run in ("whole", "parts"))
        self.assertEqual(len(whole), len(parts))
        for one, other in zip(whole, parts):
            # Summation order differs, over 16 Adam steps.
            self.assertAlmostEqual(one["loss"], other["loss"], delta=1e-4 * one["loss"])
        self.refuses("train.fgm needs the gradient of the whole batch", "--train.micro_batch=3",
                     "--train.fgm=0.1", code=2)

    def test_two_stages(self):
        out = self.train("--train.stage=pretrain", f"--run.directory={self.dir}/pretrain").stdout
        self.assertRegex(out, r"\nkept      epoch 2, the last evaluated: there is no AUC to choose by\n")
        self.assertRegex(out, r"\nepoch   2/2  loss [\d.]+  masked tokens [\d.]+  AUC —")
        for stage in ("pretrain", "finetune"):  # losses without targets are omitted, not "nan"
            for run in ("--dry-run", "--run.directory=" + str(self.dir / f"seen-{stage}")):
                self.assertNotIn("nan", self.train(f"--train.stage={stage}", run).stdout)
        epoch = self.metrics(self.dir / "pretrain")[-1]
        self.assertEqual((epoch["auc"], epoch["loss_cls"]), (None, None))
        self.assertEqual(epoch["loss"], epoch["loss_mlm"])
        self.assertFalse((self.dir / "pretrain/scores.csv").exists())
        done = call("predict", "--run", self.dir / "pretrain", "--input", self.dir / "test.tsv",
                    "--output", "-")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, UNLABELLED))
        self.assertIn("pretrain: pretrained alone (train.stage = pretrain); it has not learned to score "
                      "pairs",
                      done.stderr)
        out = self.train("--train.stage=finetune", f"--model.weights={self.dir}/pretrain/best.npz",
                         f"--run.directory={self.dir}/finetune").stdout
        self.assertIn("vocabulary kept", out)
        epoch = self.metrics(self.dir / "finetune")[-1]
        self.assertEqual(epoch["loss"], epoch["loss_cls"])
        self.assertIsNone(epoch["loss_mlm"])
        self.assertIsInstance(epoch["auc"], float)
        self.assertEqual(len((self.dir / "finetune/scores.csv").read_text().splitlines()), UNLABELLED)
        (self.dir / "train.tsv").write_text(pairs(40, False, 1))  # no labels
        self.train("--train.stage=pretrain", f"--run.directory={self.dir}/unlabelled")
        self.refuses("no row has a label", "--train.stage=finetune", f"--run.directory={self.dir}/none")

    def test_min_count_above_all_counts(self):
        self.refuses("no id of the data occurs data.min_count (= 100000) times, "
                     "so no vocabulary can be made; lower data.min_count", "--data.min_count=100000")

    def test_counts_that_belong_to_another_vocabulary(self):
        vocab, counts = f"--data.vocab={GOLDEN}/vocab.txt", self.dir / "counts.json"
        words = [line.split()[0] for line in (GOLDEN / "vocab.txt").read_text().splitlines()]
        counts.write_text('{"no such word": 5}')
        self.assertIn(f"{counts}: counts no token of {GOLDEN}/vocab.txt; it belongs to another vocabulary",
                      self.golden(vocab, f"--data.counts={counts}", code=1).stderr)
        counts.write_text(json.dumps({word: 3 for word in words[200:207]}))
        done = call("train", "--config", self.dir / "golden.ini", vocab, f"--data.counts={counts}")
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"warning: {counts}: counts only 7 of the 130 tokens that "
                      "the data's ids are aligned to", done.stderr)

    def test_what_is_given_and_not_used_is_warned_of(self):
        (self.dir / "test.tsv").write_text(pairs(UNLABELLED, True, 2))
        done = call("train", "--config", self.ini, "--train.epochs=1", "--train.final_lr=0.1",
                    f"--data.counts={GOLDEN}/counts.json")
        self.assertEqual(done.stderr,
                         "warning: train.final_lr is not used: the learning rate of train.schedule = "
                         "constant does not fall; linear and cosine lead there\n"
                         "warning: data.counts is not used: "
                         "without model.weights the first weights are random\n"
                         f"warning: {self.dir}/test.tsv: {UNLABELLED} rows have a label, which is not used; "
                         "eval measures by them\n")
        self.assertIn(f"data      {LABELLED + UNLABELLED} pairs: {LABELLED - 12} labelled to train on, "
                      f"12 to validate on, {UNLABELLED} of the test file", done.stdout)
        report = {fact["name"]: fact["value"] for fact in self.run_json()["facts"]}["Pairs"]
        self.assertEqual(f"{LABELLED + UNLABELLED}: {LABELLED - 12} labelled to train on, 12 to validate on, "
                         f"{UNLABELLED} of the test file", report)

    def test_labels_that_are_all_for_validation(self):
        rows = (self.dir / "train.tsv").read_text().splitlines()
        (self.dir / "train.tsv").write_text("".join((row if i % 10 == 0 else row[:-2]) + "\n"
                                                    for i, row in enumerate(rows)))
        for stage in ("joint", "finetune"):
            self.refuses(f"{self.dir}/train.tsv: all rows that have a label are for validation; "
                         "another data.validation_every", f"--train.stage={stage}")

    def test_a_folder_that_was_moved_goes_on(self):
        self.train()
        moved = self.dir / "moved"
        moved.mkdir()
        for name in ("runs", "train.tsv", "test.tsv", "tiny.ini"):
            (self.dir / name).rename(moved / name)
        self.ini = moved / "tiny.ini"
        self.assertIn("resuming from its last checkpoint", self.train("--train.epochs=3").stdout)
        self.assertIn(f"train = {moved}/train.tsv", (moved / "runs/tiny/config.ini").read_text())

    def test_more_epochs_on_a_finished_run(self):
        straight = self.dir / "straight"
        self.train("--train.epochs=4", f"--run.directory={straight}")
        self.train("--train.epochs=2")
        self.train("--train.epochs=4")
        self.assert_same_results(straight, self.run_dir)
        self.refuses("train.epochs", "--train.epochs=3", code=2)
        self.assertIn("more train.epochs resume it", self.train("--train.epochs=4").stdout)

    def test_a_finished_run_that_goes_on_is_not_finished(self):
        self.train("--train.epochs=1", "--run.log_every=1")
        self.assertTrue((self.run_dir / "report.html").exists())
        process = self.start(self.run_dir, STOPPED, "--run.log_every=1")
        self.wait_for_steps(self.run_dir, process, 12)
        process.kill()
        process.communicate()
        self.assertFalse((self.run_dir / "report.html").exists())
        self.assertFalse((self.run_dir / "run.json").exists())
        self.assertIn("written", self.train(STOPPED, "--run.log_every=1").stdout)

    def test_epochs_do_not_grow_where_the_last_was_evaluated_for_being_the_last(self):
        self.train("--run.evaluate_every=2", "--train.epochs=3")
        self.refuses("train.epochs = 4 (there: 3), whose last epoch was evaluated only because it was the "
                     "last; set run.directory", "--run.evaluate_every=2", "--train.epochs=4", code=2)

    def test_epochs_do_not_grow_where_the_rates_depend_on_them(self):
        rising = "--train.warmup=0.1"
        self.train(rising)
        self.refuses("train.epochs = 3 (there: 2), on which its learning rates depend; set run.directory",
                     rising, "--train.epochs=3", code=2)
        self.assertNotIn("goes on", self.train(rising).stdout)

    def test_all_labels_train_without_validation(self):
        out = self.train("--data.validation_every=0").stdout
        self.assertIn(f"{LABELLED} labelled to train on, 0 to validate on", out)
        self.assertIn("kept      epoch 2, the last evaluated", out)
        self.assertEqual(len((self.run_dir / "scores.csv").read_text().splitlines()), UNLABELLED)

    def test_validation_rows_of_one_class_are_warned_of(self):
        path = self.dir / "train.tsv"
        rows = [row.rsplit("\t", 1) for row in path.read_text().splitlines()]
        path.write_text("".join(f"{text}\t{0 if i % 10 == 0 else label}\n"
                                for i, (text, label) in enumerate(rows)))
        done = call("train", "--config", self.ini)
        self.assertIn("all 12 validation rows are no matches, so that there is no AUC, "
                      "and the last epoch's model is kept", done.stderr)
        self.assertIn("kept      epoch 2", done.stdout)
        path.write_text("".join(text + "\n" if i % 10 == 0 else f"{text}\t{label}\n"
                                for i, (text, label) in enumerate(rows)))
        done = call("train", "--config", self.ini, "--dry-run")
        self.assertIn("no validation row has a label, so that there is no AUC", done.stderr)
        self.assertEqual(done.returncode, 0)

    def test_training_labels_of_one_class_are_warned_of(self):
        rows = [row.split("\t")[:2] for row in (self.dir / "train.tsv").read_text().splitlines()]
        for training, validation in ((0, 1), (1, 0)):
            labels = [training if i % 10 else i // 10 % 2 for i in range(len(rows))]
            (self.dir / "train.tsv").write_text("".join("\t".join([*row, str(label)]) + "\n"
                                                        for row, label in zip(rows, labels)))
            done = call("train", "--config", self.ini, "--dry-run")
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stderr.startswith(f"warning: {self.dir}/train.tsv: "
                                                   f"all {LABELLED - 12} training labels are {training}: "
                                                   "there is nothing to tell apart;"), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn(f"          {100 * training}.0 % of the labels to train on are matches, "
                          "50.0 % of those to validate on\n", done.stdout)

    def test_inputs_of_another_kind_are_called_by_their_name(self):
        for content, message in ((b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                                  "is a Git LFS pointer"),
                                 (b"<!DOCTYPE html>\n<html>", "is a web page"),
                                 (b"PK\3\4" + bytes(26) + b"[Content_Types].xml", "is a spreadsheet"),
                                 (b"PAR1\x15\4", "is a Parquet file"),
                                 (b"\xff\xfe1\0", "is UTF-16; save it as UTF-8"),
                                 (b"1\t2\n\x1a", "line 2: ^Z (byte 0x1a)"),
                                 (b"\x1f\x8b\x08", "no gzip file, or is damaged")):
            file = self.dir / "file"
            file.write_bytes(content)
            self.assertRegex(self.refuses(message, f"--data.train={file}"), rf"{file}:? ")
            self.assertIn(message, self.program("train", "--config", file, code=2).stderr)

    def test_pairs_that_a_model_does_not_know_are_warned_of(self):
        self.train("--train.epochs=1")
        (self.dir / "other.tsv").write_text("7 8 9\t7 8\n" * 3 + "101 102\t103\n")
        done = call("predict", "--run", self.run_dir, "--input", self.dir / "other.tsv", "--output", "-")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, 4))
        self.assertIn("tiny: 83 % of the pairs' tokens are unknown to it; was it trained on such data?",
                      done.stderr)

    def test_a_checkpoint_belongs_to_its_data(self):
        self.train("--train.epochs=1")
        path = self.dir / "train.tsv"
        rows = path.read_text().splitlines(True)
        path.write_text("".join(rows[:-1] + [rows[-1][:-2] + ("1\n" if rows[-1][-2] == "0" else "0\n")]))
        changed = (f"{path} or {self.dir}/test.tsv is not what this run was started with; "
                   "set run.directory to another folder")
        self.refuses(changed, "--train.epochs=2")
        # Flips a validation label.
        path.write_text("".join([rows[0][:-2] + ("1\n" if rows[0][-2] == "0" else "0\n")] + rows[1:]))
        self.refuses(changed, "--train.epochs=2")
        path.write_text("".join(rows) + "5 5 5\t5 6\t1\n")
        self.refuses("the data changed", "--train.epochs=2")

    def test_a_checkpoint_can_be_the_start_of_another_run(self):
        self.train("--train.epochs=1")
        (checkpoint,) = (self.run_dir / "checkpoints").iterdir()
        self.train("--train.epochs=0", f"--model.weights={checkpoint}", f"--run.directory={self.dir}/next")
        self.assertEqual((self.dir / "next/best.npz").read_bytes(), (self.run_dir / "best.npz").read_bytes())

    def test_patience_and_the_best_models(self):
        out = self.train("--train.epochs=40", "--train.patience=2", "--run.keep_best=2",
                         "--train.lr=5e-3").stdout
        epochs = [line for line in self.metrics(self.run_dir) if line["kind"] == "epoch"]
        self.assertIn("stopped   early", out)
        aucs = [e["auc"] for e in epochs]
        best = aucs.index(max(aucs))  # first of ties
        self.assertEqual(len(epochs), best + 1 + 2)
        kept = sorted(int(p.stem.removeprefix("epoch-")) for p in (self.run_dir / "models").iterdir())
        order = sorted(range(len(aucs)), key=lambda i: -aucs[i])  # stable sort
        self.assertEqual(kept, sorted(i + 1 for i in order[:2]))
        self.assertEqual((self.run_dir / "best.npz").read_bytes(),
                         (self.run_dir / f"models/epoch-{best + 1:04}.npz").read_bytes())
        again = self.train("--train.epochs=40", "--train.patience=2", "--run.keep_best=2",
                           "--train.lr=5e-3").stdout
        self.assertEqual(again, f"{self.run_dir}: this run is finished, stopped after epoch "
                                f"{len(epochs)} by train.patience\n")

    def test_without_an_auc_the_newest_models_are_kept(self):
        self.train("--data.validation_every=0", "--run.keep_best=2", "--train.epochs=3")
        self.assertEqual(sorted(p.name for p in (self.run_dir / "models").iterdir()),
                         ["epoch-0002.npz", "epoch-0003.npz"])
        self.assertEqual((self.run_dir / "best.npz").read_bytes(),
                         (self.run_dir / "models/epoch-0003.npz").read_bytes())
        self.train("--data.validation_every=0", "--run.keep_best=2", "--train.epochs=4")
        self.assertEqual(sorted(p.name for p in (self.run_dir / "models").iterdir()),
                         ["epoch-0003.npz", "epoch-0004.npz"])

    def test_epochs_between_evaluations(self):
        def evaluated():
            epochs = [line for line in self.metrics(self.run_dir) if line["kind"] == "epoch"]
            return len(epochs), [line["epoch"] for line in epochs if line["auc"] is not None]

        self.train("--run.evaluate_every=3", "--train.epochs=7")
        self.assertEqual(evaluated(), (7, [3, 6, 7]))
        self.run_dir = self.dir / "patient"
        still = ("--train.lr=0", "--train.patience=2", "--run.evaluate_every=2", "--train.epochs=20",
                 f"--run.directory={self.run_dir}")
        self.assertIn("stopped   early: no better AUC in 2 evaluations", self.train(*still).stdout)
        self.assertEqual(evaluated(), (6, [2, 4, 6]))  # two evaluations after epoch 2, the best

    def test_label_smoothing_is_soft_labels(self):
        self.train("--train.label_smoothing=0.25", f"--run.directory={self.dir}/smoothed")
        path = self.dir / "train.tsv"
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{a}\t{b}\t{0.875 if label == '1' else 0.125}\n" for a, b, label in rows))
        self.train(f"--run.directory={self.dir}/soft")
        # Training is identical; only the validation log loss uses different labels.
        metrics = ([{k: v for k, v in line.items() if k != "log_loss"}
                    for line in self.metrics(self.dir / run)] for run in ("smoothed", "soft"))
        self.assertEqual(*metrics)
        for name in ("best.npz", "scores.csv"):
            self.assertEqual((self.dir / "smoothed" / name).read_bytes(),
                             (self.dir / "soft" / name).read_bytes(), name)

    def test_schedule_and_warmup_in_the_step_lines(self):
        self.train("--run.log_every=1", "--train.warmup=0.25", "--train.schedule=linear", "--train.lr=1e-3")
        rates = [line["lr"] for line in self.metrics(self.run_dir) if line["kind"] == "step"]
        warm = -(-len(rates) // 4)
        for step, rate in enumerate(rates, 1):
            before = step - 1
            expected = before / warm if before < warm else 1 - (before - warm) / (len(rates) - warm)
            self.assertAlmostEqual(rate, 1e-3 * expected, places=9)
        self.refuses("train.epochs", "--run.log_every=1", "--train.warmup=0.25", "--train.schedule=linear",
                     "--train.lr=1e-3", "--train.epochs=3", code=2)

    def test_folds(self):
        self.refuses("data.fold = 10", "--data.fold=10", code=2)
        out = self.train("--data.fold=3", "--train.epochs=1").stdout
        self.assertIn("12 to validate on", out)

    def test_a_finished_run_says_so(self):
        self.train()
        before = (self.run_dir / "best.npz").stat().st_mtime_ns
        self.assertIn("finished", self.train().stdout)
        self.assertEqual((self.run_dir / "best.npz").stat().st_mtime_ns, before)

    def test_another_configuration_is_refused_by_key(self):
        self.train()
        self.refuses("train.lr", "--train.lr=1e-4", code=2)

    def test_zero_epochs_write_the_model_at_once(self):
        self.train("--train.epochs=0")
        self.assertTrue((self.run_dir / "best.npz").exists())

    def test_dry_run_writes_nothing(self):
        out = self.train("--dry-run").stdout
        self.assertIn("MiB", out)
        self.assertFalse(self.run_dir.exists())

    def test_dry_run_and_overfit_batch_have_the_shards_of_the_run_that_they_would_resume(self):
        self.train("--train.shards=4", "--train.epochs=1")
        for check in ("--dry-run", "--overfit-batch=2"):
            self.refuses("train.shards = 4: a step has only train.batch = 2 pairs to share", check,
                         "--train.batch=2", code=2)

    def test_dry_run_knows_the_memory_of_the_run(self):
        long = " ".join(["100"] * 14)
        with open(self.dir / "train.tsv", "a") as file:
            file.write(f"{long}\t{long}\t1\n" * 40)  # frequent in scoring batches, rare in training ones
        out = self.train("--dry-run").stdout
        said = re.search(r"memory +([\d.]+) MiB on the device at most, ([\d.]+) of them for weights", out)
        self.train()
        lines = [json.loads(line) for line in (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        peak = max(line["memory_peak_mib"] for line in lines if line["kind"] == "step")
        self.assertGreaterEqual(float(said[1]) + 0.1, peak)
        self.assertLess(float(said[2]), float(said[1]))

    def test_a_batch_is_overfitted_or_the_program_fails(self):
        out = self.train("--overfit-batch=150", "--model.dropout=0", "--train.lr=3e-3").stdout
        self.assertRegex(out, r"overfit   the loss of the first batch fell from [3-9][.]\d+ to 0[.]\d+")
        self.assertRegex(out, r"step +1 .*\nstep +10 .*")
        message = self.refuses("the first batch is not overfitted: the loss of its masked tokens was",
                               "--overfit-batch=20", "--train.lr=1e-9")
        self.assertIn("after 20 steps", message)
        # Labels independent of the text: predicting class frequencies costs a tenth of the initial loss.
        (self.dir / "train.tsv").write_text("".join(f"100 101\t102 103\t{int(i % 3 == 0)}\n"
                                                    for i in range(100)))
        out = self.refuses("not overfitted: the loss of its labels was", "--overfit-batch=60",
                           "--train.stage=finetune", "--mask.probability=0",
                           "--model.dropout=0", "--train.lr=3e-3")
        self.assertRegex(out, r"is 0[.][5-7]\d+ after 60 steps, more than 0[.]0[5-7]")
        self.assertFalse(self.run_dir.exists())
        self.refuses("--overfit-batch needs a value: STEPS", "--overfit-batch=", code=2)
        self.refuses("--overfit-batch: '1' is not an integer in [2, 1000000]", "--overfit-batch=1", code=2)
        self.refuses("--dry-run or --overfit-batch, not both", "--overfit-batch=5", "--dry-run", code=2)

    def test_programs_and_results_say_which_build_made_them(self):
        version = self.program("train", "--version").stdout
        self.assertRegex(version, r"^warpbert \d+[.]\d+[.]\d+ \(commit ([0-9a-f]{12}(, changed)?|unknown)\), "
                                  r"(GCC|Clang) .+, .+, (simulator(, MPI)?|CUDA .+)\n$")
        self.assertEqual(self.program("predict", "--version").stdout, version)
        self.train("--train.epochs=1")
        self.assertEqual((self.run_dir / "config.ini").read_text().splitlines()[0],
                         f"# Made by {version.strip()}.")
        self.assertEqual(self.run_json()["machine"][-1], {"name": "Build", "value": version.strip()})

    def test_runs_are_compared_on_one_page(self):
        self.train("--train.epochs=1")
        other = self.dir / "other"
        self.train("--train.epochs=2", "--train.lr=2e-3", f"--run.directory={other}")
        page = self.dir / "compare.html"
        out = self.program("report", "--run", self.run_dir, "--run", other, "--output", page).stdout
        self.assertEqual(out, f"2 runs in {page}\n")
        compared = self.page_data(page)
        self.assertEqual([run["name"] for run in compared["runs"]], ["tiny", "other"])
        self.assertIn({"name": "train.lr", "values": ["0.001", "0.002"]}, compared["differing_options"])
        self.assertIn({"name": "train.epochs", "values": ["1", "2"]}, compared["differing_options"])
        for run, folder in zip(compared["runs"], (self.run_dir, other)):
            for key in ("name", "first_record", "best_auc", "best_epoch", "epochs", "pairs_per_s"):
                self.assertEqual(run[key], self.run_json(folder)[key], key)
        alone = self.dir / "alone.html"
        self.assertEqual(self.program("report", "--run", other, "--output", alone).stdout,
                         f"1 run in {alone}\n")
        self.assertIn("<h1>other</h1>", alone.read_text())
        self.assertNotIn("differing_options", self.page_data(alone))
        seven = [word for _ in range(7) for word in ("--run", other)]
        self.assertIn("--run: 7 given; name 1 to 6",
                      self.program("report", *seven, "--output", page, code=2).stderr)
        absent = self.program("report", "--run", other, "--run", self.dir / "none", "--output", page,
                              code=1).stderr
        self.assertIn("none/config.ini: not found", absent)

    def test_help_lists_every_key(self):
        out = self.program("train", "--help").stdout
        for key in ("--data.train", "--model.layers", "--train.lr", "--train.precision", "--run.threads",
                    "--mask.swap"):
            self.assertIn(key, out)

    def test_no_arguments(self):
        self.assertIn("--config", self.program("train", code=2).stderr)

    def test_unknown_key_names_the_nearest(self):
        self.refuses("train.lr", "--train.lrr=1", code=2)
        self.ini.write_text(self.ini.read_text() + "epoch = 3\n")
        self.assertIn("epochs", self.refuses("tiny.ini", code=2))

    def test_missing_files(self):
        self.refuses("absent.tsv", "--data.train=absent.tsv")
        self.assertIn("absent.ini", self.program("train", "--config", "absent.ini", code=2).stderr)
        self.assertIn(r"a\x1b[31mb.ini: cannot be opened",
                      self.program("train", "--config", "a\x1b[31mb.ini", code=2).stderr)

    def test_names_reach_the_terminal_escaped(self):
        """In warnings and in the log, as in errors."""
        self.train("--train.epochs=1")
        pairs_path, out = self.dir / "te\x1b[31mst.tsv", self.dir / "a\x07b.csv"
        pairs_path.write_text((self.dir / "test.tsv").read_text().splitlines()[0] + "\n1 2\tx 3\n")
        done = self.program("predict", "--run", self.run_dir, "--input", pairs_path, "--output", out,
                            "--skip-bad", warning=r"te\x1b[31mst.tsv: line 2")
        self.assertIn(rf"written to {self.dir}/a\x07b.csv", done.stdout)
        for text in (done.stdout, done.stderr):
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f]")

    def test_malformed_row_names_the_line(self):
        (self.dir / "train.tsv").write_text(pairs(3, True, 1) + "1 2\tx 3\t1\n")
        self.refuses("train.tsv: line 4")

    def test_empty_file(self):
        (self.dir / "train.tsv").write_text("")
        self.refuses("train.tsv")

    def test_no_label_at_all(self):
        (self.dir / "train.tsv").write_text(pairs(10, False, 1))
        self.refuses("no row has a label")

    def test_settings_that_cannot_run(self):
        self.refuses("train.epsilon", "--train.epsilon=0", code=2)
        self.refuses("model.heads", "--model.heads=5", code=2)
        self.refuses("model.hidden / model.heads = 48 / 2 = 24: heads of 16, 32, 64 or 128 are supported",
                     "--model.hidden=48", code=2)
        self.refuses("max_positions", "--model.max_positions=8", code=2)

    def test_a_table_of_the_kernels_of_some_steps(self):
        plain, looked_at = self.dir / "plain", self.dir / "looked_at"
        self.assertNotIn("profile ", self.train(f"--run.directory={plain}").stdout)
        out = self.train(f"--run.directory={looked_at}", "--profile.kernels=true", "--profile.start_step=3",
                         "--profile.steps=2").stdout
        self.assert_same_results(plain, looked_at)
        simulated = "" if ON_GPU else ", simulated"
        self.assertRegex(out, rf"profile   steps 3 to 4{simulated}: [\d.]+ ms a step by the host's clock, "
                              r"[\d.]+ ms of them in kernels\n")
        table = out[out.index("profile   steps"):].splitlines()[2:]
        rows = {}
        for line in table[:next(i for i, line in enumerate(table) if "%" not in line)]:
            row = re.fullmatch(r"(.*?) +([\d.]+) +([\d.]+) +([\d.]+)%((?: +(?:[\d.]+|-)){4})", line)
            name, launches, mean, share, *rates = row.groups()
            rows[name] = float(launches), float(mean), float(share), rates[0].split()
        kernels = " ".join(rows)
        for part in ("embedding", "attention_forward", "attention_backward", "layer_norm", "gelu",
                     "cross_entropy", "adam", "partial_sums", "sum_losses"):
            self.assertRegex(kernels, rf"\b\w*{part}\w*kernel", kernels)
        summed = next(row for name, row in rows.items() if name.startswith("sum_losses_kernel"))
        self.assertEqual(summed[0], 1)
        gemms = [row for name, row in rows.items() if name.startswith("gemm fp32 [")]
        self.assertTrue(gemms and all("-" not in row[3] for row in gemms), rows)
        others = [row for name, row in rows.items() if not name.startswith("gemm")]
        self.assertTrue(all(row[3] == ["-"] * 4 for row in others), rows)
        # Forward: QKV, attention output, two feed-forward, transform, vocabulary; each has two gradient
        # GEMMs.
        self.assertEqual(sum(row[0] for row in gemms), 18, rows)
        self.assertAlmostEqual(sum(row[2] for row in rows.values()), 100, delta=0.05 * len(rows))
        ends = self.train(f"--run.directory={self.dir}/ends", "--profile.kernels=true",
                          "--profile.start_step=2", "--profile.steps=1000", "--train.epochs=1").stdout
        self.assertRegex(ends, rf"profile   steps 2 to \d+{simulated}: ")
        never = self.train(f"--run.directory={self.dir}/never", "--profile.kernels=true",
                           "--profile.start_step=1000", "--train.epochs=1").stdout
        self.assertIn("no kernels were seen: this run took no step from profile.start_step = 1000 on", never)
        self.refuses("set profile.start_step to its first step", "--profile.kernels=true", code=2)

    def test_algorithms_of_products_are_kept_on_a_gpu_and_there_are_none_on_a_cpu(self):
        cache, plain, tuned, other = (self.dir / name
                                      for name in ("cache/warpbert/gemm.txt", "plain", "tuned", "other"))
        self.train(f"--run.directory={plain}", f"--run.gemm_cache={self.dir}/unused")
        self.assertFalse((plain / "gemm.txt").exists() or (self.dir / "unused").exists())
        self.train(f"--run.directory={tuned}", "--run.gemm_tuning=true")
        if not ON_GPU:  # ignored silently on a CPU
            self.assertFalse((tuned / "gemm.txt").exists() or cache.exists())
            self.assert_same_results(plain, tuned)
            return
        kept = (tuned / "gemm.txt").read_bytes()
        self.assertRegex(kept.decode(), r"\n\d+ \d+ \d+ \d+ \d+ \d+ fp32 fp32 ")
        self.assertEqual(cache.read_bytes(), kept)
        own = self.dir / "own.txt"
        shutil.copy(cache, own)
        cache.unlink()
        self.train(f"--run.directory={other}", "--run.gemm_tuning=true", f"--run.gemm_cache={own}")
        self.assertEqual((other / "gemm.txt").read_bytes(), kept)  # no algorithm was timed again
        self.assertFalse(cache.exists())
        self.assert_same_results(tuned, other)

    @unittest.skipUnless("cuda_on_cpu" in os.environ.get("LD_PRELOAD", ""),
                         "for the CUDA that runs without a GPU")
    def test_memory_for_a_few_graphs_gives_the_same_bits(self):
        few = self.dir / "few"
        done = call("train", "--config", self.ini, f"--run.directory={few}",
                    env={**os.environ, "CUDA_ON_CPU_GRAPHS": "1"})
        self.assertEqual(done.stderr, "warning: the device has memory for 1 CUDA graphs; "
                                      "other steps launch kernel by kernel, slower and with the same bits\n")
        self.train()
        for name in ("best.npz", "scores.csv"):
            self.assertEqual((few / name).read_bytes(), (self.run_dir / name).read_bytes())

    def test_a_device_this_build_has_not(self):
        self.refuses("build", "--run.device=" + ("cpu" if ON_GPU else "cuda"))

    def test_predict_without_a_run(self):
        out = self.program("predict", "--run", self.dir, "--input", self.dir / "test.tsv",
                           "--output", self.dir / "s", code=1)
        self.assertIn("config.ini", out.stderr)

    def arrays(self, path):
        """Raw bytes of an .npz or .safetensors file's arrays by name, parsed without a library."""
        if path.suffix == ".npz":
            archive, found = zipfile.ZipFile(path), {}
            for name in archive.namelist():
                data = archive.read(name)
                found[name.removesuffix(".npy")] = data[10 + int.from_bytes(data[8:10], "little") :]
            return found
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        self.assertEqual(header.pop("__metadata__")["format"], "pt")
        return {name: data[end:][slice(*info["data_offsets"])] for name, info in header.items()}

    def rewrite(self, path, change):
        """Rewrites each .npz member as change(name, bytes); None drops it."""
        with zipfile.ZipFile(path) as archive:
            members = [(name, change(name, archive.read(name))) for name in archive.namelist()]
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                if data is not None:
                    archive.writestr(name, data)

    def test_weights_go_round_unchanged(self):
        """best.npz -> train 0 epochs -> export gives the same bits; both rows of the segment table are the
        trained one."""
        self.train()
        first = self.run_dir / "best.npz"
        second = self.dir / "second"
        self.train(f"--model.weights={first}", "--train.epochs=0", f"--run.directory={second}")
        self.assertEqual((second / "best.npz").read_bytes(), first.read_bytes())
        self.program("export", "--run", second, "--output", self.dir / "hf")
        exported, ours = self.arrays(self.dir / "hf/model.safetensors"), self.arrays(first)
        ids = ours.pop("vocab/cipher_ids")
        self.assertEqual(json.loads(ours.pop("__meta__")), {"format": 1, "heads": 2, "ln_eps": 1e-12})
        segments = "bert.embeddings.token_type_embeddings.weight"
        row = ours[segments][: len(ours[segments]) // 2]
        self.assertNotEqual(ours[segments], 2 * row)
        ours[segments] = 2 * row
        self.assertEqual(exported, ours)
        vocabulary = (self.dir / "hf/vocab.txt").read_text().split()
        self.assertEqual(vocabulary[:7], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[NO]", "[YES]"])
        self.assertEqual([int(v) for v in vocabulary[7:]],
                         [int.from_bytes(ids[i : i + 8], "little") for i in range(0, len(ids), 8)])

    def test_a_model_of_ours_keeps_its_vocabulary(self):
        self.train()
        (self.dir / "train.tsv").write_text("100 777\t101\t1\n" * 30 + "100\t101\t0\n" * 30)
        out = self.train("--run.directory=" + str(self.dir / "two"),
                         f"--model.weights={self.run_dir}/best.npz", "--train.epochs=1").stdout
        self.assertIn("vocabulary kept", out)
        one, two = self.arrays(self.run_dir / "best.npz"), self.arrays(self.dir / "two/best.npz")
        self.assertEqual(one["vocab/cipher_ids"], two["vocab/cipher_ids"])

    def golden(self, *args, code=0):
        """Runs train on the reference's files: plain-text weights, to be aligned."""
        ini = self.dir / "golden.ini"
        ini.write_text(f"[data]\ntrain = {GOLDEN}/pairs.tsv\ntest = {GOLDEN}/test.tsv\n[train]\nepochs = 0\n"
                       f"[model]\nweights = {GOLDEN}/weights.tf.npz\n")
        return self.program("train", "--config", ini, *args, code=code)

    def test_pretrained_weights_say_what_they_need(self):
        vocab, counts = f"--data.vocab={GOLDEN}/vocab.txt", f"--data.counts={GOLDEN}/counts.json"
        out = self.golden(vocab, counts).stdout
        self.assertIn("130 ids to the 130 most frequent of 300 tokens; 143 ids below min_count 5 are [UNK]",
                      out)
        self.assertIn("data.vocab: missing", self.golden(counts, code=2).stderr)
        self.assertIn("data.counts: missing", self.golden(vocab, code=2).stderr)
        # Weights are checked first: a broken file is reported before anything missing.
        broken = self.dir / "broken.npz"
        broken.write_bytes((GOLDEN / "weights.tf.npz").read_bytes()[:-5000])
        self.assertIn("broken.npz", self.golden(f"--model.weights={broken}", code=1).stderr)
        words = self.dir / "words.txt"
        words.write_text((GOLDEN / "vocab.txt").read_text() + "more\n")
        stderr = self.golden(f"--data.vocab={words}", counts, f"--run.directory={self.dir}/words",
                             code=1).stderr
        self.assertIn("301 tokens, but the word embedding", stderr)
        words.write_text("".join((GOLDEN / "vocab.txt").read_text().splitlines(True)[:-1]))
        done = call("train", "--config", self.dir / "golden.ini", f"--data.vocab={words}", counts,
                    f"--run.directory={self.dir}/words", timeout=300)
        self.assertEqual(done.stderr, f"warning: {words}: 299 tokens, but the word embedding of "
                                      f"{GOLDEN}/weights.tf.npz has 300 rows; "
                                      "if a line is missing, every token after it has its neighbour's row\n")

    def test_a_guessed_number_of_heads_is_a_warning(self):
        folder = self.dir / "alone"
        folder.mkdir()
        (folder / "w.npz").write_bytes((GOLDEN / "weights.hf.npz").read_bytes())
        ini = self.dir / "guess.ini"
        ini.write_text(f"[data]\ntrain = {GOLDEN}/pairs.tsv\nvocab = {GOLDEN}/vocab.txt\n"
                       f"counts = {GOLDEN}/counts.json\n[train]\nepochs = 0\n[model]\n"
                       f"weights = {folder}/w.npz\n")
        done = call("train", "--config", ini, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("warning: " + str(folder / "w.npz") + ": no configuration names the number of heads",
                      done.stderr)

    def test_a_folder_of_hugging_face_as_weights(self):
        """model.safetensors, config.json and vocab.txt are taken from it; the run is that of the files by
        name."""
        folder = self.dir / "hf"
        folder.mkdir()
        for name, source in (("model.safetensors",) * 2, ("config.json", "bert_config.json"),
                             ("vocab.txt",) * 2):
            shutil.copy(GOLDEN / source, folder / name)
        counts, files = f"--data.counts={GOLDEN}/counts.json", f"--run.directory={self.dir}/files"
        self.golden(counts, f"--data.vocab={folder}/vocab.txt",
                    f"--model.weights={folder}/model.safetensors", files)
        done = self.golden(counts, f"--model.weights={folder}/", f"--run.directory={self.dir}/folder")
        self.assertEqual(done.stderr, "")  # the configuration beside the weights names the number of heads
        best = [(self.dir / run / "best.npz").read_bytes() for run in ("files", "folder")]
        self.assertEqual(best[0], best[1])
        saved = (self.dir / "folder/config.ini").read_text()
        self.assertIn(f"weights = {folder}/model.safetensors\n", saved)
        self.assertIn(f"vocab = {folder}/vocab.txt\n", saved)
        again = self.golden(counts, f"--model.weights={folder}", f"--run.directory={self.dir}/folder")
        self.assertIn("this run is finished", again.stdout)
        (self.dir / "text.tsv").write_text("! #\t$\t1\n# $\t!\t0\n" * 20)
        text = ("--data.text=true", f"--data.train={self.dir}/text.tsv", "--data.test=",
                f"--model.weights={folder}")
        self.assertIn(f"words of {folder}/vocab.txt keep their rows", self.golden(*text, "--dry-run").stdout)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 298}))
        done = call("train", "--config", self.dir / "golden.ini", *text, "--dry-run", timeout=300)
        model = folder / "model.safetensors"
        self.assertEqual(done.stderr.splitlines()[:2], [
            f"warning: {folder}/config.json: vocab_size = 298, but {model} has 300 rows; "
            "the last 2 are taken for padding",
            f"warning: {folder}/vocab.txt: 300 tokens, but the word embedding of {model} has 300 rows, "
            "298 without padding; if a line is missing, every token after it has its neighbour's row"])
        words = (folder / "vocab.txt").read_text().splitlines()
        (folder / "vocab.txt").write_text("\n".join(words[:298]) + "\n")
        done = call("train", "--config", self.dir / "golden.ini", *text, "--dry-run", timeout=300)
        # Padding needs no tokens.
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)
        shutil.copy(GOLDEN / "bert_config.json", folder / "config.json")
        over = ("--batch", GOLDEN / "golden.npz", "--output", folder / "model.safetensors")
        self.assertIn("is read too", self.program("inspect", "--config", self.ini,
                                                  f"--model.weights={folder}", *over, code=2).stderr)
        (folder / "vocab.txt").unlink()
        self.assertIn("data.vocab: missing; the folder of", self.golden(*text, "--dry-run", code=2).stderr)
        self.assertIn("data.vocab: missing", self.golden(counts, f"--model.weights={folder}", code=2).stderr)

    def test_weights_are_judged_alike_by_every_program(self):
        run = self.fit("judged")
        (self.dir / "batch.npz").write_bytes((GOLDEN / "golden.npz").read_bytes())
        source = (GOLDEN / "model.safetensors").read_bytes()
        path = self.dir / "changed.safetensors"
        path.write_bytes(source.replace(b'"F32"', b'"I32"', 1))
        said = "is int32; weights are float16, bfloat16, float32 or float64"
        weights = (f"--model.weights={path}", "--model.heads=4", f"--data.vocab={GOLDEN}/vocab.txt",
                   f"--data.counts={GOLDEN}/counts.json")
        self.assertIn(said, self.golden(*weights, code=1).stderr)
        ini = self.dir / "golden.ini"
        self.assertIn(said,
                      self.program("inspect", "--config", ini, *weights, "--batch", self.dir / "batch.npz",
                                   "--output", self.dir / "o.npz", code=1).stderr)
        self.assertIn(said, self.program("average", path, run / "best.npz", "--output", self.dir / "o.npz",
                                         code=1).stderr)
        self.program("export", "--run", run, "--output", self.dir / "out")
        exported = self.dir / "out/model.safetensors"
        without_sum = exported.read_bytes().replace(b'"crc32"', b'"other"')
        exported.write_bytes(without_sum.replace(b'"F32"', b'"I32"', 1))
        self.assertIn(said, self.predict("--run", self.dir / "out", "--input", self.dir / "test.tsv", code=1))
        self.assertFalse((self.dir / "o.npz").exists())

    def test_weights_without_a_head(self):
        archive, folder = self.arrays(GOLDEN / "model.safetensors"), self.dir / "headless"
        folder.mkdir()
        source = (GOLDEN / "model.safetensors").read_bytes()
        end = 8 + int.from_bytes(source[:8], "little")
        header = json.loads(source[8:end])
        kept, values = {}, b""
        for name, info in header.items():
            if name == "__metadata__" or name.startswith("cls."):
                continue
            kept[name] = {**info, "data_offsets": [len(values), len(values) + len(archive[name])]}
            values += archive[name]
        text = json.dumps(kept).encode()
        path = folder / "w.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + values)
        args = (f"--model.weights={path}", "--model.heads=4", f"--data.vocab={GOLDEN}/vocab.txt",
                f"--data.counts={GOLDEN}/counts.json")
        self.assertIn("has no masked-language head", self.golden(*args, code=1).stderr)
        self.assertIn("new masked-language head", self.golden(*args, "--model.mlm_head=fresh").stdout)
        kept = self.arrays(self.dir / "runs/golden/best.npz")
        self.assertEqual(kept["bert.encoder.layer.0.output.dense.weight"],
                         archive["bert.encoder.layer.0.output.dense.weight"])

    def test_a_model_without_a_head_gives_no_scores(self):
        run = self.fit("headless")
        self.rewrite(run / "best.npz", lambda name, data: None if name.startswith("cls.") else data)
        message = self.predict("--run", run, "--input", self.dir / "test.tsv", code=1)
        self.assertIn(f"{run}/best.npz: has no masked-language head, which gives the scores", message)

    def test_inspect_says_what_is_wrong(self):
        args = ("inspect", "--config", self.ini, "--batch", self.dir / "absent.npz",
                "--output", self.dir / "o.npz")
        self.assertIn("absent.npz", self.program(*args, code=1).stderr)
        self.assertIn("--steps: 'x' is not an integer in [0, 1000000]",
                      self.program(*args, "--steps", "x", code=2).stderr)
        self.assertIn("--batch", self.program(*args[:3], code=2).stderr)

    def fit(self, name, *args):
        """Trains one epoch on the same data; returns the run folder."""
        run = self.dir / name
        self.train(f"--run.directory={run}", "--train.epochs=1", *args)
        return run

    def predict(self, *args, code=0, input=None):
        """Runs predict to stdout; returns the scores, or stderr if code != 0."""
        done = call("predict", *args, "--output", "-", timeout=300, input=input)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code:
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))
            return done.stderr
        self.assertEqual(done.stderr, "")
        return [float(line) for line in done.stdout.splitlines()]

    def test_scores_by_standard_input_and_output(self):
        self.train()
        text = (self.dir / "test.tsv").read_text()
        for source in ("-", self.dir / "test.tsv"):
            done = call("predict", "--run", self.run_dir, "--input", source, "--output", "-", input=text)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, (self.run_dir / "scores.csv").read_text())
        self.assertIn("standard input: no rows",
                      self.predict("--run", self.run_dir, "--input", "-", input="", code=1))
        self.assertIn("standard input: line 1",
                      self.predict("--run", self.run_dir, "--input", "-", input="1\n", code=1))
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "predict", "--run", self.run_dir, "--input", "-", "--output", "-"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, input=text)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output: cannot be written: No space left", done.stderr)

    def test_standard_output_that_cannot_be_written_fails(self):
        run, labelled = self.fit("one"), self.dir / "train.tsv"
        programs = [["eval", "--run", run, "--input", labelled, "--json"],
                    ["eval", "--run", run, "--input", labelled],
                    ["predict", "--run", run, "--input", labelled, "--latency"], ["predict", "--help"],
                    ["report", "--run", run, "--output", "-"], ["train", "--version"]]
        for name, *args in programs:
            with open("/dev/full", "w") as full:
                done = subprocess.run([BIN / name, *map(str, args)], stdout=full, stderr=subprocess.PIPE,
                                      text=True)
            self.assertEqual(done.returncode, 1, (name, args))
            self.assertIn("standard output: cannot be written: No space left", done.stderr)

    def test_standard_output_by_its_other_names_is_appended_to(self):
        run = self.fit("one")
        scores = self.predict("--run", run, "--input", self.dir / "test.tsv")
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            path = self.dir / "all.csv"
            path.write_text("precious\n")
            with path.open("a") as file:
                subprocess.run([BIN / "predict", "--run", run, "--input", self.dir / "test.tsv",
                                "--output", name], stdout=file, check=True)
            first, *rest = path.read_text().splitlines()
            self.assertEqual((first, [float(x) for x in rest]), ("precious", scores))
        refused = "--output: an archive does not go to standard output; name a file"
        self.assertIn(refused, self.program("average", run / "best.npz", run / "best.npz", "--output", "-",
                                            code=2).stderr)
        self.assertIn(refused, self.program("inspect", "--config", self.ini, "--batch", "b.npz",
                                            "--output", "/dev/stdout", code=2).stderr)

    def stream(self, *args):
        """predict between two pipes; killed if it waits for more than a line."""
        command = [BIN / "predict", *map(str, args), "--input", "-", "--output", "-"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, bufsize=1)
        timer = threading.Timer(100, process.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        return process

    def test_a_filter_scores_each_line_as_it_comes(self):
        runs = [self.fit("one"), self.fit("two", "--train.seed=1")]
        rows = (self.dir / "test.tsv").read_text().splitlines()
        for args in (runs[:1], runs):
            args = [word for run in args for word in ("--run", run)]
            expected = self.predict(*args, "--input", self.dir / "test.tsv")
            process = self.stream(*args)
            # An answer before the end of input.
            for row, score in list(zip(rows, expected, strict=True))[:12]:
                process.stdin.write(row + "\n")
                self.assertAlmostEqual(float(process.stdout.readline()), score, delta=1e-6)
            out, err = process.communicate("\n".join(rows[12:]))  # the rest at once, without a line end
            self.assertEqual((process.returncode, err), (0, ""))
            for score, other in zip(map(float, out.split()), expected[12:], strict=True):
                self.assertAlmostEqual(score, other, delta=1e-6)

    def test_a_filter_of_more_than_a_batch_gives_the_bits_of_a_file(self):
        run, rows = self.fit("one"), pairs(700, False, 5)
        (self.dir / "many.tsv").write_text(rows)
        command = [BIN / "predict", "--run", run, "--output", "-", "--predict.batch=64", "--input"]
        expected = subprocess.run([*command, self.dir / "many.tsv"], capture_output=True, check=True).stdout
        with (self.dir / "many.tsv").open() as file:
            done = subprocess.run([*command, "-"], stdin=file, capture_output=True, check=True)
        self.assertEqual(done.stdout, expected)

    def test_lines_that_cannot_be_scored(self):
        run, file = self.fit("one"), self.dir / "bad.tsv"
        file.write_text("100\t101\n102\t\n\n103 104\t105\t1\n1.2E+05\t106\n")
        self.assertIn(f"{file}: line 2: the second sentence is empty",
                      self.program("predict", "--run", run, "--input", file, "--output", self.dir / "s.csv",
                                   code=1).stderr)
        warnings = [f"warning: {file}: line 2: no score: the second sentence is empty",
                    f"warning: {file}: line 3: no score: blank line",
                    f"warning: {file}: line 5: no score: '1.2E+05' is no id, but a number that a spreadsheet "
                    "has rounded; export its columns as text"]
        for output, latency in (("-", ()), (self.dir / "s.csv", ()), (self.dir / "s.csv", ("--latency",))):
            done = call("predict", "--run", run, "--input", file, "--skip-bad", "--output", output, *latency)
            self.assertEqual((done.returncode, done.stderr.splitlines()), (0, warnings))
            scores = done.stdout if output == "-" else output.read_text()
            self.assertEqual([bool(score) for score in scores.split("\n")],
                             [True, False, False, True, False, False])
        self.assertTrue(done.stdout.endswith(f"2 scores written to {self.dir}/s.csv; 3 lines have none\n"),
                        done.stdout)
        # A filter answers each line, bad ones with an empty one.
        process = self.stream("--run", run, "--skip-bad")
        for row, score in zip(file.read_text().splitlines(), scores.splitlines(), strict=True):
            process.stdin.write(row + "\n")
            answer = process.stdout.readline()
            self.assertTrue(answer.endswith("\n"))
            self.assertEqual(answer == "\n", not score)
        self.assertEqual(process.communicate()[1].splitlines(),
                         [line.replace(str(file), "standard input") for line in warnings])
        # Without --skip-bad it ends there, after the lines before.
        done = call("predict", "--run", run, "--input", "-", "--output", "-", input=file.read_text())
        self.assertEqual((done.returncode, done.stdout), (1, scores.split("\n")[0] + "\n"))
        self.assertIn("standard input: line 2: the second sentence is empty", done.stderr)

    def test_pages_on_standard_output(self):
        self.train()
        self.program("report", "--run", self.run_dir, "--output", self.dir / "page.html")
        self.assertEqual(self.program("report", "--run", self.run_dir, "--output", "-").stdout,
                         (self.dir / "page.html").read_text())

    def test_no_program_writes_over_what_it_reads(self):
        run, file = self.fit("one"), self.dir / "train.tsv"
        alias = self.dir / "alias"
        alias.symlink_to(file)
        before = file.read_bytes(), (run / "best.npz").read_bytes()
        said = "is read too, and would be lost; name another file"
        for output in (file, alias):
            self.assertIn(said, self.program("predict", "--run", run, "--input", file, "--output", output,
                                             code=2).stderr)
            self.assertIn(said, self.program("eval", "--run", run, "--input", file, "--output", output,
                                             code=2).stderr)
        self.assertIn(said, self.program("predict", "--run", run / "best.npz", "--input", file,
                                         "--output", run / "best.npz", code=2).stderr)
        self.assertIn(said, self.program("predict", "--run", run, "--input", file,
                                         "--output", run / "best.npz", code=2).stderr)
        self.assertIn(said,
                      self.program("report", "--run", run, "--output", run / "metrics.jsonl", code=2).stderr)
        (checkpoint,) = (run / "checkpoints").iterdir()
        self.assertIn(said, self.program("average", run / "best.npz", checkpoint, "--output", checkpoint,
                                         code=2).stderr)
        self.assertIn(said, self.program("inspect", "--config", self.ini, "--batch", run / "best.npz",
                                         "--output", run / "best.npz", code=2).stderr)
        self.assertEqual((file.read_bytes(), (run / "best.npz").read_bytes()), before)

    def test_truncated_pairs_are_counted(self):
        run, file = self.fit("one"), self.dir / "long.tsv"
        file.write_text(" ".join(["100"] * 20) + "\t" + " ".join(["101"] * 13) + "\t1\n100\t101\t0\n")
        done = self.program("predict", "--run", run, "--input", file, "--output", self.dir / "s.csv")
        self.assertEqual(done.stdout,
                         f"2 scores written to {self.dir}/s.csv; 1 pairs were truncated to data.max_tokens\n")
        table = self.program("eval", "--run", run, "--input", file).stdout
        self.assertTrue(table.endswith("\n1 pairs were truncated to data.max_tokens\n"))
        # Standard error says so if standard output is for results.
        for name, *args in (["predict", "--output", "-"], ["predict", "--latency"], ["eval", "--json"]):
            done = call(name, "--run", run, "--input", file, *args)
            self.assertEqual((done.returncode, done.stderr),
                             (0, "warning: 1 pairs were truncated to data.max_tokens\n"), name)
        done = call("predict", "--run", run, "--input", "-", "--output", "-", input=file.read_text())
        self.assertEqual(done.stderr, "warning: 1 pairs were truncated to data.max_tokens\n")

    def test_latency(self):
        """Pairs one by one: prints the table; scores equal plain predict up to rounding."""
        runs = [self.fit("one"), self.fit("two", "--train.seed=1")]
        rows = (self.dir / "test.tsv").read_text().splitlines(keepends=True)[:30]
        (self.dir / "few.tsv").write_text("".join(rows))
        args = ("--run", runs[0], "--run", runs[1], "--input", self.dir / "few.tsv")
        for swap in ("--predict.swap=false", "--predict.swap=true"):
            expected = self.predict(*args, swap)
            out = self.program("predict", *args, swap, "--latency",
                               "--output", self.dir / "s.csv").stdout.splitlines()
            self.assertRegex(out[0], r"^pairs +30, one by one$")
            self.assertRegex(out[1], r"^warm-up +\d+\.\d{3} ms before the first pair of "
                                     r"(its bucket|each of \d+ buckets), not counted below$")
            ms = {}
            for name, line in zip(("p50", "p90", "p99", "max", "mean"), out[2:], strict=False):
                self.assertRegex(line, rf"^{name} +\d+\.\d{{3}} ms$")
                ms[name] = float(line.split()[1])
            self.assertTrue(0 < ms["p50"] <= ms["p90"] <= ms["p99"] <= ms["max"])
            self.assertTrue(0 < ms["mean"] <= ms["max"])
            self.assertEqual(out[7:], [f"30 scores of 2 models written to {self.dir}/s.csv"])
            scores = [float(line) for line in (self.dir / "s.csv").read_text().splitlines()]
            self.assertEqual(len(scores), 30)
            for one_by_one, score in zip(scores, expected):
                self.assertAlmostEqual(one_by_one, score, delta=1e-6)
        self.assertEqual(len(self.program("predict", *args, "--latency").stdout.splitlines()), 7)
        self.assertIn("--output: standard output carries the latencies; name a file",
                      self.predict(*args, "--latency", code=2))
        self.assertIn("--output FILE is missing; --help explains it",
                      self.program("predict", *args, code=2).stderr)

    def test_several_runs_score_by_their_mean_logit(self):
        runs = [self.fit("one"), self.fit("two", "--train.seed=1"),
                self.fit("three", "--model.layers=2", "--data.min_count=26")]
        sigmoid = ("--input", self.dir / "test.tsv", "--predict.score=sigmoid")
        logits = [[math.log(s / (1 - s)) for s in self.predict("--run", run, *sigmoid)] for run in runs]
        together = self.predict("--run", runs[0], "--run", runs[1], "--run", runs[2], *sigmoid)
        self.assertEqual(len(together), UNLABELLED)
        for score, each in zip(together, zip(*logits)):
            self.assertAlmostEqual(score, 1 / (1 + math.exp(-sum(each) / 3)), delta=1e-6)
        out = self.program("predict", "--run", runs[0], f"--run={runs[1]}", *sigmoid,
                           "--output", self.dir / "s.csv").stdout
        self.assertEqual(out, f"{UNLABELLED} scores of 2 models written to {self.dir}/s.csv\n")
        self.assertEqual(len(set(map(len, (together, (self.dir / "s.csv").read_text().splitlines())))), 1)
        # A missing run is reported before any model runs.
        self.assertIn("absent: not found",
                      self.predict("--run", runs[0], "--run", self.dir / "absent", *sigmoid, code=1))

    def test_both_orders(self):
        """predict.swap is symmetric; the run's validation and scores.csv use it."""
        run = self.fit("swap", "--predict.swap=true")
        rows = [line.split("\t") for line in (self.dir / "test.tsv").read_text().splitlines()]
        exchanged = "".join(f"{b}\t{a}\n" for a, b in rows)
        both = self.predict("--run", run, "--input", self.dir / "test.tsv")
        self.assertEqual(both, [float(s) for s in (run / "scores.csv").read_text().splitlines()])
        self.assertEqual(both, self.predict("--run", run, "--input", "-", input=exchanged))
        one_order = self.predict("--run", run, "--input", self.dir / "test.tsv", "--predict.swap=false")
        self.assertNotEqual(both, one_order)
        self.assertIn("--predict.swap: 'yes' is not one of false, true",
                      self.predict("--run", run, "--input", "-", "--predict.swap=yes", code=2))

    def test_a_model_file_or_an_exported_folder_instead_of_a_run(self):
        self.train("--run.keep_best=2")
        expected = self.predict("--run", self.run_dir, "--input", self.dir / "test.tsv")
        files = sorted((self.run_dir / "models").iterdir())
        self.assertEqual(len(files), 2)
        by_file = [self.predict("--run", file, "--input", self.dir / "test.tsv") for file in files]
        self.assertIn(expected, by_file)
        self.assertNotEqual(*by_file)
        self.program("export", "--run", self.run_dir, "--output", self.dir / "hf")
        exported = ("--run", self.dir / "hf", "--input", self.dir / "test.tsv", "--train.precision=fp32")
        self.assertEqual(self.predict(*exported), expected)
        self.program("export", "--run", files[0], "--output", self.dir / "hf1")
        self.assertEqual(self.predict("--run", self.dir / "hf1", *exported[2:]), by_file[0])
        self.assertIn("positions", self.predict(*exported, "--data.max_tokens=38", code=2))
        words = (self.dir / "hf/vocab.txt").read_text()
        (self.dir / "hf/vocab.txt").write_text(words.replace("[YES]", "[Yes]"))
        self.assertIn("vocab.txt: line 7: [YES] was expected", self.predict(*exported, code=1))
        alone = self.dir / "alone.npz"
        alone.write_bytes(files[0].read_bytes())
        self.ini.rename(self.dir / "other.ini")
        self.assertIn("alone.npz: no config.ini beside it",
                      self.predict("--run", alone, "--input", "-", code=1))

    def test_eval(self):
        self.train()
        args = ("eval", "--run", self.run_dir, "--input", self.dir / "train.tsv")
        scores = self.dir / "s.csv"
        table = self.program(*args, "--output", scores).stdout
        lines = table.splitlines()
        self.assertEqual(lines[0].split(), ["rows", str(LABELLED)])
        self.assertIn("95 % of 1000 resamples", lines[2])
        at_threshold = ["threshold", "accuracy at it", "F1 at it", "precision at it", "recall at it"]
        self.assertEqual([re.split("  +", line)[0] for line in lines[3:]],
                         ["AUC", "log loss", "accuracy at 0.5", "F1 at 0.5", *at_threshold, "best threshold",
                          "accuracy at it", "F1 at it"])
        predicted = self.predict("--run", self.run_dir, "--input", self.dir / "train.tsv")
        self.assertEqual(scores.read_text(), "".join(f"{s:.9g}\n" for s in predicted))

        result = json.loads(self.program(*args, "--json").stdout)
        self.assertEqual((result["rows"], result["resamples"], result["seed"]), (LABELLED, 1000, 0))
        labels = [int(line[-1]) for line in (self.dir / "train.tsv").read_text().splitlines()]
        self.assertEqual(result["positives"], sum(labels))
        s = [float(line) for line in scores.read_text().splitlines()]
        wins = [(p > n) + (p == n) / 2 for p, y in zip(s, labels) if y for n, z in zip(s, labels) if not z]
        self.assertAlmostEqual(result["auc"]["value"], sum(wins) / len(wins), places=12)
        self.assertEqual(lines[3], f"AUC              {result['auc']['value']:9.5f}   "
                                   f"{result['auc']['low']:.5f} to {result['auc']['high']:.5f}")
        for measure in ("auc", "log_loss", "accuracy", "f1", "best_threshold", "accuracy_at_best_f1",
                        "best_f1"):
            self.assertLessEqual(result[measure]["low"], result[measure]["high"], measure)
        self.assertLess(result["auc"]["low"], result["auc"]["value"])
        self.assertEqual(self.program(*args).stdout, table)
        self.assertNotEqual(self.program(*args, "--seed", 1).stdout, table)
        bare = self.program(*args, "--bootstrap", 0).stdout
        self.assertEqual([line[:26].rstrip() for line in bare.splitlines()],
                         [line[:26].rstrip() for line in lines if "resamples" not in line])
        self.assertIn("   of the run's validation rows\n", bare)
        self.assertNotIn(" to ", bare)
        two = json.loads(self.program(*args, "--run", self.run_dir, "--json", "--bootstrap=9").stdout)
        self.assertEqual(two["auc"]["value"], result["auc"]["value"])

    def test_eval_measures_at_the_threshold_of_the_validation_or_at_a_given_one(self):
        self.train("--run.keep_best=2")
        rows = self.dir / "train.tsv"
        labels = [int(line[-1]) for line in rows.read_text().splitlines()]
        chosen = json.loads((self.run_dir / "run.json").read_text())["validation"]["threshold"]

        def check(threshold, *args):
            result = json.loads(self.program("eval", "--input", rows, "--json", *args).stdout)
            scores = self.predict("--run", args[args.index("--run") + 1], "--input", rows)
            tp, fp, fn, tn = (sum((s >= threshold) == found and y == is_ for s, y in zip(scores, labels))
                              for found, is_ in ((True, 1), (True, 0), (False, 1), (False, 0)))
            self.assertEqual(struct.pack("f", result["threshold"]), struct.pack("f", threshold))
            expected = {"accuracy": (tp + tn) / LABELLED, "f1": 2 * tp / (2 * tp + fp + fn),
                        "precision": tp / (tp + fp), "recall": tp / (tp + fn)}
            for name, value in expected.items():
                found = result[name + "_at_threshold"]
                self.assertAlmostEqual(found["value"], value, places=12, msg=name)
                self.assertTrue(found["low"] <= value <= found["high"], found)

        check(chosen, "--run", self.run_dir)
        check(chosen, "--run", self.run_dir / "best.npz")
        self.program("export", "--run", self.run_dir, "--output", self.dir / "hf")
        check(chosen, "--run", self.dir / "hf")
        middle = sorted(self.predict("--run", self.run_dir, "--input", rows))[LABELLED // 3]
        check(middle, "--run", self.run_dir, "--threshold", repr(middle))
        # An ensemble, and other models of the run, have no known threshold.
        for models in (("--run", self.run_dir, "--run", self.run_dir),
                       ("--run", sorted((self.run_dir / "models").iterdir())[0])):
            args = ("eval", "--input", rows, "--bootstrap=0", *models)
            self.assertNotIn("\nthreshold ", self.program(*args).stdout)
            self.assertNotIn("threshold", json.loads(self.program(*args, "--json").stdout))
            self.assertIn("\nthreshold          0.40000   as given\n",
                          self.program(*args, "--threshold=.4").stdout)
        for value in ("2", "-1", "x", "nan"):
            self.assertIn(f"--threshold: '{value}' is not a number in [0, 1]",
                          self.program("eval", "--run", self.run_dir, "--input", rows, f"--threshold={value}",
                                       code=2).stderr)
        for text, warning in (("{", "no JSON object; its threshold is not used"),
                              ('{"threshold": 1e300}',
                               "its threshold is no number in [0, 1] and is not used"),
                              ('{"validation": {"threshold": "0.5"}}',
                               "its threshold is no number in [0, 1] and is not used")):
            (self.run_dir / "run.json").write_text(text)
            done = call("eval", "--run", self.run_dir, "--input", rows)
            self.assertEqual((done.returncode, done.stderr),
                             (0, f"warning: {self.run_dir}/run.json: {warning}\n"))
            self.assertNotIn("\nthreshold ", done.stdout)
        (self.run_dir / "run.json").unlink()
        self.assertNotIn("\nthreshold ", self.program("eval", "--run", self.run_dir, "--input", rows).stdout)

    def test_eval_compares_two_models_and_score_files(self):
        a, b, rows = self.fit("a"), self.fit("b", "--train.seed=1"), self.dir / "train.tsv"
        files = {run: self.dir / f"{run.name}.csv" for run in (a, b)}
        for run, file in files.items():
            self.program("predict", "--run", run, "--input", rows, "--output", file)
        args = ("eval", "--input", rows, "--bootstrap=200")
        alone = [json.loads(self.program(*args, "--run", run, "--json").stdout) for run in (a, b)]
        result = json.loads(self.program(*args, "--run", a, "--against", b, "--json").stdout)
        against = result.pop("against")
        self.assertEqual(result, alone[0])
        for key in ("auc", "log_loss"):
            self.assertEqual(against[key]["value"], alone[1][key]["value"])
            self.assertEqual(against[key]["difference"], alone[0][key]["value"] - alone[1][key]["value"])
            self.assertTrue(against[key]["low"] <= against[key]["difference"] <= against[key]["high"])
            self.assertTrue(0 < against[key]["p"] <= 1)
        table = self.program(*args, "--run", a, "--against", b).stdout
        self.assertIn("95 % of 200 paired resamples", table)
        auc = against["auc"]
        self.assertRegex(table, rf"\nAUC        {auc['value'] + auc['difference']:9.5f} {auc['value']:9.5f} "
                                rf"{auc['difference']:11.5f}   \S+ to \S+ +{auc['p']:.5f}\n")
        self.assertEqual(table, self.program(*args, "--run", a, "--against", b).stdout)
        self.assertNotEqual(table, self.program(*args, "--run", a, "--against", b, "--seed=1").stdout)

        # Files of scores in place of models, with the rows on standard input too, of ids or of text.
        for pair in ((a, files[b]), (files[a], b), (files[a], files[b])):
            again = json.loads(self.program(*args, "--run", pair[0], "--against", pair[1], "--json").stdout)
            self.assertEqual(again["against"], against, pair)
        reader, writer = os.pipe()
        os.write(writer, files[b].read_bytes())
        os.close(writer)
        command = [BIN / "eval", "--run", a, "--against", f"/dev/fd/{reader}", "--input", rows,
                   "--bootstrap=200", "--json"]
        done = subprocess.run(command, pass_fds=[reader], capture_output=True, text=True)
        os.close(reader)
        self.assertEqual(json.loads(done.stdout)["against"], against, done.stderr)
        command = [BIN / "eval", "--run", a, "--against", files[b], "--input", "-",
                   "--bootstrap=200", "--json"]
        done = subprocess.run(command, input=rows.read_text(), capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["against"], against, done.stderr)
        text = self.dir / "text.tsv"
        text.write_text("".join(f"some text\tmore\t{line[-1]}\n" for line in rows.read_text().splitlines()))
        only = json.loads(self.program("eval", "--input", text, "--bootstrap=200", "--run", files[a],
                                       "--json").stdout)
        self.assertEqual(only["auc"], alone[0]["auc"])
        itself = json.loads(self.program(*args, "--run", a, "--against", a,
                                         "--json").stdout)["against"]["auc"]
        self.assertEqual((itself["difference"], itself["low"], itself["high"], itself["p"]), (0, 0, 0, 1))

        # Invalid calls.
        short, bad = self.dir / "short.csv", self.dir / "bad.csv"
        short.write_text("".join(files[b].read_text().splitlines(keepends=True)[:-1]))
        bad.write_text("0.5\n1.5\n")
        for file, message in ((short, f"short.csv: {LABELLED - 1} scores, but {rows} has {LABELLED} rows"),
                              (bad, "bad.csv: line 2: '1.5' is no score; expected a number in [0, 1]")):
            self.assertIn(message, self.program(*args, "--run", a, "--against", file, code=1).stderr)
            self.assertIn(message, self.program(*args, "--run", file, code=1).stderr)
        bad.write_text("")
        self.assertIn("bad.csv: no scores", self.program(*args, "--run", bad, code=1).stderr)
        self.assertIn(f"--against: {files[b]} is a file of scores, which is given alone",
                      self.program(*args, "--run", a, "--against", files[b], "--against", b, code=2).stderr)
        self.assertIn("--output: ", self.program(*args, "--run", a, "--against", files[b],
                                                 "--output", files[b], code=2).stderr)
        self.assertIn("absent: not found",
                      self.program(*args, "--run", a, "--against", self.dir / "absent", code=1).stderr)

    def test_eval_says_what_is_wrong(self):
        run = self.fit("one")
        rows = self.dir / "rows.tsv"
        rows.write_text("100\t101\t1\n101\t102\n102\t103\n")
        args = ("eval", "--run", run, "--input", rows)
        self.assertIn("rows.tsv: line 2: no label", self.program(*args, code=1).stderr)
        self.assertIn("--bootstrap: 'x' is not an integer",
                      self.program(*args, "--bootstrap=x", code=2).stderr)
        self.assertIn("--seed: '-1' is not an integer", self.program(*args, "--seed=-1", code=2).stderr)
        self.assertIn("--output: standard output carries the table",
                      self.program(*args, "--output", "-", code=2).stderr)
        self.assertIn("--input FILE is missing", self.program(*args[:3], code=2).stderr)
        self.assertIn("--run DIR is missing", self.program("eval", "--input", rows, code=2).stderr)
        rows.write_text("100\t101\t1\n101\t102\t1\n")
        self.assertIn("AUC              undefined\n", self.program(*args).stdout)
        self.assertIsNone(json.loads(self.program(*args, "--json").stdout)["auc"]["value"])

    def test_average(self):
        self.train("--run.keep_best=2", "--train.epochs=3")
        files = sorted((self.run_dir / "models").iterdir())
        mean, by_name = self.run_dir / "mean.npz", self.dir / "mean.npz"
        self.assertEqual(self.program("average", "--run", self.run_dir, "--output", mean).stdout,
                         f"mean of 2 models written to {mean}\n")
        self.program("average", *files, "--output", by_name)
        self.assertEqual(mean.read_bytes(), by_name.read_bytes())
        arrays = [self.arrays(path) for path in (*files, mean)]
        for name in arrays[0]:
            if name in ("vocab/cipher_ids", "__meta__"):
                self.assertEqual(arrays[2][name], arrays[0][name])
                continue
            x, y, found = (struct.unpack(f"<{len(a[name]) // 4}f", a[name]) for a in arrays)
            expected = struct.pack(f"<{len(x)}f", *((p + q) / 2 for p, q in zip(x, y)))
            self.assertEqual(expected, arrays[2][name], name)
        self.assertEqual(len(self.predict("--run", mean, "--input", self.dir / "test.tsv")), UNLABELLED)
        (checkpoint,) = (self.run_dir / "checkpoints").iterdir()
        self.program("average", checkpoint, files[0], "--output", by_name)

    def test_average_says_what_is_wrong(self):
        run, other = self.fit("one"), self.fit("two", "--data.min_count=26")
        out = self.dir / "mean.npz"
        self.assertIn("which models?", self.program("average", "--output", out, code=2).stderr)
        self.assertIn("not both",
                      self.program("average", run / "best.npz", "--run", run, "--output", out, code=2).stderr)
        self.assertIn("one model is its own mean",
                      self.program("average", run / "best.npz", "--output", out, code=2).stderr)
        self.assertIn("--output FILE.npz is missing", self.program("average", "--run", run, code=2).stderr)
        self.assertIn("models: 0 models; an average needs two",
                      self.program("average", "--run", run, "--output", out, code=1).stderr)
        self.assertIn("only models of one vocabulary have a mean",
                      self.program("average", run / "best.npz", other / "best.npz", "--output", out,
                                   code=1).stderr)
        self.assertIn("no run wrote it", self.program("average", run / "best.npz", GOLDEN / "weights.hf.npz",
                                                      "--output", out, code=1).stderr)
        self.assertFalse(out.exists())
        both = self.program("average", run / "best.npz", run / "best.npz",
                            "--output", self.dir / "absent/mean.npz", code=1).stderr
        self.assertIn("its folder does not exist", both)

    def test_kernels_bench(self):
        out = self.program("kernels_bench", "--help").stdout
        for name in ("tokens", "pairs", "targets", "hidden", "heads", "vocabulary", "fp32", "gbps", "tune",
                     "json", "launches", "once", "only"):
            self.assertRegex(out, rf"\n  --{name}\b")
        small = ("--tokens=64", "--pairs=4", "--targets=8", "--hidden=128", "--heads=2", "--vocabulary=300")
        launches = self.program("kernels_bench", "--launches", *small, "--fp32").stdout
        self.assertIn("layer_norm_forward_kernel<float", launches)
        self.assertEqual(self.program("kernels_bench", "--once", *small).stdout, "")
        one = self.program("kernels_bench", "--launches", "--only=clip", *small).stdout
        self.assertEqual((one.count("\n"), '"row":"clip"' in one), (1, True))
        if "cuda_on_cpu" not in os.environ.get("LD_PRELOAD", ""):  # repeated launches take too long there
            out = self.program("kernels_bench", "--json", "--only=clip", *small).stdout
            about, row = map(json.loads, out.splitlines())
            self.assertIn("(commit ", about["build"])
            self.assertEqual(row["row"], "clip")
            self.assertGreater(row["us"], 0)
        self.assertIn("error: --only: no row 'clipp'; there are embedding_forward; ",
                      self.program("kernels_bench", "--only=clipp", *small, code=2).stderr)
        for argument, message in (("--tokenz=3", "unknown option '--tokenz'; did you mean '--tokens'?"),
                                  ("--tokens=x", "--tokens: 'x' is not an integer"),
                                  ("--pairs=1", "--tokens=992, --pairs=1: a pair has at most 512 tokens"),
                                  ("--pairs=993", "--pairs=993: more pairs than tokens (992)"),
                                  ("--targets=993", "--targets=993: more targets than tokens (992)"),
                                  ("--hidden=12", "--hidden=12: a multiple of 8 up to 1024 is needed"),
                                  ("--vocabulary=7", "--vocabulary=7: at least 8 are needed"),
                                  ("--gbps=x", "--gbps: 'x' is not a number of 0 or more"),
                                  ("--gbps=0", "--gbps: a rate of 0 has no lower bound")):
            self.assertIn(message, self.program("kernels_bench", argument, code=2).stderr)

    def test_step_bench_says_what_is_wrong(self):
        for argument, message in (
            ("--size=huge", "--size: 'huge'; tiny, mini, small, medium, base or large"),
            ("--precision=fp16", "--precision: 'fp16'; bf16, tf32 or fp32"),
            ("--mean_length=4", "--mean_length=4 --longest=11: 5 <= mean <= longest <= 512"),
            ("--longest=15", "--mean_length=15.5 --longest=15: 5 <= mean <= longest <= 512"),
            ("--longest=513", "--mean_length=15.5 --longest=513: 5 <= mean <= longest <= 512"),
            ("--longest=20.5", "--longest: '20.5' is not an integer in [1, "),
            ("--vocabulary=7", "--vocabulary: '7' is not an integer in [8, "),
            ("--steps=0", "--steps: '0' is not an integer in [1, "),
            ("--steps=1.5", "--steps: '1.5' is not an integer in [1, "),
            ("--warmup=-1", "--warmup: '-1' is not an integer in [0, "),
            ("--batch=2.5", "--batch: '2.5' is not an integer in [1, "),
            ("--graphs=x", "--graphs: 'x' is not an integer in [0, 1]"),
            ("--tflops=0", "--tflops, --gbps: a rate of 0 has no lower bound"),
            ("--sise=base", "unknown option '--sise'; did you mean '--size'?"),
        ):
            self.assertIn(message, self.program("step_bench", argument, code=2).stderr)
        self.assertIn("absent.npz: cannot be opened",
                      self.program("step_bench", f"--batches={self.dir}/absent.npz", code=1).stderr)
        self.assertIn("cannot be read: Is a directory",
                      self.program("step_bench", f"--batches={self.dir}", code=1).stderr)
        other = f"--batches={GOLDEN}/weights.hf.npz"
        self.assertIn("weights.hf.npz: no batches; tokens_0 is missing",
                      self.program("step_bench", other, code=1).stderr)

    def test_step_bench_says_what_it_timed(self):
        tiny = ("--size=tiny", "--precision=fp32", "--batch=2", "--vocabulary=300", "--steps=2")
        figure = json.loads(self.program("step_bench", "--json", *tiny, "--graphs=0").stdout)
        self.assertIn("(commit ", figure["build"])
        self.assertIn("cuBLASLt" if ON_GPU else "oneDNN", figure["library"])
        self.assertGreater(figure["bound_ms"], 0)

    def test_step_bench_takes_the_steps_that_were_asked_for(self):
        step = ["--size=tiny", "--precision=fp32", "--batch=2", "--vocabulary=300", "--steps=3"]
        for warmup in 0, 40:
            done = call("step_bench", "--json", *step, f"--warmup={warmup}", timeout=300)
            figure = json.loads(done.stdout)
            timed = 6 if ON_GPU else 3  # there once more without synchronizing
            self.assertEqual((figure["steps"], figure["updates"]), (3, warmup + timed))
            warned = re.fullmatch(r"warning: --warmup \d+: the timed steps allocate memory or capture "
                                  r"graphs; --warmup (\d+) reaches every bucket\n", done.stderr)
            self.assertEqual(warned is None, warmup == 40)
            if warned:
                self.assertLess(int(warned[1]), 40)

    def test_help_of_the_scoring_programs(self):
        for name, words in {"predict": ("--run DIR", "--predict.swap", "--data.max_tokens", "--run.threads"),
                            "eval": ("--bootstrap N", "--json", "--predict.swap"),
                            "average": ("[FILE.npz ...]", "--run DIR")}.items():
            out = self.program(name, "--help").stdout
            for word in words:
                self.assertIn(word, out)
            self.assertLessEqual(max(map(len, out.splitlines())), 120)
            self.assertNotIn("--run.log_every", out)

    def test_export_writes_what_its_readers_need(self):
        self.train("--data.max_tokens=20", "--predict.score=sigmoid")
        hf = self.dir / "hf"
        said = f"tokens written to {hf}"
        out = self.program("export", "--run", self.run_dir, "--output", hf).stdout
        self.assertTrue(out.endswith(said + "\n"))
        files = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                 "vocab.txt"]
        self.assertEqual(sorted(path.name for path in hf.iterdir()), files)
        config = json.loads((hf / "tokenizer_config.json").read_text())
        self.assertEqual((config["model_input_names"], config["model_max_length"]),
                         (["input_ids", "attention_mask"], 23))
        tokenizer = json.loads((hf / "tokenizer.json").read_text())
        words = (hf / "vocab.txt").read_text().split()
        self.assertEqual(sorted(words, key=tokenizer["model"]["vocab"].get), words)
        self.assertEqual(tokenizer["truncation"],
                         {"direction": "Right", "max_length": 23, "strategy": "LongestFirst", "stride": 0})
        types = [part["type_id"] for piece in tokenizer["post_processor"]["pair"] for part in piece.values()]
        self.assertEqual(types, [0] * 5)
        card = (hf / "README.md").read_text()
        self.assertIn(".sigmoid()", card)
        self.assertLessEqual(max(map(len, card.splitlines())), 100)
        threshold = json.loads((self.run_dir / "run.json").read_text())["validation"]["threshold"]
        self.assertIn(f"a score of {threshold:.9g} or more gave the highest F1", card)

        # A folder that export wrote exports to the same files. One's own README.md stays.
        self.program("export", "--run", hf, "--output", self.dir / "again")
        for name in files:
            self.assertEqual((self.dir / "again" / name).read_bytes(), (hf / name).read_bytes(), name)
        (hf / "README.md").write_text("mine")
        out = self.program("export", "--run", self.run_dir, "--output", hf).stdout
        self.assertIn(said + "; its README.md is not of export and stays", out)
        self.assertEqual((hf / "README.md").read_text(), "mine")
        error = self.train(f"--model.weights={hf}", f"--run.directory={self.dir}/more", code=2).stderr
        self.assertIn(f"data.counts: missing; {hf}/model.safetensors does not hold the data's ids. "
                      "The tokens of a published BERT are aligned to them by frequency; "
                      "a run's model is best.npz, not what export wrote\n", error)

    def test_a_pretrained_model_says_so_in_its_exported_folder(self):
        self.train("--train.stage=pretrain")
        hf = self.dir / "hf"
        self.program("export", "--run", self.run_dir, "--output", hf)
        self.assertIn("has not learned to score pairs", (hf / "README.md").read_text())
        done = call("predict", "--run", hf, "--input", self.dir / "test.tsv", "--output", self.dir / "s.csv")
        self.assertIn(f"warning: {hf}: pretrained alone", done.stderr)

    def test_export_without_a_run(self):
        self.assertIn("config.ini: not found",
                      self.program("export", "--run", self.dir, "--output", self.dir / "hf", code=1).stderr)


if __name__ == "__main__":
    unittest.main()
