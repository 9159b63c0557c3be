"""The zip file torch.save writes since torch 1.6: one pickle (data.pkl) and one stored record per storage."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch

from featreport.checkpoints import scan
from featreport.errors import CheckpointError

# Smaller files are read whole: a mapped file cut short by its writer would kill the process.
MMAP_FROM = 256 * 2**20
CHUNK = 2**20
ITEMSIZE = {  # bytes per element of torch's storage kinds; asking torch for them warns
    **dict.fromkeys(("Untyped", "Byte", "Char", "Bool", "QInt8", "QUInt8", "QUInt4x2", "QUInt2x4"), 1),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    "ComplexDouble": 16,
}
_PROGRAM_HINT = "save the tensors alone: torch.save(model.state_dict(), 'weights.pth')"


def load(path: Path) -> object:
    """Return the tree of containers and tensors in the file, every record's CRC verified.

    Raises:
        CheckpointError: it is another kind of zip, is ambiguous, damaged, or asks for more than tensors.
        Exception: whatever else zipfile or torch meets; the caller reports it as damage.
    """
    size = path.stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise CheckpointError(
            f"is a truncated zip file: the table of contents at its end is missing ({size:,} bytes)",
            "fetch it again and compare its size with the original's",
        ) from None
    with archive:
        records = _records(archive, size)
        _verify(archive)
        contents = scan.scan(io.BytesIO(archive.read(records["data.pkl"])))
    scan.refuse_names(contents.names)
    _match_storages(contents, records)
    if (
        size >= MMAP_FROM and path.suffix != ".safetensors"
    ):  # torch.load goes by that suffix, whatever is inside
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    with path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the records by their name below the archive's one top folder."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename.lower() for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise CheckpointError(
            f"is ambiguous: it holds {twice[0]!r} more than once, and readers disagree on which one counts",
            "save it again with torch.save",
        )
    records = {entry.filename.partition("/")[2]: entry for entry in entries}
    _refuse_other_zips(records, [entry.filename for entry in entries])
    if len({entry.filename.partition("/")[0] for entry in entries}) > 1 or len(records) < len(entries):
        raise CheckpointError(
            "is ambiguous: its records lie in more than one folder", "save it again with torch.save"
        )
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise CheckpointError(
                f"holds a compressed record: {entry.filename} takes {entry.compress_size:,} bytes "
                f"in the file and claims {entry.file_size:,} unpacked; torch.save compresses nothing",
                "save it again with torch.save",
            )
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size:
        raise CheckpointError(
            f"is damaged: its records claim {claimed:,} bytes, the file has {size:,}", "fetch it again"
        )
    return records


def _refuse_other_zips(records: dict[str, zipfile.ZipInfo], names: list[str]) -> None:
    if "constants.pkl" in records or any(name.startswith("code/") for name in records):
        raise CheckpointError("is a TorchScript program, which is not available yet", _PROGRAM_HINT)
    if any(name.endswith("exported_program.json") or name == "archive_format" for name in records):
        raise CheckpointError("is a torch.export program, which is not available yet", _PROGRAM_HINT)
    if "data.pkl" in records:
        return
    if any(name.endswith(".keras") or name == "model.weights.h5" for name in names):
        raise CheckpointError(
            "is a Keras model, not a PyTorch checkpoint", "name a file that torch.save wrote"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise CheckpointError(
            "is a NumPy archive (npz), not a PyTorch checkpoint", "name a file that torch.save wrote"
        )
    raise CheckpointError(
        f"is a zip archive without data.pkl, no checkpoint (first: {names[0] if names else 'nothing'})",
        "unpack it and name the checkpoint inside",
    )


def _verify(archive: zipfile.ZipFile) -> None:
    """Read every record against its CRC, which torch.load does not; a stored CRC of 0 was never computed."""
    for entry in archive.infolist():
        if entry.CRC == 0:
            del entry.CRC  # else zipfile itself would hold it against the record
            continue
        try:
            with archive.open(entry) as record:
                while record.read(CHUNK):
                    pass
        except zipfile.BadZipFile:
            raise CheckpointError(
                f"is damaged: the bytes of record {entry.filename} do not match their checksum (CRC-32)",
                "a bit was flipped on disk or on the way; fetch it again",
            ) from None


def _match_storages(contents: scan.Contents, records: dict[str, zipfile.ZipInfo]) -> None:
    """Refuse an index that claims another length for a record than it has; torch would read its neighbour."""
    for storage in contents.storages:
        entry = records.get(f"data/{storage.key}")
        claimed = storage.count * _itemsize(storage.kind)
        if entry is None and storage.count == 0:
            continue
        if entry is None or entry.file_size != claimed:
            found = "is missing" if entry is None else f"has {entry.file_size:,} bytes"
            raise CheckpointError(
                f"is damaged: record data/{storage.key} {found}, its index claims {claimed:,}",
                "save or fetch it again",
            )


def _itemsize(kind: str) -> int:
    name = kind.rpartition(".")[2].removesuffix("Storage")
    if name not in ITEMSIZE:
        raise CheckpointError(f"holds a storage of an unknown kind: {kind[:80]}", scan.RESAVE)
    return ITEMSIZE[name]
