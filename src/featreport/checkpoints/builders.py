"""The few names in a pickle that mean something: what builds tensors, containers and numbers, each within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from featreport.checkpoints import numpy_values
from featreport.checkpoints.machine import HOSTILE, Builder, Machine, Reference, key_of
from featreport.checkpoints.numpy_values import integers
from featreport.checkpoints.values import Converted, Opaque
from featreport.errors import CheckpointError

MAX_DIMENSIONS = 64
SMALL = 2**20  # bytes; a constant expanded to this much is harmless
FLOATS = "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
INTEGERS = "uint8 int8 int16 int32 int64 uint16 uint32 uint64 bool"
COMPLEX = "complex32 complex64 complex128"
DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name) for name in f"{FLOATS} {INTEGERS} {COMPLEX}".split() if hasattr(torch, name)
}
_ALIASES = {"half": "float16", "float": "float32", "double": "float64", "short": "int16", "int": "int32"}
_ALIASES |= {"long": "int64", "cfloat": "complex64", "cdouble": "complex128", "chalf": "complex32"}
STORAGES: dict[str, torch.dtype] = {
    "Byte": torch.uint8,
    "Char": torch.int8,
    "Bool": torch.bool,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
    "Float": torch.float32,
    "Double": torch.float64,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QInt8": torch.int8,  # as the integers they are; the scale stands beside the tensor
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
    "Untyped": torch.uint8,
}
_DATA_NAME = re.compile(
    r"torch\.(q?u?int\w*|\w*float\w*|complex\w*|bool|half|double|short|long|per_\w+)|numpy\.(dtype|ndarray)"
)
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+)Storage")


@dataclass(frozen=True, eq=False)
class Storage:
    """The bytes a file keeps for one or more tensors, and the type of its elements ("Untyped": none)."""

    data: torch.UntypedStorage
    dtype: torch.dtype
    kind: str


def foreign(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that stand for code: all but those of storages, types of numbers and quantizations."""
    return tuple(name for name in names if not _STORAGE.fullmatch(name) and not _DATA_NAME.fullmatch(name))


def storage_kind(value: Any) -> str:
    """Return "Float" for the name `torch.FloatStorage`.

    Raises:
        CheckpointError: it names no storage that is read.
    """
    name = value.name if isinstance(value, Opaque) else ""
    found = _STORAGE.fullmatch(name)
    if found is None or found[1] not in STORAGES:
        raise CheckpointError(f"holds a storage of an unknown kind: {name[:80] or 'unnamed'}", HOSTILE)
    return found[1]


def dtype_of(value: Any) -> torch.dtype:
    """Return the type that the name `torch.float32` stands for.

    Raises:
        CheckpointError: it names none.
    """
    name = value.name.removeprefix("torch.") if isinstance(value, Opaque) else ""
    found = DTYPES.get(_ALIASES.get(name, name))
    if found is None:
        raise CheckpointError(f"holds numbers of an unknown type: {name[:80] or 'unnamed'}", HOSTILE)
    return found


def view(storage: Storage, dtype: torch.dtype, offset: Any, size: Any, stride: Any) -> Tensor:
    """Return a tensor on `storage`, checked to lie inside it.

    Raises:
        CheckpointError: it reaches beyond its storage, or claims more numbers than it holds.
    """
    sizes, strides, (start,) = integers(size), integers(stride), integers((offset,))
    if len(sizes) != len(strides) or len(sizes) > MAX_DIMENSIONS:
        raise CheckpointError(
            f"is damaged: a tensor has {len(sizes)} sizes and {len(strides)} strides", HOSTILE
        )
    count = 1
    for length in sizes:
        count *= length
    has = storage.data.nbytes()
    if count * dtype.itemsize > max(has, SMALL):
        raise CheckpointError(
            f"claims more than it holds: a tensor of {count:,} elements on {has:,} bytes", HOSTILE
        )
    last = start + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
    if count and (last + 1) * dtype.itemsize > has:
        raise CheckpointError("is damaged: a tensor reaches beyond its storage", "fetch or save it again")
    if not count:
        return torch.empty(sizes, dtype=dtype)
    return torch.empty(0, dtype=dtype).set_(storage.data, start, sizes, strides)


def _storage(value: Any) -> Storage:
    if not isinstance(value, Storage):
        raise TypeError("a tensor is built on something other than a storage")
    return value


