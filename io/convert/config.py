"""Settings that only a model's configuration file holds: number of heads, activation, LayerNorm's ε."""
from __future__ import annotations

import json
import sys
from pathlib import Path

from arrays import ConvertError, parse_json, refuse_foreign

# Key of Google and Hugging Face, of UER, and of an .npz of ours.
KEYS = {
    "layers": ("num_hidden_layers", "layers_num", "layers"),
    "heads": ("num_attention_heads", "heads_num", "heads"),
    "V": ("vocab_size",),
    "P": ("max_position_embeddings",),
    "H": ("hidden_size",),
    "I": ("intermediate_size", "feedforward_size"),
    "hidden_act": ("hidden_act",),
    "ln_eps": ("layer_norm_eps", "ln_eps"),
}
# The value that the engine computes, and the advice for others; null is as good as a missing key.
BERT = "BERT's erf-GELU and absolute positions are"
ENCODER = "an encoder is, where each word sees all others"
RUN = {
    "model_type": ("bert", "BERT is; if the model is one, change the entry"),
    "position_embedding_type": ("absolute", BERT),
    "is_decoder": (False, ENCODER),
    "add_cross_attention": (False, ENCODER),
    "tie_word_embeddings": (
        True, "the word embedding is the output matrix; --drop-output-matrix makes it so"),
}
GELU_ERF = {"gelu", "gelu_python"}
GELU_TANH = {"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"}  # differ by 5e-4 at most


def warn(message: str) -> None:
    print(f"convert.py: warning: {message}", file=sys.stderr)


def beside(source: str) -> str | None:
    """Configuration file in the source's folder, under Google's or Hugging Face's name."""
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    return next((str(folder / name) for name in ("bert_config.json", "config.json")
                 if (folder / name).exists()), None)


def find(source: str, given: str | None, meta: dict, tie: bool) -> tuple[dict, str]:
    """The configuration and its name: of the file that was given, of an .npz of ours, or of a file beside.

    tie: the output matrix is dropped, so that tie_word_embeddings does not matter.
    """
    file = given or (None if "heads" in meta else beside(source))
    values, name = (read_json(file), file) if file else (meta, f"{source}: __meta__")
    return interpret({**values, "tie_word_embeddings": True} if tie else values, name), name


def read_json(path: str) -> dict:
    try:
        values = parse_json(Path(path).read_text(encoding="utf-8-sig"))  # with or without a BOM
    except ValueError as error:
        refuse_foreign(path)
        raise ConvertError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConvertError(f"{path} is not a model's configuration")
    return values


def refuse(path: str, key: str, value: object, run: str) -> None:
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    raise ConvertError(f"{path}: {key} = {text} is not run here; {run}")


def interpret(values: dict, path: str) -> dict:
    """Our keys of a configuration. Refuses models that are not computed here."""
    for key, (only, run) in RUN.items():
        if key in values and values[key] not in (only, None):
            refuse(path, key, values[key], run)
    found = {ours: [values[key] for key in keys if key in values] for ours, keys in KEYS.items()}
    config = {ours: value[0] for ours, value in found.items() if value}
    for key in set(config) - {"hidden_act"}:
        if type(config[key]) not in (int, float) or config[key] <= 0:
            raise ConvertError(f"{path}: {KEYS[key][0]} is {config[key]!r}, not a positive number")
    return config


def check_activation(act: object, path: str) -> None:
    if act in GELU_TANH:
        warn(f"{path}: hidden_act = {act}, the tanh form of GELU; "
             "training computes the erf form (off by 5e-4 at most)")
    elif act not in GELU_ERF:
        refuse(path, "hidden_act", act, BERT)


def check_sizes(config: dict, sizes: dict[str, int], path: str) -> None:
    """Compares sizes with the configuration: nothing else reveals lost layers or another model's file."""
    if config.get("V", sizes["V"]) < sizes["V"]:
        warn(f"{path}: vocab_size = {config['V']}, but the word embedding has {sizes['V']} rows; the last "
             f"{sizes['V'] - config['V']} are taken for padding")
        config = {**config, "V": sizes["V"]}
    for key, value in sizes.items():
        if config.get(key, value) != value:
            raise ConvertError(f"{path} says {KEYS[key][0]} {config[key]}, the arrays say {value}: "
                               "one of the two belongs to another model (--config names the right one)")
    if sizes["H"] % config.get("heads", 1):
        raise ConvertError(f"{path}: {config['heads']} heads do not divide hidden size {sizes['H']}")
