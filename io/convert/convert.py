#!/usr/bin/env python3
"""Converts a pretrained BERT to the .npz that training starts from.

SOURCE is a TensorFlow checkpoint (its prefix or its folder), a .safetensors, .bin or .npz file (Hugging
Face, UER or TencentPretrain), an .index.json of shards, or a folder with one of these. See docs/weights.md.
"""
from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import re
import sys
from pathlib import Path

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"convert.py: error: NumPy is missing ({error}); install python3-numpy (Debian) or numpy (pip)")

import config as configuration
from arrays import Array, ConvertError, Source, require_float
from file_kind import PYTORCH, ZIP, foreign_kind
from names import HEAD, LAYOUTS, OUTPUT_BIAS, SEGMENTS, WORDS, Layout, Name, encoder, modern, wrapper
from tf_checkpoint import read_checkpoint
from torch_files import read_npz, read_safetensors, read_sharded, read_torch

# Tied copies may have been rounded differently in files: to another type, or in float32.
TIED_TOLERANCE = 1e-6
ROUNDING = {"bfloat16": 2.0**-7, "float16": 2.0**-10}


def listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def locate(source: str) -> str:
    """File that holds the arrays: a folder's model, a checkpoint's .index, else the source itself."""
    if os.path.isdir(source):
        for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                     "pytorch_model.bin.index.json"):
            if os.path.exists(os.path.join(source, name)):
                return os.path.join(source, name)
        found = sorted(map(str, Path(source).glob("*.index"))) or sorted(map(str, Path(source).glob("*.bin")))
        if len(found) != 1:
            several = f"several models ({listed(found)}); name one"
            raise ConvertError(f"{source} holds {several if found else 'no model that is known here'}")
        return found[0]
    prefix = re.sub(r"\.(index|data-\d+-of-\d+)$", "", source)
    if os.path.exists(prefix + ".index"):
        return prefix + ".index"
    if not os.path.exists(source):
        raise ConvertError(f"{source} does not exist, nor {prefix}.index")
    return source


def open_source(path: str) -> Source:
    if path.endswith(".index"):
        return read_checkpoint(path.removesuffix(".index"))
    if path.endswith(".index.json"):
        return read_sharded(path)
    with open(path, "rb") as file:
        start = file.read(512)
    if start[7:9] == b"\0{":  # the end of the header's length, and its first byte
        return read_safetensors(path)
    kind = foreign_kind(start)
    if kind in ("", ZIP) and path.endswith(".npz"):
        return read_npz(path)
    if kind not in ("", PYTORCH, ZIP):
        raise ConvertError(f"{path} is {kind}")
    if path.endswith(".safetensors"):
        return read_safetensors(path)
    if path.endswith((".h5", ".hdf5", ".weights")):
        raise ConvertError(f"{path}: Keras files number their arrays instead of naming them; "
                           "write a checkpoint with bert4keras' save_weights_as_checkpoint and convert that")
    return read_torch(path)


def recognise(source: Source, wanted: str) -> tuple[str, Layout, dict[str, str]]:
    """The family of names, and the source's own name of each current name."""
    for family, layout in LAYOUTS.items():
        own: dict[str, str] = {}
        prefix = wrapper(list(source.arrays), layout)
        for name in source.arrays:
            first = own.setdefault(modern(name.removeprefix(prefix), layout), name)
            if first != name:
                raise ConvertError(f"{source.files[0]} holds both {first} and {name}, "
                                   "which are the same array")
        if layout.words in own:
            if wanted not in ("auto", family):
                raise ConvertError(f"{source.files[0]} has names of --from {family}, not {wanted}")
            return family, layout, own
    raise ConvertError(f"{source.files[0]} holds no BERT: none of " +
                       ", ".join(layout.words for layout in LAYOUTS.values()))