def _tensor(_: Machine, arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, size, stride = _storage(arguments[0]), *arguments[1:4]
    return view(storage, storage.dtype, offset, size, stride)


def _typed_tensor(_: Machine, arguments: tuple[Any, ...]) -> Tensor:
    """`_rebuild_tensor_v3`: an untyped storage, with the type beside it."""
    return view(_storage(arguments[0]), dtype_of(arguments[6]), *arguments[1:4])


def _first(_: Machine, arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


def _of_a_class(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    """`_rebuild_from_type_v2(function, class, arguments, state)`: the tensor without the class around it."""
    function, _, inner = arguments[:3]
    if isinstance(function, Reference):
        return machine.call(function, inner)
    return Opaque("torch._tensor._rebuild_from_type_v2", arguments)


def _quantized(machine: Machine, arguments: tuple[Any, ...]) -> Converted:
    storage, offset, size, stride, quantizer = _storage(arguments[0]), *arguments[1:5]
    values = view(storage, storage.dtype, offset, size, stride)
    machine.spend(4 * values.numel())
    kind = {"QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32"}.get(storage.kind)
    name = quantizer[0].name if isinstance(quantizer[0], Opaque) else ""
    if kind and name == "torch.per_tensor_affine":
        scale, zero = float(quantizer[1]), int(quantizer[2])
        return Converted(((values.double() - zero) * scale).float(), f"{kind} (per tensor)")
    if kind and name in {"torch.per_channel_affine", "torch.per_channel_affine_float_qparams"}:
        scales, zeros, axis = quantizer[1], quantizer[2], int(quantizer[3])
        if not 0 <= axis < values.ndim:
            raise CheckpointError("is damaged: a quantised tensor has no such axis", HOSTILE)
        shape = [-1 if dim == axis else 1 for dim in range(values.ndim)]
        dense = (values.double() - _numbers(zeros).reshape(shape)) * _numbers(scales).reshape(shape)
        return Converted(dense.float(), f"{kind} (per channel)")
    raise CheckpointError(f"holds tensors quantised as {name[:80] or 'unnamed'}", "save a float state dict")


def _numbers(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.double()
    if isinstance(values, list | tuple):
        return torch.tensor([float(value) for value in values], dtype=torch.float64)
    raise TypeError("the scales of a quantised tensor are not numbers")


def _sparse(machine: Machine, arguments: tuple[Any, ...]) -> Converted:
    layout, data = arguments[:2]
    size = integers(data[2] if layout == "sparse_coo" else data[3])
    values = data[1] if layout == "sparse_coo" else data[2]
    parts = data[:2] if layout == "sparse_coo" else data[:3]
    if len(size) > MAX_DIMENSIONS or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError("a sparse tensor is not made of tensors")
    count = 1
    for length in size:
        count *= length
    machine.spend(count * values.dtype.itemsize)
    if layout == "sparse_coo":
        sparse = torch.sparse_coo_tensor(data[0], data[1], size, check_invariants=True)
        return Converted(sparse.to_dense(), "sparse COO")
    if layout not in {"sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"}:
        raise CheckpointError(
            f"holds a tensor of an unknown layout: {str(layout)[:80]}", "save dense tensors"
        )
    sparse = torch.sparse_compressed_tensor(
        data[0], data[1], data[2], size, layout=getattr(torch, layout), check_invariants=True
    )
    return Converted(
        sparse.to_dense(), layout.replace("sparse_", "sparse ").upper().replace("SPARSE", "sparse")
    )


def _layout(_: Machine, arguments: tuple[Any, ...]) -> str:
    return str(arguments[0]).removeprefix("torch.")[:80]


def _meta(_: Machine, __: tuple[Any, ...]) -> Any:
    raise CheckpointError(
        "holds meta tensors (shapes without numbers)", "save it from a model that holds its numbers"
    )


def _mapping(machine: Machine, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """OrderedDict, defaultdict, Counter: a dict of what they are given."""
    found: dict[Any, Any] = {}
    for given in arguments:
        if isinstance(given, dict):
            machine.spend(64 * len(given))
            found.update(given)
        elif isinstance(given, list | tuple):
            machine.spend(64 * len(given))
            pairs = [pair for pair in given if isinstance(pair, list | tuple) and len(pair) == 2]  # noqa: PLR2004
            found.update((key_of(key), value) for key, value in pairs)
    return found


def _sequence(make: Any) -> Builder:
    def build(machine: Machine, arguments: tuple[Any, ...]) -> Any:
        given = arguments[0] if arguments else ()
        if not isinstance(given, Sequence | set | frozenset) or isinstance(given, str | bytes | bytearray):
            return Opaque(f"builtins.{make.__name__}", arguments)
        machine.spend(64 * len(given))
        return make(key_of(value) for value in given) if make in (set, frozenset) else make(given)

    return build


def _encoded(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    """`_codecs.encode(text, "latin1")`: how Python 2's protocols write bytes."""
    text = arguments[0]
    if not isinstance(text, str) or arguments[1:] not in {("latin1",), ("latin-1",)}:
        return Opaque("_codecs.encode", arguments)
    machine.spend(len(text))
    return text.encode("latin1")


def _complex(_: Machine, arguments: tuple[Any, ...]) -> complex:
    return complex(float(arguments[0]), float(arguments[1]))


def _device(_: Machine, arguments: tuple[Any, ...]) -> str:
    return ":".join(str(part)[:20] for part in arguments if isinstance(part, str | int))


def _passed(name: str) -> tuple[str, Builder]:
    return f"torch.jit._pickle.{name}", _first


BUILDERS: dict[str, Builder] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _of_a_class,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch.serialization._get_layout": _layout,
    "torch.Size": _sequence(tuple),
    "torch.device": _device,
    "collections.OrderedDict": _mapping,
    "collections.Counter": _mapping,
    "collections.defaultdict": _mapping,
    "builtins.dict": _mapping,
    "builtins.list": _sequence(list),
    "builtins.tuple": _sequence(tuple),
    "builtins.set": _sequence(set),
    "builtins.frozenset": _sequence(frozenset),
    "builtins.complex": _complex,
    "_codecs.encode": _encoded,
    **numpy_values.BUILDERS,
    **dict(map(_passed, ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"))),
    **dict(map(_passed, ("restore_type_tag", "build_list"))),
}
