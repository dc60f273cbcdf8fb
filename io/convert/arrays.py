"""Common result of all readers: a file's arrays, each decoded to float32 on demand."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Callable

import numpy as np


class ConvertError(Exception):
    """A fault of the source; the message names the file or the array."""


@dataclass(frozen=True)
class Array:
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]  # float32, C order; raises ConvertError


@dataclass(frozen=True)
class Source:
    files: list[str]  # with the arrays, in a fixed order
    arrays: dict[str, Array]


def decode(raw: bytes, dtype: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Decodes little-endian values to float32. Rejects other dtypes: no precision is lost silently."""
    stored = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}
    if dtype not in stored:
        raise ConvertError(f"{name} is {dtype}; float32, float16 and bfloat16 are read")
    if len(raw) != math.prod(shape) * np.dtype(stored[dtype]).itemsize:
        raise ConvertError(f"{name} has {len(raw)} bytes for {dtype} {list(shape)}")
    values = np.frombuffer(raw, dtype=stored[dtype])
    if dtype == "bfloat16":
        values = (values.astype("<u4") << 16).view("<f4")  # the upper half of a float32
    return values.astype("<f4").reshape(shape)


def read_span(path: str, offset: int, size: int, name: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        raw = file.read(size)
    if len(raw) != size:
        raise ConvertError(f"{path} is cut short: {name} should end at byte {offset + size}, "
                           f"the file has {os.path.getsize(path)}")
    return raw
