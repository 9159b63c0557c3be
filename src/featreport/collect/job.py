"""What every step of a run needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from featreport.collect.deadline import Deadline
from featreport.collect.session import Session
from featreport.plan.types import Plan, RunPlan
from featreport.statistics import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# unlike `Module.to(dtype)` these leave complex numbers alone: made real, they lose a half and the network its function
CASTS = {"float32": nn.Module.float, "bfloat16": nn.Module.bfloat16, "float16": nn.Module.half}
ImagesDone = Callable[[int, int], None]  # images seen so far, images of the run


@dataclass(frozen=True)
class Job:
    """One run, and where and how it is carried out."""

    plan: Plan
    run: RunPlan
    device: torch.device
    budget: int  # bytes of pictures
    images_done: ImagesDone
    session: Session
    deadline: Deadline = field(default_factory=Deadline)

    @property
    def settings(self) -> Settings:
        """The thresholds."""
        plan = self.plan
        images = len(self.run.images)
        return Settings(plan.dead, plan.near_zero, plan.constant, images=images, alpha=plan.alpha)

    @property
    def seed(self) -> int:
        """What random numbers are drawn from, in building and in running the network."""
        checkpoint = self.run.checkpoint
        return checkpoint.seed if checkpoint.kind == "random" and checkpoint.seed is not None else 0

    @property
    def dtype(self) -> torch.dtype:
        """The type of the forward pass."""
        return DTYPES[self.plan.precision]

    def placed(self, model: nn.Module) -> nn.Module:
        """Bring a network to its device, and its floating-point tensors to the type of the forward pass."""
        return CASTS[self.plan.precision](model.to(self.device))

    @property
    def on_accelerator(self) -> bool:
        """Whether the device has a memory and a queue of its own."""
        return self.device.type != "cpu"
