"""wordpiece_test.py TOOL [unittest arguments]: compares io/wordpiece.cpp with the `tokenizers` library.

Lines are generated from a seed. The vocabulary is derived from them, or read from the folder $WARPBERT_MINILM
(docs/minilm.md).
"""
import importlib.util
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata
import unittest

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Excludes unassigned code points, because the libraries implement different Unicode versions.
ASSIGNED = [chr(c) for c in range(1, 0x110000)
            if c != 10 and unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
RANGES = [(0x20, 0x7e), (0x20, 0x7e), (0x61, 0x7a), (0x61, 0x7a), (0x4e00, 0x9fff), (0x4e00, 0x4eff),
          (0xc0, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0xdff), (0xe00, 0xfff),
          (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x2bff), (0x3000, 0x30ff), (0x3400, 0x34ff),
          (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe00, 0xffef), (0x1d15e, 0x1d1ff), (0x1f300, 0x1faff),
          (0x20000, 0x200ff), (0x2b810, 0x2b930)]
WORDS = ["learning", "Deep", "UNAFFABLE", "café", "naïve", "İstanbul", "ΟΔΟΣ", "straße", "don't", "e-mail",
         "深度学习", "中文。", "你好，", "[MASK]", "[SEP]", "[mask]", "[[CLS]]", "[UNK", "\t", "\r", "\u200b", "\u00ad",
         "\ufeff", "👩\u200d👩\u200d👧", "🇩🇪", "한국어", "ไทย", "हिन्दी", "x" * 100, "x" * 101, "é" * 101, "12345",
         "3.14", "…", "￥", "##ing", "#", "\ufffd", "\x00", "\x7f"]


def make_line(rng):
    kinds = [[c for c in map(chr, range(low, high + 1)) if c in IS_ASSIGNED]
             for low, high in rng.choices(RANGES, k=3)]
    kinds.append(ASSIGNED)
    line = ""
    for _ in range(rng.randint(0, 12)):
        if rng.random() < 0.4:
            line += rng.choice(WORDS)
        else:
            line += "".join(rng.choices(rng.choice(kinds), k=rng.randint(1, 6)))
        line += rng.choice(["", "", " ", " ", "  ", "\u3000", "\u0301"])
    return line


IS_ASSIGNED = set(ASSIGNED)


@unittest.skipUnless(importlib.util.find_spec("tokenizers"), "the library tokenizers is not installed")
class BesideTokenizers(unittest.TestCase):
    def make_vocab(self, lines, rng, folder):
        """Random pieces of the normalized lines, so that words split in many ways."""
        from tokenizers.normalizers import BertNormalizer
        pieces = set()
        for lowercase in (False, True):
            normalizer = BertNormalizer(lowercase=lowercase)
            for word in " ".join(map(normalizer.normalize_str, lines)).split():
                start, end = sorted(rng.sample(range(len(word) + 1), 2)) if len(word) > 1 else (0, 1)
                pieces |= {word[start:end], "##" + word[start:end], "##" + word[-1], word[0]}
        path = pathlib.Path(folder) / "vocab.txt"
        path.write_text("\n".join([*SPECIAL, *sorted(pieces - set(SPECIAL) - {"##"})]) + "\n",
                        encoding="utf-8")
        return path

    def compare(self, path, lines):
        from tokenizers import BertWordPieceTokenizer
        vocab = {token: i for i, token in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1])}
        for case in ("cased", "uncased"):
            theirs = BertWordPieceTokenizer(vocab=vocab, lowercase=case == "uncased")
            expected = [e.ids for e in theirs.encode_batch(lines, add_special_tokens=False)]
            done = subprocess.run([TOOL, path, case], input="".join(line + "\n" for line in lines).encode(),
                                  stdout=subprocess.PIPE, check=True)
            ours = [list(map(int, line.split())) for line in done.stdout.decode().split("\n")[:-1]]
            self.assertEqual(len(ours), len(lines))
            for line, a, b in zip(lines, ours, expected):
                self.assertEqual(a, b, f"{case}: {line!r}")
            unknown = sum(ids.count(vocab["[UNK]"]) for ids in expected) / sum(map(len, expected))
            print(f"{case}: {len(lines)} lines, {sum(map(len, expected))} tokens, {unknown:.0%} [UNK]",
                  file=sys.stderr)
            self.assertLess(unknown, 0.9)

    def test_wordpiece_beside_tokenizers(self):
        rng = random.Random(20240607)
        lines = [make_line(rng) for _ in range(10000)]
        with tempfile.TemporaryDirectory() as folder:
            self.compare(self.make_vocab(lines, rng, folder), lines)

    def test_wordpiece_of_every_character(self):
        lines = [f"a{c}b {c} {c}\u0301" for c in ASSIGNED]
        with tempfile.TemporaryDirectory() as folder:
            self.compare(self.make_vocab(lines, random.Random(1), folder), lines)

    @unittest.skipUnless(os.environ.get("WARPBERT_MINILM"), "WARPBERT_MINILM=<folder of the published model>")
    def test_wordpiece_with_a_published_vocabulary(self):
        rng = random.Random(20240608)
        self.compare(pathlib.Path(os.environ["WARPBERT_MINILM"]) / "vocab.txt",
                     [make_line(rng) for _ in range(10000)])


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
