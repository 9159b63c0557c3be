"""Promises of `featreport.sources`: any architecture, seeded, no download, one clear line on failure."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from featreport.errors import SourceError
from featreport.plan.types import SourceRef
from featreport.sources import build_model

NET = """
import random
import numpy as np
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.fc = nn.Linear(4, classes)
        self.drawn = (random.random(), float(np.random.rand()))

class Zoo:
    class Small(Net):
        pass

built = Net()
def make(classes=3): return Net(classes)
def chatty(): print("hello"); return Net()
def broken(): raise ValueError("no such depth:\\n  7")
def deep(): return nn.Linear("a", 2)
def quits(): import sys; sys.exit(3)
def stops(): raise KeyboardInterrupt
def number(): return 5
def a_class(): return Net
def silent(): raise RuntimeError
"""


def from_file(tmp_path: Path, name: str, text: str = NET, **args: object) -> SourceRef:
    file = tmp_path / "net.py"
    file.write_text(text)
    return SourceRef("python-file", f"python:net.py:{name}", name, file=file, args=args)


def from_torchvision(name: str, **args: object) -> SourceRef:
    return SourceRef("torchvision", f"torchvision:{name}", name, args=args)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002 – the global generator is the subject


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_importing_the_room_loads_no_torch() -> None:
    code = "import sys, featreport.sources, featreport.checkpoints; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "lraspp_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large"]
)
def test_torchvision_architectures_are_built_without_a_download(no_network: None, name: str) -> None:
    model = build_model(from_torchvision(name), seed=0)
    assert sum(p.numel() for p in model.parameters()) > 10**6


def test_googlenet_is_built_without_a_warning_and_keeps_its_auxiliary_heads(no_network: None) -> None:
    model = build_model(from_torchvision("googlenet", init_weights=False), seed=0)
    assert model.aux1 is not None
    assert model.transform_input is False


def test_published_weights_shape_the_architecture_as_torchvision_does(no_network: None) -> None:
    model = build_model(from_torchvision("googlenet", init_weights=False), seed=0, weights="IMAGENET1K_V1")
    assert model.transform_input is True
    model = build_model(from_torchvision("vit_b_16"), seed=0, weights="IMAGENET1K_SWAG_E2E_V1")
    assert model.image_size == 384
    model = build_model(
        from_torchvision("lraspp_mobilenet_v3_large"), seed=0, weights="COCO_WITH_VOC_LABELS_V1"
    )
    assert model.classifier.low_classifier.out_channels == 21


@pytest.mark.parametrize("source", ["torchvision", "python-file", "python-module"])
def test_the_same_seed_gives_the_same_numbers_and_leaves_the_generators_alone(
    tmp_path: Path, source: str
) -> None:
    ref = {
        "torchvision": from_torchvision("shufflenet_v2_x0_5"),
        "python-file": from_file(tmp_path, "make"),
        "python-module": SourceRef(
            "python-module", "python:torch.nn:Linear", "Linear", module="torch.nn",
            args={"in_features": 3, "out_features": 2},
        ),
    }[source]  # fmt: skip
    before = (torch.get_rng_state(), random.getstate(), numpy_state())
    one, same, other = (build_model(ref, seed=seed) for seed in (7, 7, 8))
    assert equal(one, same)
    assert not equal(one, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == numpy_state()
    if source == "python-file":
        assert one.drawn == same.drawn != other.drawn


def test_a_dotted_name_and_args_reach_the_callable(tmp_path: Path) -> None:
    assert build_model(from_file(tmp_path, "Zoo.Small", classes=5), seed=0).fc.out_features == 5


def test_neighbours_are_importable_and_forgotten_after(tmp_path: Path) -> None:
    sizes = []
    for size in (2, 3):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "blocks.py").write_text(f"SIZE = {size}")
        path, modules = list(sys.path), set(sys.modules)
        text = "import blocks\nfrom torch import nn\ndef make(): return nn.Linear(1, blocks.SIZE)"
        sizes.append(build_model(from_file(folder, "make", text), seed=0).out_features)
        assert sys.path == path
        assert "blocks" not in sys.modules
        assert {m for m in set(sys.modules) - modules if not m.startswith("_featreport_source_")} == set()
        assert not (folder / "__pycache__").exists()
    assert sizes == [2, 3]


def test_what_a_factory_prints_stays_out_of_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_model(from_file(tmp_path, "chatty"), seed=0)
    assert capsys.readouterr().out == ""


def test_a_default_type_set_by_a_factory_does_not_stay(tmp_path: Path) -> None:
    text = "import torch\ndef make():\n torch.set_default_dtype(torch.float64)\n return torch.nn.Linear(1, 1)"
    build_model(from_file(tmp_path, "make", text), seed=0)
    assert torch.get_default_dtype() is torch.float32


def test_ctrl_c_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_model(from_file(tmp_path, "stops"), seed=0)
    with pytest.raises(KeyboardInterrupt):
        build_model(from_file(tmp_path, "make", "raise KeyboardInterrupt"), seed=0)


FILE_ERRORS = {
    "raised": (
        "broken", NET, {},
        "net.py:broken raised ValueError: no such depth: 7 (net.py, line 19)", "args",
    ),
    "raised without text": ("silent", NET, {}, "net.py:silent raised RuntimeError (net.py, line 25)", ""),
    "raised elsewhere": ("deep", NET, {}, "called from net.py, line 20)", ""),
    "sys.exit": ("quits", NET, {}, "net.py:quits called sys.exit(3) (net.py, line 21)", ""),
    "attribute missing": ("mkae", NET, {}, "net.py:mkae: net.py has no 'mkae'", "did you mean 'make'?"),
    "dotted missing": ("Zoo.Smal", NET, {}, "has no 'Smal'", "did you mean 'Small'?"),
    "wrong args": (
        "make", NET, {"clases": 5},
        "net.py:make does not take these args: got an unexpected keyword argument 'clases'",
        "it accepts (classes=3)",
    ),
    "not a module": ("number", NET, {}, "net.py:number returned an int, not a torch.nn.Module", "network"),
    "a class": ("a_class", NET, {}, "returned the class Net, not", "network"),
    "not callable": ("random", NET, {}, "net.py:random is a module, not something that can be called", ""),
    "already built": ("built", NET, {}, "net.py:built is a built model", "class or a function"),
    "syntax": ("make", "def make(:\n", {}, "net.py is not valid Python: invalid syntax (net.py, line 1)", ""),
    "null byte": ("make", "x = '\0'", {}, "net.py is not valid Python", ""),
    "import raised": ("make", "x = 1\n1/0", {}, "ZeroDivisionError: division by zero (net.py, line 2)", ""),
    "import exits": ("make", "raise SystemExit", {}, "net.py called sys.exit(None) (net.py, line 1)", ""),
    "missing inside": ("make", "import nope_xyz", {}, "'nope_xyz' (net.py, line 1)", "install nope_xyz"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILE_ERRORS)
def test_every_failure_of_a_file_is_one_clear_line(tmp_path: Path, case: str) -> None:
    name, text, args, message, hint = FILE_ERRORS[case]
    with pytest.raises(SourceError) as caught:
        build_model(from_file(tmp_path, name, text, **args), seed=0)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert str(tmp_path) not in caught.value.message


OTHER_ERRORS = [
    (from_torchvision("alexnett"), "has no model 'alexnett'", "did you mean alexnet"),
    (
        from_torchvision("alexnet", num_clases=5),
        "unexpected keyword argument 'num_clases'",
        "num_classes=1000",
    ),
    (from_torchvision("alexnet", weights="DEFAULT"), "args.weights would download", "checkpoints"),
    (from_torchvision("alexnet", pretrained=True), "args.pretrained would download", "checkpoints"),
    (SourceRef("python-module", "t", "make", module="no_such.mod"), "no module named 'no_such'", "python:"),
    (SourceRef("python-module", "t", "make", module="json.nope"), "no module named 'json.nope'", "python:"),
    (SourceRef("python-module", "t", "laods", module="json"), "json:laods: ", "did you mean 'loads'?"),
    (SourceRef("python-file", "t", "x", file=Path("/nowhere/net.py")), "net.py does not exist", "manifest"),
    (SourceRef("python-file", "t", "x"), "names no Python file", ""),
]


@pytest.mark.parametrize(("source", "message", "hint"), OTHER_ERRORS)
def test_every_other_failure_is_one_clear_line(source: SourceRef, message: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        build_model(source, seed=0)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_only_torchvision_has_published_weights(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no published weights"):
        build_model(from_file(tmp_path, "make"), seed=0, weights="DEFAULT")
