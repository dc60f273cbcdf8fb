"""End-to-end tests on plain text tokenized by a vocab.txt (data.text): train, predict, eval and export.

text_test.py BIN_DIR [unittest arguments]
"""
import gzip
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
VERSION = subprocess.run([BIN / "train", "--version"], capture_output=True, text=True).stdout
FAST = "CUDA" in VERSION and "cuda_on_cpu" not in os.environ.get("LD_PRELOAD", "")
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/tiny"
THINGS = {  # topics of requests, in English and Chinese
    "light": ("lamp", "lights", "燈"),
    "music": ("song", "tune", "歌"),
    "alarm": ("clock", "wake", "鬧"),
    "weather": ("rain", "sunny", "雨"),
    "order": ("parcel", "delivery", "貨"),
}
FRAME = "please can you the a for me now ? , . ! show tell turn on off about my today 請 問 我 的 嗎 。".split()
# Unlike BERT's order, so that confused special tokens are detected; includes word pieces.
VOCAB = [*FRAME, "[MASK]", "[UNK]", *THINGS, "[SEP]", "##s", "##ing",
         *(w for words in THINGS.values() for w in words), "[PAD]", "[CLS]", "never", "seen"]
PAIRS, TEST = 600, 40


def pairs(n, labels, seed):
    """Two requests; the label depends on the second one's topic, which a tiny model can learn."""
    rng, rows = random.Random(seed), []

    def request(thing):
        words = rng.sample(FRAME, rng.randrange(2, 4))
        words.insert(rng.randrange(len(words) + 1),
                     rng.choice((thing, thing.capitalize() + "s", *THINGS[thing])))
        return rng.choice((" ", "  ")).join(words)

    for _ in range(n):
        label = rng.randrange(2)
        a, b = rng.choice(list(THINGS)), rng.choice(list(THINGS)[:2] if label else list(THINGS)[2:])
        rows.append(f"{request(a)}\t{request(b)}" + (f"\t{label}" if labels else ""))
    return "\n".join(rows) + "\n"