def choose(source: Source, layout: Layout, own: dict[str, str], ignore: list[str]) -> list[Name]:
    """The arrays to convert. Refuses others inside BERT; warns of those outside, which are left out."""
    numbers = [int(match[1]) for name in own if (match := re.match(layout.layer, name))]
    names = encoder(max(numbers, default=-1) + 1)
    in_source = {name: getattr(name, layout.column) in own for name in [*names, *HEAD]}
    if any(in_source[name] for name in HEAD):
        names += HEAD
    else:
        configuration.warn(f"{source.files[0]} has no head for masked words "
                           f"({listed([n.canonical for n in HEAD])} are missing): "
                           "the result has none either, and trains with model.mlm_head = fresh only")
    for name in [getattr(name, layout.column) for name in names if in_source[name]] + [*layout.tied]:
        if name in own:
            require_float(source.arrays[own[name]].dtype, f"{source.files[0]}: {own[name]}")
    missing = [getattr(name, layout.column) for name in names if not in_source[name]]
    known = {getattr(name, layout.column) for name in names} | set(layout.tied)
    unknown = sorted(name for name in own if name not in known and not re.fullmatch(layout.ignored, name)
                     and not any(fnmatch.fnmatchcase(own[name], pattern) for pattern in ignore))
    inside = [own[name] for name in unknown if re.match(layout.inside, name)]
    outside = [own[name] for name in unknown if not re.match(layout.inside, name)]
    if inside:
        raise ConvertError(f"{source.files[0]} holds arrays that are no part of BERT: {listed(inside)}; "
                           "they change what it computes. If the model is a BERT without them, "
                           f"pass --ignore '{inside[0]}' (patterns may hold *)")
    if missing:
        raise ConvertError(f"{source.files[0]} lacks {listed(missing)}")
    if outside:
        configuration.warn(f"{source.files[0]}: left out, as they are no part of BERT: {listed(outside)}")
    return names


def measure(names: list[Name], arrays: dict[str, Array], column: str) -> dict[str, int]:
    """V, P, H and I from three arrays; S is 2 in every BERT."""
    shapes = {name.canonical: arrays[getattr(name, column)].shape for name in names}
    words, positions = shapes[WORDS], shapes["bert.embeddings.position_embeddings.weight"]
    if len(words) != 2 or len(positions) != 2:
        raise ConvertError("word and position embeddings must be matrices, they are "
                           f"{list(words)} and {list(positions)}")
    wide = shapes.get("bert.encoder.layer.0.intermediate.dense.bias", (0,))
    return {"V": words[0], "H": words[1], "P": positions[0], "S": 2, "I": wide[0] if wide else 0}


