"""Compares hidden states of a published model with PyTorch, on anonymised sentences and on plain text.

minilm_test.py BIN_DIR [unittest arguments]         needs torch, transformers, numpy

$WARPBERT_MINILM is the folder of a published uncased English BertModel: model.safetensors, config.json,
vocab.txt (see docs/minilm.md). Without it the tests are skipped.

PyTorch reads the sentences. Our program reads encrypted ids and finds embedding rows by the alignment that
training uses: counts.json ranks the words as the pairs do. Only the sentences are shared, so a wrong row,
layer, head or transposition is detected.
"""
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
import transformers
from transformers import BertModel, BertTokenizer

transformers.logging.set_verbosity_error()  # silences the warning about the unused pooler
transformers.logging.disable_progress_bar()
BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PAIRS = [
    ("How do I reset my password?", "I forgot my password, what can I do?"),
    ("Turn on the light in the kitchen.", "Please switch off the lamp next door."),
    ("What will the weather be like tomorrow?", "Is it going to rain tomorrow afternoon?"),
    ("Play some quiet music.", "Could you put on something to relax to?"),
    ("Set an alarm for half past six.", "Wake me up at 6:30 in the morning."),
    ("The committee approved the budget on Tuesday.", "On Tuesday, the committee rejected the budget."),
    ("A man is riding a horse along the beach.", "Someone rides an animal near the sea."),
    ("Where is the nearest railway station?", "How far is it to the airport?"),
    ("Photosynthesis turns carbon dioxide into sugar.", "Plants make glucose from CO2 and sunlight."),
    ("He was born in Königsberg in 1724.", "Immanuel Kant's birthplace was Königsberg, Prussia."),
    ("My order has not arrived yet.", "The parcel I ordered is late."),
    ("Can I change the delivery address?", "I would like to cancel my order."),
    ("Yes.", "No."),
    ("Who wrote the novel?", "The author of the book is unknown."),
    ("Add two eggs, stir, and bake for 40 minutes.",
     "The cake has to stay in the oven for two thirds of an hour."),
    ("Unbelievable: antidisestablishmentarianism again!", "What a long word that was."),
    ("Call my mother.", "Ring up mum, would you?"),
    ("The bank raised its interest rates by 0.25 %.", "Children were playing on the bank of the river."),
    ("Translate this sentence into French.", "How do you say this in French?"),
    ("Show me the photos from last summer's trip to Italy.", "Delete all pictures of our holiday."),
]


def run(name, *args):
    done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@unittest.skipUnless(os.environ.get("WARPBERT_MINILM"),
                     "WARPBERT_MINILM=<folder of the published model> (docs/minilm.md)")
