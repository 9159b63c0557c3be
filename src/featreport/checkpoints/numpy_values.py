"""NumPy's numbers and arrays in a pickle, as Python numbers and tensors; objects and texts stay records."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featreport.checkpoints.machine import HOSTILE, Builder, Machine, Unfinished
from featreport.checkpoints.values import Opaque
from featreport.errors import CheckpointError

MAX_DIMENSIONS = 32
_NUMPY_TYPE = re.compile(r"[?bhilqBHILQefdFD]|[biufc](1|2|4|8|16)")


def numpy_type(value: Any) -> np.dtype[Any] | None:
    """Return the numeric type a `numpy.dtype(…)` record describes, None for objects, texts and records."""
    if not isinstance(value, Opaque) or value.name != "numpy.dtype" or not value.arguments:
        return None
    code = value.arguments[0]
    if not isinstance(code, str) or not _NUMPY_TYPE.fullmatch(code):
        return None
    state = value.state
    big = isinstance(state, tuple) and len(state) > 1 and state[1] == ">"
    return np.dtype(code).newbyteorder(">" if big else "<")


def _numpy_scalar(_: Machine, arguments: tuple[Any, ...]) -> Any:
    dtype = numpy_type(arguments[0])
    raw = arguments[1] if len(arguments) > 1 else None
    if dtype is None or not isinstance(raw, bytes) or len(raw) != dtype.itemsize:
        return Opaque("numpy.scalar", arguments)
    return np.frombuffer(raw, dtype)[0].item()


def numpy_array(dtype: Any, shape: Any, raw: Any, *, fortran: bool) -> Tensor | None:
    """Return a numeric NumPy array as a tensor, None for one of another kind.

    Raises:
        CheckpointError: its bytes are not as many as its shape asks for.
    """
    kind = numpy_type(dtype)
    if kind is None or not isinstance(raw, bytes | bytearray) or not isinstance(shape, tuple):
        return None
    sizes = integers(shape)
    count = 1
    for length in sizes:
        count *= length
    if count * kind.itemsize != len(raw) or len(sizes) > MAX_DIMENSIONS:
        raise CheckpointError("is damaged: a NumPy array's bytes do not fit its shape", HOSTILE)
    array = np.frombuffer(bytes(raw), kind).reshape(sizes, order="F" if fortran else "C")
    try:
        return torch.from_numpy(array.astype(kind.newbyteorder("="), order="C", copy=True))
    except TypeError:  # a type that torch lacks
        return None


def _numpy_buffer(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    """`numpy._core.numeric._frombuffer(bytes, dtype, shape, order)`, of protocol 5."""
    raw, dtype, shape, order = arguments
    machine.spend(2 * len(raw) if isinstance(raw, bytes | bytearray) else 0)
    array = numpy_array(dtype, shape, raw, fortran=order == "F")
    return Opaque("numpy.ndarray", arguments) if array is None else array


def _numpy_array(_: Machine, arguments: tuple[Any, ...]) -> Unfinished:
    """`_reconstruct`: an empty array, whose state is (version, shape, dtype, Fortran order, bytes)."""

    def finish(machine: Machine, state: Any) -> Any:
        if isinstance(state, tuple) and len(state) == 5:  # noqa: PLR2004
            _, shape, dtype, fortran, raw = state
            machine.spend(2 * len(raw) if isinstance(raw, bytes | bytearray) else 0)
            array = numpy_array(dtype, shape, raw, fortran=bool(fortran))
            if array is not None:
                return array
        return Opaque("numpy.ndarray", arguments, state=state)

    return Unfinished(finish)


def integers(values: Any) -> tuple[int, ...]:
    """Return `values` as whole numbers from 0.

    Raises:
        CheckpointError: they are something else.
    """
    if not isinstance(values, tuple | list) or not all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 for value in values
    ):
        raise CheckpointError("is damaged: a tensor's size is not a row of whole numbers", HOSTILE)
    return tuple(values)


_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")
BUILDERS: dict[str, Builder] = {
    **{f"{core}.scalar": _numpy_scalar for core in _CORES},
    **{f"{core}._reconstruct": _numpy_array for core in _CORES},
    "numpy.core.numeric._frombuffer": _numpy_buffer,
    "numpy._core.numeric._frombuffer": _numpy_buffer,
}
