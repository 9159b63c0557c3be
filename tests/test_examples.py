"""Promises of the example data: small, readable, and showing what the demo says they show."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits"
IMAGES = sorted((DIGITS / "images").glob("*.png"))
CHECKPOINTS = ["early", "trained", "lr-too-high"]


def network(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("digits_net", DIGITS / "net.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state = torch.load(DIGITS / "checkpoints" / f"{name}.pt", map_location="cpu", weights_only=True)
    net = module.DigitNet().eval()
    net.load_state_dict(state.get("model", state))
    return net


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    pixels = np.stack([np.asarray(Image.open(path)) for path in IMAGES])
    return (torch.from_numpy(pixels)[:, None].float() / 255 - 0.1307) / 0.3081


def share_right(net: Any, digits: torch.Tensor) -> float:
    labels = torch.tensor([int(path.stem[-1]) for path in IMAGES])
    with torch.no_grad():
        return (net(digits).argmax(1) == labels).float().mean().item()


def dead_after_conv2(net: Any, digits: torch.Tensor) -> int:
    with torch.no_grad():
        maps = net.relu2(net.conv2(net.pool1(net.relu1(net.conv1(digits)))))
    return int((maps.amax((0, 2, 3)) == 0).sum())


def test_there_are_a_hundred_grey_digits_of_28_by_28() -> None:
    assert len(IMAGES) == 100
    for path in IMAGES:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (28, 28))


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_each_checkpoint_is_small_loads_safely_and_is_finite(name: str) -> None:
    assert (DIGITS / "checkpoints" / f"{name}.pt").stat().st_size <= 300_000
    assert all(torch.isfinite(tensor).all() for tensor in network(name).state_dict().values())


def test_the_trained_network_reads_digits_it_never_saw(digits: torch.Tensor) -> None:
    assert share_right(network("trained"), digits) > 0.9


def test_the_early_network_is_worse_than_the_trained_one(digits: torch.Tensor) -> None:
    assert share_right(network("early"), digits) < share_right(network("trained"), digits)


def test_only_the_high_learning_rate_kills_channels(digits: torch.Tensor) -> None:
    dead = {name: dead_after_conv2(network(name), digits) for name in CHECKPOINTS}
    assert dead["early"] == dead["trained"] == 0
    assert 16 <= dead["lr-too-high"] < 32


def test_one_checkpoint_is_nested_as_training_scripts_save_it() -> None:
    saved = torch.load(DIGITS / "checkpoints" / "trained.pt", weights_only=True)
    assert set(saved) == {"model", "epoch", "lr"}
