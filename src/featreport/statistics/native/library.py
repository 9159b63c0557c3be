"""The compiled loops of `reading.c`, called with the addresses of tensors."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_double, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch  # brings the OpenMP library whose threads are used

HERE = Path(__file__).parent
BLOCK, ROOM = 128, 15  # as in the C file, which is asked
THREADS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


class Reading(Structure):
    """A tensor to read, and where what is found goes: `Reading` of the C file, which explains its fields."""

    _fields_ = (
        ("values", c_void_p),
        *((name, c_int64) for name in ("n", "c", "p", "image", "channel", "position")),
        *((name, c_double) for name in ("near", "dead", "upper")),
        *((name, c_int64) for name in ("near_bits", "first")),
        ("table", c_void_p),
        *((name, c_int64) for name in ("table_field", "table_column")),
        ("sums", c_void_p),
        *((name, c_int64) for name in ("sums_image", "sums_channel")),
        *((name, c_void_p) for name in ("channels", "positions", "bounds", "found")),
        ("samples", c_int64),
        ("cells", c_void_p),
        *((name, c_int64) for name in ("blocks", "groups", "threads")),
        ("room", c_void_p),
    )


class Readings(Structure):
    """Many tensors to read: `Readings` of the C file."""

    _fields_ = (
        ("tensors", c_void_p),
        ("count", c_int64),
        ("ends", c_void_p),
        ("threads", c_int64),
        *((name, c_double) for name in ("near", "dead")),
        ("near_bits", c_int64),
        ("table", c_void_p),
        *((name, c_int64) for name in ("table_field", "table_column")),
    )


LAYOUT = [ctypes.sizeof(Reading), ctypes.sizeof(Readings), BLOCK, ROOM]


class Library:
    """The loops for this CPU.

    Raises:
        OSError: it cannot be loaded.
        RuntimeError: it was compiled of sources that other fields are handed to.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        library.made_of.restype = library.built_by.restype = c_char_p
        library.layout.restype, library.layout.argtypes = c_int64, [c_int64]
        if [library.layout(k) for k in range(4)] != LAYOUT:
            raise RuntimeError(f"{path.name} was compiled of other sources: install featreport again")
        self.read_float = _function(library.read_float, Reading)
        self.read_double = _function(library.read_double, Reading)
        self.read_many = _function(library.read_many, Readings)
        self.made_of = library.made_of().decode()
        self.kind = path.stem.partition("-")[2]
        self.name = f"C, {self.kind}, {library.built_by().decode()}"
        _use_threads(library)


def _function(function: Any, given: type[Structure]) -> Any:
    function.restype, function.argtypes = None, [POINTER(given)]
    return function


def _use_threads(library: ctypes.CDLL) -> None:
    """Let it run on the threads of the OpenMP library in this process; where that has another name for them, on one."""
    try:
        process = ctypes.CDLL(None)
        places = [ctypes.cast(getattr(process, name), c_void_p) for name in THREADS]
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no process-wide table of names
        return
    library.use_threads.restype, library.use_threads.argtypes = None, [c_void_p] * 3
    library.use_threads(*places)


@cache
def library() -> Library | None:
    """Return the loops, None where none were compiled when featreport was installed."""
    kinds = {"AVX512": ["avx512", "avx2"], "AVX2": ["avx2"]}.get(torch.backends.cpu.get_cpu_capability(), [])
    for kind in [*kinds, "any"]:
        for path in HERE.glob(f"reading-{kind}.*"):
            return Library(path)
    return None
