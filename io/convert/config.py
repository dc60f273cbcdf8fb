"""Settings that only a model's configuration file holds: number of heads, activation, LayerNorm's ε."""
from __future__ import annotations

import json
import sys
from pathlib import Path

from arrays import ConvertError

# Key of Google and Hugging Face, then of UER.
KEYS = {
    "layers": ("num_hidden_layers", "layers_num"),
    "heads": ("num_attention_heads", "heads_num"),
    "V": ("vocab_size",),
    "P": ("max_position_embeddings",),
    "H": ("hidden_size",),
    "I": ("intermediate_size", "feedforward_size"),
    "hidden_act": ("hidden_act",),
    "ln_eps": ("layer_norm_eps",),
}
GELU_ERF = {"gelu", "gelu_python"}
GELU_TANH = {"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"}  # differ by 5e-4 at most


def warn(message: str) -> None:
    print(f"convert.py: warning: {message}", file=sys.stderr)


def beside(source: str) -> str | None:
    """Configuration file in the source's folder, under Google's or Hugging Face's name."""
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    return next((str(folder / name) for name in ("bert_config.json", "config.json") if (folder / name).exists()), None)


def read_config(path: str) -> dict:
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConvertError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConvertError(f"{path} is not a model's configuration")
    found = {ours: [values[key] for key in keys if key in values] for ours, keys in KEYS.items()}
    config = {ours: value[0] for ours, value in found.items() if value}
    for key in set(config) - {"hidden_act"}:
        if type(config[key]) not in (int, float) or config[key] <= 0:
            raise ConvertError(f"{path}: {KEYS[key][0]} is {config[key]!r}, not a positive number")
    return config


def check_activation(act: object, path: str) -> None:
    if act in GELU_TANH:
        warn(f"{path}: hidden_act is {act}, the tanh form of GELU; training computes the erf form (off by 5e-4 at "
             "most)")
    elif act not in GELU_ERF:
        raise ConvertError(f"{path}: hidden_act is {act}; only BERTs with GELU can be trained, since other weights "
                           "belong to another function")


def check_sizes(config: dict, sizes: dict[str, int], path: str) -> None:
    """Compares sizes with the configuration: nothing else reveals lost layers or another model's file."""
    for key, value in sizes.items():
        if config.get(key, value) != value:
            raise ConvertError(f"{path} says {KEYS[key][0]} {config[key]}, the arrays say {value}: one of the two "
                               "belongs to another model (--config names the right one)")
    if sizes["H"] % config.get("heads", 1):
        raise ConvertError(f"{path}: {config['heads']} heads do not divide hidden size {sizes['H']}")
