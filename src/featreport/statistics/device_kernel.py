"""The compiled form of the reduction on a CUDA device: one reading of a tensor where it lies, by Triton.

It was compiled for several devices and run by Triton's interpreter, but no GPU was there to time it. The definition
passes over an activation some forty times, mostly as float64; this reads it once and writes a few MB of tables, in
three launches. A tensor is cut into parts by its shape alone, the parts are joined in one fixed way, and only integers
are added by atomics: no number depends on the device's size or on chance.

Any compiler, driver and device may be the first to show a fault: each is tried before it is used (see `fault`), and
what does not agree with the definition is not used.
"""

from __future__ import annotations

import contextlib
import sys
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from featreport.statistics.cells import CELLS
from featreport.statistics.definition import definition
from featreport.statistics.sample import count_into, places_on
from featreport.statistics.table import Field, Limits, at_most, blank

READ = frozenset({torch.float32, torch.float16, torch.bfloat16})
PROGRAMS = 2048  # at once, where a tensor is large enough
LEAST = 4  # tiles of an image that are worth a part
ROUNDED = (Field.MEAN, Field.SPREAD, Field.MAGNITUDE)
EXACT = tuple(field for field in Field if field not in ROUNDED)
CLOSE = 1e-10  # relative: of float64 sums taken in another order

_trusted: set[tuple[torch.device, torch.dtype]] = set()  # what was tried and found right in this process


@cache
def _loops() -> Any | None:
    """Triton's functions, or None where there is no Triton: then the definition runs."""
    try:
        from featreport.statistics import device_loops
    except ImportError:
        return None
    return device_loops


def runs(values: Tensor) -> bool:
    """Whether the compiled form reads this tensor: whether `fault` found none on its device, of its type."""
    return (values.device, values.dtype) in _trusted


def engine(device: torch.device, dtype: torch.dtype) -> str:
    """Name what reduces tensors of a type on a device, for the provenance; it tries it first."""
    usable = device.type == "cuda" and dtype in READ and not fault(device, dtype)
    loops = _loops() if usable else None
    return "torch" if loops is None else f"triton {loops.VERSION}"


@cache
def fault(device: torch.device, dtype: torch.dtype) -> str:
    """Return why tensors of a type are not read by the compiled form though Triton is there; "" where nothing is wrong.

    It is tried once in a process, before any forward pass: it compiles, and waits for the device.
    """
    return tried(device, dtype) if device.type == "cuda" and dtype in READ else ""


def tried(device: torch.device, dtype: torch.dtype) -> str:
    """Read a few small tensors on a device and compare with the definition; return what is wrong."""
    try:
        if _loops() is None:
            return ""
        with contextlib.redirect_stdout(sys.stderr):  # a compiler that fails may print
            for values in trials(dtype):
                there = values.to(device)
                if not _agrees(there, values):
                    return f"Triton's numbers of a {list(values.shape)} tensor differ from theirs"
    except Exception as error:  # noqa: BLE001 - of a compiler, a driver or a device: each raises its own
        print(f"Triton: {next(iter(str(error).splitlines()), '')}", file=sys.stderr)  # which may hold paths
        return f"Triton does not work here ({type(error).__name__})"
    _trusted.add((there.device, dtype))
    return ""


def trials(dtype: torch.dtype) -> list[Tensor]:
    """Return `[n, c, p]` with everything that numbers can be, in both orders of memory, cut in every way."""
    found = []
    for seed, shape in enumerate(((3, 35, 50), (2, 3, 400), (300, 2, 3))):
        draw = torch.Generator().manual_seed(seed)
        values = torch.randn(shape, generator=draw) * torch.tensor([1e-3, 1.0, 300.0])[seed]
        odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-40, 6e-8, 1e-3, 6.0])
        where = torch.rand(shape, generator=draw) < 0.2  # noqa: PLR2004 - one in five
        values[where] = odd[torch.randint(len(odd), (int(where.sum()),), generator=draw)]
        values[:, 1] += 1000.0
        values[0, :, :1] = float("nan")
        values = values.to(dtype)
        found += [values, values.transpose(1, 2).contiguous().transpose(1, 2)]
    return found


def _agrees(there: Tensor, values: Tensor) -> bool:
    """Whether the compiled form on the device gives what the definition gives on the CPU."""
    limits, (n, c, _) = Limits(0.5, 1e-3, 6.0), values.shape
    table, sums = blank(c, there.device), torch.zeros((n, c), dtype=torch.float64, device=there.device)
    counted = torch.zeros(CELLS + 1, dtype=torch.int32, device=there.device)
    reduce_into(table, 0, sums, there, limits, 5, counted)
    want, cells = definition(values, limits, 5), torch.zeros(CELLS + 1, dtype=torch.int32)
    count_into(cells, values)
    got = table.cpu()
    return (
        torch.equal(got[list(EXACT)], want.table[list(EXACT)])
        and torch.allclose(got[list(ROUNDED)], want.table[list(ROUNDED)], rtol=CLOSE, atol=0.0)
        and torch.allclose(sums.cpu(), want.sums, rtol=CLOSE, atol=CLOSE)
        and torch.equal(counted.cpu(), cells)
    )


def reduce_into(
    table: Tensor, at: int, sums: Tensor, values: Tensor, limits: Limits, first: int, cells: Tensor | None
) -> None:
    """Write the table of `[n, c, p]`, none of them 0, into columns of a blank table (see `reduction.reduce_into`).

    It waits for nothing, and takes any strides.
    """
    loops: Any = _loops()
    n, c, p = values.shape
    images, stretch, chunks = _cut(n, c, p, loops.SIZE.value, loops.PARTS.value)
    parts = -(-n // images) * chunks
    tables = torch.empty((parts, len(Field), c), dtype=torch.float64, device=values.device)
    part = table[:, at : at + c]
    steps = values.stride()
    side = int(p > 1 and (c == 1 or steps[2] <= steps[1]))
    with torch.cuda.device_of(values):  # type: ignore[no-untyped-call] # torch gives it no types
        loops.read[-(-c // loops.SIZE.value), parts](
            values, tables, sums, n, c, p, *steps, images, stretch, chunks, first, *_bounds(limits), side
        )
        loops.join[(-(-c // loops.FEW.value),)](tables, part, parts, c, part.stride(0))
        if cells is not None:
            places = places_on(values.device, c * p)
            blocks = -(-places.numel() // loops.BLOCK.value)
            loops.sample[n, blocks](values, places, cells, p, places.numel(), *steps)
    if chunks > 1:  # what is known of an image only when its stretches are joined
        apart = tables.view(n, chunks, len(Field), c)
        torch.sum(apart[:, :, Field.COUNT] * apart[:, :, Field.MEAN], 1, out=sums)
        part[Field.FIRED] = apart[:, :, Field.FIRED].amax(1).sum(0)


@lru_cache(maxsize=1024)
def _cut(n: int, c: int, p: int, size: int, most: int) -> tuple[int, int, int]:
    """Return how many images make a part or, where images are few, how many positions, and how many parts an image."""
    wanted = min(most, -(-PROGRAMS // -(-c // size)))
    images, tiles = -(-n // wanted), -(-p // size)
    stretch = size * -(-tiles // max(1, min(wanted // n, tiles // LEAST)))
    return images, stretch, -(-p // stretch)


@lru_cache(maxsize=64)
def _bounds(limits: Limits) -> tuple[float, float, float]:
    """Return the thresholds as float32, with which a float32 comparison decides as the exact one would."""
    upper = float("inf") if limits.upper is None else -at_most(-limits.upper)
    return at_most(limits.near_zero), at_most(limits.dead), upper
