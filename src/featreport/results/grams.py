"""Gram matrices of a run's layers over its images: kept with a finished run, never in results."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, TypeAlias

from featreport.results.frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]


class Grams(Frozen):
    """For each layer and each batch the values above the diagonal of a Gram matrix of images, row by row, float64."""

    layers: list[str]  # as a reader knows them: "relu (call 1)"
    blocks: list[list[int]]  # first image and number of images of each batch
    data: str  # base64, little-endian, layer by layer, batch by batch

    @classmethod
    def of(cls, layers: list[str], blocks: list[tuple[int, int]], matrices: list[list[Array]]) -> Grams:
        """Return the Gram matrices `[n, n]` of each layer, one for each of `blocks`, packed."""
        import numpy as np  # only where there is one: starting up needs none

        parts = [np.asarray(one)[np.triu_indices(len(one), 1)] for layer in matrices for one in layer]
        flat = np.concatenate(parts) if parts else np.empty(0)
        return cls(
            layers=layers,
            blocks=[list(block) for block in blocks],
            data=base64.b64encode(flat.astype("<f8").tobytes()).decode("ascii"),
        )

    def matrices(self) -> Array:
        """Return the values above the diagonals, `[layers, values]`."""
        import numpy as np

        flat = np.frombuffer(base64.b64decode(self.data), "<f8")
        return flat.reshape(len(self.layers), -1) if self.layers else np.empty((0, 0))
