"""Checks that NumPy reads our .npz files and that we read all .npz variants of NumPy.

usage: npz_numpy.py NPZ_TOOL
"""
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

tool = sys.argv[1]


def read(path):
    """Reads an archive with our reader: name -> (dtype, array), in file order."""
    result = subprocess.run([tool, "read", path], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {a["name"]: (a["dtype"], np.array(a["values"]).reshape(a["shape"])) for a in lines}


def refusal(path):
    result = subprocess.run([tool, "read", path], capture_output=True, text=True)
    assert result.returncode == 1, result
    return result.stderr


def check_same(path, arrays, what):
    found = read(path)
    assert list(found) == list(arrays), (what, list(found))
    for name, array in arrays.items():
        dtype, values = found[name]
        assert dtype == array.dtype.newbyteorder("=").name, (what, name, dtype)
        assert values.shape == array.shape, (what, name, values.shape)
        expected = array.astype(np.float32) if array.dtype.kind == "f" else array
        assert np.array_equal(values.astype(expected.dtype), expected), (what, name)


def numpy_reads_ours(folder):
    path = os.path.join(folder, "ours.npz")
    subprocess.run([tool, "write", path], check=True)
    with np.load(path) as archive:
        assert archive.files == ["layer/weight", "ids", "steps", "none", "text"], archive.files
        weight = archive["layer/weight"]
        assert weight.dtype == np.dtype("<f4") and weight.flags.c_contiguous
        assert np.array_equal(weight, np.array([[1.5, -2, 3e-38], [4, 5, 6]], np.float32))
        assert archive["ids"].dtype == np.int64 and archive["ids"].tolist() == [-1, 0, 1 << 40]
        assert archive["steps"].dtype == np.int32 and archive["steps"].shape == () and archive["steps"] == 7
        assert archive["none"].shape == (0, 4)
        assert archive["text"].dtype == np.uint8 and archive["text"].tobytes() == b"ok"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 12, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def we_read_numpys(folder):
    random = np.random.default_rng(1)
    normal = random.standard_normal((5, 7))
    arrays = {
        "a/f4": normal.astype("<f4"),
        "big_endian": normal.astype(">f4"),
        "fortran": np.asfortranarray(normal.astype("<f4")),
        "fortran3": np.asfortranarray(random.standard_normal((2, 3, 4)).astype(">f4")),
        "half": normal.astype("<f2"),
        "half_edges": np.array([0, -0.0, 6e-8, -6e-5, 65504, 1e-4], "<f2"),
        "double": normal,
        "scalar": np.float32(3.25),
        "empty": np.zeros((0, 3), np.float32),
        "compressible": np.zeros((100, 100), np.float32),
    }
    for kind in "iu":
        for size in (1, 2, 4, 8):
            limits = np.iinfo(f"{kind}{size}")
            arrays[f"{kind}{size}"] = np.array([limits.min, min(limits.max, 2**63 - 1), 1], f">{kind}{size}")
    arrays = {name: np.asanyarray(array) for name, array in arrays.items()}

    stored, deflated, streamed = (os.path.join(folder, name)
                                  for name in ("stored.npz", "deflated.npz", "streamed.npz"))
    np.savez(stored, **arrays)
    check_same(stored, arrays, "savez")
    np.savez_compressed(deflated, **arrays)
    assert os.path.getsize(deflated) < os.path.getsize(stored) - 30000
    check_same(deflated, arrays, "savez_compressed")
    for write in (np.savez, np.savez_compressed):
        reader, writer = os.pipe()
        process = subprocess.Popen(["cat"], stdin=reader, stdout=open(streamed, "wb"))
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            write(pipe, **arrays)
        assert process.wait() == 0
        check_same(streamed, arrays, "streamed " + write.__name__)


def we_refuse_pickles(folder):
    path = os.path.join(folder, "object.npz")
    np.savez(path, weights=np.zeros(3), names=np.array(["a", None], object))
    assert "array 'names' holds pickled Python objects" in refusal(path), refusal(path)


with tempfile.TemporaryDirectory() as folder:
    numpy_reads_ours(folder)
    we_read_numpys(folder)
    we_refuse_pickles(folder)
print(f"NumPy {np.__version__} and warpbert read each other's .npz files")
