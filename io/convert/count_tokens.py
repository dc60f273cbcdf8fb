#!/usr/bin/env python3
"""Counts the WordPiece tokens of plain-text corpora, for the order in which a pretrained embedding is aligned.

CORPUS is UTF-8 text, .gz or not; `-` is standard input. The words are cut as BERT cuts them, by the `tokenizers`
library. Special tokens and [UNK] are not counted: they are no words of the corpus. See docs/weights.md.
"""
from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import zlib
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import BinaryIO, Iterator

import numpy as np

try:
    from tokenizers import BertWordPieceTokenizer
except ImportError:
    sys.exit("count_tokens.py: error: the library `tokenizers` is missing (pip install tokenizers)")

CHUNK = 1 << 17  # bytes of text that a worker takes at a time: about 0.1 s of work
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class CountError(Exception):
    """The input is at fault; the message names the file and the line."""


def read_vocab(path: str) -> dict[str, int]:
    """The first word of each line, as bert4keras reads it; an id is a line's number from 0."""
    vocab: dict[str, int] = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file):
            token = (line.split() or [""])[0]
            if vocab.setdefault(token, number) != number:
                raise CountError(f"{path}: line {number + 1}: {token!r} stands in line {vocab[token] + 1} already")
    missing = [token for token in SPECIAL if token not in vocab]
    if missing:
        raise CountError(f"{path} lacks {', '.join(missing)}: it is no BERT vocabulary")
    return vocab


def open_corpus(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    return gzip.open(path) if path.endswith(".gz") else open(path, "rb")


def chunks(path: str) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines)."""
    line = 1
    try:
        with open_corpus(path) as file:
            while text := file.read(CHUNK) + file.readline():
                yield line, text
                line += text.count(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CountError(f"{path} is no gzip file, or is damaged ({error})") from error


tokenizer: BertWordPieceTokenizer  # of a worker process


def start_worker(vocab: dict[str, int], lowercase: bool) -> None:
    global tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    tokenizer = BertWordPieceTokenizer(vocab=vocab, lowercase=lowercase)


def count_chunk(path: str, line: int, text: bytes) -> np.ndarray:
    """Counts by token id."""
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line += text.count(b"\n", 0, error.start)
        raise CountError(f"{path}: line {line} is not UTF-8") from None
    encodings = tokenizer.encode_batch(lines, add_special_tokens=False)
    ids = np.concatenate([np.array(encoding.ids, dtype=np.int64) for encoding in encodings])
    return np.bincount(ids, minlength=tokenizer.get_vocab_size())


def count(paths: list[str], vocab: dict[str, int], lowercase: bool, processes: int) -> np.ndarray:
    """Holds a few chunks per process, however long the corpus."""
    total = np.zeros(len(vocab), dtype=np.int64)
    pending = deque()
    with ProcessPoolExecutor(processes, initializer=start_worker, initargs=(vocab, lowercase)) as pool:
        for path in paths:
            for line, text in chunks(path):
                pending.append(pool.submit(count_chunk, path, line, text))
                if len(pending) == 4 * processes:
                    total += pending.popleft().result()
        for counts in pending:
            total += counts.result()
    return total


def write_counts(path: str, vocab: dict[str, int], total: np.ndarray) -> None:
    """{token: count} of the tokens that occur, the most frequent first; equal counts by id."""
    words = [(token, int(total[number])) for token, number in vocab.items() if total[number] and token not in SPECIAL]
    words.sort(key=lambda word: -word[1])
    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            json.dump(dict(words), file, ensure_ascii=False)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def main() -> int:
    parser = argparse.ArgumentParser(prog="count_tokens.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS", nargs="+")
    parser.add_argument("--vocab", required=True, metavar="vocab.txt", help="of the pretrained BERT")
    parser.add_argument("--output", required=True, metavar="counts.json")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents, for a cased BERT")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="N", help="default: one per core")
    arguments = parser.parse_args()
    if arguments.processes < 1:
        parser.error("--processes must be at least 1")
    try:
        vocab = read_vocab(arguments.vocab)
        total = count(arguments.corpus, vocab, not arguments.cased, arguments.processes)
        if not total.sum():
            raise CountError(f"no token in {', '.join(arguments.corpus)}")
        write_counts(arguments.output, vocab, total)
    except CountError as error:
        print(f"count_tokens.py: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"count_tokens.py: error: {error.filename or arguments.output}: {error.strerror}", file=sys.stderr)
        return 1
    special = total[[vocab[token] for token in SPECIAL]].sum()
    print(f"{arguments.output}: {np.count_nonzero(total):,} distinct of {len(vocab):,} tokens, {total.sum():,} in all, "
          f"of them {special:,} unknown or special, which are left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
