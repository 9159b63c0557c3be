"""The zip file torch.save writes since torch 1.6: one pickle (data.pkl) and one stored record per storage."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch

from featreport.checkpoints.archive import Archive, open_archive
from featreport.checkpoints.builders import BUILDERS, STORAGES, Storage, foreign, storage_kind
from featreport.checkpoints.contents import Bytes, Contents
from featreport.checkpoints.machine import HOSTILE, Machine, measure_depth
from featreport.errors import CheckpointError

FIELDS = 5  # "storage", kind, key, location, number of elements
ALLOWANCE = 64 * 2**20  # bytes that reading may copy beyond eight times the file


def load(data: Bytes) -> Contents:
    """Return the tree in the file, every record's CRC verified.

    Raises:
        CheckpointError: it is another kind of zip, is ambiguous, damaged, or asks for more than it holds.
        Exception: it is damaged in another way; the caller reports it so.
    """
    archive = open_archive(data)
    version = archive.text("version") or archive.text(".data/version")
    producer = f"torch.save (file format {version[:20]})" if version else "torch.save"
    return read_pickle(archive, "data.pkl", "data/", producer)


def read_pickle(archive: Archive, name: str, folder: str, producer: str) -> Contents:
    """Return the tree of the pickle `name`, whose storages lie in `folder`."""
    swapped = archive.text("byteorder") == "big"
    machine = Machine(
        BUILDERS, _storages(archive, folder, swapped=swapped), 8 * len(archive.data) + ALLOWANCE
    )
    tree = machine.run(io.BytesIO(archive.read(name)))
    measure_depth(tree)
    return Contents(tree, producer, archive.checksums, foreign(machine.names))


def _storages(archive: Archive, folder: str, *, swapped: bool) -> Callable[[Any], Storage]:
    known: dict[str, Storage] = {}

    def find(value: Any) -> Storage:
        kind, key, count = described(value)
        if key not in known:
            known[key] = _storage(archive, f"{folder}{key}", kind, count, swapped=swapped)
        storage = known[key]
        _verify_claim(f"{folder}{key}", storage.data.nbytes(), count * STORAGES[kind].itemsize)
        return storage if storage.kind == kind else Storage(storage.data, STORAGES[kind], kind)

    return find


def described(value: Any) -> tuple[str, str, int]:
    """Return (kind, key, number of elements) of a storage as a pickle describes it.

    Raises:
        ValueError: it is not described as torch does.
        CheckpointError: it is of an unknown kind.
    """
    if not isinstance(value, tuple) or len(value) < FIELDS or value[0] != "storage":
        raise ValueError("a storage is not described as torch describes it")
    key, count = value[2], value[4]
    if not isinstance(key, str) or not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError("a storage is not described as torch describes it")
    return storage_kind(value[1]), key, count


def _storage(archive: Archive, name: str, kind: str, count: int, *, swapped: bool) -> Storage:
    dtype = STORAGES[kind]
    claimed = count * dtype.itemsize
    if count == 0 and name not in archive.records:
        return Storage(torch.empty(0, dtype=torch.uint8).untyped_storage(), dtype, kind)
    _verify_claim(name, archive.record(name).length, claimed)
    return make_storage(archive.tensor(name), dtype, kind, swapped=swapped)


def _verify_claim(name: str, has: int, claimed: int) -> None:
    if has != claimed:
        raise CheckpointError(
            f"is damaged: record {name[:80]} has {has:,} bytes, its index claims {claimed:,}",
            "save or fetch it again",
        )


def make_storage(raw: torch.Tensor, dtype: torch.dtype, kind: str, *, swapped: bool = False) -> Storage:
    """Return `raw` bytes as a storage, aligned and in this machine's byte order."""
    if swapped and dtype.itemsize > 1:
        if kind == "Untyped":
            raise CheckpointError("was written with another byte order, without the numbers' types", HOSTILE)
        part = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        raw = raw.reshape(-1, part).flip(1).flatten()
    elif raw.numel() and raw.data_ptr() % dtype.itemsize:
        raw = raw.clone()
    return Storage(raw.untyped_storage(), dtype, kind)
