"""Plans for tests: one run of any module over generated pictures, without a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from featreport.collect.run import Outcome, execute_run
from featreport.plan.types import CheckpointRef, ImageRef, Plan, RunPlan, SourceRef, TransformSpec

NONE = TransformSpec(kind="none", text="none")


def pictures(
    folder: Path, count: int = 3, size: tuple[int, int] = (8, 8), seed: int = 0
) -> tuple[ImageRef, ...]:
    """Write `count` random RGB pictures `size` (height, width)."""
    rng = np.random.default_rng(seed)
    refs = []
    for index in range(count):
        path = folder / f"picture_{index}.png"
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        refs.append(ImageRef(path, path.name))
    return tuple(refs)


def run_module(
    code: str,
    folder: Path,
    images: Sequence[ImageRef],
    *,
    factory: str = "make",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    args: dict[str, Any] | None = None,
    checkpoint: CheckpointRef | None = None,
    dead: float = 0.0,
    near_zero: float = 1e-3,
    batch_size: int | None = 2,
    transform: TransformSpec = NONE,
    precision: Any = "float32",
    device: str = "cpu",
) -> Outcome:
    """Run the network that `factory` in `code` builds over `images`."""
    file = folder / "net.py"
    file.write_text(code)
    source = SourceRef("python-file", f"python:net.py:{factory}", factory, file=file, args=args or {})
    run = RunPlan(
        id="net/random-0",
        model="net",
        checkpoint_name="random-0",
        source=source,
        checkpoint=checkpoint or CheckpointRef("random", "random:0", seed=0),
        include=include,
        exclude=exclude,
        images=tuple(images),
        transform=transform,
    )
    plan = Plan(
        title="test",
        manifest_name="config.yaml",
        manifest_text="",
        output=folder / "report.html",
        device=device,
        precision=precision,
        batch_size=batch_size,
        dead=dead,
        near_zero=near_zero,
        max_bytes=15_000_000,
        shown_channels=12,
        shown_images=4,
        runs=(run,),
    )
    return execute_run(plan, run, torch.device(device), 1_500_000, lambda _done, _of: None)