class Text(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.write("vocab.txt", "\n".join(VOCAB) + "\n")
        self.write("train.tsv", pairs(PAIRS, True, 1))
        self.write("test.tsv", pairs(TEST, False, 2))
        self.ini = self.write(
            "text.ini",
            "[data]\ntext = true\nvocab = vocab.txt\ntrain = train.tsv\ntest = test.tsv\n"
            "[model]\nlayers = 1\nhidden = 32\nheads = 2\nmax_positions = 40\ndropout = 0\n"
            "initializer_range = 0.1\n[mask]\nswap = 0\n"
            "[train]\nepochs = 2\nbatch = 16\nlr = 3e-3\nprecision = fp32\n",
        )
        self.run_dir = self.dir / "runs" / "text"

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        (self.dir / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.dir / name

    def program(self, name, *args, code=0, stdin=None):
        done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True, timeout=300,
                              input=stdin, encoding="utf-8")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1 if code else 0, done.stderr)
        return done.stderr if code else done.stdout

    def warned(self, name, *args, stdin=None):
        """Output and warnings of a program that succeeds."""
        done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, timeout=300, input=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def train(self, *args, code=0):
        return self.program("train", "--config", self.ini, *args, code=code)

    def array(self, path, name, kind):
        """An array of an .npz or .safetensors file: values as a flat tuple, and shape."""
        if path.suffix == ".safetensors":
            data = path.read_bytes()
            size = struct.unpack("<Q", data[:8])[0]
            entry = json.loads(data[8 : 8 + size])[name]
            begin, end = entry["data_offsets"]
            raw, shape = data[8 + size + begin : 8 + size + end], tuple(entry["shape"])
        else:
            data = zipfile.ZipFile(path).read(name + ".npy")
            end = 10 + struct.unpack("<H", data[8:10])[0]
            raw, shape = data[end:], eval(data[10:end])["shape"]
        return struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw), shape

    def embedding(self, path):
        values, (rows, hidden) = self.array(path, "bert.embeddings.word_embeddings.weight", "f")
        return [values[i * hidden : (i + 1) * hidden] for i in range(rows)]

    def test_text_trains_and_is_told_from_noise(self):
        out = self.train("--train.epochs=4")
        self.assertIn(f" of {len(VOCAB) - 5} words occur, 0.00 % of tokens are [UNK]", out)
        epochs = [e for e in map(json.loads, (self.run_dir / "metrics.jsonl").read_text().splitlines())
                  if e["kind"] == "epoch"]
        facts = {fact["name"]: fact["value"]
                 for fact in json.loads((self.run_dir / "run.json").read_text())["facts"]}
        self.assertIn(" words, 0.00 % of tokens unknown", facts["Vocabulary"])
        self.assertGreater(max(e["auc"] for e in epochs), 0.9)  # chance on 60 rows: 0.5 ± 0.08

    def predict(self, *args, code=0, stdin=None):
        source = () if "--input" in args else ("--input", self.dir / "test.tsv")
        return self.program("predict", *args, *source, "--output", "-", code=code, stdin=stdin)

    def test_predict_eval_average_and_export_repeat_the_scores_without_vocab_txt(self):
        self.train("--run.keep_best=2")
        (self.dir / "vocab.txt").unlink()  # a run is self-contained
        expected = (self.run_dir / "scores.csv").read_text()
        self.assertEqual(len(set(expected.splitlines())), TEST)
        self.assertEqual(self.predict("--run", self.run_dir), expected)
        self.assertEqual(self.predict("--run", self.run_dir, "--input", "-",
                                      stdin=(self.dir / "test.tsv").read_text(encoding="utf-8")), expected)
        self.assertEqual(self.predict("--run", self.run_dir, "--run", self.run_dir), expected)
        upper = self.write("upper.tsv", (self.dir / "test.tsv").read_text(encoding="utf-8").upper())
        self.assertEqual(self.predict("--run", self.run_dir, "--input", upper), expected)
        one_by_one = self.dir / "latency.csv"
        self.program("predict", "--latency", "--run", self.run_dir, "--run", self.run_dir,
                     "--input", self.dir / "test.tsv", "--output", one_by_one)
        for score, other in zip(expected.split(), one_by_one.read_text().split(), strict=True):
            self.assertAlmostEqual(float(score), float(other), delta=1e-5)

        files = sorted((self.run_dir / "models").iterdir())
        self.assertEqual(len(files), 2)
        self.assertIn(expected, [self.predict("--run", file) for file in files])
        self.program("average", "--run", self.run_dir, "--output", self.run_dir / "mean.npz")
        self.assertNotEqual(self.predict("--run", self.run_dir / "mean.npz"), expected)

        self.assertIn("AUC", self.program("eval", "--run", self.run_dir, "--input", self.dir / "train.tsv"))
        self.assertIn("test.tsv: line 1: no label",
                      self.program("eval", "--run", self.run_dir, "--input", self.dir / "test.tsv", code=1))

        hf = self.dir / "hf"
        self.program("export", "--run", self.run_dir, "--output", hf)
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[NO]", "[YES]"]
        words = [token for token in VOCAB if token not in special]
        self.assertEqual((hf / "vocab.txt").read_text(encoding="utf-8").split("\n"), [*special, *words, ""])
        self.assertTrue(json.loads((hf / "tokenizer_config.json").read_text())["do_lower_case"])
        self.assertEqual(self.predict("--run", hf, "--train.precision=fp32", "--predict.score=ratio"),
                         expected)
        # As initial weights: [NO] and [YES] rows are kept too.
        self.train(f"--model.weights={hf}/model.safetensors", f"--data.vocab={hf}/vocab.txt",
                   "--train.epochs=0", f"--run.directory={self.dir}/again")
        self.assertEqual(self.embedding(self.dir / "again/best.npz"),
                         self.embedding(self.run_dir / "best.npz"))
        self.assertEqual((self.dir / "again/scores.csv").read_text(), expected)

    def test_every_form_of_vocabulary_and_data_gives_the_same_bits(self):
        self.train("--train.epochs=1")
        best = (self.run_dir / "best.npz").read_bytes()
        text, rows = ("\n".join(VOCAB) + "\n").encode(), (self.dir / "train.tsv").read_bytes()
        tokenizer = {
            "added_tokens": [{"id": VOCAB.index(token), "content": token, "special": True}
                             for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {token: i for i, token in enumerate(VOCAB)}},
        }
        bom = b"\xef\xbb\xbf"
        for i, (name, vocab, data) in enumerate([
            ("tokenizer.json", json.dumps(tokenizer).encode(), rows),
            ("vocab.json.gz", gzip.compress(json.dumps(tokenizer).encode()), bom + rows),
            ("bom.txt", bom + text.replace(b"\n", b"\r\n"),
             gzip.compress(rows[:5000]) + gzip.compress(rows[5000:])),
            ("vocab.gz", gzip.compress(text), gzip.compress(bom + rows)),
        ]):
            folder = self.dir / str(i)
            vocab, data = self.write(name, vocab), self.write("data", data)
            self.train("--train.epochs=1", f"--data.vocab={vocab}", f"--data.train={data}",
                       f"--run.directory={folder}")
            self.assertEqual((folder / "best.npz").read_bytes(), best, name)
        # A folder that transformers 5 saved again has no vocab.txt.
        hf, expected = self.dir / "hf", (self.run_dir / "scores.csv").read_text()
        self.program("export", "--run", self.dir / "0", "--output", hf)
        words = (hf / "vocab.txt").read_text(encoding="utf-8").split()
        tokenizer["model"]["vocab"], tokenizer["added_tokens"] = {word: i for i, word in enumerate(words)}, []
        (hf / "tokenizer.json").write_text(json.dumps(tokenizer))
        (hf / "vocab.txt").unlink()
        packed = gzip.compress((self.dir / "test.tsv").read_bytes())
        self.assertEqual(self.predict("--run", hf, "--input", self.write("test.gz", packed)), expected)
        self.assertEqual(self.warned("predict", "--run", hf, "--input", "-", "--output", "-", stdin=packed),
                         (expected, ""))
        damaged = self.write("test.gz", packed[:-5])
        self.assertIn("test.gz is no gzip file, or is damaged (unexpected end of file)",
                      self.predict("--run", hf, "--input", damaged, code=1))

    def test_vocabularies_that_do_not_fit_are_warned_of_or_refused(self):
        vocab = self.dir / "vocab.txt"
        dry = "--config", self.ini, "--dry-run", "--data.vocab"
        cased = self.write("cased.txt", "\n".join([*VOCAB, "Paris", "London"]) + "\n")
        says = (f"warning: {cased}: 2 of {len(VOCAB) + 2} tokens, such as 'Paris', have capitals or accents: "
                "this looks like a cased vocabulary, but data.lowercase = true\n")
        self.assertEqual(self.warned("train", *dry, cased)[1], says)
        self.assertEqual(self.warned("train", *dry, cased, "--data.lowercase=false")[1], "")
        self.write("tokenizer_config.json", json.dumps({"do_lower_case": False}))
        self.assertEqual(self.warned("train", *dry, vocab)[1],
                         f"warning: {vocab}: its tokenizer's configuration says cased text, "
                         "but data.lowercase = true\n")
        (self.dir / "tokenizer_config.json").unlink()

        for name, content, message in [
            ("blank.txt", "\n".join([*VOCAB[:7], "", *VOCAB[7:]]),
             "line 8: no token; ids count lines: put a placeholder there, such as [unused7]"),
            ("twice.txt", "\n".join([*VOCAB, VOCAB[0]]),
             f"line {len(VOCAB) + 1}: '{VOCAB[0]}' is there already, in line 1; ids count lines"),
            ("wide.txt", "\ufeff".encode("utf-16-le") + "\n".join(VOCAB).encode("utf-16-le"),
             "is UTF-16; save it as UTF-8"),
            ("tokenizer.json", json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}}),
             'its model is "BPE", not BERT\'s WordPiece'),
            ("lfs.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
             "is a Git LFS pointer"),
            ("page.txt", "<!doctype html><html>", "is a web page"),
            ("dump.txt", "<?xml version='1.0'?>\n<mediawiki>",
             "is an XML document; if it is a server's error message, download the file again, "
             "else extract its text"),
            ("ids.txt", "".join(f"{word} {len(VOCAB) - 1 - i}\n" for i, word in enumerate(VOCAB)),
             f"line 1: '{VOCAB[0]}' has the number {len(VOCAB) - 1}, but ids count lines from 0; "
             "sort the lines by their numbers"),
        ]:
            self.assertIn(f"{self.write(name, content)}: {message}",
                          self.train(f"--data.vocab={self.dir}/{name}", code=1))

        # A lost line shifts all rows after it.
        words = (GOLDEN / "vocab.txt").read_text(encoding="utf-8").split()
        plain = [w for w in words if not w.startswith("[")]
        self.write("few.tsv",
                   "".join(f"{plain[i]} {plain[i + 1]}\t{plain[i]}\t{i % 3 % 2}\n" for i in range(20)))
        lost = self.write("lost.txt", "\n".join(words[:-1]) + "\n")
        weights = GOLDEN / "weights.hf.npz"
        args = (f"--model.weights={weights}", f"--data.train={self.dir}/few.tsv", "--data.test=",
                "--model.heads=4", "--data.vocab")
        self.assertIn(f"warning: {lost}: {len(words) - 1} tokens, but the word embedding of {weights} has "
                      f"{len(words)} rows; if a line is missing,",
                      self.warned("train", "--config", self.ini, "--dry-run", *args, lost)[1])
        # Unless the weights' configuration counts as many tokens: the other rows are padding.
        config = self.write("config.json",
                            json.dumps({"vocab_size": len(words) - 1, "num_attention_heads": 4}))
        self.assertEqual(self.warned("train", "--config", self.ini, "--dry-run", *args, lost,
                                     f"--model.config={config}")[1],
                         f"warning: {config}: vocab_size = {len(words) - 1}, but {weights} has {len(words)} "
                         "rows; the last 1 are taken for padding\n")

    def test_inputs_that_are_not_what_a_model_of_text_reads(self):
        """They are scored, or refused where rows would be lost; stderr says so."""
        self.train("--train.epochs=1")
        vocab = "--run", self.run_dir, "--output", "-", "--input"
        header = self.write("header.tsv", "sentence1\tsentence2\nlamp\tlights\n")
        out, err = self.warned("predict", *vocab, header)
        self.assertEqual(out.count("\n"), 2)
        self.assertEqual(err, f"warning: {header}: line 1: 'sentence1' and 'sentence2' look like a header "
                              "line, but count as a pair\n")
        ids = self.write("ids.tsv", "12 7\t5\n3\t4 4\n")
        self.assertIn(f"warning: {ids}: all sentences are numbers; "
                      "data.text = true takes them for words, and not for ids\n",
                      self.warned("predict", *vocab, ids)[1])
        cell = self.write("cell.tsv", 'lamp\tsong\t1\nlamp\t"song\nrain"\t0\nrain\tsong\t0\n')
        refused = "line 3: closes a quote that line 2 opens: a line break inside a cell? A row is one line"
        self.assertIn(f"{cell}: {refused}", self.predict("--run", self.run_dir, "--input", cell, code=1))
        self.assertIn(f"{cell}: {refused}",
                      self.train(f"--data.train={cell}", f"--run.directory={self.dir}/cell", code=1))
        out, err = self.warned("predict", *vocab, cell, "--skip-bad")
        self.assertEqual([bool(line) for line in out.split("\n")], [True, False, False, True, False])
        self.assertEqual(err, f"warning: {cell}: line 2: no score: opens a quote that line 3 closes\n"
                              f"warning: {cell}: line 3: no score: {refused[8:]}\n")
        bare = self.write("bare.tsv", "lamp\tsong\t1\nlamp\tsong\nrain\t0\nrain\tsong\t0\n")
        self.assertIn(f"warning: {bare}: line 3: looks like the rest of the row before",
                      self.warned("predict", *vocab, bare)[1])

    def test_models_of_other_vocabularies_score_together_but_not_with_ids(self):
        self.train("--train.epochs=1")
        self.write("other.txt", "\n".join(reversed(VOCAB)) + "\n")
        self.train("--train.epochs=1", f"--data.vocab={self.dir}/other.txt",
                   f"--run.directory={self.dir}/other")
        self.write("ids.tsv", "1 2\t3\t1\n2\t4\t0\n3\t4\t0\n" * 20)
        ids = (f"--data.train={self.dir}/ids.tsv", "--data.test=", "--data.text=false", "--data.min_count=1",
               "--train.epochs=1")
        self.train(*ids, f"--run.directory={self.dir}/ids")
        one, other, both = (
            [float(x) for x in self.predict(*args, "--predict.score=sigmoid").split()]
            for args in (("--run", self.run_dir), ("--run", self.dir / "other"),
                         ("--run", self.run_dir, "--run", self.dir / "other"))
        )
        self.assertNotEqual(one, other)
        for a, b, mean in zip(one, other, both, strict=True):
            self.assertTrue(min(a, b) - 1e-6 <= mean <= max(a, b) + 1e-6)
        self.assertIn(f"{self.run_dir} reads plain text, but {self.dir}/ids reads ids",
                      self.predict("--run", self.run_dir, "--run", self.dir / "ids", code=2))
        self.assertIn("is no id", self.predict("--run", self.dir / "ids", code=1))

        # Weights of a run keep the vocabulary they were trained on.
        again = f"--model.weights={self.run_dir}/best.npz", f"--run.directory={self.dir}/again"
        self.assertIn("vocabulary kept", self.train(*again))
        again = again[0], f"--run.directory={self.dir}/refused"
        self.assertIn("is not what", self.train(*again, f"--data.vocab={self.dir}/other.txt", code=2))
        self.assertIn("in given case is not what", self.train(*again, "--data.lowercase=false", code=2))
        self.assertIn("data.text = false, but", self.train(*again, *ids, code=2))
        self.assertIn("was trained on ids",
                      self.train(f"--model.weights={self.dir}/ids/best.npz", again[1], code=2))
        self.assertIn("only models of one vocabulary",
                      self.program("average", self.run_dir / "best.npz", self.dir / "other/best.npz",
                                   "--output", self.dir / "mean.npz", code=1))
        ini = self.run_dir / "config.ini"
        ini.write_text(ini.read_text().replace("\ntext = true", "\ntext = false"))
        self.assertIn("a model of plain text, but its config.ini says data.text = false",
                      self.predict("--run", self.run_dir, "--input", self.dir / "ids.tsv", code=1))
        ini = self.dir / "ids/config.ini"
        ini.write_text(ini.read_text().replace("\ntext = false", "\ntext = true"))
        self.assertIn("has no array 'vocab/wordpiece'", self.predict("--run", self.dir / "ids", code=1))

    def test_a_stopped_run_goes_on_to_the_same_bits(self):
        options = "--run.log_every=3", f"--train.epochs={200 if FAST else 6}"  # long enough to be interrupted
        self.train(*options)
        stopped = self.dir / "stopped"
        command = [BIN / "train", "--config", self.ini, f"--run.directory={stopped}", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        metrics, deadline = stopped / "metrics.jsonl", time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if metrics.exists() and "step" in metrics.read_text():
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (130, ""), out)
        other = [*VOCAB[:-2], "seen", "never"]  # words absent from the data: only the vocabulary differs
        changed = self.write("changed.txt", "\n".join(other) + "\n").read_bytes()
        original = (self.dir / "vocab.txt").read_bytes()
        self.write("vocab.txt", changed)
        self.assertIn("its vocabulary is not that of the data",
                      self.train(*options, f"--run.directory={stopped}", code=1))
        self.write("vocab.txt", original)
        self.assertIn("resuming from its last checkpoint", self.train(*options, f"--run.directory={stopped}"))
        for name in ("best.npz", "scores.csv"):
            self.assertEqual((stopped / name).read_bytes(), (self.run_dir / name).read_bytes(), name)

    def test_pretrained_words_keep_their_rows(self):
        """Words absent from the data keep theirs too; [NO] and [YES] start as [UNK]."""
        words = (GOLDEN / "vocab.txt").read_text(encoding="utf-8").split()
        plain = [w for w in words if not w.startswith("[")]
        self.write("few.tsv", "".join(f"{plain[i]} {plain[i + 1]}\t{plain[i]}\t{i % 2}\n" for i in range(20)))
        weights = GOLDEN / "weights.hf.npz"
        vocab = f"--data.vocab={GOLDEN}/vocab.txt"
        args = (
            f"--model.weights={weights}", f"--data.train={self.dir}/few.tsv", "--data.test=",
            "--model.heads=4", "--train.epochs=0",
        )
        self.assertIn(f"{len(words) - 5} words of {GOLDEN}/vocab.txt keep their rows",
                      self.train(*args, vocab))
        ours, theirs = self.embedding(self.run_dir / "best.npz"), self.embedding(weights)
        special = [words.index(w) for w in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[UNK]")]
        ids = [i for i in range(len(words)) if i not in special]
        self.assertEqual(ours, [theirs[i] for i in special + ids])
        bias, our_bias = (self.array(path, "cls.predictions.bias", "f")[0]
                          for path in (weights, self.run_dir / "best.npz"))
        self.assertEqual(list(our_bias), [bias[i] for i in special + ids])
        pieces = bytes(self.array(self.run_dir / "best.npz", "vocab/wordpiece", "B")[0])
        self.assertEqual(pieces.decode().split(), words)
        long = self.write("long.txt", "\n".join([*words, *(f"more{i}" for i in range(len(theirs)))]) + "\n")
        self.assertIn("but the word embedding of",
                      self.train(*args, f"--data.vocab={long}", f"--run.directory={self.dir}/long", code=1))

    def test_refused(self):
        self.assertIn("data.vocab: missing; with data.text = true", self.train("--data.vocab=", code=2))
        self.assertIn("plain text needs data.text = true, in training too",
                      self.train("--data.text=false", code=1))
        no_bert = self.write("words.txt", "[PAD]\n[UNK]\nlamp\n")
        self.assertIn("words.txt lacks [CLS], [SEP], [MASK]", self.train(f"--data.vocab={no_bert}", code=1))
        bad = self.write("bad.tsv", b"lamp\tlights\t1\nlamp \xff\tlights\t0\n")
        self.assertIn("bad.tsv: line 2: the first sentence is no UTF-8 from its byte 6",
                      self.train(f"--data.train={bad}", code=1))
        empty = self.write("empty.tsv", "lamp\tlights\t1\nlamp\t\u200b\t0\n")
        self.assertIn("empty.tsv: line 2: the second sentence is empty",
                      self.train(f"--data.train={empty}", code=1))


if __name__ == "__main__":
    unittest.main()
