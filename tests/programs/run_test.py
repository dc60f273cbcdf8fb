"""A run from its start to its reports, and what may happen to it: changed data, moved folders, signals,
limits.

run_test.py BIN_DIR [unittest arguments]
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time
import unittest

from tiny_run import BIN, GOLDEN, LABELLED, ON_GPU, UNLABELLED, TinyRun, call, pairs

SANITIZED = "san.so" in subprocess.run(["ldd", BIN / "warpbert"], capture_output=True, text=True).stdout
NOT_THIS_RUN = "is not what this run was started with; set run.directory to another folder"


def flipped(row):
    text, label = row.rsplit("\t", 1)
    return f"{text}\t{1 - int(label)}"


class Runs(TinyRun):
    def files(self, run=None):
        run = run or self.run_dir
        return {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def records(self, kind, run=None):
        lines = map(json.loads, ((run or self.run_dir) / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    def unchanged(self, function, *args, **options):
        before = self.files()
        result = function(*args, **options)
        self.assertEqual(self.files(), before)
        return result

    # ---- Data of a finished run ----------------------------------------------------------------------------

    def test_a_finished_run_refuses_other_data(self):
        self.train()
        train, test = self.dir / "train.tsv", self.dir / "test.tsv"
        rows, unlabelled = train.read_text(), test.read_text()
        way_out = f"its finished model scores other pairs by predict --run {self.run_dir}"

        def changed(path, text, message=f"{train} or {test} {NOT_THIS_RUN}"):
            before = path.read_text()
            path.write_text(text)
            self.assertIn(way_out, self.unchanged(self.refuses, message))
            path.write_text(before)
            self.assertIn("this run is finished", self.unchanged(self.train).stdout)

        lines, last = rows.splitlines(), unlabelled.splitlines()
        changed(test, "\n".join(reversed(last)) + "\n")  # the same rows and words
        changed(test, "\n".join(last[:-1]) + "\n")
        changed(test, pairs(UNLABELLED, False, 2, low=300),
                f"its vocabulary is not that of the data; the data changed: {train} or {test} {NOT_THIS_RUN}")
        changed(train, "\n".join([lines[0], flipped(lines[1]), *lines[2:]]) + "\n")
        changed(train, "\n".join([flipped(lines[0]), *lines[1:]]) + "\n")  # a validation label
        changed(train, "\n".join(reversed(lines)) + "\n")
        test.write_text("".join(f"{row}\t1\n" for row in last))  # labels of the test file are not used
        self.assertIn("this run is finished", self.unchanged(self.train).stdout)
        test.unlink()
        self.unchanged(self.refuses, f"{test}: cannot be opened")

    def test_a_finished_run_refuses_another_alignment_or_vocabulary(self):
        for name in ("vocab.txt", "counts.json"):
            shutil.copy(GOLDEN / name, self.dir / name)
        self.ini.write_text(f"[data]\ntrain = {GOLDEN}/pairs.tsv\ntest = {GOLDEN}/test.tsv\n"
                            "vocab = vocab.txt\ncounts = counts.json\n"
                            f"[train]\nepochs = 0\n[model]\nweights = {GOLDEN}/weights.tf.npz\n")
        self.train()
        counts = json.loads((self.dir / "counts.json").read_text())
        (self.dir / "counts.json").write_text(json.dumps(counts, indent=1))  # the same counts
        self.assertIn("this run is finished", self.unchanged(self.train).stdout)
        (self.dir / "counts.json").write_text(json.dumps({word: max(counts.values()) + 1 - n
                                                          for word, n in counts.items()}))
        self.unchanged(self.refuses, f"{self.dir}/vocab.txt or {self.dir}/counts.json {NOT_THIS_RUN}")

        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        (self.dir / "words.txt").write_text("\n".join([*special, *"abcdefgh"]) + "\n")
        (self.dir / "text.tsv").write_text("".join(f"{a} {b}\t{b} {a}\t{int(a < b)}\n"
                                                   for a in "abcdefg" for b in "abcdefg"))
        self.ini.write_text("[data]\ntrain = text.tsv\nvocab = words.txt\ntext = true\n"
                            "[model]\nlayers = 1\nhidden = 32\nheads = 2\n"
                            "[train]\nepochs = 1\nlr = 1e-3\n[run]\ndirectory = runs/tiny\n")
        shutil.rmtree(self.run_dir)
        self.train()
        (self.dir / "words.txt").write_text("\n".join([*special, *"abcdefhg"]) + "\n")
        self.unchanged(self.refuses, f"{self.dir}/words.txt {NOT_THIS_RUN}")

    def test_other_pretrained_weights_are_refused(self):
        one, two, without, run = (self.dir / name for name in ("one", "two", "without", "run"))
        self.train("--train.epochs=1", f"--run.directory={one}")
        self.train("--train.epochs=1", f"--run.directory={two}", "--train.seed=2")
        weights, epoch, more = self.dir / "best.npz", "--train.epochs=1", "--train.epochs=2"
        shutil.copy(one / "best.npz", weights)
        options = (f"--run.directory={run}", f"--model.weights={weights}")
        self.train(*options, epoch)
        self.assertIn("this run is finished",
                      self.train(f"--run.directory={run}", f"--model.weights={one}/best.npz", epoch).stdout)

        shutil.copy(two / "best.npz", weights)
        before = self.files(run)
        (checkpoint,) = (run / "checkpoints").iterdir()
        way_out = f"its finished model scores other pairs by predict --run {run}"
        self.assertIn(way_out, self.refuses(f"{checkpoint}: {weights} {NOT_THIS_RUN}", *options, epoch))
        self.refuses(f"{checkpoint}: {weights} {NOT_THIS_RUN}", *options, more)  # to be resumed
        self.assertEqual(self.files(run), before)
        self.train(f"--run.directory={without}", epoch)
        for path in (without / "checkpoints").iterdir():
            path.unlink()
        shutil.copy(checkpoint, without / "checkpoints")
        self.refuses(f"{checkpoint.name}: model.weights is empty, but this run was started from weights; "
                     "set run.directory to another folder",
                     f"--run.directory={without}", more)

        shutil.rmtree(run / "checkpoints")
        self.refuses(f"train: error: {run}: {weights} {NOT_THIS_RUN}", *options, epoch)
        shutil.copy(one / "best.npz", weights)
        self.assertIn("this run is finished", self.train(*options, epoch).stdout)
        self.refuses("it cannot be resumed", *options, more)

    def test_missing_results_of_a_finished_run_are_written_again(self):
        last_is_best = (f"--run.directory={self.dir}/one", "--train.epochs=1")
        later = (f"--run.directory={self.dir}/lr0", "--train.epochs=2", "--train.lr=0")
        for options, names in ((last_is_best, ("scores.csv", "run.json", "report.html", "best.npz")),
                               (later, ("scores.csv", "run.json", "report.html"))):
            self.train(*options)
            run = pathlib.Path(options[0].split("=")[1])
            before = self.files(run)
            for name in names:
                (run / name).unlink()
                self.assertIn("resuming from its last checkpoint", self.train(*options).stdout)
                after = self.files(run)
                self.assertEqual(set(before), set(after))
                for file in ("scores.csv", "best.npz", "metrics.jsonl"):
                    self.assertEqual(before[pathlib.Path(file)], after[pathlib.Path(file)], file)
                self.assertIn("this run is finished", self.train(*options).stdout)
        best = self.dir / "lr0/best.npz"  # of epoch 1: the AUC did not rise
        best.unlink()
        self.refuses(f"{best}: missing, and the checkpoint has the weights of a later epoch", *later)

    def test_a_finished_run_without_its_checkpoints_is_still_finished(self):
        self.train()
        shutil.rmtree(self.run_dir / "checkpoints")
        self.assertIn("this run is finished", self.unchanged(self.train).stdout)
        self.unchanged(self.refuses, "this run is finished and its checkpoints were removed: "
                                     "it cannot be resumed; its files stay", "--train.epochs=3")
        train = self.dir / "train.tsv"
        rows = train.read_text()
        train.write_text("\n".join(reversed(rows.splitlines())) + "\n")
        self.unchanged(self.refuses, f"{train} or {self.dir}/test.tsv {NOT_THIS_RUN}")
        train.write_text(rows)
        record = self.run_dir / "run.json"
        whole = record.read_text()
        record.write_text(json.dumps({**json.loads(whole), "epochs": "two"}))
        self.unchanged(self.refuses,
                       "its checkpoints were removed: epochs in run.json is no list; its files stay")
        record.write_text(whole)
        (self.run_dir / "scores.csv").unlink()
        self.unchanged(self.refuses, "its checkpoints were removed: scores.csv, which is missing, "
                                     "is written by predict alone")

    def test_results_without_checkpoints_are_not_replaced(self):
        options = ("--train.epochs=200", "--run.log_every=1")
        process = self.start(self.run_dir, *options)
        self.wait_for_steps(self.run_dir, process, 12)
        process.terminate()
        self.assertEqual(process.wait(timeout=60), 130, process.communicate())
        self.assertTrue((self.run_dir / "best.npz").exists())
        shutil.rmtree(self.run_dir / "checkpoints")
        way_out = ("the run cannot be resumed, and a new one would replace it; "
                   "set run.directory to another folder, or remove this one")
        gone = f"{self.run_dir}/best.npz: there already, and the checkpoints of its run are gone"
        self.unchanged(self.refuses, f"{gone}: {way_out}", *options)
        (self.run_dir / "metrics.jsonl").unlink()
        self.unchanged(self.refuses, way_out, *options)

    def test_a_refused_start_leaves_nothing(self):
        absent = "no/such/train.tsv"
        self.refuses("model.hidden = 32 does not divide by model.heads = 3", "--model.heads=3",
                     f"--data.train={absent}", code=2)
        other = "cpu" if ON_GPU else "cuda"
        self.refuses(f"run.device = {other}, but this program was built for", f"--run.device={other}",
                     f"--data.train={absent}")
        self.refuses("no/such/train.tsv", f"--data.train={absent}")
        self.assertFalse((self.dir / "runs").exists())
        self.run_dir.mkdir(parents=True)  # the user's own
        self.refuses("no/such/train.tsv", f"--data.train={absent}")
        self.assertEqual([path.name for path in self.run_dir.iterdir()], ["lock"])

    def test_pairs_of_both_parts_are_counted(self):
        train, test = self.dir / "train.tsv", self.dir / "test.tsv"
        rows = train.read_text().splitlines()
        self.assertNotIn("are also labelled pairs to train on", self.train("--dry-run").stdout)
        a, b, _ = rows[1].split("\t")
        rows[0] = "\t".join([b, a, "1"])  # row 0 is to validate on
        train.write_text("\n".join(rows) + "\n")
        test.write_text("\n".join(["\t".join(row.split("\t")[:2])
                                   for row in (rows[1], rows[2], rows[3], rows[0])]) + "\n")
        self.assertIn("          1 pairs to validate on and 4 of the test file are also "
                      "labelled pairs to train on\n", self.train("--dry-run").stdout)

    def test_a_checkpoint_of_another_run_is_refused(self):
        one, two = self.dir / "one", self.dir / "two"
        self.train("--train.epochs=1", f"--run.directory={one}")
        self.train("--train.epochs=1", f"--run.directory={two}", "--train.seed=2")
        for path in (one / "checkpoints").iterdir():
            path.unlink()
        (checkpoint,) = (two / "checkpoints").iterdir()
        shutil.copy(checkpoint, one / "checkpoints")
        self.refuses(f"{one}/checkpoints/{checkpoint.name}: of a run with another configuration: "
                     "train.seed = 0 (there: 2); remove it, or", "--train.epochs=2", f"--run.directory={one}")

    # ---- The place of a run --------------------------------------------------------------------------------

    def test_a_run_is_where_its_config_is(self):
        self.train("--train.epochs=1")
        moved = self.dir / "elsewhere"
        self.run_dir.rename(moved)
        config = moved / "config.ini"
        self.assertEqual(self.program("train", "--config", config).stdout.split(":")[0], str(moved))
        self.program("train", "--config", config, "--train.epochs=2")
        self.assertEqual([e["epoch"] for e in self.records("epoch", moved)], [1, 2])
        self.assertIn(f"\ndirectory = {moved}\n", config.read_text())
        self.assertFalse(self.run_dir.exists())
        # By a link to the folder and by a link to the file.
        (self.dir / "folder").symlink_to(moved)
        (self.dir / "linked.ini").symlink_to(config)
        for path in ("folder/config.ini", "linked.ini"):
            self.assertIn("this run is finished", self.program("train", "--config", self.dir / path).stdout)
        # A copy resumes by itself.
        copy = self.dir / "copy"
        shutil.copytree(moved, copy)
        before = self.files(moved)
        self.program("train", "--config", copy / "config.ini", "--train.epochs=3")
        self.assertEqual((len(self.records("epoch", copy)), self.files(moved)), (3, before))
        # The command line wins, and a copied INI names any directory.
        third = self.dir / "third"
        self.program("train", "--config", config, f"--run.directory={third}", "--train.epochs=1")
        (self.dir / "new").mkdir()
        shutil.copy(config, self.dir / "new/config.ini")
        self.assertIn(f"{moved}: this run is finished",
                      self.program("train", "--config", self.dir / "new/config.ini").stdout)

    def test_a_finished_run_knows_moved_data(self):
        self.train()
        (self.dir / "data").mkdir()
        for name in ("train.tsv", "test.tsv"):
            (self.dir / name).rename(self.dir / "data" / name)
        self.train(f"--data.train={self.dir}/data/train.tsv", f"--data.test={self.dir}/data/test.tsv")
        config = (self.run_dir / "config.ini").read_text()
        self.assertIn(f"\ntrain = {self.dir}/data/train.tsv\n", config)
        self.assertIn("this run is finished",
                      self.program("train", "--config", self.run_dir / "config.ini").stdout)

    def test_long_paths(self):
        deep = self.dir / ("d" * 120) / ("e" * 120)
        deep.mkdir(parents=True)
        for name in ("train.tsv", "test.tsv", "tiny.ini"):
            (self.dir / name).rename(deep / name)
        self.ini = deep / "tiny.ini"
        self.train("--train.epochs=1")
        self.assertIn("resuming", self.train("--train.epochs=2").stdout)
        self.program("predict", "--run", deep / "runs/tiny", "--input", deep / "test.tsv",
                     "--output", deep / "s.csv")

    # ---- Signals, locks, processors, limits ----------------------------------------------------------------

    def interrupt(self, sent, *options):
        """Sends the signal after some steps; returns exit code, output, errors."""
        log = self.dir / "log.txt"
        with log.open("w") as file:
            command = [BIN / "train", "--config", self.ini, "--train.epochs=100", "--run.log_every=1",
                       *options]
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        metrics = self.run_dir / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and '"step"' in metrics.read_text()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        process.send_signal(sent)
        return process.wait(timeout=60), log.read_text(), process.communicate()[1]

    def test_signals_of_batch_systems_leave_a_checkpoint(self):
        for name in ("SIGUSR1", "SIGUSR2", "SIGXCPU"):
            with self.subTest(name):
                shutil.rmtree(self.run_dir, ignore_errors=True)
                code, out, err = self.interrupt(getattr(signal, name))
                self.assertEqual((code, err), (130, ""), out)
                self.assertIn("the same command resumes it", out)
                self.assertEqual(len(list((self.run_dir / "checkpoints").iterdir())), 1)

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_nohup_holds_where_a_library_handles_the_signal(self):
        """As UCX does before main(), which Open MPI 5 loads."""
        source, library = self.dir / "hangup.c", self.dir / "hangup.so"
        source.write_text("#include <signal.h>\nstatic void handle(int s) { (void)s; }\n"
                          "__attribute__((constructor)) static void start(void) "
                          "{ signal(SIGHUP, handle); }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        before = os.environ.get("LD_PRELOAD", "")
        command = [BIN / "train", "--config", self.ini, "--train.epochs=6", "--run.log_every=1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                   env={**os.environ, "LD_PRELOAD": f"{before} {library}".strip()},
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_steps(self.run_dir, process, 2)
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(timeout=300), 0)

    def test_a_killed_run_has_logged_its_start(self):
        _, out, _ = self.interrupt(signal.SIGKILL)
        self.assertRegex(out, r"^data      150 pairs: (.*\n)+model     1 layers(.*\n)+device    "
                              r"(.*\n)+started   \d{4}-\d\d-\d\d \d\d:\d\d UTC\n")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_without_file_locks_a_run_goes_on(self):
        source, library = self.dir / "flock.c", self.dir / "flock.so"
        source.write_text("#include <errno.h>\n#include <stdlib.h>\n"
                          "int flock(int f, int o) { (void)f; (void)o; "
                          "errno = atoi(getenv(\"FLOCK_ERRNO\")); return -1; }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        before = os.environ.get("LD_PRELOAD", "")
        for number in (37, 38, 95):
            run = self.dir / str(number)
            environment = {**os.environ, "FLOCK_ERRNO": str(number),
                           "LD_PRELOAD": f"{before} {library}".strip()}
            self.train("--train.epochs=1", f"--run.directory={run}", env=environment,
                       warning=f"warning: {run}/lock: cannot be locked: {os.strerror(number)}; "
                               "nothing keeps a second process out of this run directory")
            self.assertTrue((run / "report.html").exists())

    @unittest.skipIf(ON_GPU, "of the simulator")
    def test_a_worker_for_each_processor_that_is_allowed(self):
        one = {min(os.sched_getaffinity(0))}
        out = self.train("--dry-run", preexec_fn=lambda: os.sched_setaffinity(0, one)).stdout
        self.assertIn("SIMT simulator, 1 worker,", out)
        out = self.train("--dry-run", "--run.threads=3",
                         preexec_fn=lambda: os.sched_setaffinity(0, one)).stdout
        self.assertIn("SIMT simulator, 3 workers,", out)

    @unittest.skipIf(ON_GPU or SANITIZED, "needs little address space")
    def test_little_address_space_ends_with_a_message(self):
        def limit(mib):
            return lambda: resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))

        version = call("train", "--version", timeout=300, preexec_fn=limit(200))
        self.assertEqual((version.returncode, version.stderr), (0, ""))
        self.refuses("out of memory: oneDNN needs 32 MiB of address space for each of 40 threads; "
                     "set run.threads to fewer, or raise the limit (ulimit -v)",
                     "--run.threads=40", preexec_fn=limit(1024))
        self.train("--run.threads=2", "--train.epochs=1", preexec_fn=limit(4096))
        messages = ""
        for precision in "fp32", "bf16":
            for mib in range(200, 700, 50):
                args = ("--run.threads=2", "--train.epochs=1", f"--train.precision={precision}",
                        f"--run.directory={self.dir}/{precision}{mib}")
                done = call("train", "--config", self.ini, *args, timeout=300, preexec_fn=limit(mib))
                self.assertIn(done.returncode, (0, 1), (precision, mib, done.stderr))
                self.assertEqual(done.stderr.count("\n"), done.returncode, done.stderr)
                messages += done.stderr
        self.assertIn("out of memory: the simulator needs 102 MiB of address space for each of 2 threads; "
                      "set run.threads to fewer, or raise the limit (ulimit -v)\n", messages)

    def test_a_build_without_mpi_refuses_to_be_one_of_several_processes(self):
        if "MPI" in self.program("train", "--version").stdout:
            self.skipTest("this build has MPI")
        error = self.train(code=1, env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2"}).stderr
        self.assertEqual(error, "train: error: a launcher started 2 processes, and this build runs as one: "
                                "it is without MPI (docs/scale.md)\n")
        self.assertFalse(self.run_dir.exists())
        self.train("--train.epochs=1", env={**os.environ, "OMPI_COMM_WORLD_SIZE": "1"})

    def test_the_limit_of_file_sizes_is_a_message(self):
        def limit(size):
            return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        self.refuses(r"runs/tiny: a checkpoint has 0.2 MiB, and a file may have 0.1; "
                     r"raise the limit of file sizes (ulimit -f)", preexec_fn=limit(100_000))
        self.assertFalse(self.run_dir.exists())
        self.refuses(r"a checkpoint has 0.2 MiB", "--dry-run", preexec_fn=limit(100_000))
        self.train()
        out = self.dir / "s.csv"
        predict = ("predict", "--run", self.run_dir, "--input", self.dir / "test.tsv", "--output", out)
        self.assertIn(f"{out}: cannot be written: File too large",
                      self.program(*predict, code=1, preexec_fn=limit(100)).stderr)
        self.assertFalse(out.exists())

    def test_a_full_disk_is_found_at_the_start(self):
        small = self.dir / "small"
        small.mkdir()
        command = f'mount -t tmpfs -o size=600k none "{small}" && shift && exec "$@"'
        train = ["unshare", "-rm", "sh", "-c", command, "sh", "x", BIN / "train", "--config", self.ini]
        inside = lambda *args: subprocess.run([*train, *args], capture_output=True, text=True)
        run = small / "deep/run"
        if "mount" in inside("--version").stderr or inside("--version").returncode:
            self.skipTest("no file system can be mounted here")
        for more in ((), ("--dry-run",)):
            done = inside(f"--run.directory={run}", "--run.keep_checkpoints=3", *more)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr,
                             rf"^train: error: {run}: its file system has room for 0\.6 MiB, and this run "
                             r"takes up to 0\.[89]: a checkpoint has 0\.2 and a model 0\.1; "
                             "free some space, lower run\\.keep_checkpoints or run\\.keep_best, "
                             "set run\\.checkpoint_minutes to 0, or set run\\.directory "
                             "to another file system\n$")
            self.assertNotIn("epoch", done.stdout)
        # One checkpoint, one model.
        done = inside(f"--run.directory={run}", "--run.checkpoint_minutes=0", "--train.epochs=1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_log_that_cannot_be_written_is_found_at_the_start(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "train", "--config", self.ini], stdout=full, stderr=subprocess.PIPE,
                                  text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "train: error: standard output: cannot be written: No space left on device; "
                             "free some space and start again\n"))
        self.assertFalse((self.run_dir / "metrics.jsonl").exists())

    # ---- The log -------------------------------------------------------------------------------------------

    def test_the_only_step_of_a_run_learns(self):
        for schedule in ("linear", "cosine"):
            run = self.dir / schedule
            self.train("--train.epochs=1", "--train.batch=4000", f"--train.schedule={schedule}",
                       f"--run.directory={run}")
            self.assertEqual([step["lr"] for step in self.records("step", run)], [1e-3])

    def test_lines_say_how_many_steps_they_cover(self):
        self.train("--run.log_every=3", "--run.csv=true")  # 150 rows in steps of 16: 10 steps an epoch
        self.assertEqual([(line["step"], line["steps"]) for line in self.records("step")],
                         [(3, 3), (6, 3), (9, 3), (10, 1), (13, 3), (16, 3), (19, 3), (20, 1)])
        self.assertTrue((self.run_dir / "steps.csv").read_text().splitlines()[0].endswith(",time,steps"))

    def test_steps_without_targets_show_no_norm_and_no_speed(self):
        rows = (self.dir / "train.tsv").read_text().splitlines()
        (self.dir / "train.tsv").write_text("".join((row if i % 2 else row[:-2]) + "\n"
                                                    for i, row in enumerate(rows)))
        options = ("--mask.probability=0", "--train.batch=1", "--data.validation_every=3")
        empty_seed = None
        for seed in range(10):
            run = self.dir / f"seed-{seed}"
            out = self.train("--train.epochs=1", "--run.log_every=1", f"--train.seed={seed}",
                             f"--run.directory={run}", *options).stdout
            self.assertNotIn("nan", out)
            lines = self.records("step", run)
            learned = [line for line in lines if line["loss"] is not None]
            self.assertEqual(len(learned), 40)  # 60 labelled rows, a third of which validates
            for line in lines:
                for key in ("grad_norm", "pairs_per_s", "tokens_per_s", "tflops"):
                    self.assertEqual(line[key] is None, line["loss"] is None, key)
            if lines[0]["loss"] is None:
                empty_seed = seed
                break
        self.refuses("the first batch has no target, neither a masked token nor a label", "--overfit-batch=5",
                     f"--train.seed={empty_seed}", *options)

    def test_a_training_that_diverged_is_warned_of(self):
        done = call("train", "--config", self.ini, "--train.lr=10")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"^warning: the loss of the last epoch, [\d.e+]+, is above \d\.\d+, "
                                      r"that of guessing(; all validation scores are alike)?; "
                         r"the training seems to have diverged; try a train\.lr below 10\n$")

    def test_threshold_and_label_losses_of_both_parts(self):
        out = self.train("--train.epochs=3").stdout
        values, epochs = json.loads((self.run_dir / "run.json").read_text()), self.records("epoch")
        best = epochs[values["best_epoch"] - 1]
        self.assertEqual(values["threshold"], best["best_threshold"])
        self.assertIn(f"\nthreshold {values['threshold']:.4f}, of the highest F1 of the validation rows\n"
                      "ended     ", out)
        self.assertEqual([e["train_log_loss"] for e in values["epochs"]],
                         [e["train_log_loss"] for e in epochs])
        # The best model's loss of twelve training rows, as many as validate.
        rows = [row for i, row in enumerate((self.dir / "train.tsv").read_text().splitlines()) if i % 10]
        (self.dir / "sample.tsv").write_text("".join(rows[i * len(rows) // 12] + "\n" for i in range(12)))
        result = json.loads(self.program("eval", "--run", self.run_dir, "--input", self.dir / "sample.tsv",
                                         "--json", "--bootstrap=0").stdout)
        self.assertAlmostEqual(result["log_loss"]["value"], best["train_log_loss"], places=6)
        self.train("--train.stage=pretrain", f"--run.directory={self.dir}/pretrain")
        self.assertNotIn("threshold", json.loads((self.dir / "pretrain/run.json").read_text()))


if __name__ == "__main__":
    unittest.main()
