"""count_tokens_test.py BIN [unittest arguments]: count_tokens against counts by hand and by `tokenizers`."""
import gzip
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, "深", "度", "学", "习", "deep", "##er", "learn", "##ing", "cafe", "café", "Deep", ",", "。",
         "1", "##2"]

# Ideographs are separate words; uncased drops capitals and accents; 習 and 12345 are [UNK]; [MASK] is special.
TEXT = "深度学习,Deeper learning。\n\n学習 café 12 [MASK] 12345\n学 deep"
COUNTS = {"学": 3, "deep": 2, "深": 1, "度": 1, "习": 1, "##er": 1, "learn": 1, "##ing": 1, "cafe": 1, ",": 1,
          "。": 1, "1": 1, "##2": 1}
CASED = {"学": 3, "深": 1, "度": 1, "习": 1, "deep": 1, "##er": 1, "learn": 1, "##ing": 1, "café": 1, "Deep": 1,
         ",": 1, "。": 1, "1": 1, "##2": 1}


class CountTokens(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.vocab = self.write("vocab.txt", "\n".join(VOCAB) + "\n")
        self.corpus = self.write("corpus.txt", TEXT)
        self.output = self.dir / "counts.json"

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        (self.dir / name).write_bytes(text.encode())
        return self.dir / name

    def run_count(self, *args, code=0, stdin=b""):
        command = [BIN / "count_tokens", "--output", self.output, *args]
        done = subprocess.run(list(map(str, command)), capture_output=True, input=stdin, timeout=100)
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, stdout + stderr)
        self.assertEqual(stderr.count("\n"), 0 if code == 0 else 1, stderr)
        return stdout + stderr

    def count(self, *args, stdin=b""):
        self.report = self.run_count("--vocab", self.vocab, *args, stdin=stdin)
        return json.loads(self.output.read_text(encoding="utf-8"))

    def refuses(self, *args, message):
        self.assertIn(message, self.run_count(*args, code=1))
        self.assertFalse(self.output.exists())

    def test_by_hand(self):
        counts = self.count(self.corpus)
        self.assertEqual(counts, COUNTS)
        self.assertEqual(list(counts), list(COUNTS))  # by count, then by id
        self.assertIn("3 unknown or special", self.report)

    def test_cased(self):
        self.assertEqual(self.count(self.corpus, "--cased"), CASED)

    def test_several_files_compressed_and_standard_input(self):
        packed = self.dir / "corpus.txt.gz"
        packed.write_bytes(gzip.compress(TEXT.encode()))
        counts = self.count(self.corpus, packed, "-", stdin=TEXT.encode())
        self.assertEqual(counts, {token: 3 * n for token, n in COUNTS.items()})

    def test_larger_than_what_is_read_at_once(self):
        """More chunks than the processes hold at once."""
        self.write("corpus.txt", ("deep " * 1000 + "\n学习\n") * 140)  # 0.7 MB
        for threads in (1, 3):
            self.assertEqual(self.count(self.corpus, "--threads", threads),
                             {"deep": 140000, "学": 140, "习": 140})
        self.write("corpus.txt", "deep " * 100000 + "\n学 深")  # one line longer than a read; no final newline
        self.assertEqual(self.count(self.corpus), {"deep": 100000, "深": 1, "学": 1})

    @unittest.skipUnless(importlib.util.find_spec("tokenizers"), "the library tokenizers is not installed")
    def test_counts_against_tokenizers(self):
        from tokenizers import BertWordPieceTokenizer
        golden = ROOT / "tests/golden/tiny"
        words = golden.joinpath("vocab.txt").read_text(encoding="utf-8").split()
        vocab = {word: i for i, word in enumerate(words)}
        words = [word.removeprefix("##") for word in words if not word.startswith("[")]
        lines = ["".join(words[(i * j) % len(words)] + (" " if (i + j) % 3 == 0 else "")
                         for j in range(1, 30)).upper()
                 for i in range(1, 200)]
        self.write("corpus.txt",
                   "\n".join([*lines, "ÀÉ ñ\tx\u00a0y\u3000z \u200bq …—『』 a\u0301b ￥12 𠀀\ufffd\x07c"]))
        for cased in (False, True):
            tokenizer, expected = BertWordPieceTokenizer(vocab=vocab, lowercase=not cased), {}
            for line in self.corpus.read_text(encoding="utf-8").split("\n"):
                for token in tokenizer.encode(line, add_special_tokens=False).tokens:
                    expected[token] = expected.get(token, 0) + 1
            expected = {token: n for token, n in expected.items() if token not in SPECIAL}
            self.assertGreater(len(expected), 40)
            self.vocab = golden / "vocab.txt"
            self.assertEqual(self.count(self.corpus, *(["--cased"] if cased else [])), expected)

    def test_text_that_is_not_utf8(self):
        self.corpus.write_bytes("学\n习\n".encode() + "中文\n".encode("gbk") + TEXT.encode())
        self.refuses(self.corpus, "--vocab", self.vocab, message="corpus.txt: line 3 is not UTF-8")
        self.corpus.write_bytes((b"deep " * 99 + b"\n" * 2) * 800 + b"\xff\n" + b"deep\n" * 40000)
        self.refuses(self.corpus, "--vocab", self.vocab, message="corpus.txt: line 1601 is not UTF-8")

    def test_a_vocabulary_that_is_none(self):
        self.refuses(self.corpus, "--vocab", self.corpus, message="corpus.txt: line 2: no token")
        self.write("vocab.txt", "[PAD]\n[UNK]\n深\n[SEP]\n")
        self.refuses(self.corpus, "--vocab", self.vocab,
                     message="vocab.txt lacks [CLS], [MASK]: it is no BERT vocabulary")
        self.write("vocab.txt", "\n".join([*VOCAB, "学"]))
        self.refuses(self.corpus, "--vocab", self.vocab, message="line 21: '学' is there already, in line 8")
        self.write("vocab.txt", "")
        self.refuses(self.corpus, "--vocab", self.vocab, message="vocab.txt: no tokens")

    def test_damaged_gzip(self):
        packed = self.dir / "corpus.gz"
        for damaged in (gzip.compress(TEXT.encode())[:-9], TEXT.encode()):
            packed.write_bytes(damaged)
            self.refuses(packed, "--vocab", self.vocab, message="corpus.gz is no gzip file, or is damaged")

    def test_corpora_of_another_kind(self):
        for content, message in ((b"version https://git-lfs.github.com/spec/v1\noid",
                                  "corpus.txt: is a Git LFS pointer"),
                                 (b"PAR1\x15\4", "corpus.txt: is a Parquet file"),
                                 (TEXT.encode("utf-16"), "corpus.txt: is UTF-16")):
            self.corpus.write_bytes(content)
            self.refuses(self.corpus, "--vocab", self.vocab, message=message)

    def test_vocabularies_of_another_case_are_warned_of(self):
        self.write("tokenizer_config.json", '{"do_lower_case": false}')
        command = [BIN / "count_tokens", self.corpus, "--vocab", self.vocab, "--output", self.output]
        says = (f"warning: {self.vocab}: its tokenizer's configuration says cased text, "
                "but --cased is not given\n")
        self.assertEqual(subprocess.run(command, capture_output=True, text=True, check=True).stderr, says)
        done = subprocess.run([*command, "--cased"], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")

    def test_a_tokenizer_json(self):
        model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                 "vocab": {t: i for i, t in enumerate(VOCAB)}}
        self.vocab = self.write("tokenizer.json",
                                json.dumps({"normalizer": {"type": "BertNormalizer", "lowercase": True},
                                            "model": model}))
        self.assertEqual(self.count(self.corpus), COUNTS)

    def test_json_of_odd_tokens(self):
        self.write("vocab.txt", "\n".join([*VOCAB, '"', "\\"]))
        self.write("corpus.txt", '""" \\ deep deep')
        self.assertEqual(list(self.count(self.corpus).items()), [('"', 3), ("deep", 2), ("\\", 1)])

    def test_wrong_command_lines(self):
        for args, message in [([], "CORPUS is missing"), ([self.corpus, "--threads", "x"], "--threads"),
                              ([self.corpus, "--processes", "2"], "--processes")]:
            self.assertIn(message, self.run_count("--vocab", self.vocab, *args, code=2))
        usage = subprocess.run([BIN / "count_tokens", "--help"], capture_output=True, text=True,
                               check=True).stdout
        self.assertTrue(usage.startswith("Usage: count_tokens CORPUS ... --vocab FILE --output FILE "
                                         "[option ...]\n"), usage)

    def test_missing_and_empty_files(self):
        self.refuses(self.dir / "absent.txt", "--vocab", self.vocab, message="absent.txt")
        self.refuses(self.corpus, "--vocab", self.dir / "absent.txt", message="absent.txt")
        self.refuses(self.dir, "--vocab", self.vocab, message="is a folder")
        for text in (b"", b"unheard of\n"):
            self.corpus.write_bytes(text)
            self.refuses(self.corpus, "--vocab", self.vocab, message="no token in ")


if __name__ == "__main__":
    BIN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
