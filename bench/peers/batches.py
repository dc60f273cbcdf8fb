#!/usr/bin/env python3
"""Batches with the statistics of the real workload, from a seed, into one file that every peer and step_bench
read.

  batches.py --output batches.npz                                   64 batches of 64 pairs, 15.5 tokens each
  batches.py --output b.npz --pairs 256
  batches.py --output b.npz --pairs 16 --mean 230 --longest 512     long rows

tokens_k, targets_k: [B, T] int32 with T the longest row of batch k; 0 is padding, or no target.
"""
import argparse

import numpy as np

PAD, UNK, CLS, SEP, MASK, NO, YES = range(7)
FIRST_WORD = 7
VOCABULARY = 6413
SPREAD = 0.263  # std of log length; with mean 15.5: p50 15, p90 21, p99 27


def lengths(rng, pairs, mean, longest):
    median = mean / np.exp(SPREAD**2 / 2)
    drawn = np.rint(median * np.exp(SPREAD * rng.standard_normal(pairs)))
    return np.clip(drawn, 5, longest).astype(int)


def words(rng, count, probabilities):
    ids = FIRST_WORD + rng.choice(len(probabilities), count, p=probabilities)
    return np.where(rng.random(count) < 0.014, UNK, ids)


def batch(rng, pairs, mean, longest, probabilities):
    """[CLS] a [SEP] b [SEP]; 15 % of the words are targets, 80 % of them [MASK], 10 % another word; 72 % of
    rows labelled."""
    rows = lengths(rng, pairs, mean, longest)
    tokens = np.zeros((pairs, rows.max()), np.int32)
    targets = np.zeros_like(tokens)
    for i, n in enumerate(rows):
        row = words(rng, n, probabilities)
        seen, target = row.copy(), np.zeros(n, np.int64)
        kind = rng.random(n)
        target[kind < 0.15] = row[kind < 0.15]
        seen[kind < 0.12] = MASK
        other = (kind >= 0.135) & (kind < 0.15)
        seen[other] = FIRST_WORD + rng.integers(len(probabilities), size=other.sum())
        middle = rng.integers(2, n - 2)
        for place, token in ((0, CLS), (middle, SEP), (n - 1, SEP)):
            seen[place], target[place] = token, 0
        if rng.random() < 0.72:
            target[0] = NO if rng.random() < 0.64 else YES
        tokens[i, :n], targets[i, :n] = seen, target
    if not targets.any():  # at least one target: the loss is their mean
        targets[0, 0] = NO
    return tokens, targets


def make(path, count=64, pairs=64, mean=15.5, longest=35, vocabulary=VOCABULARY, seed=0):
    rng = np.random.default_rng(seed)
    weight = 1 / (np.arange(vocabulary - FIRST_WORD) + 10.0)  # Zipf
    arrays = {"vocabulary": np.array([vocabulary], np.int32)}
    for k in range(count):
        drawn = batch(rng, pairs, mean, longest, weight / weight.sum())
        arrays[f"tokens_{k}"], arrays[f"targets_{k}"] = drawn
    np.savez(path, **arrays)


def load(path):
    """The vocabulary's size, and a list of (tokens, targets)."""
    with np.load(path) as file:
        count = sum(name.startswith("tokens_") for name in file.files)
        batches = [(file[f"tokens_{k}"], file[f"targets_{k}"]) for k in range(count)]
        return int(file["vocabulary"][0]), batches


def describe(batches):
    rows = np.concatenate([(tokens != 0).sum(1) for tokens, _ in batches])
    return {
        "batches": len(batches),
        "pairs": len(batches[0][0]),
        "tokens": float(np.mean([(t != 0).sum() for t, _ in batches])),
        "targets": float(np.mean([(y != 0).sum() for _, y in batches])),
        "mean": float(rows.mean()),
        "p50, p90, p99, max": [float(x) for x in np.percentile(rows, [50, 90, 99, 100])],
        "fill": float(np.mean([(t != 0).mean() for t, _ in batches])),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", required=True, help="the .npz to be written")
    parser.add_argument("--count", type=int, default=64, help="batches")
    parser.add_argument("--pairs", type=int, default=64, help="rows of a batch")
    parser.add_argument("--mean", type=float, default=15.5, help="mean tokens of a row, with special ones")
    parser.add_argument("--longest", type=int, default=35, help="longer rows are cut")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    if a.count < 1 or a.pairs < 1 or a.longest < 5 or a.mean < 5 or a.vocabulary <= FIRST_WORD:
        parser.error("at least one batch of one pair, rows of 5 tokens, and a word are needed")
    make(a.output, a.count, a.pairs, a.mean, a.longest, a.vocabulary, a.seed)
    for name, value in describe(load(a.output)[1]).items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
