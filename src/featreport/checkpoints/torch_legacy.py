"""The file torch.save wrote before torch 1.6: five pickles one after another, then the storages."""

from __future__ import annotations

import struct
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import torch

from featreport.checkpoints.builders import BUILDERS, STORAGES, Storage, foreign
from featreport.checkpoints.contents import Contents
from featreport.checkpoints.machine import HOSTILE, Machine, measure_depth
from featreport.checkpoints.torch_zip import ALLOWANCE, FIELDS, described
from featreport.checkpoints.values import Opaque
from featreport.errors import CheckpointError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def load(path: Path) -> Contents:
    """Return the tree in the file, its storages read straight into their tensors. The format has no checksum.

    Raises:
        CheckpointError: it is damaged, or asks for more than it holds.
        Exception: it is damaged in another way; the caller reports it so.
    """
    with path.open("rb") as file:
        return _load(_Bounded(file, path.stat().st_size))


class _Bounded:
    """A file whose `read` never asks for more than is left: a buffered file allocates what it is asked for."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file = file
        self.size = size
        self.readline = file.readline
        self.tell = file.tell

    @property
    def left(self) -> int:
        return max(self.size - self._file.tell(), 0)

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self.left))

    def fill(self, raw: torch.Tensor) -> int:
        """Read bytes into `raw` and return how many there were."""
        buffer: Any = raw.numpy()
        return self._file.readinto(buffer) if raw.numel() else 0


def _load(file: _Bounded) -> Contents:
    storages = _Storages(file.size)
    magic, protocol, system = (_plain(file) for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL:
        raise CheckpointError(f"is of version {str(protocol)[:20]}, which torch does not write", HOSTILE)
    machine = Machine(BUILDERS, storages.find, 8 * file.size + ALLOWANCE)
    tree = machine.run(cast("IO[bytes]", file))
    keys = _plain(file)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise CheckpointError("was written on a big-endian machine", "save it again on a little-endian one")
    storages.fill(file, keys)
    measure_depth(tree)
    return Contents(tree, "torch.save (before torch 1.6)", "none in this format", foreign(machine.names))


def _plain(file: _Bounded) -> Any:
    def refuse(_: Any) -> Any:
        raise ValueError("a storage stands in the file's head")

    return Machine({}, refuse, 2**20).run(cast("IO[bytes]", file))


class _Storages:
    """Storages are promised by the pickle first and filled with the bytes behind it."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._raw: dict[str, torch.Tensor] = {}
        self._kinds: dict[str, str] = {}

    def find(self, value: Any) -> Any:
        if isinstance(value, tuple) and len(value) == 4 and value[0] == "module":  # noqa: PLR2004
            return value[1] if isinstance(value[1], Opaque) else Opaque("(class)", called=False)
        kind, key, count = described(value)
        dtype = STORAGES[kind]
        if key not in self._raw:
            self._left -= count * dtype.itemsize
            if self._left < 0:
                raise CheckpointError(
                    f"claims more than it holds: storage {key[:80]} would take {count * dtype.itemsize:,} bytes",
                    HOSTILE,
                )
            self._raw[key] = torch.zeros(count * dtype.itemsize, dtype=torch.uint8)
            self._kinds[key] = kind
        raw = self._raw[key]
        if raw.numel() != count * dtype.itemsize:
            raise CheckpointError(f"is damaged: storage {key[:80]} has two sizes", HOSTILE)
        if len(value) > FIELDS and value[FIELDS] is not None:
            raise CheckpointError(
                "holds storages that are parts of others, as torch before 0.4 wrote them",
                "load and save it again with a torch from 0.4 to 1.5",
            )
        return Storage(raw.untyped_storage(), dtype, kind)

    def fill(self, file: _Bounded, keys: Any) -> None:
        """Read the bytes of every promised storage, in the order of `keys`."""
        if not isinstance(keys, list) or set(map(str, keys)) != set(self._raw) or len(keys) != len(self._raw):
            raise CheckpointError(
                "is damaged: its list of storages is not the one its index asks for", HOSTILE
            )
        for key in keys:
            raw = self._raw[key]
            (count,) = _COUNT.unpack(file.read(_COUNT.size))
            left = file.left
            if count * STORAGES[self._kinds[key]].itemsize != raw.numel() or file.fill(raw) != raw.numel():
                raise CheckpointError(
                    f"is damaged or cut short: storage {key[:80]} needs {raw.numel():,} bytes, {left:,} are left",
                    "fetch it again and compare its size with the original's",
                )
