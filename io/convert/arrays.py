"""Common result of all readers: a file's arrays, each decoded to float32 on demand."""
from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from file_kind import foreign_kind


class ConvertError(Exception):
    """A fault of the source; the message names the file or the array."""


def parse_json(text: str | bytes) -> object:
    """Raises ValueError for a key that an object holds twice: other programs may take the first."""
    def once(pairs: list[tuple[str, object]]) -> dict:
        counts = Counter(key for key, _ in pairs)
        if len(counts) < len(pairs):
            raise ValueError(f"the key '{counts.most_common(1)[0][0]}' occurs twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


FLOATS = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2"}  # and how they are stored


@dataclass(frozen=True)
class Array:
    shape: tuple[int, ...]
    dtype: str                       # "float32", …
    load: Callable[[], np.ndarray]  # float32, C order; raises ConvertError


@dataclass(frozen=True)
class Source:
    files: list[str]  # with the arrays, in a fixed order
    arrays: dict[str, Array]
    config: dict = field(default_factory=dict)  # what the file itself says of the model


def require_float(dtype: str, name: str) -> None:
    """Integers are codes of a quantized model, or bits of another type: numbers, but no weights."""
    if dtype in FLOATS:
        return
    advice = ("; if these are the bits of bfloat16, save them as float32" if dtype in ("uint16", "int16") else
              "; a quantized model is not trained, the one it was made of is"
              if dtype in ("uint8", "int8") else "")
    raise ConvertError(f"{name} is {dtype}; weights are float16, bfloat16, float32 or float64{advice}")


def decode(raw: bytes, dtype: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Decodes little-endian values to float32."""
    require_float(dtype, name)
    if len(raw) != math.prod(shape) * np.dtype(FLOATS[dtype]).itemsize:
        raise ConvertError(f"{name} has {len(raw)} bytes for {dtype} {list(shape)}")
    values = np.frombuffer(raw, dtype=FLOATS[dtype])
    if dtype == "bfloat16":
        values = (values.astype("<u4") << 16).view("<f4")  # the upper half of a float32
    return narrow(values, name).reshape(shape)


def narrow(values: np.ndarray, name: str) -> np.ndarray:
    """Rounds to float32; a finite value must stay one."""
    with np.errstate(over="ignore"):
        narrowed = values.astype("<f4")
    if values.dtype.itemsize > 4 and (np.isinf(narrowed) & np.isfinite(values)).any():
        raise ConvertError(f"{name} holds a value that does not fit float32")
    return narrowed


def refuse_foreign(path: str) -> None:
    """Raises ConvertError if a file that cannot be read is another kind of file."""
    with open(path, "rb") as file:
        kind = foreign_kind(file.read(512))
    if kind:
        raise ConvertError(f"{path} is {kind}")


def read_span(path: str, offset: int, size: int, name: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        raw = file.read(size)
    if len(raw) != size:
        refuse_foreign(path)
        raise ConvertError(f"{path} is cut short: {name} should end at byte {offset + size}, "
                           f"the file has {os.path.getsize(path)}")
    return raw
