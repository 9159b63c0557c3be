"""DigitNet: a small convolutional network for 28 × 28 grey digits, made to be looked at."""

from __future__ import annotations

import torch
from torch import nn


class DigitNet(nn.Module):
    """Two convolutions and two linear layers, 55,338 parameters; input [N, 1, 28, 28], output [N, 10].

    There is no batch normalisation: nothing pulls a ReLU back once a huge step has pushed it below zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(32 * 7 * 7, 32)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, digits: torch.Tensor) -> torch.Tensor:
        """Return the scores [N, 10] of `digits` [N, 1, 28, 28]."""
        maps = self.pool1(self.relu1(self.conv1(digits)))
        maps = self.pool2(self.relu2(self.conv2(maps)))
        return self.fc2(self.relu3(self.fc1(maps.flatten(1))))
