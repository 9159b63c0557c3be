"""What training leaves behind, written by the real libraries' own savers: each loads whole, or says what to write."""

from __future__ import annotations

import argparse
import copy
import enum
import functools
import json
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from featreport.checkpoints import layout, load_into, recombine, untrained
from featreport.checkpoints.facts import facts
from featreport.checkpoints.loading import Loaded
from featreport.checkpoints.values import Opaque
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef

SOURCE = SourceRef("python-file", "python:net.py:Net", "Net", file=Path("/net.py"))
COUNT = 11  # tensors of a Net
STATE = dict[str, Tensor]


class Net(nn.Module):
    """Two blocks and a head, small enough to be written fifty times."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(3, 8, 3), bn=nn.BatchNorm2d(8), relu=nn.ReLU())
        )
        self.hidden = nn.Linear(8, 16)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(self.features(x).mean((2, 3)))))


def net(seed: int = 0, classes: int = 5) -> Net:
    torch.manual_seed(seed)
    return Net(classes)


@dataclass(frozen=True)
class Trained:
    """A network after some steps of a real optimizer, and that optimizer."""

    model: Net
    optimizer: torch.optim.Optimizer
    scheduler: Any


def trained(seed: int = 1) -> Trained:
    model = net(seed).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8) % 5
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        scheduler.step()
    return Trained(model.eval(), optimizer, scheduler)


@functools.cache
def state(seed: int = 1) -> STATE:
    return trained(seed).model.state_dict()


def model() -> Net:
    return trained().model


def averaged() -> AveragedModel:
    ema = AveragedModel(trained(2).model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for seed in (2, 1):  # the first update copies
        ema.update_parameters(trained(seed).model)
    return ema.eval()


def load(
    path: Path, into: nn.Module | None = None, source: SourceRef = SOURCE, **options: Any
) -> tuple[Any, Loaded]:
    into = into or net()
    ref = CheckpointRef("file", f"runs/{path.name}", path=path, **options)
    return into, load_into(into, ref, source)


def refused(
    path: Path, into: nn.Module | None = None, source: SourceRef = SOURCE, **options: Any
) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(path, into, source, **options)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def same(loaded: nn.Module, tensors: STATE) -> None:
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, tensors[name]), name


def close(loaded: nn.Module, tensors: STATE, tolerance: float = 1e-6) -> None:
    """Equal to float32's rounding, relative to the largest element."""
    for name, value in loaded.state_dict().items():
        assert (value - tensors[name]).abs().max() <= tolerance * tensors[name].abs().max(), name


def saved(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


# The table ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a file is written, and the audit of loading it; what is not said is as in a plain file."""

    write: Callable[[Path], Path]
    key: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    applied: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    alternatives: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    dtypes: dict[str, int] = field(default_factory=lambda: {"float32": 10, "int64": 1})
    options: dict[str, Any] = field(default_factory=dict)
    tensors: Callable[[], STATE] = state
    exact: bool = True
    format: str = "torch zip"


def torch_save(make: Callable[[], object], **options: Any) -> Callable[[Path], Path]:
    return lambda folder: saved(folder / "a.pt", make(), **options)


def prefixed(prefix: str, tensors: STATE) -> STATE:
    return {prefix + name: value for name, value in tensors.items()}


def distributed() -> STATE:
    """The state dict of a real DistributedDataParallel, of one process."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        return nn.parallel.DistributedDataParallel(model()).state_dict()
    finally:
        torch.distributed.destroy_process_group()


def old_imagenet() -> STATE:
    """How PyTorch's ImageNet example wraps AlexNet and VGG: their features alone."""
    wrapped = model()
    wrapped.features = nn.DataParallel(wrapped.features)
    return wrapped.state_dict()


def regional() -> STATE:
    """Blocks compiled one by one, inside a DataParallel."""
    wrapped = model()
    wrapped.hidden = torch.compile(wrapped.hidden)
    wrapped.features = torch.compile(wrapped.features)
    return nn.DataParallel(wrapped).state_dict()


def lightning() -> dict[str, object]:
    return {
        "epoch": 4,
        "global_step": 1250,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": prefixed("model.", state()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_loss'}": {
                "best_model_score": torch.tensor(0.25),
                "best_model_path": "runs/epoch=4.ckpt",
                "best_k_models": {},
            }
        },
        "optimizer_states": [trained().optimizer.state_dict()],
        "lr_schedulers": [trained().scheduler.state_dict()],
        "hparams_name": "hparams",
        "hyper_parameters": {"lr": 0.5, "hparams": argparse.Namespace(arch="net", batch_size=8)},
    }


def timm_saver(folder: Path) -> Path:
    """timm's own CheckpointSaver, with EMA and the argparse Namespace of its train.py."""
    utils = pytest.importorskip("timm.utils")
    run = trained()
    ema = utils.ModelEmaV3(run.model, decay=0.5)
    ema.module.load_state_dict(state(2))
    args = argparse.Namespace(model="net", lr=0.5, opt="sgd", epochs=5, output=Path("runs/net"), workers=4)
    saver = utils.CheckpointSaver(
        run.model,
        run.optimizer,
        args=args,
        model_ema=ema,
        checkpoint_dir=str(folder),
        recovery_dir=str(folder),
    )
    saver.save_checkpoint(epoch=3, metric=71.25)
    return folder / "last.pth.tar"


def references() -> dict[str, object]:
    """What torchvision's references/classification/train.py writes with --model-ema."""
    run = trained()
    return {
        "model": nn.DataParallel(run.model).module.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "lr_scheduler": run.scheduler.state_dict(),
        "epoch": 7,
        "args": argparse.Namespace(
            model="net", lr=0.5, data_path=Path("/data/imagenet"), device=torch.device("cpu")
        ),
        "model_ema": averaged().state_dict(),
        "scaler": {"scale": 65536.0, "growth_factor": 2.0},
    }


def imagenet_example() -> dict[str, object]:
    """What PyTorch's examples/imagenet/main.py writes; the best accuracy is a tensor there."""
    run = trained()
    return {
        "epoch": 90,
        "arch": "resnet18",
        "state_dict": nn.DataParallel(run.model).state_dict(),
        "best_acc1": torch.tensor(69.758),
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
    }


