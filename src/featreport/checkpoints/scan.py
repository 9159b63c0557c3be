"""Reads the instructions of a pickle without following them: what they name, what storages they ask for.

torch's restricted unpickler stays the one that enforces. This pass comes first because it can say *what* is
refused, and because it stops what that unpickler would let through: allocation by `bytearray`, nesting so
deep that it kills `hash()`.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from typing import IO, Any

from featreport.errors import CheckpointError

MAX_DEPTH = 200
SHOWN = 5
STORAGE_FIELDS = 5  # "storage", kind, key, location, elements; the legacy format adds a view
RESAVE = (
    "featreport does not execute checkpoints; in the code that made it, save only the tensors: "
    "torch.save(model.state_dict(), 'weights.pth')"
)

_ALLOWED = {
    "collections.OrderedDict",
    "collections.Counter",
    "_codecs.encode",
    "builtins.set",
    "builtins.complex",
    "torch.Size",
    "torch.Tensor",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
}
_STORAGE = re.compile(r"torch\.(cuda\.)?[A-Z]\w*Storage")
_DTYPE = re.compile(r"torch\.(b?float|bfloat|u?int|complex|bool|half|double|long|short)\w*")
_SPECIAL = {
    "torch._utils._rebuild_sparse_tensor": "sparse tensors",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse tensors",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta tensors (shapes without numbers)",
    "torch._utils._rebuild_qtensor": "quantized tensors",
    "torch._utils._rebuild_wrapper_subclass": "tensors of a special class",
    "torch._utils._rebuild_device_tensor_from_numpy": "tensors of a special device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "tensors of a special device",
}
_CHANGES = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}


@dataclass(frozen=True)
class Storage:
    """A storage that the pickle asks for: its `kind` ("torch.FloatStorage"), key and number of elements."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class Contents:
    """What a pickle names and asks for."""

    names: tuple[str, ...]
    storages: tuple[Storage, ...]


@dataclass(frozen=True)
class _Item:
    depth: int
    value: Any = None


_MARK = _Item(-1)


def scan(stream: IO[bytes]) -> Contents:
    """Return what the pickle that starts here names; leaves `stream` behind it.

    Raises:
        CheckpointError: it nests deeper than any checkpoint does.
        ValueError, IndexError, KeyError: it is not a well-formed pickle.
    """
    stack: list[_Item] = []
    memo: dict[int, _Item] = {}
    names: dict[str, None] = {}
    storages: dict[Storage, None] = {}
    for op, arg, _ in pickletools.genops(stream):
        if op.name == "MARK":
            stack.append(_MARK)
        elif op.name in _PUTS:
            memo[int(arg or 0)] = stack[-1]
        elif op.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif op.name in _GETS:
            stack.append(memo[int(arg or 0)])
        else:
            changed, items = _pop(stack, op)
            item = _Item(_depth(op, changed, items), _value(op, arg, items))
            if op.name in {"GLOBAL", "STACK_GLOBAL", "INST"}:
                names[str(item.value)] = None
            elif op.name == "BINPERSID":
                storages[_storage(items[0].value)] = None
            stack.extend([item] * len(op.stack_after))
    return Contents(tuple(names), tuple(storages))


def refuse_names(names: tuple[str, ...]) -> None:
    """Raise a `CheckpointError` that names everything beyond plain tensors and containers."""
    refused = [
        n for n in names if n not in _ALLOWED and not _STORAGE.fullmatch(n) and not _DTYPE.fullmatch(n)
    ]
    if not refused:
        return
    kinds = sorted({_SPECIAL[name] for name in refused if name in _SPECIAL})
    if len(kinds) > 0 and all(name in _SPECIAL for name in refused):
        raise CheckpointError(
            f"holds {' and '.join(kinds)}; featreport reads dense ones", "save a dense float state dict"
        )
    more = [f"and {len(refused) - SHOWN} more"] if len(refused) > SHOWN else []
    shown = ", ".join([name[:120] for name in refused[:SHOWN]] + more)
    raise CheckpointError(
        f"holds Python objects beside tensors, which would be run to be read: {shown}", RESAVE
    )


def _pop(stack: list[_Item], op: pickletools.OpcodeInfo) -> tuple[list[_Item], list[_Item]]:
    """Take what `op` takes from the stack: (the container it changes, the items it uses)."""
    before = op.stack_before
    items: list[_Item] = []
    if pickletools.markobject in before:
        while (item := stack.pop()) is not _MARK:
            items.append(item)
        count = before.index(pickletools.markobject)
    else:
        count = len(before)
    items.reverse()
    below = [stack.pop() for _ in range(count)][::-1]
    if op.name in _CHANGES:
        return below[:1], below[1:] + items
    return [], below + items


def _depth(op: pickletools.OpcodeInfo, changed: list[_Item], items: list[_Item]) -> int:
    depth = max([item.depth for item in changed] + [item.depth + 1 for item in items], default=0)
    if depth > MAX_DEPTH and op.name != "STOP":
        raise CheckpointError(f"nests its values more than {MAX_DEPTH} deep", RESAVE)
    return depth


def _value(op: pickletools.OpcodeInfo, arg: Any, items: list[_Item]) -> Any:
    if op.name in {"GLOBAL", "INST"}:
        return str(arg).replace(" ", ".").replace("__builtin__.", "builtins.")
    if op.name == "STACK_GLOBAL":
        return ".".join(str(item.value) for item in items)
    if op.name.startswith("TUPLE"):
        return tuple(item.value for item in items) if len(items) <= STORAGE_FIELDS + 1 else None
    return arg if isinstance(arg, str | int) else None


def _storage(value: Any) -> Storage:
    if not isinstance(value, tuple) or len(value) < STORAGE_FIELDS or not isinstance(value[4], int):
        raise ValueError("a storage is not described as torch describes it")
    return Storage(str(value[1]), str(value[2]), value[4])
