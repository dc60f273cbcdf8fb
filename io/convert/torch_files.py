"""Files of arrays by name: .safetensors, .bin (a pickled state dict), .index.json of sharded ones, .npz."""
from __future__ import annotations

import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from arrays import Array, ConvertError, Source, decode, narrow, parse_json, read_span, require_float

DTYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
          **{f"{kind}{bits}": f"{word}int{bits}" for kind, word in (("I", ""), ("U", "u"))
             for bits in (8, 16, 32, 64)}}

# Keys under which trainers keep the state dict, the likeliest first.
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module")


def _header(path: str) -> tuple[dict, int]:
    """The JSON header and the offset of the values."""
    size = struct.unpack("<Q", read_span(path, 0, 8, "the header"))[0]
    if size > os.path.getsize(path) - 8:
        raise ConvertError(f"{path} is no .safetensors file, or is cut short")

    try:
        header = parse_json(read_span(path, 8, size, "the header"))
    except ValueError as error:
        raise ConvertError(f"{path}: the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ConvertError(f"{path}: malformed header (it is no JSON object)")
    header.pop("__metadata__", None)
    return header, 8 + size


def _check_places(header: dict, size: int, path: str) -> None:
    """The format has no holes, overlaps or tails: two programs must not read two models from one file."""
    at = 0
    for name, (begin, end) in sorted(((name, entry["data_offsets"]) for name, entry in header.items()),
                                     key=lambda entry: entry[1]):
        if begin < at:
            raise ConvertError(f"{path}: array '{name}' overlaps another one; save the file again")
        if begin > at:
            raise ConvertError(f"{path}: {begin - at} bytes before array '{name}' belong to none; "
                               "save the file again")
        at = end
    if at < size:
        raise ConvertError(f"{path}: {size - at} bytes after the last array belong to none; "
                           "save the file again")


def read_safetensors(path: str) -> Source:
    header, start = _header(path)

    def array(name: str, entry: dict) -> Array:
        shape, dtype = tuple(entry["shape"]), entry["dtype"]
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end:
            raise ValueError(f"data_offsets of {name}")

        def load() -> np.ndarray:
            return decode(read_span(path, start + begin, end - begin, name),
                          DTYPES.get(dtype, dtype), shape, name)

        return Array(shape, DTYPES.get(dtype, dtype), load)

    try:
        _check_places(header, os.path.getsize(path) - start, path)
        return Source([path], {name: array(name, entry) for name, entry in header.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise ConvertError(f"{path}: malformed header ({type(error).__name__}: {error})") from error


def state_dict(value: object, tensor: type, path: str) -> dict:
    """The dictionary of tensors: `value` itself, or one level down in a trainer's checkpoint."""
    def is_state(value: object) -> bool:
        return isinstance(value, dict) and bool(value) and all(isinstance(v, tensor) for v in value.values())

    if is_state(value):
        return value
    inner = {key: v for key, v in value.items() if is_state(v)} if isinstance(value, dict) else {}
    for key in [*STATE_KEYS, *(inner if len(inner) == 1 else ())]:
        if key in inner:
            return inner[key]
    if inner:
        raise ConvertError(f"{path} holds several state dicts ({', '.join(map(str, inner))}); "
                           "save one of them alone")
    raise ConvertError(f"{path} is not a state dict: names with a tensor each")


def read_npz(path: str) -> Source:
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ConvertError(f"{path} cannot be read as .npz: {error}") from error

    def array(name: str, value: np.ndarray) -> Array:
        def load() -> np.ndarray:
            require_float(value.dtype.name, name)
            return narrow(np.ascontiguousarray(value), name)

        return Array(value.shape, value.dtype.name, load)

    meta = values.pop("__meta__", None)
    try:
        config = {} if meta is None else parse_json(meta.tobytes())
    except ValueError as error:
        raise ConvertError(f"{path}: __meta__ is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConvertError(f"{path}: __meta__ is no JSON object")
    return Source([path], {name: array(name, value) for name, value in values.items()}, config)


def read_torch(path: str) -> Source:
    try:
        import torch
    except ImportError as error:
        raise ConvertError(f"{path} needs PyTorch to be read (pip install torch); "
                           ".safetensors files do not") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConvertError(f"{path} holds more than a state dict of tensors, or is damaged; "
                           "objects are not loaded, as a pickle may run any program") from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ConvertError(f"{path} is no PyTorch file, or is cut short "
                           f"({str(error).splitlines()[0]})") from error
    state = state_dict(state, torch.Tensor, path)

    def array(name: str, tensor: torch.Tensor) -> Array:
        def load() -> np.ndarray:
            require_float(dtype, name)
            values = tensor.detach().to(torch.float32 if dtype == "bfloat16" else tensor.dtype).numpy()
            return narrow(np.ascontiguousarray(values), name)

        dtype = str(tensor.dtype).removeprefix("torch.")
        return Array(tuple(tensor.shape), dtype, load)

    return Source([path], {name: array(name, tensor) for name, tensor in state.items()})


def read_sharded(path: str) -> Source:
    """Reads an .index.json of .safetensors or .bin shards: `weight_map` maps arrays to files."""
    try:
        weight_map = parse_json(Path(path).read_text(encoding="utf-8-sig"))["weight_map"]
        files = sorted(set(weight_map.values()))
    except ValueError as error:
        raise ConvertError(f"{path} is not JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConvertError(f"{path} has no weight_map") from error
    source = Source([path], {})
    for file in files:
        shard = str(Path(path).parent / file)
        if not os.path.exists(shard):
            raise ConvertError(f"{shard} is missing: {path} names it")
        part = read_safetensors(shard) if file.endswith(".safetensors") else read_torch(shard)
        source.files.append(shard)
        source.arrays.update((name, array) for name, array in part.arrays.items()
                             if weight_map.get(name) == file)
    absent = sorted(set(weight_map) - set(source.arrays))
    if absent:
        raise ConvertError(f"{Path(path).parent / weight_map[absent[0]]} lacks {absent[0]}, "
                           f"which {path} says it holds")
    return source
