"""Compile the device's loops as a launch would, down to machine code, for devices that are not there.

    python tests/compiling.py 75 80 90

For each compute capability one line: how many kernels of each kind were compiled, of all the tensors tried.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from featreport.statistics import Limits, device_kernel, device_loops
from featreport.statistics.cells import CELLS
from featreport.statistics.table import blank
from readings import SHAPES, ordered

ATOMIC = re.compile(r"\b(?:atom|red)\.\S*?(\w+\.\w+) ")  # what it does, and to what


class Absent:
    """A driver of a device that is not there: it can be compiled for."""

    capability = 0

    def get_current_device(self) -> int:
        return self.capability  # a device for each: Triton keeps what it compiled by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


def launch(made: list[Any]) -> Callable[..., Any]:
    """Return what takes the place of a launch: binding the arguments and compiling, as it would."""

    def of_grid(kernel: Any, grid: object) -> Callable[..., None]:
        assert all(0 < size < 65536 for size in grid)
        return lambda *given: made.append((kernel.__name__, kernel.run(*given, grid=grid, warmup=True)))

    return of_grid


def read_everything() -> None:
    """Read tensors of every type, shape and order in memory, into columns and counters aligned and not."""
    for dtype in device_kernel.READ:
        for number, shape in enumerate((*SHAPES, (2, 16, 400), (16, 16, 16))):
            for order in ("rows", "columns", "strided", "repeated"):
                for at in (0, 1):
                    values = ordered(torch.zeros(shape, dtype=dtype), order)
                    table, sums = blank(shape[1] + at, values.device), torch.zeros(shape[:2]).double()
                    cells = torch.zeros(CELLS + 2, dtype=torch.int32)[at:]
                    limits = Limits(0.0, 1e-3, 6.0 if at else None)
                    device_kernel.reduce_into(table, at, sums, values, limits, 16 * number + at, cells)


def main() -> None:
    absent, made = Absent(), []
    driver.set_active(absent)
    JITFunction.__getitem__ = launch(made)
    for absent.capability in map(int, sys.argv[1:]):
        made.clear()
        read_everything()
        kernels = {id(compiled): (name, compiled) for name, compiled in made}.values()
        for name, compiled in kernels:
            code = compiled.asm["ptx"]
            assert compiled.asm["cubin"], name
            assert ".ftz" not in code, f"{name} takes the smallest numbers for zero"
            assert ".local" not in code, f"{name} keeps numbers outside of registers"
            assert set(ATOMIC.findall(code)) == ({"add.u32"} if name == "sample" else set()), name
        names = [name for name, _ in kernels]
        loops = (device_loops.read, device_loops.join, device_loops.sample)
        print(absent.capability, *(f"{loop.__name__}={names.count(loop.__name__)}" for loop in loops))


if __name__ == "__main__":
    main()
