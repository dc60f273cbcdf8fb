"""PyTorch's files: .safetensors, .bin (a pickled state dict), and the .index.json of sharded ones."""
from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np

from arrays import Array, ConvertError, Source, decode, read_span

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _header(path: str) -> tuple[dict, int]:
    """The JSON header and the offset of the values."""
    size = struct.unpack("<Q", read_span(path, 0, 8, "the header"))[0]
    if size > os.path.getsize(path) - 8:
        raise ConvertError(f"{path} is no .safetensors file, or is cut short")
    try:
        header = json.loads(read_span(path, 8, size, "the header"))
    except ValueError as error:
        raise ConvertError(f"{path}: the header is not JSON: {error}") from error
    header.pop("__metadata__", None)
    return header, 8 + size


def read_safetensors(path: str) -> Source:
    header, start = _header(path)

    def array(name: str, entry: dict) -> Array:
        shape, dtype = tuple(entry["shape"]), entry["dtype"]
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end:
            raise ValueError(f"data_offsets of {name}")

        def load() -> np.ndarray:
            return decode(read_span(path, start + begin, end - begin, name), DTYPES.get(dtype, dtype), shape, name)

        return Array(shape, load)

    try:
        return Source([path], {name: array(name, entry) for name, entry in header.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise ConvertError(f"{path}: malformed header ({type(error).__name__}: {error})") from error


def read_torch(path: str) -> Source:
    try:
        import torch
    except ImportError as error:
        raise ConvertError(f"{path} needs PyTorch to be read (pip install torch); .safetensors files do not") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConvertError(f"{path} holds more than a state dict of tensors, or is damaged; objects are not loaded, "
                           "as a pickle may run any program") from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ConvertError(f"{path} is no PyTorch file, or is cut short ({str(error).splitlines()[0]})") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ConvertError(f"{path} is not a state dict: names with a tensor each")

    def array(name: str, tensor: torch.Tensor) -> Array:
        def load() -> np.ndarray:
            if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
                return decode(b"", str(tensor.dtype).removeprefix("torch."), (), name)  # raises
            return np.ascontiguousarray(tensor.detach().to(torch.float32).numpy())

        return Array(tuple(tensor.shape), load)

    return Source([path], {name: array(name, tensor) for name, tensor in state.items()})


def read_sharded(path: str) -> Source:
    """Reads an .index.json of .safetensors or .bin shards: `weight_map` maps arrays to files."""
    try:
        weight_map = json.loads(Path(path).read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(weight_map.values()))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConvertError(f"{path} has no weight_map") from error
    source = Source([path], {})
    for file in files:
        shard = str(Path(path).parent / file)
        if not os.path.exists(shard):
            raise ConvertError(f"{shard} is missing: {path} names it")
        part = read_safetensors(shard) if file.endswith(".safetensors") else read_torch(shard)
        source.files.append(shard)
        source.arrays.update((name, array) for name, array in part.arrays.items() if weight_map.get(name) == file)
    absent = sorted(set(weight_map) - set(source.arrays))
    if absent:
        raise ConvertError(f"{Path(path).parent / weight_map[absent[0]]} lacks {absent[0]}, which {path} says it holds")
    return source