def pruned(*, finished: bool) -> Net:
    network = model()
    for layer in (network.features.conv, network.hidden, network.head):
        prune.l1_unstructured(layer, "weight", 0.5)
        if finished:
            prune.remove(layer, "weight")
    prune.random_unstructured(network.head, "bias", 2)
    if finished:
        prune.remove(network.head, "bias")
    return network


@contextmanager
def quiet() -> Iterator[None]:
    """Old interfaces of torch announce their end; files written by them stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def normalised(apply: Callable[[nn.Module], nn.Module]) -> Net:
    network = model()
    with quiet():
        for layer in (network.features.conv, network.hidden, network.head):
            apply(layer)
    network.train()
    network(torch.randn(2, 3, 8, 8))
    return network.eval()


def effective(network: Net) -> STATE:
    """The weights as torch itself computes them."""
    network(torch.randn(2, 3, 8, 8))
    tensors = {name: value for name, value in network.state_dict().items() if name in state()}
    for name, layer in (
        ("features.conv", network.features.conv),
        ("hidden", network.hidden),
        ("head", network.head),
    ):
        tensors[f"{name}.weight"] = layer.weight.detach()
        tensors[f"{name}.bias"] = layer.bias.detach()
    return tensors


class Quantizable(Net):
    """A Net between the stubs of static quantization."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(self.quant(x)).mean((2, 3))
        return self.dequant(self.head(self.relu(self.hidden(x))))


@functools.cache
def quantized(kind: str) -> nn.Module:
    with quiet():
        if kind == "dynamic":
            return torch.ao.quantization.quantize_dynamic(model(), {nn.Linear}, dtype=torch.qint8)
        network = Quantizable()
        network.load_state_dict(state())
        torch.manual_seed(0)
        if kind == "aware":
            network.train().qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
            torch.ao.quantization.prepare_qat(network, inplace=True)
            network(torch.randn(4, 3, 8, 8))
            return network.eval()
        network.eval().qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
        torch.ao.quantization.prepare(network, inplace=True)
        network(torch.randn(4, 3, 8, 8))
        return torch.ao.quantization.convert(network, inplace=True)


def dequantized(kind: str) -> STATE:
    network: Any = quantized(kind)
    tensors = {name: value for name, value in network.state_dict().items() if name in state()}
    for name in ("hidden", "head"):
        layer = getattr(network, name)
        tensors |= {f"{name}.weight": layer.weight().dequantize(), f"{name}.bias": layer.bias().detach()}
    if kind == "static":
        tensors["features.conv.weight"] = network.features.conv.weight().dequantize()
    return tensors


def converted(dtype: torch.dtype) -> STATE:
    return {name: v.to(dtype) if v.is_floating_point() else v for name, v in state().items()}


def with_safetensors(folder: Path) -> Path:
    path = folder / "a.safetensors"
    safetensors.torch.save_file(state(), path, metadata={"format": "pt", "step": "12000"})
    return path


def shards(folder: Path) -> Path:
    """The index that transformers and Accelerate write."""
    names = sorted(state())
    files = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in files.items():
        safetensors.torch.save_file({name: state()[name] for name in part}, folder / file)
    weights = {name: file for file, part in files.items() for name in part}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}))
    return index


