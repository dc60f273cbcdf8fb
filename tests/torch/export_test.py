"""Scores of exported folders by transformers, in its ordinary call, against predict.

export_test.py BIN_DIR [unittest arguments]          needs torch and transformers (4 or 5), else skipped
"""
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
MISSING = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
if not MISSING:
    import torch
    import transformers
    from transformers import AutoTokenizer, BertForMaskedLM, BertTokenizer, BertTokenizerFast

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
WORDS = ["lamp", "Lamp", "café", "cafe", "CAFÉ", "Émile", "light", "lights", "don't", "的", "question?",
         "unseen", "[MASK]", "[NO]"]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lamp", "Lamp", "cafe", "café", "light", "##s", "don",
         "'", "t", "的", "question", "?", "[", "]", "no", "NO", "E", "##mile", "emile"]


@unittest.skipIf(MISSING, "not installed: " + ", ".join(MISSING))
class Export(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.temporary.name)
        self.hf = self.dir / "hf"

    def tearDown(self):
        self.temporary.cleanup()

    def program(self, name, *args):
        done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def export(self, words, *options, longest=30):
        """Trains on random pairs, exports, and returns the pairs with predict's scores of run and folder."""
        rng = random.Random(1)
        sentence = lambda: " ".join(rng.choice(words) for _ in range(rng.randint(1, longest)))
        rows = [(sentence(), sentence()) for _ in range(200)]
        (self.dir / "train.tsv").write_text("".join(f"{a}\t{b}\t{i % 2}\n" for i, (a, b) in enumerate(rows)),
                                            encoding="utf-8")
        (self.dir / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
        # Large random weights: the untrained second row of the segment table would change the scores.
        (self.dir / "run.ini").write_text(
            "[data]\ntrain = train.tsv\nmin_count = 2\n[train]\nepochs = 1\nbatch = 16\nlr = 1e-3\n"
            "precision = fp32\n"
            "[model]\nlayers = 2\nhidden = 32\nheads = 2\nmax_positions = 60\ninitializer_range = 0.3\n")
        run = self.dir / "runs/run"
        self.program("train", "--config", self.dir / "run.ini", *options)
        self.program("export", "--run", run, "--output", self.hf)
        extra = "1000000" if words[0].isdigit() else "unseen"
        rows = rows[:60] + [(rows[0][0], extra), (extra, extra)]
        (self.dir / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
        scores = [self.predict(path) for path in (run, self.hf)]
        self.assertEqual(*scores)
        self.assertGreater(max(scores[0]) - min(scores[0]), 0.01)
        return rows, scores[0]

    def predict(self, run):
        out = self.dir / "scores.csv"
        self.program("predict", "--run", run, "--input", self.dir / "pairs.tsv", "--output", out)
        return [float(line) for line in out.read_text().split()]

    def score(self, batch):
        with torch.no_grad():
            p = self.model(**batch).logits[:, 0].softmax(-1)
        return (p[:, 6] / (p[:, 5] + p[:, 6] + 1e-8)).tolist()

    def assert_close(self, found, expected, what=None):
        self.assertEqual(len(found), len(expected))
        self.assertLess(max(abs(x - y) for x, y in zip(found, expected)), 1e-5, what)

    def check(self, rows, scores):
        """Plain calls, and calls that ask for token types, of each tokenizer."""
        self.model = BertForMaskedLM.from_pretrained(self.hf).eval()
        first, second = [a for a, _ in rows], [b for _, b in rows]
        for tokenizer in {AutoTokenizer, BertTokenizer, BertTokenizerFast}:
            tokenizer = tokenizer.from_pretrained(self.hf)
            for more in ({}, {"return_token_type_ids": True}):
                batch = tokenizer(first, second, padding=True, truncation=True, return_tensors="pt", **more)
                self.assertEqual("token_type_ids" in batch, bool(more))
                self.assert_close(self.score(batch), scores, (type(tokenizer), more))
        batch["token_type_ids"] = torch.randint(0, 2, batch["input_ids"].shape)
        self.assert_close(self.score(batch), scores)
        self.assertEqual(tokenizer.convert_ids_to_tokens(range(len(tokenizer))),
                         (self.hf / "vocab.txt").read_text(encoding="utf-8").split())

    def card_scores(self, rows):
        """Runs the model card's own lines on the pairs."""
        (lines,) = re.findall(r"```python\n(.*?)```", (self.hf / "README.md").read_text(), re.S)
        first, second = [a for a, _ in rows], [b for _, b in rows]
        names, here = {}, os.getcwd()
        os.chdir(self.hf)
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(lines, names)
                self.assertEqual(len(json.loads(out.getvalue())), 1)  # of the card's own pair
                exec(re.sub(r"(?m)^a, b = .*", f"a, b = {first!r}, {second!r}", lines), names)
        finally:
            os.chdir(here)
        return names["scores"].tolist()

    def test_ids_score_as_in_predict(self):
        rows, scores = self.export([str(i) for i in range(95, 140)])
        print(f"\ntransformers {transformers.__version__}", flush=True)
        self.check(rows, scores)
        self.assert_close(self.card_scores(rows), scores)

    def test_plain_text_scores_as_in_predict(self):
        for lowercase in ("true", "false"):
            text = ("--data.text=true", f"--data.vocab={self.dir}/vocab.txt", f"--data.lowercase={lowercase}",
                    f"--run.directory={self.dir}/runs/run")
            with tempfile.TemporaryDirectory(dir=self.dir) as folder:
                self.hf = pathlib.Path(folder)
                rows, scores = self.export(WORDS, *text, longest=15)
                self.check(rows, scores)
                self.assert_close(self.card_scores(rows), scores)
            (self.dir / "runs/run").rename(self.dir / f"done-{lowercase}")

    def test_both_orders_and_sigmoid_by_the_lines_of_the_card(self):
        rows, scores = self.export([str(i) for i in range(95, 140)], "--predict.swap=true",
                                   "--predict.score=sigmoid")
        self.assert_close(self.card_scores(rows), scores)

    def test_an_odd_length_is_noted_in_the_card(self):
        rows, scores = self.export([str(i) for i in range(95, 140)], "--data.max_tokens=31")
        half = [i for i, (a, b) in enumerate(rows) if min(len(a.split()), len(b.split())) < 16]
        self.assertTrue(15 < len(half) < len(rows))
        found = self.card_scores(rows)
        self.assert_close([found[i] for i in half], [scores[i] for i in half])
        self.assertIn("As this number is odd", (self.hf / "README.md").read_text())


if __name__ == "__main__":
    unittest.main()
