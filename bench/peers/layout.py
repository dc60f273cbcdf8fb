"""Batches in static shapes, as compiled steps and captured graphs need them, in one buffer for one copy.

Each batch gets a shape from a few buckets. Padding never touches real tokens: in the packed layout it forms
sequences of its own after the real ones, in the padded layout it is masked. Padding targets are labelled
-100.
"""
from dataclasses import dataclass

import numpy as np
import torch

IGNORED = -100  # cross_entropy's ignore_index


@dataclass(frozen=True)
class Shape:
    rows: int  # activation rows: packed tokens, or sequences * length
    sequences: int
    length: int  # longest sequence
    targets: int


def round_up(n, multiple):
    return -(-n // multiple) * multiple


def token_capacity(tokens):
    """Our own step's buckets (train/data/batch.cpp)."""
    return round_up(max(tokens, 1), 16 if tokens <= 128 else max(128, (1 << (tokens - 1).bit_length()) // 16))


def target_capacity(targets):
    return round_up(max(targets, 1), 16 if targets <= 64 else 64)


def capacities(sizes, bucket, rare=0.05):
    """Rounds each size up, to a multiple or by a function. A bucket with less than `rare` of the batches
    joins the next larger one, because each costs a compilation and a graph."""
    chosen = np.array([bucket(n) if callable(bucket) else round_up(n, bucket) for n in sizes])
    for size in sorted(set(chosen))[:-1]:
        if (chosen == size).mean() < rare:
            chosen[chosen == size] = min(c for c in chosen if c > size)
    return chosen.tolist()


class Fields:
    """Named arrays in one buffer of bytes."""

    def __init__(self, arrays):
        self.places, end = {}, 0
        for name, array in arrays.items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            self.places[name] = (end, tensor.nbytes, tensor.dtype, tensor.shape)
            end = round_up(end + tensor.nbytes, 16)
        self.bytes = end

    def fill(self, buffer, arrays):
        for name, view in self.views(buffer).items():
            view.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))

    def views(self, buffer):
        places = self.places.items()
        return {name: buffer[at : at + n].view(dtype).view(shape) for name, (at, n, dtype, shape) in places}


def _gathered(rows, labels, capacity):
    """Row of each target in the activations, and its label, up to the capacity."""
    target_rows, target_labels = np.zeros(capacity, np.int64), np.full(capacity, IGNORED, np.int64)
    target_rows[: len(rows)], target_labels[: len(rows)] = rows, labels
    return {"target_rows": target_rows, "labels": target_labels}


def target_capacities(batches, others, rare=0.05):
    """Our step's buckets of targets. A pair of buckets is a shape: one with less than `rare` of the batches
    joins the next larger bucket of targets that has the same other size."""
    chosen = [target_capacity(int((labels != 0).sum())) for _, labels in batches]
    for other in sorted(set(others)):
        here = [k for k, size in enumerate(others) if size == other]
        sizes = capacities([chosen[k] for k in here], lambda n: n, rare * len(others) / len(here))
        for k, size in zip(here, sizes):
            chosen[k] = size
    return chosen


def packed(batches, token_bucket=token_capacity):
    """Real tokens back to back, with each row's index in a [sequences, length] grid, and the inverse."""
    counts = [int((tokens != 0).sum()) for tokens, _ in batches]
    rows = capacities(counts, token_bucket)
    length = round_up(max(tokens.shape[1] for tokens, _ in batches), 8)
    padding = max(-(-(capacity - n) // length) for capacity, n in zip(rows, counts))
    for (tokens, labels), capacity, targets in zip(batches, rows, target_capacities(batches, rows)):
        shape = Shape(capacity, len(tokens) + padding, length, targets)
        yield shape, _pack(tokens, labels, shape)


def _pack(tokens, labels, shape):
    real = tokens != 0
    ends = np.cumsum(real.sum(1))
    padding = shape.sequences - len(tokens)
    padding_ends = np.minimum(ends[-1] + shape.length * np.arange(1, padding + 1), shape.rows)
    ends = np.concatenate([[0], ends, padding_ends])
    ids, wanted = np.zeros(shape.rows, np.int64), np.zeros(shape.rows, np.int64)
    ids[: real.sum()], wanted[: real.sum()] = tokens[real], labels[real]
    sequence = np.repeat(np.arange(shape.sequences), np.diff(ends))
    positions = np.arange(shape.rows) - ends[sequence]
    to_packed = sequence * shape.length + positions
    to_grid = np.zeros(shape.sequences * shape.length, np.int64)  # empty places read row 0, masked
    to_grid[to_packed] = np.arange(shape.rows)
    target_rows = np.flatnonzero(wanted)
    fields = {"ids": ids, "positions": positions, "starts": ends.astype(np.int32), "to_packed": to_packed,
              "to_grid": to_grid}
    return fields | _gathered(target_rows, wanted[target_rows], shape.targets)


def padded(batches, length_bucket=8):
    """[sequences, length] with padding, the head's rows gathered."""
    lengths = capacities([tokens.shape[1] for tokens, _ in batches], length_bucket)
    for (tokens, labels), length, targets in zip(batches, lengths, target_capacities(batches, lengths)):
        ids, wanted = _pad(tokens, length), _pad(labels, length).ravel()
        rows = np.flatnonzero(wanted)
        shape = Shape(ids.size, len(ids), length, targets)
        yield shape, {"ids": ids} | _gathered(rows, wanted[rows], targets)


def transformers(batches, length_bucket=8):
    """[sequences, length] with a label at every position, for BertForMaskedLM."""
    rare = 0 if length_bucket == 1 else 0.05
    lengths = capacities([tokens.shape[1] for tokens, _ in batches], length_bucket, rare)
    for (tokens, labels), length in zip(batches, lengths):
        ids, wanted = _pad(tokens, length), _pad(labels, length)
        labels = np.where(wanted == 0, IGNORED, wanted)
        yield Shape(ids.size, len(ids), length, ids.size), {"ids": ids, "labels": labels}


def _pad(array, length):
    return np.pad(array, ((0, 0), (0, length - array.shape[1]))).astype(np.int64)