def program(make: Callable[[nn.Module], Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with quiet():
            torch.jit.save(make(model()), folder / "a.pt")
        return folder / "a.pt"

    return write


def exported(folder: Path) -> Path:
    with quiet():
        torch.export.save(torch.export.export(model(), (torch.randn(2, 3, 8, 8),)), folder / "a.pt2")
    return folder / "a.pt2"


def dino() -> dict[str, object]:
    """DINO and iBOT: the student inside DDP, the teacher bare, a projection head on both."""
    heads = {f"head.mlp.{i}.weight": torch.randn(4, 4) for i in range(3)}
    return {
        "student": prefixed("module.", prefixed("backbone.", state()) | heads),
        "teacher": prefixed("backbone.", state(2)) | heads,
        "epoch": 100,
        "args": argparse.Namespace(arch="net", patch_size=16),
        "dino_loss": {"center": torch.randn(1, 8)},
    }


def moco() -> dict[str, object]:
    both = prefixed("module.encoder_q.", state()) | prefixed("module.encoder_k.", state(2))
    return {"state_dict": both | {"module.queue": torch.randn(4, 8)}, "epoch": 200, "arch": "net"}


class Ema:
    """A home-made average: an object that holds its numbers in a plain attribute."""

    def __init__(self, tensors: STATE) -> None:
        self.decay, self.shadow = 0.999, dict(tensors)


class Phase(enum.Enum):
    """A value of a training script's own type."""

    FINETUNE = "finetune"


def parts() -> dict[str, object]:
    return {
        "step": 10,
        "features": {n.removeprefix("features."): v for n, v in state().items() if n.startswith("features.")},
        "hidden": {n.removeprefix("hidden."): v for n, v in state().items() if n.startswith("hidden.")},
        "head": {n.removeprefix("head."): v for n, v in state().items() if n.startswith("head.")},
    }


def pruned_effective() -> STATE:
    torch.manual_seed(0)
    return {n: v for n, v in effective(pruned(finished=False)).items() if n in state()}


def average() -> STATE:
    return averaged().module.state_dict()


def normalised_once(apply: Callable[[nn.Module], nn.Module]) -> Net:
    torch.manual_seed(7)
    return normalised(apply)


MODULE = f"state dict recovered from the pickled module {__name__}.Net"
TRACED = "state dict recovered from the TorchScript module " + f"{__name__}.Net"
LAYOUTS: dict[str, Layout] = {
    "plain": Layout(torch_save(lambda: model().state_dict())),
    "DataParallel": Layout(torch_save(lambda: nn.DataParallel(model()).state_dict()), prefix="module."),
    "DistributedDataParallel": Layout(torch_save(distributed), prefix="module."),
    "torch.compile": Layout(torch_save(lambda: torch.compile(model()).state_dict()), prefix="_orig_mod."),
    "compiled, then DataParallel": Layout(
        torch_save(lambda: nn.DataParallel(torch.compile(model())).state_dict()), prefix="module._orig_mod."
    ),
    "only features in DataParallel": Layout(
        torch_save(old_imagenet), applied=["module. removed from inside 7 names"]
    ),
    "blocks compiled one by one": Layout(
        torch_save(regional), applied=["_orig_mod., module. removed from inside 11 names"]
    ),
    "FSDP and activation checkpointing": Layout(
        torch_save(
            lambda: {
                "_fsdp_wrapped_module." + n.replace("hidden.", "hidden._checkpoint_wrapped_module."): v
                for n, v in state().items()
            }
        ),
        applied=["_checkpoint_wrapped_module., _fsdp_wrapped_module. removed from inside 11 names"],
    ),
    "Lightning": Layout(
        torch_save(lightning), key="state_dict", prefix="model.",
        facts={
            "epoch": "4", "global_step": "1250", "pytorch-lightning_version": "2.6.6", "hparams_name": "hparams",
            "ModelCheckpoint.best_model_score": "0.25", "ModelCheckpoint.best_model_path": "runs/epoch=4.ckpt",
            "hyper_parameters.lr": "0.5", "hyper_parameters.hparams.arch": "net",
            "hyper_parameters.hparams.batch_size": "8",
        },
    ),
    "timm's CheckpointSaver": Layout(
        timm_saver, key="state_dict", alternatives=["state_dict_ema"], options={"key": "state_dict"},
        facts={
            "epoch": "3", "arch": "net", "version": "2", "metric": "71.25", "args.model": "net", "args.lr": "0.5",
            "args.opt": "sgd", "args.epochs": "5",
        },
    ),
    "timm's average": Layout(
        timm_saver, key="state_dict_ema", alternatives=["state_dict"], options={"key": "state_dict_ema"},
        tensors=lambda: state(2),
        facts={
            "epoch": "3", "arch": "net", "version": "2", "metric": "71.25", "args.model": "net", "args.lr": "0.5",
            "args.opt": "sgd", "args.epochs": "5",
        },
    ),
    "torchvision references": Layout(
        torch_save(references), key="model", alternatives=["model_ema"], options={"key": "model"},
        facts={"epoch": "7", "args.model": "net", "args.lr": "0.5", "args.data_path": "/data/imagenet"},
    ),
    "torchvision references, average": Layout(
        torch_save(references), key="model_ema", prefix="module.", alternatives=["model"],
        options={"key": "model_ema"}, unexpected=["n_averaged"], dtypes={"float32": 10, "int64": 2},
        tensors=average,
        facts={"epoch": "7", "args.model": "net", "args.lr": "0.5", "args.data_path": "/data/imagenet"},
    ),
    "ImageNet example": Layout(
        torch_save(imagenet_example), key="state_dict", prefix="module.",
        facts={"epoch": "90", "arch": "resnet18", "best_acc1": "69.758"},
    ),
    "AveragedModel": Layout(
        torch_save(lambda: averaged().state_dict()), prefix="module.", unexpected=["n_averaged"],
        dtypes={"float32": 10, "int64": 2}, tensors=average,
    ),
    "pruning": Layout(
        torch_save(lambda: pruned(finished=False).state_dict()),
        applied=["pruning mask multiplied in: 4 tensors"], dtypes={"float32": 14, "int64": 1},
        tensors=pruned_effective,
    ),
    "pruning, made final": Layout(
        torch_save(lambda: pruned(finished=True).state_dict()), tensors=pruned_effective
    ),
    "weight norm": Layout(
        torch_save(lambda: normalised(nn.utils.weight_norm).state_dict()),
        applied=["weight norm multiplied in: 3 tensors"], dtypes={"float32": 13, "int64": 1}, exact=False,
        tensors=lambda: effective(normalised(nn.utils.weight_norm)),
    ),
    "weight norm, parametrization": Layout(
        torch_save(lambda: normalised(parametrizations.weight_norm).state_dict()),
        applied=["weight norm multiplied in: 3 tensors"], dtypes={"float32": 13, "int64": 1}, exact=False,
        tensors=lambda: effective(normalised(parametrizations.weight_norm)),
    ),
    "spectral norm": Layout(
        torch_save(lambda: normalised_once(nn.utils.spectral_norm).state_dict()),
        applied=["spectral norm divided out: 3 tensors"], dtypes={"float32": 16, "int64": 1}, exact=False,
        tensors=lambda: effective(normalised_once(nn.utils.spectral_norm)),
    ),
    "spectral norm, parametrization": Layout(
        torch_save(lambda: normalised_once(parametrizations.spectral_norm).state_dict()),
        applied=["spectral norm divided out: 3 tensors"], dtypes={"float32": 16, "int64": 1}, exact=False,
        tensors=lambda: effective(normalised_once(parametrizations.spectral_norm)),
    ),
    "weight norm inside DataParallel": Layout(
        torch_save(lambda: {"net": nn.DataParallel(normalised(parametrizations.weight_norm)).state_dict()}),
        key="net", prefix="module.", applied=["weight norm multiplied in: 3 tensors"],
        dtypes={"float32": 13, "int64": 1}, exact=False,
        tensors=lambda: effective(normalised(parametrizations.weight_norm)),
    ),
    "quantized dynamically": Layout(
        torch_save(lambda: quantized("dynamic").state_dict()),
        applied=[
            "converted from qint8 (per tensor): 2 tensors",
            "left out 4 scales and zero points of quantized layers",
        ],
        dtypes={"float32": 10, "int64": 3, "qint8": 2}, tensors=lambda: dequantized("dynamic"),
    ),
    "quantized": Layout(
        torch_save(lambda: {"epoch": 2, "model": quantized("static").state_dict()}), key="model",
        applied=[
            "converted from qint8 (per channel): 3 tensors",
            "left out 10 scales and zero points of quantized layers",
        ],
        facts={"epoch": "2"}, tensors=lambda: dequantized("static"),
        dtypes={"float32": 12, "int64": 5, "qint8": 3, "int32": 1},
    ),
    "quantization-aware training": Layout(
        torch_save(lambda: quantized("aware").state_dict()),
        applied=["left out 56 tensors of quantization observers"],
        dtypes={"float32": 42, "int64": 17, "int32": 8},
        tensors=lambda: {name: v for name, v in quantized("aware").state_dict().items() if name in state()},
    ),
    "whole module": Layout(torch_save(model), applied=[MODULE]),
    "whole module, legacy": Layout(
        torch_save(model, _use_new_zipfile_serialization=False), applied=[MODULE], format="torch legacy"
    ),
    "module in a dict": Layout(
        torch_save(lambda: {"epoch": 3, "net": model(), "phase": Phase.FINETUNE}), key="net", applied=[MODULE],
        facts={"epoch": "3", "phase": "Phase(finetune)"},
    ),
    "list of modules": Layout(
        torch_save(lambda: [net(3, classes=7), model()]), key="1", applied=[MODULE], alternatives=["0"]
    ),
    "module inside DataParallel": Layout(
        torch_save(lambda: nn.DataParallel(model())), prefix="module.",
        applied=["state dict recovered from the pickled module torch.nn.parallel.data_parallel.DataParallel"],
    ),
    "pruned module": Layout(
        torch_save(lambda: pruned(finished=False)), dtypes={"float32": 14, "int64": 1},
        applied=[MODULE, "pruning mask multiplied in: 4 tensors"], tensors=pruned_effective,
    ),
    "traced": Layout(
        program(lambda network: torch.jit.trace(network, torch.randn(2, 3, 8, 8))), applied=[TRACED],
        format="TorchScript",
    ),
    "scripted": Layout(program(torch.jit.script), applied=[TRACED], format="TorchScript"),
    "quantized module": Layout(
        torch_save(lambda: quantized("static")), tensors=lambda: dequantized("static"),
        applied=[
            f"state dict recovered from the pickled module {__name__}.Quantizable",
            "converted from qint8 (per channel): 3 tensors",
            "left out 4 scales and zero points of quantized layers",
        ],
        dtypes={"float32": 9, "qint8": 3, "int64": 2, "int32": 1},
    ),
    "quantized and scripted": Layout(
        program(lambda _: torch.jit.script(quantized("dynamic"))), tensors=lambda: dequantized("dynamic"),
        applied=[TRACED, "converted from qint8 (per tensor): 2 tensors"],
        dtypes={"float32": 8, "qint8": 2, "int64": 1}, format="TorchScript",
    ),
    "torch.export": Layout(exported, format="torch.export"),
    "half": Layout(
        torch_save(lambda: model().half().state_dict()), dtypes={"float16": 10, "int64": 1},
        tensors=lambda: {n: v.to(state()[n].dtype) for n, v in converted(torch.float16).items()},
    ),
    "bfloat16": Layout(
        torch_save(lambda: model().bfloat16().state_dict()), dtypes={"bfloat16": 10, "int64": 1},
        tensors=lambda: {n: v.to(state()[n].dtype) for n, v in converted(torch.bfloat16).items()},
    ),
    "float64": Layout(torch_save(lambda: model().double().state_dict()), dtypes={"float64": 10, "int64": 1}),
    "safetensors": Layout(with_safetensors, facts={"format": "pt", "step": "12000"}, format="safetensors"),
    "sharded": Layout(shards, format="sharded index"),
    "legacy": Layout(
        torch_save(
            lambda: {"net": model().state_dict(), "acc": 71.5, "epoch": 2}, _use_new_zipfile_serialization=False
        ),
        key="net", facts={"acc": "71.5", "epoch": "2"}, format="torch legacy",
    ),
    "DINO's student": Layout(
        torch_save(dino), key="student.module.backbone", options={"key": "student.module.backbone"},
        applied=["3 tensors outside 'module.backbone.' left out"],
        alternatives=["teacher.backbone"], facts={"epoch": "100", "args.arch": "net"},
    ),
    "DINO's teacher, the head allowed": Layout(
        torch_save(dino), key="teacher", prefix="backbone.", dtypes={"float32": 13, "int64": 1},
        options={"key": "teacher", "allow_unexpected": ("head.mlp.*",)}, tensors=lambda: state(2),
        unexpected=[f"head.mlp.{i}.weight" for i in range(3)], alternatives=["student.module.backbone"],
        facts={"epoch": "100", "args.arch": "net"},
    ),
    "MoCo's query encoder": Layout(
        torch_save(moco), key="state_dict.module.encoder_q", options={"key": "state_dict.module.encoder_q"},
        applied=["12 tensors outside 'module.encoder_q.' left out"],
        alternatives=["state_dict.module.encoder_k"], facts={"epoch": "200", "arch": "net"},
    ),
    "an object with an average": Layout(
        torch_save(lambda: {"ema": Ema(state()), "epoch": 1}), key="ema.shadow", facts={"epoch": "1"}
    ),
    "parts in a dict": Layout(
        torch_save(parts), applied=["3 state dicts read as one: features, hidden, head"], facts={"step": "10"}
    ),
    "parts that are modules": Layout(
        torch_save(lambda: {"run": {"features": model().features, "hidden": model().hidden, "head": model().head}}),
        key="run", applied=["3 state dicts read as one: features, hidden, head"],
    ),
    "a suffix": Layout(
        torch_save(lambda: {f"{name}_ema": v for name, v in state().items()}), suffix="_ema"
    ),
    "deep under many keys": Layout(
        torch_save(lambda: {"a": [{"b": ({"c": {"net": prefixed("encoder.", state())}},)}]}),
        key="a.0.b.0.c.net", prefix="encoder.",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def repeatable() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_real_layout_loads_whole_and_is_audited_exactly(tmp_path: Path, case: str) -> None:
    expected = LAYOUTS[case]
    path = expected.write(tmp_path)
    loaded, result = load(path, **expected.options)
    audit = result.audit
    want = expected.tensors()
    (same if expected.exact else close)(loaded, want)
    got = audit.model_dump(
        include={"format", "key", "prefix", "suffix", "applied", "facts", "alternatives", "matched"}
    )
    assert got == {
        "format": expected.format,
        "key": expected.key,
        "prefix": expected.prefix,
        "suffix": expected.suffix,
        "applied": expected.applied,
        "facts": expected.facts,
        "alternatives": expected.alternatives,
        "matched": COUNT,
    }
    assert (audit.missing, audit.unexpected, audit.mismatched) == ([], expected.unexpected, [])
    assert audit.dtypes == expected.dtypes
    assert (audit.strict, audit.idle_norms) == (True, [])


def test_real_lightning_writes_what_the_table_says(tmp_path: Path) -> None:
    lightning_ = pytest.importorskip("lightning.pytorch")

    class Module(lightning_.LightningModule):
        def __init__(self, lr: float, options: argparse.Namespace) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.model = model()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    with quiet():
        trainer = lightning_.Trainer(
            logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", max_epochs=0,
            default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.strategy.connect(Module(0.5, argparse.Namespace(arch="net")))
        trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded, result = load(tmp_path / "a.ckpt")
    same(loaded, state())
    assert (result.audit.key, result.audit.prefix, result.audit.matched) == ("state_dict", "model.", COUNT)
    assert result.audit.facts["pytorch-lightning_version"] == lightning_.__version__
    assert result.audit.facts["hyper_parameters.options.arch"] == "net"


# Which of several -----------------------------------------------------------------------------------------

AMBIGUOUS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "model and average": (references, ["model", "model_ema"]),
    "student and teacher": (dino, ["student.module.backbone", "teacher.backbone"]),
    "two encoders in one": (moco, ["state_dict.module.encoder_q", "state_dict.module.encoder_k"]),
    "the top level and an average": (lambda: {**state(), "ema": state(2)}, ["(top level)", "ema"]),
    "two joined": (
        lambda: {"a": {"features": part("features"), "hidden": part("hidden"), "head": part("head")},
                 "b": {"features": part("features", 2), "hidden": part("hidden"), "head": part("head")}},
        ["a", "b"],
    ),
    "two modules": (lambda: [model(), trained(2).model], ["'0'", "'1'"]),
}  # fmt: skip


def part(name: str, seed: int = 1) -> STATE:
    return {key.removeprefix(f"{name}."): v for key, v in state(seed).items() if key.startswith(f"{name}.")}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_two_that_fit_equally_well_with_other_numbers_are_named_and_not_guessed(
    tmp_path: Path, case: str
) -> None:
    make, keys = AMBIGUOUS[case]
    path = saved(tmp_path / "a.pt", make())
    error = refused(path)
    plain = [key.strip("'") for key in keys]
    listed = ", ".join(plain)
    assert (
        f"holds 2 state dicts that fit {SOURCE.text} equally well, with different numbers: {listed}"
        in error.message
    )
    written = [f"key: '{key}'" if key == "(top level)" else f"key: {key}" for key in keys]
    assert error.hint == f"say which is meant: {' or '.join(written)}"
    for key in plain:
        assert load(path, key=key)[1].audit.matched == COUNT


def test_equal_numbers_are_no_conflict(tmp_path: Path) -> None:
    shared = state()
    content = {"a": shared, "b": shared, "c": prefixed("module.", copy.deepcopy(shared))}
    audit = load(saved(tmp_path / "a.pt", content))[1].audit
    assert (audit.key, audit.alternatives) == ("a", ["b", "c"])
    audit = load(saved(tmp_path / "a.pt", content), key="b")[1].audit
    assert (audit.key, audit.alternatives) == ("b", ["a", "c"])


def test_numbers_that_are_not_numbers_are_equal_to_themselves(tmp_path: Path) -> None:
    broken = {name: v * torch.nan if v.is_floating_point() else v for name, v in state().items()}
    assert load(saved(tmp_path / "a.pt", {"a": broken, "b": copy.deepcopy(broken)}))[1].audit.key == "a"


def test_optimizers_are_never_taken_for_weights(tmp_path: Path) -> None:
    lookalike = {"state": state(2), "param_groups": [{"lr": 0.1}]}
    content = {
        "optimizer": state(2), "optimizers": [{"exp_avg": state(2)}], "opt": state(2), "lr_scheduler": state(2),
        "g": lookalike, "grad_scaler": state(2), "optimizer_states": [lookalike], "optimized_model": state(),
    }  # fmt: skip
    loaded, result = load(saved(tmp_path / "a.pt", content))
    same(loaded, state())
    assert (result.audit.key, result.audit.alternatives) == ("optimized_model", [])


def test_a_list_of_tensors_is_no_state_dict(tmp_path: Path) -> None:
    error = refused(saved(tmp_path / "a.pt", [list(state().values()), tuple(state().values())]))
    assert "holds no state dict: it is a list" in error.message


def test_a_part_of_the_names_can_be_a_key(tmp_path: Path) -> None:
    content = {"state_dict": prefixed("model.", state()) | {"loss.weight": torch.ones(7)}}
    error = refused(saved(tmp_path / "a.pt", content))
    assert "1 not in the model (loss.weight [7])" in error.message
    assert error.hint == (
        "take the part that fits with key: state_dict.model, or allow the rest with allow_unexpected: ['loss.*']"
    )
    audit = load(tmp_path / "a.pt", key="state_dict.model")[1].audit
    assert (audit.key, audit.prefix, audit.unexpected) == ("state_dict.model", None, [])
    audit = load(tmp_path / "a.pt", allow_unexpected=("loss.*",))[1].audit
    assert (audit.key, audit.prefix, audit.unexpected) == ("state_dict", "model.", ["loss.weight"])


def test_a_misspelt_key_lists_what_there_is(tmp_path: Path) -> None:
    error = refused(
        saved(tmp_path / "a.pt", {"runs": [{"model": state()}, {"model": state(2)}]}), key="runs.1.modl"
    )
    assert (
        "holds no state dict under key 'runs.1.modl'; there are: runs.0.model, runs.1.model" in error.message
    )
    assert error.hint == "did you mean key: runs.1.model?"


# What may differ ------------------------------------------------------------------------------------------


def other_head(classes: int = 7) -> STATE:
    return net(1, classes=classes).state_dict()


def test_a_replaced_head_names_both_tensors_and_the_line_to_write(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", other_head())
    lines = "allow_missing: ['head.*'], allow_unexpected: ['head.*']"
    error = refused(path)
    assert (
        "head.weight: the model has [5, 16], the file [7, 16]; head.bias: the model has [5], the file [7]"
        in (error.message)
    )
    assert error.hint == (
        f"its head has 7 outputs: set the number of classes in the args of Net, or leave the head out with {lines}"
    )
    error = refused(path, source=SourceRef("torchvision", "torchvision:resnet18", "resnet18"))
    assert (
        error.hint
        == f"its head was replaced: set args: {{num_classes: 7}}, or leave the head out with {lines}"
    )


def test_a_reshaped_tensor_keeps_its_initial_numbers_where_both_lists_or_strict_allow_it(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path / "a.pt", other_head())
    both = {"allow_missing": ("head.*",), "allow_unexpected": ("head.*",)}
    for options in (both, {"strict": False}):
        loaded, result = load(path, net(3), **options)
        audit = result.audit
        assert torch.equal(loaded.head.weight, net(3).head.weight)
        assert torch.equal(loaded.hidden.weight, net(1).hidden.weight)
        assert [one.name for one in audit.mismatched] == ["head.weight", "head.bias"]
        assert (audit.matched, audit.applied, audit.strict) == (COUNT - 2, [], "strict" not in options)
    for options in ({"allow_missing": ("head.*",)}, {"allow_unexpected": ("head.*",)}):
        assert "2 of another shape" in refused(path, **options).message


def test_a_renamed_head_is_allowed_by_name_and_stays_in_the_audit(tmp_path: Path) -> None:
    renamed = {name.replace("head.", "last."): v for name, v in state().items()}
    path = saved(tmp_path / "a.pt", renamed)
    error = refused(path)
    assert "2 missing in the file (head.weight [5, 16], head.bias [5])" in error.message
    assert "2 not in the model (last.weight [5, 16], last.bias [5])" in error.message
    assert error.hint.endswith("allow it with allow_missing: ['head.*'], allow_unexpected: ['last.*']")
    audit = load(path, allow_missing=("head.*",), allow_unexpected=("last.*",))[1].audit
    assert (audit.missing, audit.unexpected) == (["head.weight", "head.bias"], ["last.weight", "last.bias"])
    assert audit.matched == COUNT - 2
    assert "2 not in the model" in refused(path, allow_missing=("head.*",)).message


def test_the_lines_that_a_hint_gives_are_the_lines_that_work(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    path = saved(tmp_path / "a.pt", {name.replace("head.", "0."): v for name, v in state().items()})
    lines = refused(path).hint.partition("allow it with ")[2]
    options = {name: tuple(globs) for name, globs in yaml.safe_load(f"{{{lines}}}").items()}
    assert load(path, **options)[1].audit.matched == COUNT - 2


def test_globs_apply_to_names_without_their_prefix(tmp_path: Path) -> None:
    headless = {name: v for name, v in state().items() if "head" not in name}
    content = prefixed("module.", headless | {"x.y": torch.ones(1)})
    audit = load(saved(tmp_path / "a.pt", content), allow_missing=("head*",), allow_unexpected=("x.?",))[
        1
    ].audit
    assert (audit.prefix, audit.unexpected) == ("module.", ["x.y"])


def test_a_glob_that_nothing_needs_is_harmless_and_noted(tmp_path: Path) -> None:
    options = {"allow_missing": ("heed.*",), "allow_unexpected": ("ema.*",)}
    audit = load(saved(tmp_path / "a.pt", state()), **options)[1].audit
    assert audit.applied == [
        "allow_missing 'heed.*' matched nothing",
        "allow_unexpected 'ema.*' matched nothing",
    ]
    assert audit.matched == COUNT


def test_strict_false_tolerates_everything_but_a_file_of_strangers(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.pt", {"features.conv.weight": state()["features.conv.weight"], "x": torch.ones(3)}
    )
    audit = load(path, strict=False)[1].audit
    assert (audit.matched, len(audit.missing), audit.unexpected, audit.strict) == (1, COUNT - 1, ["x"], False)
    strangers = {f"layer{i}": value for i, value in enumerate(state().values())}
    error = refused(saved(path, strangers), strict=False)
    assert "fits python:net.py:Net in no name, yet every shape fits in order" in error.message
    assert "timm:NAME" in error.hint
    counters = {"features.bn.num_batches_tracked": torch.tensor(3), "y": torch.ones(2)}
    assert "in none of its" in refused(saved(path, counters), strict=False).message


def test_strict_false_leaves_out_integers_in_the_place_of_floats(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", state() | {"head.weight": torch.ones(5, 16, dtype=torch.int8)})
    assert "holds int8 where the model has float32: head.weight" in refused(path).message
    audit = load(path, strict=False)[1].audit
    assert (audit.matched, audit.missing) == (COUNT - 1, ["head.weight"])


def test_a_quantized_file_with_folded_norms_says_so(tmp_path: Path) -> None:
    tensors = {name: v for name, v in quantized("static").state_dict().items() if ".bn." not in name}
    error = refused(saved(tmp_path / "a.pt", tensors))
    assert "4 missing in the file" in error.message
    assert "may have folded its batch norms" in error.hint


def test_a_file_of_one_part_of_the_model_names_that_part(tmp_path: Path) -> None:
    error = refused(saved(tmp_path / "a.pt", state()), nn.Sequential(OrderedDict(backbone=net())))
    assert "in none of its 10 tensors" in error.message
    assert "the part of the model that begins backbone. (11 of its names)" in error.hint


def test_a_twin_with_some_equal_names_is_still_recognised(tmp_path: Path) -> None:
    names = [name if name.startswith("head") else f"layer{i}" for i, name in enumerate(state())]
    error = refused(saved(tmp_path / "a.pt", dict(zip(names, state().values(), strict=True))))
    assert "2 tensors match" in error.message
    assert "every shape fits in order: probably another library's twin" in error.message


def test_half_precision_is_loaded_converted_and_kept_as_stored(tmp_path: Path) -> None:
    half = converted(torch.float16)
    _, result = load(saved(tmp_path / "a.pt", prefixed("module.", half)))
    assert list(result.stored) == [name for name, value in half.items() if value.is_floating_point()]
    assert all(
        value.dtype is torch.float16 and torch.equal(value, half[n]) for n, value in result.stored.items()
    )
    assert load(saved(tmp_path / "b.pt", state()))[1].stored == {}


# Recombination --------------------------------------------------------------------------------------------

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(6, 4),
    "square linear": lambda: nn.Linear(5, 5),
    "one output": lambda: nn.Linear(7, 1),
    "conv": lambda: nn.Conv2d(3, 4, 3),
    "grouped conv": lambda: nn.Conv2d(4, 8, 3, groups=2),
    "conv 1d": lambda: nn.Conv1d(4, 4, 1),
    "transposed conv": lambda: nn.ConvTranspose2d(3, 4, 3),
    "square transposed conv": lambda: nn.ConvTranspose2d(4, 4, 3),
    "embedding": lambda: nn.Embedding(9, 5),
    "double": lambda: nn.Conv2d(3, 4, 3).double(),
}
NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": nn.utils.weight_norm,
    "weight_norm, one magnitude": lambda layer: nn.utils.weight_norm(layer, dim=None),
    "weight_norm, second axis": lambda layer: nn.utils.weight_norm(layer, dim=1),
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized weight_norm, one magnitude": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "spectral_norm": nn.utils.spectral_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
    "prune": lambda layer: prune.random_unstructured(layer, "weight", 0.4),
    "structured prune": lambda layer: prune.ln_structured(layer, "weight", 0.4, n=2, dim=0),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("norm", NORMS)
def test_parts_become_the_weight_that_torch_computes(norm: str, layer: str) -> None:
    with quiet():
        module = NORMS[norm](LAYERS[layer]())
        inputs = torch.randint(9, (2,)) if layer == "embedding" else inputs_of(module)
        for _ in range(5):
            module.train()(inputs)
        module.eval()(inputs)
    tensors = module.state_dict()
    (compound,) = recombine.find(tensors)
    want = module.weight.detach()
    assert compound.target == "weight"
    assert (compound.value(tensors) - want).abs().max() <= 2e-6 * want.abs().max()


def inputs_of(module: nn.Module) -> Tensor:
    dtype = next(module.parameters()).dtype
    if isinstance(module, nn.Linear):
        return torch.randn(2, module.in_features, dtype=dtype)
    size = [8] * (1 if isinstance(module, nn.Conv1d) else 2)
    return torch.randn(2, module.in_channels, *size, dtype=dtype)


def test_parts_that_are_the_models_own_stay_apart(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", normalised(parametrizations.weight_norm).state_dict())
    audit = load(path, normalised(parametrizations.weight_norm))[1].audit
    assert (audit.applied, audit.matched) == ([], 14)


@pytest.mark.parametrize(
    "tensors",
    [
        {"w_orig": torch.ones(2, 3), "w_mask": torch.ones(3)},
        {"w_orig": torch.ones(2, 3)},
        {"w_g": torch.ones(5), "w_v": torch.ones(2, 3)},
        {"w_g": torch.ones(2, 1), "w_v": torch.ones(2, 3, dtype=torch.int64)},
        {"w_orig": torch.ones(2, 3), "w_u": torch.ones(7), "w_v": torch.ones(3)},
        {"w_orig": torch.ones(0, 3), "w_u": torch.ones(0), "w_v": torch.ones(3)},
        {"parametrizations.w.original": torch.ones(2, 3)},
        {"parametrizations.w.original0": torch.ones(9), "parametrizations.w.original1": torch.ones(2, 3)},
        {
            "parametrizations.": torch.ones(2),
            "": torch.ones(1),
            "_orig": torch.ones(2),
            ".original": torch.ones(1),
        },
        {"w": torch.ones(2, 3), "w_orig": torch.ones(2, 3), "w_mask": torch.ones(2, 3)},
    ],
)
def test_what_only_looks_like_parts_is_left_alone(tensors: STATE) -> None:
    assert recombine.find(tensors) == []


def test_a_part_alone_is_never_taken_for_the_weight(tmp_path: Path) -> None:
    content = {f"{n}_orig" if n.endswith("weight") else n: v for n, v in state().items()}
    error = refused(saved(tmp_path / "a.pt", content))
    assert "features.conv.weight_orig" in error.message


# Did training happen --------------------------------------------------------------------------------------

FRESH: dict[str, Callable[[], nn.Module]] = {
    "resnet18": torchvision.models.resnet18,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "vit": lambda: torchvision.models.VisionTransformer(32, 8, 3, 4, 64, 128),
    "net": Net,
}


@pytest.mark.parametrize("name", FRESH)
@pytest.mark.parametrize("seed", [1, 2])
def test_weights_fresh_from_construction_look_untrained(tmp_path: Path, name: str, seed: int) -> None:
    torch.manual_seed(seed)
    path = saved(tmp_path / "a.pt", FRESH[name]().state_dict())
    torch.manual_seed(0)
    assert load(path, FRESH[name]())[1].audit.untrained


def test_trained_weights_do_not_look_untrained(tmp_path: Path) -> None:
    assert not load(saved(tmp_path / "a.pt", state()))[1].audit.untrained
    frozen = torchvision.models.resnet18().state_dict()
    frozen["fc.weight"] = frozen["fc.weight"] * 1.1
    audit = load(saved(tmp_path / "b.pt", frozen), torchvision.models.resnet18())[1].audit
    assert not audit.untrained


@pytest.mark.parametrize("name", ["early", "trained", "lr-too-high"])
def test_the_examples_do_not_look_untrained(name: str) -> None:
    digits = Path(__file__).parent.parent / "examples" / "digits"
    scope: dict[str, Any] = {"__name__": "digits_net"}
    exec((digits / "net.py").read_text(), scope)
    path = digits / "checkpoints" / f"{name}.pt"
    for seed in range(5):
        torch.manual_seed(seed)
        assert not load(path, scope["DigitNet"]())[1].audit.untrained


def test_norms_that_never_saw_a_batch_are_named(tmp_path: Path) -> None:
    tensors = state() | {"features.bn.running_mean": torch.zeros(8), "features.bn.running_var": torch.ones(8)}
    assert load(saved(tmp_path / "a.pt", tensors))[1].audit.idle_norms == ["features.bn"]
    tensors = state() | {"features.bn.num_batches_tracked": torch.tensor(0)}
    assert load(saved(tmp_path / "a.pt", tensors))[1].audit.idle_norms == []


def test_the_distance_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n, m, shift in ((64, 64, 0.0), (1000, 300, 0.1), (50, 4000, 1.0)):
        one, other = torch.randn(n), torch.randn(m) + shift
        want = stats.ks_2samp(one.numpy(), other.numpy()).statistic
        assert untrained.distance(one, other) == pytest.approx(want, abs=1e-12)


# Facts ----------------------------------------------------------------------------------------------------


def test_facts_are_short_plain_and_few() -> None:
    path = Opaque("pathlib.PosixPath", ("/", "data", "x"))
    config = Opaque("omegaconf.dictconfig.DictConfig", state={
        "_content": {"lr": Opaque("omegaconf.nodes.AnyNode", state={"_val": 0.1}),
                     "data": Opaque("omegaconf.dictconfig.DictConfig", state={"_content": {
                         "batch_size": Opaque("omegaconf.nodes.IntegerNode", state={"_val": 8})}})},
    })  # fmt: skip
    tree = {
        "epoch": 3, "loss": float("nan"), "big": 10**400, "text": "a\nb\u202e" + "x" * 500, "none": None, "ok": True,
        "path": path, "relative": Opaque("pathlib._local.WindowsPath", ("a", "b")), "lr": 1e-05, "cfg": config,
        "betas": [0.9, 0.999], "kind": Opaque("my.Color", (2,)), "dtype": Opaque("torch.float32", called=False),
        "best": torch.tensor([0.5]), "history": [1.0] * 9, "z": 1j, "raw": b"abc",
    }  # fmt: skip
    found = facts(tree)
    assert found == {
        "epoch": "3", "loss": "NaN", "big": "an integer of more than 64 bits", "text": found["text"], "ok": "yes",
        "path": "/data/x", "relative": "a/b", "lr": "1e−05", "betas": "[0.9, 0.999]", "kind": "Color(2)",
        "dtype": "float32", "best": "0.5", "cfg.lr": "0.1", "cfg.data.batch_size": "8",
    }  # fmt: skip
    assert found["text"].startswith("a\\nb\\u202exxx")
    assert len(found["text"]) == 200
    assert len(facts({f"k{i}": i for i in range(10_000)})) == 30


# Hostile trees --------------------------------------------------------------------------------------------


def chain(length: int, make: Callable[[object], object]) -> object:
    return functools.reduce(lambda inner, _: make(inner), range(length), state())


def cyclic_module() -> Opaque:
    module = Opaque("m.Net", state={"_parameters": {"w": torch.ones(2)}, "_buffers": {}, "_modules": {}})
    module.state["_modules"]["inner"] = module
    return module


def cycle() -> dict[str, object]:
    tree: dict[str, object] = {"sd": state()}
    tree |= {"self": tree, "list": [tree, {"deep": tree}]}
    return tree


def doubling() -> object:
    return functools.reduce(lambda inner, _: [inner, inner], range(60), state())


def doubling_modules() -> Opaque:
    leaf = Opaque("m.L", state={"_parameters": {"w": torch.ones(2)}, "_buffers": {}, "_modules": {}})
    return functools.reduce(
        lambda inner, _: Opaque("m.N", state={"_parameters": {}, "_buffers": {}, "_modules": {"a": inner, "b": inner}}),
        range(40), leaf,
    )  # fmt: skip


HOSTILE: dict[str, tuple[Callable[[], object], str]] = {
    "cycle": (cycle, "sd"),
    "60 doublings": (doubling, ".".join("0" * 60)),
    "400 dicts deep": (lambda: chain(400, lambda inner: {"a": inner}), ".".join("a" * 400)),
    "100,000 lists deep": (lambda: chain(100_000, lambda inner: [inner]), "holds no state dict: it is a list"),
    "a module inside itself": (cyclic_module, "contains itself or more than 100,000 modules"),
    "40 doublings of modules": (doubling_modules, "contains itself or more than 100,000 modules"),
    "modules of nonsense": (
        lambda: {"m": Opaque("x", state={"_modules": 3, "_parameters": [1], "_buffers": None}), "sd": state()}, "sd"
    ),
    "an object that is its own state": (
        lambda: {"o": loop(Opaque("x")), "sd": state()}, "sd"
    ),
    "many small dicts": (lambda: {"x": [{"a": torch.ones(2)}] * 3, "y": [{"a": torch.ones(2)} for _ in range(9000)],
                                  "sd": state()}, "sd"),
    "names of many dots": (lambda: state() | {"." * 100_000: torch.ones(1)}, ""),
}  # fmt: skip


def loop(thing: Opaque) -> Opaque:
    thing.state, thing.items = {"self": thing}, [thing]
    return thing


@pytest.mark.parametrize("case", HOSTILE)
def test_trees_of_any_shape_are_walked_in_bounds(case: str) -> None:
    make, outcome = HOSTILE[case]
    tree = make()
    assert len(facts(tree)) <= 30
    if " " in outcome:
        with pytest.raises(CheckpointError, match=outcome):
            layout.candidates(tree, 2**20)
        return
    found = layout.candidates(tree, 2**20)
    assert next(one for one in found if "features.conv.weight" in one.tensors).path == outcome
    assert len(found) <= layout.MAX_CANDIDATES
