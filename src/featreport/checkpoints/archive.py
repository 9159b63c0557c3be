"""A zip file as PyTorch writes it: stored records below one folder, each verified before anything reads it."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass

import torch

from featreport.checkpoints.contents import Bytes, tensor_bytes
from featreport.errors import CheckpointError

MAX_RECORDS = 200_000
_LOCAL = struct.Struct("<4s5H3I2H")  # the header before a record's bytes
_CODE = ("code/",)  # of TorchScript: compressed, and never read here
_SAVE_AGAIN = "save it again with torch.save"


@dataclass(frozen=True)
class Record:
    """Where a record's bytes lie, and the checksum the file states (0: not computed)."""

    start: int
    length: int
    crc: int


@dataclass(frozen=True)
class Archive:
    """The records of a zip file by their name below its top folder."""

    data: Bytes
    records: dict[str, Record]
    checksums: str

    def read(self, name: str) -> bytes:
        """Return a record's bytes.

        Raises:
            CheckpointError: there is no such record.
        """
        record = self.record(name)
        return self.data[record.start : record.start + record.length]

    def tensor(self, name: str) -> torch.Tensor:
        """Return a record's bytes as a tensor that shares them."""
        record = self.record(name)
        return tensor_bytes(self.data, record.start, record.length)

    def record(self, name: str) -> Record:
        """Return a record.

        Raises:
            CheckpointError: there is no such record.
        """
        if name not in self.records:
            raise CheckpointError(f"is damaged: record {name[:80]} is missing", "save or fetch it again")
        return self.records[name]

    def text(self, name: str, most: int = 200) -> str | None:
        """Return a short record as text, None where there is none."""
        if name not in self.records or self.records[name].length > most:
            return None
        return self.read(name).decode("utf-8", errors="replace").strip()


def open_archive(data: Bytes) -> Archive:
    """Find and verify every record.

    Raises:
        CheckpointError: it is cut short, damaged, ambiguous, compressed, or no zip of PyTorch.
    """
    try:
        archive = zipfile.ZipFile(data)  # type: ignore[call-overload]  # a file in all it does
    except zipfile.BadZipFile:
        raise CheckpointError(
            f"is a truncated zip file: the table of contents at its end is missing ({len(data):,} bytes)",
            "fetch it again and compare its size with the original's",
        ) from None
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MAX_RECORDS:
        raise CheckpointError(f"holds {len(entries):,} records, more than any model", _SAVE_AGAIN)
    _refuse_ambiguous(entries)
    _refuse_other_kinds([entry.filename for entry in entries])
    records: dict[str, Record] = {}
    for entry in entries:
        name = entry.filename.partition("/")[2]
        if name.startswith(_CODE):
            continue
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.flag_bits & 1
            or entry.file_size != entry.compress_size
        ):
            raise CheckpointError(
                f"holds a compressed record: {entry.filename} takes {entry.compress_size:,} bytes "
                f"in the file and claims {entry.file_size:,} unpacked; torch.save compresses nothing",
                _SAVE_AGAIN,
            )
        records[name] = Record(_start(data, entry), entry.file_size, entry.CRC)
    _refuse_overlaps(records, len(data))
    return Archive(data, records, _verify(data, records))


def _refuse_ambiguous(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename.lower()
        if name in seen:
            raise CheckpointError(
                f"is ambiguous: it holds {name!r} more than once, and readers disagree on which one counts",
                _SAVE_AGAIN,
            )
        seen.add(name)
        if "\\" in name or name.startswith("/") or ".." in name.split("/"):
            raise CheckpointError(f"is ambiguous: it holds a record named {name[:80]!r}", _SAVE_AGAIN)


def _refuse_other_kinds(names: list[str]) -> None:
    below = {name.partition("/")[2] for name in names}
    known = {"data.pkl", "archive_format", "serialized_exported_program.json", "models/model.json"}
    if not known.isdisjoint(below) or "serialized_exported_program.json" in names:
        if len({name.partition("/")[0] for name in names if "/" in name}) > 1:
            raise CheckpointError("is ambiguous: its records lie in more than one folder", _SAVE_AGAIN)
        return
    save = "name a file that torch.save wrote"
    if any(name.endswith(".keras") or name.rpartition("/")[2] == "model.weights.h5" for name in names):
        raise CheckpointError("is a Keras model, not a PyTorch checkpoint", save)
    if names and all(name.endswith(".npy") for name in names):
        raise CheckpointError("is a NumPy archive (npz), not a PyTorch checkpoint", save)
    raise CheckpointError(
        f"is a zip archive without data.pkl, no checkpoint (first: {names[0] if names else 'nothing'})",
        "unpack it and name the checkpoint inside",
    )


def _start(data: Bytes, entry: zipfile.ZipInfo) -> int:
    """Return where an entry's bytes begin; the header there must name it as the table of contents does."""
    at = entry.header_offset
    header = data[at : at + _LOCAL.size] if at >= 0 else b""
    if len(header) < _LOCAL.size:
        raise CheckpointError(
            f"is damaged: record {entry.filename[:80]} lies outside the file", "fetch it again"
        )
    signature, *_, method, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack(header)
    name = data[at + _LOCAL.size : at + _LOCAL.size + name_length]
    if signature != b"PK\x03\x04" or method != entry.compress_type or name != _raw_name(entry):
        raise CheckpointError(
            f"is damaged: the header of record {entry.filename[:80]} disagrees with the table of contents",
            "fetch it again",
        )
    return at + _LOCAL.size + int(name_length) + int(extra_length)


def _raw_name(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437")


def _refuse_overlaps(records: dict[str, Record], size: int) -> None:
    end, before = 0, ""
    for name, record in sorted(records.items(), key=lambda pair: (pair[1].start, pair[1].length)):
        if record.start < end and record.length:
            raise CheckpointError(
                f"is damaged: records {before[:80]} and {name[:80]} share bytes", "save or fetch it again"
            )
        if record.start + record.length > size:
            raise CheckpointError(
                f"is damaged: record {name[:80]} claims {record.length:,} bytes, the file has {size:,}",
                "fetch it again",
            )
        end, before = max(end, record.start + record.length), name


def _verify(data: Bytes, records: dict[str, Record]) -> str:
    """Hold every record against its CRC, which torch.load does not, and return what was found in words."""
    computed = 0
    with memoryview(data) as whole:
        for name, record in records.items():
            if record.crc == 0:
                continue
            with whole[record.start : record.start + record.length] as view:
                if zlib.crc32(view) != record.crc:
                    raise CheckpointError(
                        f"is damaged: the bytes of record {name[:80]} do not match their checksum (CRC-32)",
                        "a bit was flipped on disk or on the way; fetch it again",
                    )
            computed += 1
    absent = sum(1 for record in records.values() if record.crc == 0 and record.length)
    words = [f"CRC-32 of {computed:,} records verified"] if computed else []
    words += [f"not computed for {absent:,}"] if absent else []
    return ", ".join(words) or "none in the file"
