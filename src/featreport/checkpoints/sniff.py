"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from featreport.errors import CheckpointError

Format = Literal["torch zip", "torch legacy", "safetensors", "TorchScript", "torch.export", "sharded index"]

LEGACY_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # the number torch.save wrote first, before torch 1.6
LEGACY_HEAD = 32  # bytes within which it stands, whatever the pickle protocol
HEAD = 4096

_PROGRAMS: tuple[tuple[bytes, Format], ...] = (  # names in the tail of a zip file, its table of contents
    (b"/constants.pkl", "TorchScript"),
    (b"/archive_format", "torch.export"),
    (b"/models/model.json", "torch.export"),
    (b"serialized_exported_program.json", "torch.export"),
)
TAIL = 16 * 2**20

_FETCH_AGAIN = "fetch it again and compare its size with the original's"
_UNPACK = "unpack it and name the checkpoint inside"
_PYTORCH_ONLY = "featreport opens PyTorch checkpoints (torch.save) and safetensors files"
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", _FETCH_AGAIN),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?)", _PYTORCH_ONLY),
    (b"\x93NUMPY", "a NumPy array", _PYTORCH_ONLY),
    (b"GGUF", "a GGUF file", _PYTORCH_ONLY),
    (b"\x89PNG", "a PNG image", "name a checkpoint here, and images under 'images'"),
    (b"\xff\xd8\xff", "a JPEG image", "name a checkpoint here, and images under 'images'"),
)


def sniff(path: Path) -> Format:
    """Return the format of the file at `path`.

    Raises:
        CheckpointError: it is not a checkpoint; the message says what it is.
    """
    if path.is_dir():
        raise CheckpointError("is a folder, not a file", "name the checkpoint file inside it")
    if not path.exists():
        raise CheckpointError("does not exist", "check the path in the manifest")
    if not path.is_file():
        raise CheckpointError("is not a regular file", "name a checkpoint file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
        kind = _checkpoint(head, size)
        if kind == "torch zip":
            file.seek(max(size - TAIL, 0))
            tail = file.read(TAIL)
            kind = next((program for name, program in _PROGRAMS if name in tail), kind)
    return kind or _refuse(head, size)


def _checkpoint(head: bytes, size: int) -> Format | None:
    if head.startswith(b"PK\x03\x04"):
        return "torch zip"
    if head[257:262] == b"ustar":
        return None
    if head.startswith(b"\x80") and LEGACY_MAGIC in head[:LEGACY_HEAD]:
        return "torch legacy"
    if head[8:9] == b"{":
        (header,) = struct.unpack("<Q", head[:8])
        if header < 2**40:  # eight letters of a text are far more
            if 8 + header > size:
                raise CheckpointError(
                    f"is a truncated safetensors file: its table needs {8 + header:,} bytes, it has {size:,}",
                    _FETCH_AGAIN,
                )
            return "safetensors"
    if head.lstrip()[:1] == b"{" and b'"weight_map"' in head:
        return "sharded index"
    return None


def _refuse(head: bytes, size: int) -> Format:
    what, hint = _name(head)
    raise CheckpointError(f"is {what}, not a checkpoint ({size:,} bytes)", hint)


def _name(head: bytes) -> tuple[str, str]:
    if not head:
        return "empty", "the save or the download did not finish; fetch or write it again"
    for signature, what, hint in _SIGNATURES:
        if head.startswith(signature):
            return what, hint
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _PYTORCH_ONLY
    if head[:1] == b"\x08" and any(word in head[:256].lower() for word in (b"onnx", b"pytorch", b"tf2")):
        return "an ONNX model", _PYTORCH_ONLY
    if head[:1] == b"\x80":
        if len(head) < LEGACY_HEAD and LEGACY_MAGIC.startswith(head[4:14]):
            return "a truncated torch file", _FETCH_AGAIN
        return (
            "a plain Python pickle",
            "featreport does not execute pickles; save the state dict with torch.save(model.state_dict(), …)",
        )
    return _name_text(head)


def _name_text(head: bytes) -> tuple[str, str]:
    if head.startswith(b"version https://git-lfs"):
        return "a git-LFS pointer", "run `git lfs pull` to fetch the file it stands for"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")) or (start.startswith(b"<") and b"<html" in start):
        return "an HTML page", "the download gave an error or login page instead of the file; fetch it again"
    if start.startswith((b"<?xml", b"<error")):
        return "an XML document", "the download gave an error message instead of the file; fetch it again"
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < HEAD else "ignore")
    except UnicodeDecodeError:
        return "of no known format", _PYTORCH_ONLY
    if text.strip() == "" or not all(char.isprintable() or char.isspace() for char in text):
        return "of no known format", _PYTORCH_ONLY
    if start.startswith((b"{", b"[")):
        return "a JSON text", "name the weights file, not its description"
    return "a text file", "name the weights file"
