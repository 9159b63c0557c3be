"""61 numbers by which two checkpoints are compared without their weights, and a digest that tells equal tensors.

The sketch of a tensor x of n elements is z[j] = Σ s(i) · x(i) over the places i with i mod 61 = j, and the sign s(i) is
bit (i mod 64) of the output number (i div 64) of SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2714064.2660195)
from a fixed seed. It is linear: the sketch of A − B is the difference of the sketches, and ‖z‖² estimates ‖x‖² without
bias with a relative standard error of √(2/61), where the squares of x are spread evenly over the coordinates. They are,
because 61 is prime: modulo 64 a column of a layer with 1,024 inputs would fall into one coordinate, and the error be
√2. Up to 61 elements the sketch holds the tensor itself, so it is exact.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.weights.base import Subject, WeightStatistic, register
from featreport.statistics.weights.slabs import Values, slabs

COORDINATES = 61  # a prime, so that no layer's width is a multiple of it
BITS = 64  # signs in a word
SEED = 0x6665617472657074
CHUNK = (
    COORDINATES << 10
)  # elements taken at a time: with their signs 512 KiB, which the second-level cache holds
SUMMED = 128  # signed values added up in their own precision before float64 takes over
KEPT = 48  # chunks whose signs stay in memory: 12 MiB, a tensor of three million elements
GAMMA, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's own
WORDS = 1 << 15  # of 8 bytes, that the digest takes at a time

Words = NDArray[np.uint64]
Sums = NDArray[np.float64]


@register
class WeightSketch(WeightStatistic):
    """A signed projection to 61 numbers, and a digest of the values."""

    metric = "weights.sketch"
    label = "weight sketch"

    def sentence(self) -> str:
        return (
            f"{COORDINATES} signed sums of each tensor's elements (signs of SplitMix64, one seed for all), from which "
            "featreport diff estimates ‖A − B‖² of two reports, with a relative standard error of "
            f"√(2/{COORDINATES}) = 18 %; exact up to {COORDINATES} elements. A digest of 64 bits tells equal tensors: "
            "it guards against accidents, not against forgery."
        )

    def value(self, subject: Subject) -> dict[str, Any]:
        sums, digest = read(subject.tensor, finite=not subject.numbers.nonfinite)
        text = None
        if sums is None:
            subject.reasons["sketch"] = "there are values that are no numbers"
        else:
            with np.errstate(over="ignore"):
                single = sums[: min(COORDINATES, subject.numbers.count)].astype("<f4")
            if np.isfinite(single).all():
                text = base64.b64encode(single.tobytes()).decode("ascii")
            else:
                subject.reasons["sketch"] = "the sums are larger than float32 holds"
        return {"sketch": text, "digest": digest}

    def release(self) -> None:
        """Let go of the signs."""
        _kept_signs.cache_clear()


def read(tensor: Tensor, *, finite: bool = True) -> tuple[Sums | None, str]:
    """Return the sketch of a real tensor `[61]` (None where not all values are numbers), and its digest.

    Half precision is read as float32, all else but float32 as float64; what the tensor's strides are changes nothing.
    """
    sums: Sums | None = np.zeros(COORDINATES) if finite else None
    total = count = 0
    room = np.empty((2, min(WORDS, tensor.numel())), np.uint64)
    with np.errstate(over="ignore", invalid="ignore"):
        for place, values in enumerate(_chunks(tensor)):
            total = _digest(values, total, room)
            count += values.size
            if sums is not None:
                sums += _signed(values, place)
    return sums, f"{int(_outputs(1, total ^ count)[0]):016x}"


def _chunks(tensor: Tensor) -> Iterator[Values]:
    """Yield the elements in their order, `CHUNK` of them at a time; good until the next are asked for."""
    tensor = tensor.detach().resolve_neg()
    direct = tensor.dtype in {torch.float32, torch.float64} and tensor.device.type == "cpu"
    if direct and tensor.is_contiguous():
        flat = tensor.view(-1).numpy()
        for start in range(0, flat.size, CHUNK):
            yield flat[start : start + CHUNK]
        return
    buffer: Values | None = None
    filled = 0
    for slab in slabs(tensor):
        rest = slab.values
        buffer = np.empty(CHUNK, rest.dtype) if buffer is None else buffer
        while rest.size:
            taken = rest[: CHUNK - filled]
            buffer[filled : filled + taken.size] = taken
            filled, rest = filled + taken.size, rest[taken.size :]
            if filled == CHUNK:
                yield buffer
                filled = 0
    if buffer is not None and filled:
        yield buffer[:filled]


def _signed(values: Values, place: int) -> Sums:
    """Return what the chunk number `place` adds to each coordinate."""
    signs = _kept_signs(place) if place < KEPT else _signs(place)
    sums = np.zeros(COORDINATES)
    rows = values.size // COORDINATES
    blocks = rows // SUMMED
    whole = blocks * SUMMED * COORDINATES
    if blocks:
        shape = (blocks, SUMMED, COORDINATES)
        part = np.einsum("bij,bij->bj", values[:whole].reshape(shape), signs[:whole].reshape(shape))
        sums += part.sum(0, dtype=np.float64)
    if rest := values.size - whole:
        filled = np.zeros(-(-rest // COORDINATES) * COORDINATES)
        filled[:rest] = values[whole:]
        filled[:rest] *= signs[whole : whole + rest]
        sums += filled.reshape(-1, COORDINATES).sum(0)
    return sums


def _signs(place: int) -> NDArray[np.float32]:
    """Return the signs of chunk number `place`, `[CHUNK]`: −1 where SplitMix64's bit is set, else +1."""
    words = CHUNK // BITS
    bits = np.unpackbits(_outputs(words, SEED, place * words).astype("<u8").view(np.uint8), bitorder="little")
    signs = bits.astype(np.float32)
    signs *= -2
    signs += 1
    return signs


_kept_signs = lru_cache(maxsize=KEPT)(_signs)


def _outputs(count: int, seed: int, first: int = 0) -> Words:
    """Return outputs `first`, `first` + 1 … of SplitMix64 from `seed`."""
    with np.errstate(over="ignore"):
        z = np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(GAMMA) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
        return z ^ (z >> np.uint64(31))


def _digest(values: Values, total: int, room: Words) -> int:
    """Take a chunk into the digest: words times odd numbers that depend on their place, mixed and added up mod 2⁶⁴.

    A changed word always changes its term; several changes cancel out once in 2⁶⁴.
    """
    data = values.view(np.uint8)
    if loose := data.size % 8:
        data = np.concatenate([data, np.zeros(8 - loose, np.uint8)])
    words = data.view("<u8")
    for start in range(0, words.size, WORDS):
        part = words[start : start + WORDS]
        product, mixed = room[:, : part.size]
        np.multiply(part, _odd()[: part.size], out=product)
        np.right_shift(product, np.uint64(29), out=mixed)  # or two flipped signs would cancel out
        product ^= mixed
        total = (total * GAMMA + int(product.sum())) % (1 << 64)
    return total


@lru_cache(maxsize=1)
def _odd() -> Words:
    """Return odd numbers by place, `[WORDS]`."""
    return np.arange(1, WORDS + 1, dtype=np.uint64) * np.uint64(GAMMA) | np.uint64(1)
