"""A torch.export archive (.pt2): a program with its tensors. The tensors are read as data; the program is not."""

from __future__ import annotations

import json
from typing import Any

import torch

from featreport.checkpoints import torch_zip
from featreport.checkpoints.archive import Archive, open_archive
from featreport.checkpoints.builders import Storage, view
from featreport.checkpoints.contents import Bytes, Contents, of_bytes
from featreport.checkpoints.machine import HOSTILE
from featreport.errors import CheckpointError

CONFIGS = (  # names of tensors → records; of torch 2.8 and later
    ("data/weights/", "model_weights_config.json"),
    ("data/constants/", "model_constants_config.json"),
)
OLDER = ("serialized_state_dict.pt", "serialized_constants.pt")  # of torch 2.1 to 2.7: each a torch.save file
MAX_CONFIG = 64 * 2**20
# torch._export.serde.schema.ScalarType
_TYPES: dict[int, torch.dtype] = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    9: torch.complex32,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
    28: torch.uint16,
    29: torch.float8_e4m3fn,
    30: torch.float8_e5m2,
}


def load(data: Bytes) -> Contents:
    """Return the program's state dict (parameters, buffers, lifted constants) by name.

    Raises:
        CheckpointError: it is ambiguous, damaged, or asks for more than it holds.
        Exception: it is damaged in another way; the caller reports it so.
    """
    archive = open_archive(data)
    tensors: dict[str, Any] = {}
    for folder, config in CONFIGS:
        if folder + config in archive.records:
            tensors |= _configured(archive, folder, config)
    for name in OLDER:
        if name in archive.records and archive.records[name].length:
            tree = torch_zip.load(of_bytes(archive.read(name))).tree
            if isinstance(tree, dict):
                tensors |= tree
    version = archive.text("archive_version") or archive.text("version")
    producer = f"torch.export (archive version {version[:20]})" if version else "torch.export"
    return Contents(tensors, producer, archive.checksums)


def _configured(archive: Archive, folder: str, config: str) -> dict[str, Any]:
    if archive.record(folder + config).length > MAX_CONFIG:
        raise CheckpointError(f"has a table of tensors of more than {MAX_CONFIG:,} bytes", HOSTILE)
    table = json.loads(archive.read(folder + config))["config"]
    found: dict[str, Any] = {}
    for name, entry in table.items():
        path = folder + entry["path_name"]
        if entry.get("use_pickle"):
            if archive.record(path).length:
                found[name] = torch_zip.load(of_bytes(archive.read(path))).tree
        elif entry.get("tensor_meta"):
            found[name] = _tensor(archive, path, entry["tensor_meta"])
    return found


def _tensor(archive: Archive, path: str, meta: dict[str, Any]) -> torch.Tensor:
    dtype = _TYPES.get(meta["dtype"])
    if dtype is None:
        raise CheckpointError(f"holds numbers of an unknown type: number {str(meta['dtype'])[:20]}", HOSTILE)
    storage: Storage = torch_zip.make_storage(archive.tensor(path), dtype, "Typed")
    sizes, strides = ([entry["as_int"] for entry in meta[key]] for key in ("sizes", "strides"))
    return view(storage, dtype, meta["storage_offset"]["as_int"], sizes, strides)
