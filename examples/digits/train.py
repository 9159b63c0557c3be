"""Train DigitNet three times over, to have checkpoints worth comparing (under a minute on two cores).

`early.pt`        after 60 steps: it has begun to learn
`trained.pt`      after 25 epochs; saved as training scripts do, the state dict inside a larger dictionary
`lr-too-high.pt`  ten times the learning rate: most ReLUs of conv2 die and stay dead

Run `python examples/digits/train.py`. The same versions on one machine give the same files, byte for byte.
"""

from __future__ import annotations

import numpy as np
import torch
from make_images import HERE, split
from net import DigitNet
from torch import nn

SEED = 0
BATCH = 64
MEAN, STD = 0.1307, 0.3081  # MNIST's; config.yaml says the same
RATE = 0.05
RATE_TOO_HIGH = 0.5


def to_input(pixels: np.ndarray) -> torch.Tensor:
    """Return digits [N, 28, 28] uint8 as the network's input [N, 1, 28, 28]."""
    return (torch.from_numpy(pixels)[:, None].float() / 255 - MEAN) / STD


def accuracy(net: nn.Module, digits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of `digits` named right."""
    net.eval()
    with torch.no_grad():
        return (net(digits).argmax(1) == labels).float().mean().item()


def dead_channels(net: DigitNet, digits: torch.Tensor) -> str:
    """Return, for each ReLU, how many channels are zero on every one of `digits`."""
    seen: dict[str, str] = {}

    def look(name: str):
        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            peak = output.flatten(2).amax(2) if output.ndim == 4 else output
            seen[name] = f"{int((peak.amax(0) <= 0).sum())} of {output.shape[1]}"

        return hook

    relus = {"relu1": net.relu1, "relu2": net.relu2, "relu3": net.relu3}
    hooks = [relu.register_forward_hook(look(name)) for name, relu in relus.items()]
    accuracy(net, digits, torch.zeros(len(digits)))
    for hook in hooks:
        hook.remove()
    return ", ".join(f"{name} {count}" for name, count in seen.items())


def train(digits: torch.Tensor, labels: torch.Tensor, steps: int, rate: float) -> DigitNet:
    """Train by plain SGD for `steps` batches; the seed fixes the start and the order."""
    torch.manual_seed(SEED)
    net = DigitNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    order = torch.cat([torch.randperm(len(digits)) for _ in range(steps * BATCH // len(digits) + 1)])
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        loss = nn.functional.cross_entropy(net(digits[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def main() -> None:
    """Write the three checkpoints and print how good each network is."""
    torch.set_num_threads(1)  # sums in one order: the same bytes each time
    torch.use_deterministic_algorithms(mode=True)
    pixels, labels, held_pixels, held_labels = split()
    digits, targets = to_input(pixels), torch.from_numpy(labels)
    held, held_targets = to_input(held_pixels), torch.from_numpy(held_labels)
    epoch = len(digits) // BATCH
    recipes = {"early": (60, RATE), "trained": (25 * epoch, RATE), "lr-too-high": (5 * epoch, RATE_TOO_HIGH)}
    folder = HERE / "checkpoints"
    folder.mkdir(exist_ok=True)
    for name, (steps, rate) in recipes.items():
        net = train(digits, targets, steps, rate)
        state = net.state_dict()
        content = {"model": state, "epoch": steps // epoch, "lr": rate} if name == "trained" else state
        torch.save(content, folder / f"{name}.pt")
        right = accuracy(net, held, held_targets)
        print(f"{name}: {right:.1%} of {len(held)} held-out digits right; dead: {dead_channels(net, held)}")


if __name__ == "__main__":
    main()
