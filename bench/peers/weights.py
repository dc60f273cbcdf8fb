"""Weights by Hugging Face's names: random ones from a seed, and to and from .safetensors."""
import numpy as np
import torch
from safetensors.numpy import load_file, save_file

FIRST_WORD = 7
SIZES = {
    "tiny": dict(layers=2, hidden=64, heads=4, intermediate=128, positions=64),
    "base": dict(layers=12, hidden=768, heads=12, intermediate=3072, positions=512),
    "large": dict(layers=24, hidden=1024, heads=16, intermediate=4096, positions=512),
}
WORDS = "bert.embeddings.word_embeddings.weight"
OUTPUT_BIAS = "cls.predictions.bias"


def shapes(vocabulary, layers, hidden, heads, intermediate, positions):
    def norm(name):
        return {f"{name}.LayerNorm.weight": (hidden,), f"{name}.LayerNorm.bias": (hidden,)}

    def dense(name, out, inner):
        return {f"{name}.weight": (out, inner), f"{name}.bias": (out,)}

    found = {WORDS: (vocabulary, hidden), "bert.embeddings.position_embeddings.weight": (positions, hidden)}
    found |= {"bert.embeddings.token_type_embeddings.weight": (2, hidden)} | norm("bert.embeddings")
    for i in range(layers):
        at = f"bert.encoder.layer.{i}"
        for name in ("query", "key", "value"):
            found |= dense(f"{at}.attention.self.{name}", hidden, hidden)
        found |= dense(f"{at}.attention.output.dense", hidden, hidden) | norm(f"{at}.attention.output")
        found |= dense(f"{at}.intermediate.dense", intermediate, hidden)
        found |= dense(f"{at}.output.dense", hidden, intermediate) | norm(f"{at}.output")
    found |= dense("cls.predictions.transform.dense", hidden, hidden) | norm("cls.predictions.transform")
    return found | {OUTPUT_BIAS: (vocabulary,)}


def random_weights(vocabulary, shape, seed=0, vectors=0.0):
    """N(0, 0.02) matrices, biases 0, gains 1; `vectors` is the deviation of what is added to biases and
    gains."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, extent in shapes(vocabulary, **shape).items():
        noise = rng.standard_normal(extent, np.float32)
        start = 1 if name.endswith("LayerNorm.weight") else 0
        weights[name] = 0.02 * noise if len(extent) == 2 else start + np.float32(vectors) * noise
    return weights


def save(path, weights):
    """With a vocabulary, so that warpbert's programs take the rows as they are and align nothing."""
    ids = np.arange(100, 100 + len(weights[WORDS]) - FIRST_WORD, dtype=np.int64)
    save_file(weights | {"vocab/cipher_ids": ids}, path)


def load(path):
    return {name: array for name, array in load_file(path).items() if not name.startswith("vocab/")}


def padded(vocabulary):
    return -(-vocabulary // 64) * 64


def pad_vocabulary(weights):
    """Rows of zeros up to a multiple of 64, for GEMMs with aligned rows, and biases of -10,000: their
    probability and all their gradients are exactly 0, so that loss and steps are those of the real
    vocabulary."""
    table, bias = weights[WORDS], weights[OUTPUT_BIAS]
    extra = padded(len(table)) - len(table)
    table = np.concatenate([table, np.zeros((extra, table.shape[1]), np.float32)])
    return weights | {WORDS: table, OUTPUT_BIAS: np.concatenate([bias, np.full(extra, -1e4, np.float32)])}


def shape_of(weights, heads):
    layers = sum(name.endswith("attention.self.query.weight") for name in weights)
    intermediate, hidden = weights["bert.encoder.layer.0.intermediate.dense.weight"].shape
    positions = len(weights["bert.embeddings.position_embeddings.weight"])
    return dict(layers=layers, hidden=hidden, heads=heads, intermediate=intermediate, positions=positions)


def tensors(weights):
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
