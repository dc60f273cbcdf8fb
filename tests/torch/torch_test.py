"""Compares with PyTorch: weights from transformers into inspect, and exported models into transformers.

torch_test.py BIN_DIR [unittest arguments]

It needs torch, transformers and numpy. WARPBERT_BASE=1 adds BERT-base.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def run(name, *args):
    done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sentence(rng, words):
    return [rng.choice(words) for _ in range(rng.randrange(1, 10))]


class Torch(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.temporary.name)
        torch.manual_seed(0)

    def tearDown(self):
        self.temporary.cleanup()

    def pretrained(self, vocabulary, **shape):
        """Saves a random model with vocabulary and counts in the format of transformers."""
        config = BertConfig(vocab_size=vocabulary, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
                            **shape)
        model = BertForMaskedLM(config)
        with torch.no_grad():  # nontrivial biases and gammas
            for p in model.parameters():
                if p.ndim == 1:
                    p.add_(0.1 * torch.randn_like(p))
        model.save_pretrained(self.dir)
        tokens = SPECIAL + [f"w{i}" for i in range(vocabulary - 5)]
        (self.dir / "vocab.txt").write_text("\n".join(tokens) + "\n")
        counts = {t: 10 * len(tokens) - i for i, t in enumerate(tokens[5:])}
        (self.dir / "counts.json").write_text(json.dumps(counts))
        return model

    def configuration(self, words, rows, **options):
        rng = random.Random(0)
        words = list(words)
        # Each word once.
        lines = [f"{' '.join(map(str, words[i : i + 15]))}\t{words[0]}\t1" for i in range(0, len(words), 15)]
        for i in range(rows):
            lines.append("\t".join(" ".join(map(str, sentence(rng, words))) for _ in range(2)) + f"\t{i % 2}")
        (self.dir / "train.tsv").write_text("\n".join(lines) + "\n")
        ini = ("[data]\ntrain = train.tsv\nmin_count = 1\nvocab = vocab.txt\ncounts = counts.json\n"
               "[train]\nprecision = fp32\n")
        path = self.dir / "run.ini"
        path.write_text(ini + "".join(f"{key} = {value}\n" for key, value in options.items()))
        return path

    def batch(self, rng, vocabulary, rows):
        """Padded token and target ids; targets are about every sixth token and [CLS] of every second row."""
        pairs = [[2] + sentence(rng, range(7, vocabulary)) + [3] + sentence(rng, range(7, vocabulary)) + [3]
                 for _ in range(rows)]
        tokens = np.zeros((rows, max(map(len, pairs))), np.int32)
        targets = np.zeros_like(tokens)
        for i, pair in enumerate(pairs):
            tokens[i, : len(pair)] = pair
            for j, token in enumerate(pair):
                if token > 6 and rng.random() < 0.17:
                    targets[i, j], tokens[i, j] = token, 4
            targets[i, 0] = 5 + i % 4 if i % 4 < 2 else 0
        return tokens, targets

    def compare(self, vocabulary, words, rows, **shape):
        """Largest differences from PyTorch of loss, logits, hidden states and gradients; same weights."""
        model = self.pretrained(vocabulary, **shape)
        ini = self.configuration(range(100, 100 + words), 400)
        tokens, targets = self.batch(random.Random(1), 7 + words, rows)
        np.savez(self.dir / "batch.npz", tokens_0=tokens, targets_0=targets)
        begin = time.time()
        run("inspect", "--config", ini, "--batch", self.dir / "batch.npz", "--output", self.dir / "out.npz",
            "--model.weights=" + str(self.dir / "model.safetensors"))
        ours, seconds = np.load(self.dir / "out.npz"), time.time() - begin

        # Aligned model: special tokens, then the words by frequency, which is vocab.txt's order in
        # counts.json.
        keep = torch.tensor([0, 1, 2, 3, 4, 1, 1] + list(range(5, 5 + words)))
        with torch.no_grad():
            bias = model.cls.predictions.bias[keep].clone()
            table = model.bert.embeddings.word_embeddings.weight[keep].clone()
        model.resize_token_embeddings(len(keep), mean_resizing=False)
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight.copy_(table)
            model.cls.predictions.bias.copy_(bias)
        t, y = torch.tensor(tokens).long(), torch.tensor(targets).long()
        out = model(input_ids=t, attention_mask=(t != 0).long(), output_hidden_states=True)
        logits = out.logits[y != 0]
        loss = torch.nn.functional.cross_entropy(logits, y[y != 0])
        loss.backward()
        hidden = (out.hidden_states[-1] * (t != 0)[..., None]).detach().numpy()
        result = {
            "loss": abs(ours["loss"][0] - loss.item()),
            "logits": np.abs(ours["logits"] - logits.detach().numpy()).max(),
            "hidden": np.abs(ours["hidden"] - hidden).max(),
            "gradient": 0.0,
            "seconds": seconds,
        }
        compared = 0
        for name, p in model.named_parameters():
            if name.startswith("cls.predictions.decoder") or name.endswith("key.bias"):  # tied; gradient 0
                continue
            theirs = p.grad.numpy()
            result["gradient"] = max(result["gradient"],
                                     np.abs(ours["grad/" + name] - theirs).max() / np.abs(theirs).max())
            compared += 1
        self.assertEqual(compared, 10 + 15 * shape["num_hidden_layers"])
        print(f"\n{shape}: " + ", ".join(f"{k} {v:.3g}" for k, v in result.items()), flush=True)
        return result

    def check(self, r):
        # fp32 against fp32: dozens of successive sums in another order, roundings of 6e-8.
        self.assertLess(r["loss"], 5e-6)
        self.assertLess(r["logits"], 5e-5)
        self.assertLess(r["hidden"], 5e-5)
        self.assertLess(r["gradient"], 1e-5)

    def test_small_model_equals_pytorch(self):
        r = self.compare(300, 230, 12, hidden_size=96, num_hidden_layers=3, num_attention_heads=3,
                         intermediate_size=200, max_position_embeddings=40)
        self.check(r)

    @unittest.skipUnless(os.environ.get("WARPBERT_BASE"), "minutes and gigabytes: WARPBERT_BASE=1")
    def test_base_model_equals_pytorch(self):
        r = self.compare(21128, 6400, 64, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
                         intermediate_size=3072)
        self.check(r)

    def test_transformers_loads_an_export(self):
        self.pretrained(60, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
                        max_position_embeddings=40)
        ini = self.configuration(range(100, 150), 200, epochs=1, batch=16, lr="1e-3")
        run("train", "--config", ini, f"--model.weights={self.dir}/model.safetensors", "--train.epochs=1")
        run("export", "--run", self.dir / "runs/run", "--output", self.dir / "hf")
        model = BertForMaskedLM.from_pretrained(self.dir / "hf").eval()
        tokenizer = BertTokenizer.from_pretrained(self.dir / "hf")

        rows = [line.split("\t")[:2] for line in (self.dir / "train.tsv").read_text().splitlines()][:40]
        encoded = tokenizer([a for a, _ in rows], [b + " 99999" for _, b in rows], padding=True,
                            return_tensors="pt")
        unknown = (encoded.input_ids == tokenizer.unk_token_id).sum().item()
        self.assertEqual(unknown, len(rows))  # only 99999: an unseen id is one [UNK], not word pieces
        vocabulary = (self.dir / "hf/vocab.txt").read_text().split()
        self.assertEqual(tokenizer.convert_ids_to_tokens(range(len(vocabulary))), vocabulary)

        tokens = encoded.input_ids.numpy().astype(np.int32)
        targets = np.where(tokens > 6, tokens, 0).astype(np.int32)
        np.savez(self.dir / "batch.npz", tokens_0=tokens, targets_0=targets)
        run("inspect", "--config", ini, "--batch", self.dir / "batch.npz", "--output", self.dir / "out.npz",
            f"--model.weights={self.dir}/runs/run/best.npz", "--model.heads=4")
        with torch.no_grad():
            t = encoded.input_ids
            theirs = model(input_ids=t, attention_mask=(t != 0).long()).logits
        ours = np.load(self.dir / "out.npz")["logits"]
        difference = np.abs(ours - theirs.numpy()[targets != 0]).max()
        print(f"\nexported logits differ by at most {difference:.3g}", flush=True)
        self.assertLess(difference, 1e-5)

        (self.dir / "score.tsv").write_text("".join(f"{a}\t{b} 99999\n" for a, b in rows))
        run("predict", "--run", self.dir / "runs/run", "--input", self.dir / "score.tsv",
            "--output", self.dir / "scores.csv")
        p = torch.softmax(theirs[:, 0], -1)
        expected = (p[:, 6] / (p[:, 5] + p[:, 6] + 1e-8)).numpy()
        self.assertLess(np.abs(np.loadtxt(self.dir / "scores.csv") - expected).max(), 1e-5)


if __name__ == "__main__":
    unittest.main()
