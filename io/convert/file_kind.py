"""Names files that are not what their name says, as io/file_kind.cpp does."""
from __future__ import annotations

PYTORCH = "a PyTorch file"
ZIP = "a zip archive"

MAGICS = [
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (b"\x1f\x8b", "compressed by gzip; unpack it with gunzip"),
    (b"\xfd7zXZ\0", "compressed by xz; unpack it with unxz"),
    (b"BZh91AY&SY", "compressed by bzip2; unpack it with bunzip2"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it"),
    (b"\x89HDF\r\n\x1a\n",
     "an HDF5 file (Keras), whose arrays are numbered; write a checkpoint with bert4keras' "
     "save_weights_as_checkpoint, and convert that"),
    (b"\x93NUMPY", "a single NumPy array (.npy); save it with its name in an .npz (numpy.savez)"),
    (b"GGUF\3\0\0\0", "a GGUF file; weights in .safetensors are read"),
    (b"%PDF-", "a PDF document"),
    (b"PK\3\4", ZIP),
    (b"\x80\2", PYTORCH), (b"\x80\3", PYTORCH), (b"\x80\4", PYTORCH), (b"\x80\5", PYTORCH),
]


def foreign_kind(start: bytes) -> str:
    """Kind of a file by its first 512 bytes, with the way out; "" if it is none of these."""
    for magic, kind in MAGICS:
        if start.startswith(magic):
            return kind
    if start[257:263] == b"ustar\0" or start[257:265] == b"ustar  \0":
        return "a tar archive; unpack it"
    text = start.removeprefix(b"\xef\xbb\xbf").strip().lower()
    pages = b"<!doctype html", b"<html"
    if text.startswith(pages) or text.startswith(b"<?xml") and any(tag in text for tag in pages):
        return "a web page (HTML), not the file itself; download it again"
    if text.startswith((b"<?xml", b"<!doctype")):
        return ("an XML document; if it is a server's error message, download the file again, "
                "else extract its text")
    return ""
