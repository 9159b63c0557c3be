"""Random numbers for one build of a model, without a trace in the process's own generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's (CPU), Python's and NumPy's global generators; restore them and the default type after."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 – it is the global generator that user code draws from
    default_type = torch.get_default_dtype()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_default_dtype(default_type)
