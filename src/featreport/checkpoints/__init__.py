"""A checkpoint file → named tensors → the model, and the audit of that. No byte of a file is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from featreport.checkpoints.alone import Alone
    from featreport.checkpoints.loading import Loaded, Opened
    from featreport.checkpoints.reading import Checkpoint
    from featreport.plan.types import CheckpointRef, SourceRef

__all__ = ["load_alone", "load_into", "read"]


def load_into(
    model: nn.Module, checkpoint: CheckpointRef, source: SourceRef, ahead: Opened | None = None
) -> Loaded:
    """Put the checkpoint's numbers into `model` and return the audit and the tensors as stored.

    `ahead` is the file's content where it has been read already.

    Raises:
        CheckpointError: the file cannot be read or does not fit; its `load` is the audit as far as it went.
    """
    from featreport.checkpoints import loading

    return loading.load_into(model, checkpoint, source, ahead)


def load_alone(checkpoint: CheckpointRef, source: SourceRef, ahead: Opened | None = None) -> Alone:
    """Return the tensors of a checkpoint whose architecture is not at hand, and the audit.

    `ahead` is the file's content where it has been read already.

    Raises:
        CheckpointError: the file cannot be read or holds no single state dict; its `load` is the audit so far.
    """
    from featreport.checkpoints import alone

    return alone.load_alone(checkpoint, source, ahead)


def read(path: Path, *, shown: str | None = None) -> Checkpoint:
    """Read any supported file, verified, without running any of it; messages call it `shown`.

    Raises:
        CheckpointError: it is not a checkpoint, is damaged, or holds what featreport does not open.
    """
    from featreport.checkpoints import reading

    return reading.read(path, shown=shown)
