"""The file torch.save wrote before torch 1.6: five pickles one after another, then the storages."""

from __future__ import annotations

import struct
from typing import Any

import torch

from featreport.checkpoints.builders import BUILDERS, STORAGES, Storage, foreign
from featreport.checkpoints.contents import Bytes, Contents, tensor_bytes
from featreport.checkpoints.machine import HOSTILE, Machine, measure_depth
from featreport.checkpoints.torch_zip import ALLOWANCE, FIELDS, described
from featreport.checkpoints.values import Opaque
from featreport.errors import CheckpointError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def load(data: Bytes) -> Contents:
    """Return the tree in the file. The format holds no checksum to verify.

    Raises:
        CheckpointError: it is damaged, or asks for more than it holds.
        Exception: it is damaged in another way; the caller reports it so.
    """
    storages = _Storages(len(data))
    data.seek(0)
    magic, protocol, system = (_plain(data) for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL:
        raise CheckpointError(f"is of version {str(protocol)[:20]}, which torch does not write", HOSTILE)
    machine = Machine(BUILDERS, storages.find, 8 * len(data) + ALLOWANCE)
    tree = machine.run(data)  # type: ignore[arg-type]  # a file in all it does
    keys = _plain(data)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise CheckpointError("was written on a big-endian machine", "save it again on a little-endian one")
    storages.fill(data, keys)
    measure_depth(tree)
    return Contents(tree, "torch.save (before torch 1.6)", "none in this format", foreign(machine.names))


def _plain(data: Bytes) -> Any:
    def refuse(_: Any) -> Any:
        raise ValueError("a storage stands in the file's head")

    return Machine({}, refuse, 2**20).run(data)  # type: ignore[arg-type]


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

    def fill(self, data: Bytes, keys: Any) -> None:
        """Read the bytes of every promised storage, in the order of `keys`."""
        if not isinstance(keys, list) or set(map(str, keys)) != set(self._raw) or len(keys) != len(self._raw):
            raise CheckpointError(
                "is damaged: its list of storages is not the one its index asks for", HOSTILE
            )
        position = data.tell()
        for key in keys:
            raw = self._raw[key]
            (count,) = _COUNT.unpack(data[position : position + _COUNT.size])
            position += _COUNT.size
            itemsize = STORAGES[self._kinds[key]].itemsize
            if count * itemsize != raw.numel() or position + raw.numel() > len(data):
                raise CheckpointError(
                    f"is damaged or cut short: storage {key[:80]} needs {raw.numel():,} bytes, "
                    f"{len(data) - position:,} are left",
                    "fetch it again and compare its size with the original's",
                )
            raw.copy_(tensor_bytes(data, position, raw.numel()))
            position += raw.numel()
