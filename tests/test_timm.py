"""Promises of `timm:` sources: built without a download, its weights read as data, its transform the published one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from featreport.checkpoints import load_into
from featreport.errors import CheckpointError, SourceError
from featreport.images.transform import make_transform
from featreport.plan.packages import NotFoundError
from featreport.plan.sources import source_of
from featreport.plan.types import CheckpointRef, SourceRef, TransformSpec
from featreport.sources import build_model

timm = pytest.importorskip("timm")


def named(name: str, **args: object) -> SourceRef:
    return SourceRef("timm", f"timm:{name}", name, args=args)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "resnet18.a1_in1k"])
def test_timm_architectures_are_built_as_timm_builds_them(name: str) -> None:
    model = build_model(named(name, num_classes=7), seed=3)
    torch.manual_seed(3)
    again = timm.create_model(name, pretrained=False, num_classes=7)
    for (key, value), (other, expected) in zip(
        model.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert key == other
        assert torch.equal(value, expected)


def test_a_misspelt_model_gets_the_nearest_names() -> None:
    with pytest.raises(SourceError) as caught:
        build_model(named("resnet81"), seed=0)
    assert "has no model 'resnet81'" in caught.value.message
    assert "resnet18" in caught.value.hint


def test_arguments_that_download_are_refused() -> None:
    with pytest.raises(SourceError, match="would download or read weights"):
        build_model(named("resnet18", pretrained=True), seed=0)


def test_a_missing_extra_names_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featreport.manifest.schema import Model

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
    model = Model(name="a", source="timm:resnet18", checkpoints=("random:0",))
    with pytest.raises(NotFoundError, match=r"pip install 'featreport\[timm\]'"):
        source_of(model, tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_224"])
def test_the_weights_transform_is_timms_own(name: str) -> None:
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(timm.create_model(name, pretrained=False))
    theirs = create_transform(**config, is_training=False)
    ours = make_transform(TransformSpec("weights", weights="DEFAULT"), f"timm:{name}")
    image = Image.effect_mandelbrot((300, 260), (-2, -1, 1, 1), 50).convert("RGB")
    assert torch.equal(ours(image), theirs(image))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.mark.parametrize("weights", ["DEFAULT", "a1_in1k"])
def test_published_weights_are_taken_from_the_cache_and_read_as_data(cache: Path, weights: str) -> None:
    folder = cache / "models--timm--resnet18.a1_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc")
    (folder / "snapshots/abc").mkdir(parents=True)
    torch.manual_seed(5)
    good = timm.create_model("resnet18", pretrained=False).state_dict()
    safetensors.torch.save_file(good, folder / "snapshots/abc/model.safetensors")
    source = named("resnet18")
    model = build_model(source, seed=0, weights=weights)
    loaded = load_into(model, CheckpointRef("weights", f"weights:{weights}", weights=weights), source)
    assert loaded.audit.matched == len(good)
    assert loaded.audit.path == "model.safetensors"
    assert all(torch.equal(value, good[name]) for name, value in model.state_dict().items())


def test_weights_that_cannot_be_fetched_name_the_repository(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_into(
            build_model(named("resnet18"), seed=0),
            CheckpointRef("weights", "weights:DEFAULT", weights="DEFAULT"),
            named("resnet18"),
        )
    assert "could not be fetched from timm/resnet18.a1_in1k" in caught.value.message
    assert "name it as a file" in caught.value.hint


def test_weights_that_were_not_published_are_named_with_those_that_were(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_into(
            build_model(named("resnet18"), seed=0),
            CheckpointRef("weights", "weights:nope", weights="nope"),
            named("resnet18"),
        )
    assert "a1_in1k" in caught.value.message