class MiniLM(unittest.TestCase):
    def setUp(self):
        self.model = pathlib.Path(os.environ["WARPBERT_MINILM"]).resolve()
        self.temporary = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.temporary.name)
        tokenizer = BertTokenizer(str(self.model / "vocab.txt"))
        self.plain = [[tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in pair]
                      for pair in PAIRS]
        self.words = (self.model / "vocab.txt").read_text(encoding="utf-8").split("\n")

    def tearDown(self):
        self.temporary.cleanup()

    def anonymise(self):
        """Writes train.tsv and counts.json; returns {id of the plain vocabulary: our token}."""
        counts = collections.Counter(t for pair in self.plain for text in pair for t in text)
        ranked = sorted(counts, key=lambda t: -counts[t])  # ties by first appearance, as in train
        cipher = dict(zip(ranked, random.Random(0).sample(range(100, 30000), len(ranked))))
        lines = ["\t".join(" ".join(str(cipher[t]) for t in text) for text in pair) + "\t1\n"
                 for pair in self.plain]
        (self.dir / "train.tsv").write_text("".join(lines))
        frequencies = {self.words[t]: len(ranked) - rank for rank, t in enumerate(ranked)}
        (self.dir / "counts.json").write_text(json.dumps(frequencies))
        return {t: 7 + rank for rank, t in enumerate(ranked)}

    def ours(self, tokens, data):
        (self.dir / "run.ini").write_text(
            f"[data]\ntrain = train.tsv\nmax_tokens = 60\nvocab = {self.model}/vocab.txt\n{data}\n"
            f"[model]\nweights = {self.model}/model.safetensors\nmlm_head = fresh\n[train]\n"
            "precision = fp32\n"
        )
        targets = np.zeros_like(tokens)
        targets[:, 0] = 6  # inspect needs a target; hidden states do not depend on it
        np.savez(self.dir / "batch.npz", tokens_0=tokens, targets_0=targets)
        print(run("inspect", "--config", self.dir / "run.ini", "--batch", self.dir / "batch.npz",
                  "--output", self.dir / "out.npz"))
        return np.load(self.dir / "out.npz")["hidden"]

    def padded(self, token_of, cls, sep):
        rows = [[cls, *map(token_of, a), sep, *map(token_of, b), sep] for a, b in self.plain]
        return np.array([row + [0] * (max(map(len, rows)) - len(row)) for row in rows], np.int32)

    def test_hidden_states_of_published_weights_equal_pytorch(self):
        token_of = self.anonymise()
        self.assertNotIn(self.words.index("[UNK]"), token_of)
        self.compare(self.ours(self.padded(token_of.__getitem__, 2, 3),
                               "min_count = 1\ncounts = counts.json"))

    def test_hidden_states_of_clear_text_equal_pytorch(self):
        """data.text: our program tokenizes the sentences, and all words keep their rows."""
        lines = [f"{a}\t{b}\t1\n" for a, b in PAIRS]
        (self.dir / "train.tsv").write_text("".join(lines), encoding="utf-8")
        specials = [self.words.index(word) for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
        rows = [i for i, word in enumerate(self.words) if word and i not in specials]
        token_of = {id_: 7 + i for i, id_ in enumerate(rows)} | {id_: i for i, id_ in enumerate(specials)}
        self.compare(self.ours(self.padded(token_of.__getitem__, 2, 3), "text = true"))

        # predict's scores equal those of transformers with the exported folder.
        printed = run("train", "--config", self.dir / "run.ini", "--train.epochs=0",
                      f"--run.directory={self.dir}/run")
        words = len({t for pair in self.plain for text in pair for t in text})
        self.assertIn(f"{words} of {len(rows)} words occur, 0.00 % of tokens are [UNK]", printed)
        (self.dir / "more.tsv").write_text("".join([*lines, "The [MASK] is \u2603\t[UNK]  [SEP] \u71c8\t0\n",
                                                    "[PAD] a\t[CLS] [YES] [NO]\t1\n"]), encoding="utf-8")
        printed = run("predict", "--run", self.dir / "run", "--input", self.dir / "more.tsv", "--output", "-")
        scores = [float(x) for x in printed.split()]
        run("export", "--run", self.dir / "run", "--output", self.dir / "hf")
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.dir / "hf")
        model = transformers.BertForMaskedLM.from_pretrained(self.dir / "hf").eval()
        expected = []
        for line in (self.dir / "more.tsv").read_text(encoding="utf-8").splitlines():
            a, b = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in line.split("\t")[:2])
            self.assertFalse({5, 6} & {*a, *b})  # text cannot contain [NO] and [YES]
            with torch.no_grad():
                p = model(input_ids=torch.tensor([[2, *a, 3, *b, 3]])).logits[0, 0].softmax(0).double()
            expected.append(float(p[6] / (p[5] + p[6] + 1e-8)))
        print(f"scores differ by {np.abs(np.array(scores) - expected).max():.3g}")
        # [NO] and [YES] start equal, so scores are near 1/2 and differ only by p(no) relative to the 1e-8.
        self.assertGreater(np.std(expected), 1e-4)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)

    def compare(self, ours):
        special = {word: self.words.index(word) for word in ("[CLS]", "[SEP]")}
        ids = torch.tensor(self.padded(lambda t: t, special["[CLS]"], special["[SEP]"])).long()
        real = (ids != 0).long()
        model = BertModel.from_pretrained(self.model, add_pooling_layer=False).eval()
        with torch.no_grad():  # a single segment, as in training
            theirs = model(input_ids=ids, attention_mask=real,
                           token_type_ids=torch.zeros_like(ids)).last_hidden_state
        theirs = (theirs * real[..., None]).numpy()
        difference = np.abs(ours - theirs).max()
        print(f"{len(PAIRS)} pairs, {real.sum()} tokens: hidden states of up to {np.abs(theirs).max():.3g} "
              f"differ by {difference:.3g}")
        # fp32 against fp32: dozens of successive sums in another order, roundings of 6e-8 (as in
        # torch_test.py).
        self.assertLess(difference, 5e-5)


if __name__ == "__main__":
    unittest.main()
