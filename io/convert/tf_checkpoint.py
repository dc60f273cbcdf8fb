"""TensorFlow's checkpoints (format V2, "tensor bundle"), read without TensorFlow.

PREFIX.index is a LevelDB table from variable names to BundleEntryProto messages, which locate the values in
PREFIX.data-00000-of-0000N. Table blocks and variables have a CRC-32C each; every read checks it.
Formats: leveldb/doc/table_format.md, tensorflow/core/protobuf/tensor_bundle.proto.
"""
from __future__ import annotations

import os
import struct
from typing import Iterator

import numpy as np

from arrays import Array, ConvertError, Source, decode, read_span, refuse_foreign
from checksum import masked_crc32c

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64",
          10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16"}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields (field number, value) of a protobuf message; value: an int, or bytes if length-delimited."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
        elif wire == 2:
            size, at = _varint(message, at)
            value, at = message[at:at + size], at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = int.from_bytes(message[at:at + size], "little"), at + size
        else:
            raise ValueError(f"wire type {wire}")
        yield number, value


def _block(index: bytes, handle: bytes, path: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block at `handle` (offset, size). Keys share prefixes with their predecessor."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    block, trailer = index[offset:offset + size + 1], index[offset + size + 1:offset + size + 5]
    if len(trailer) != 4:
        raise ConvertError(f"{path} is cut short")
    if masked_crc32c(block) != struct.unpack("<I", trailer)[0]:
        raise ConvertError(f"{path}: wrong CRC-32C at byte {offset}: the file is damaged")
    if block[-1] != 0:
        raise ConvertError(f"{path}: a compressed block (type {block[-1]}); "
                           "TensorFlow writes checkpoints without")
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    at, end, key = 0, size - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at:at + unshared]
        at += unshared + length
        yield key, block[at - length:at]


def _table(index: bytes, path: str) -> dict[str, bytes]:
    footer = index[-FOOTER:]
    if len(footer) < FOOTER or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        refuse_foreign(path)
        raise ConvertError(f"{path} is no checkpoint index, or is cut short")
    _, at = _varint(footer, 0)  # handle of the metaindex, which is empty
    _, at = _varint(footer, at)
    blocks = _block(index, footer[at:], path)
    entries = {key: value for _, handle in blocks for key, value in _block(index, handle, path)}
    return {key.decode(): value for key, value in entries.items() if not key.startswith(b"\0")}  # \0: slices


def _array(name: str, entry: bytes, shards: list[str]) -> Array:
    fields = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}  # dtype, shard, offset, size, CRC; zeros are not written
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in _fields(entry):
        if number == 2:  # TensorShapeProto: repeated Dim dim = 2, whose size is field 1
            shape = tuple(dict(_fields(dim)).get(1, 0) for field, dim in _fields(value) if field == 2)
        elif number == 7:
            sliced = True
        else:
            fields[number] = value
    dtype = DTYPES.get(fields[1], f"of TensorFlow's type {fields[1]}")
    shard = shards[fields[3]]

    def load() -> np.ndarray:
        if sliced:
            raise ConvertError(f"{name} is stored in slices (a partitioned variable), which is not read")
        if not os.path.exists(shard):
            raise ConvertError(f"{shard} is missing: it holds {name}")
        raw = read_span(shard, fields[4], fields[5], name)
        if masked_crc32c(raw) != fields[6]:
            raise ConvertError(f"{shard}: wrong CRC-32C of {name}: the file is damaged")
        return decode(raw, dtype, shape, name)

    return Array(shape, dtype, load)


def read_checkpoint(prefix: str) -> Source:
    path = prefix + ".index"
    with open(path, "rb") as file:
        index = file.read()
    try:
        entries = _table(index, path)
        header = {1: 1, 2: 0, **dict(_fields(entries.pop("")))}  # BundleHeaderProto: shards, endianness
        shards = [f"{prefix}.data-{i:05d}-of-{header[1]:05d}" for i in range(header[1])]
        arrays = {name: _array(name, entry, shards) for name, entry in entries.items()}
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ConvertError(f"{path} cannot be understood ({type(error).__name__}: {error})") from error
    if header[2] != 0:
        raise ConvertError(f"{path}: a big-endian checkpoint, which is not read")
    if "_CHECKPOINTABLE_OBJECT_GRAPH" in arrays:
        raise ConvertError(f"{path} is an object checkpoint of TensorFlow 2; "
                           "a checkpoint by variable names (tf.compat.v1.train.Saver) is needed")
    return Source([path, *shards], arrays)