def expected_shape(name: Name, family: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """Shape in the source: TensorFlow kernels are [in, out]; UER's segment table has a leading padding
    row."""
    dims = name.dims(sizes)
    if family == "tf" and name.tf.endswith("/kernel"):
        return dims[::-1]
    return (dims[0] + 1, dims[1]) if family == "uer" and name.canonical == SEGMENTS else dims


def load(name: Name, own_name: str, array: Array, family: str, sizes: dict[str, int]) -> np.ndarray:
    expected = expected_shape(name, family, sizes)
    if array.shape != expected:
        raise ConvertError(f"{own_name} has shape {list(array.shape)}, {list(expected)} was expected")
    values = array.load()
    if not np.isfinite(values).all():
        raise ConvertError(f"{own_name} holds values that are not finite")
    if family == "tf" and name.tf.endswith("/kernel"):
        values = values.T
    if family == "uer" and name.canonical == SEGMENTS:
        values = values[1:]
    return np.ascontiguousarray(values, dtype="<f4")


def check_tied(layout: Layout, own: dict[str, str], source: Source, result: dict[str, np.ndarray],
               drop: bool) -> None:
    """Requires tied copies to agree: the trained model has one matrix for input and output."""
    for copy, canonical in layout.tied.items():
        if copy not in own or canonical not in result or (drop and canonical == WORDS):
            continue
        values, original = source.arrays[own[copy]].load(), result[canonical]
        if values.shape != original.shape:
            raise ConvertError(f"{own[copy]} has shape {list(values.shape)}, "
                               f"{list(original.shape)} was expected")
        original_name = own[layout.words if canonical == WORDS else canonical]
        unit = max(ROUNDING.get(source.arrays[name].dtype, 2.0**-22) for name in (own[copy], original_name))
        difference = np.abs(values.astype(float) - original)
        if not (difference <= TIED_TOLERANCE + unit * np.abs(original)).all():  # false for NaN
            advice = (": its output matrix was trained apart from its word embedding. "
                      "--drop-output-matrix converts it with the embedding for both"
                      if canonical == WORDS else "")
            raise ConvertError(f"{own[copy]} and {canonical} differ by up to {difference.max():.3g}{advice}")


def looks_blank(name: Name, values: np.ndarray) -> bool:
    """True for arrays that training never leaves, as `train` has it (train/weights/pretrained.cpp)."""
    flat = values.ravel()
    gain, bias = name.canonical.endswith("LayerNorm.weight"), name.canonical.endswith("bias")
    if flat.size > 1 and (flat == flat[0]).all():
        return not (gain and flat[0] == 1) and not (bias and flat[0] == 0)
    if bias or name.canonical == SEGMENTS:
        return False
    marks = np.concatenate([[-1], np.flatnonzero(flat), [flat.size]])  # between them are runs of zeros
    return np.diff(marks).max() - 1 >= max(32, flat.size // 16)


def sha256(files: list[str]) -> str:
    """SHA-256 of the files' concatenated bytes."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    return digest.hexdigest()


def write_npz(path: str, arrays: dict[str, np.ndarray]) -> None:
    """Writes uncompressed and atomically. NumPy dates every member 1980, so equal arrays give equal files."""
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:
            np.savez(file, **arrays)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def convert(arguments: argparse.Namespace) -> str:
    path = locate(arguments.source)
    source = open_source(path)
    family, layout, own = recognise(source, getattr(arguments, "from"))
    if OUTPUT_BIAS not in own and "cls.predictions.decoder.bias" in own:
        own[OUTPUT_BIAS] = own["cls.predictions.decoder.bias"]  # some exports keep only this copy
    names = choose(source, layout, own, arguments.ignore)
    arrays = {name: source.arrays[own[name]] for name in own}
    sizes = measure(names, arrays, layout.column)
    layers = sum(name.canonical.endswith(".self.query.weight") for name in names)

    config, config_path = configuration.find(path, arguments.config, source.config,
                                             arguments.drop_output_matrix)
    configuration.check_sizes(config, {**sizes, "layers": layers}, config_path)
    configuration.check_activation(config.get("hidden_act", "gelu"), config_path)

    result = {}
    for name in names:
        own_name = own[getattr(name, layout.column)]
        result[name.canonical] = load(name, own_name, source.arrays[own_name], family, sizes)
    check_tied(layout, own, source, result, arguments.drop_output_matrix)
    blank = [own[getattr(name, layout.column)] for name in names if looks_blank(name, result[name.canonical])]
    if blank:
        configuration.warn(f"{path}: {len(blank)} of {len(names)} arrays are constant or zero in large part: "
                           f"{listed(blank)}; if a download was resumed, fetch the file again")

    meta = {"format": 1, "vocab_size": config.get("V", sizes["V"]), "layers": layers}
    if "heads" in config:
        meta["heads"] = config["heads"]
    meta |= {"hidden_act": config.get("hidden_act", "gelu"), "ln_eps": config.get("ln_eps", 1e-12),
             "source": os.path.basename(path), "sha256": sha256(source.files)}
    write_npz(arguments.output,
              {**result, "__meta__": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)})
    parameters = sum(values.size for values in result.values())
    return (f"{path} ({family}): {layers} layers, hidden {sizes['H']}, {meta.get('heads', 'unknown')} heads, "
            f"vocabulary {sizes['V']}\n{arguments.output}: {len(result)} arrays, {parameters:,} parameters")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="convert.py", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("output", metavar="OUTPUT.npz")
    parser.add_argument("--from", choices=["auto", *LAYOUTS], default="auto",
                        help="refuse a source with names of another family (default: accept any)")
    parser.add_argument("--config", metavar="FILE",
                        help="default: bert_config.json or config.json beside the source")
    parser.add_argument("--ignore", metavar="PATTERN", action="append", default=[],
                        help="skip unknown arrays that match; repeatable")
    parser.add_argument("--drop-output-matrix", action="store_true",
                        help="use the word embedding as output matrix even if the source has another")
    parsed = parser.parse_args(arguments)
    if not parsed.output.endswith(".npz"):
        parser.error(f"{parsed.output} does not end in .npz")
    return parsed


def main() -> int:
    arguments = parse(sys.argv[1:])
    try:
        print(convert(arguments))
    except ConvertError as error:
        print(f"convert.py: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convert.py: error: {error.filename or arguments.output}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
