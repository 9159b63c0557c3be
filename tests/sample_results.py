"""Synthetic results for the page's tests: several runs, a failed one, hostile names, small pictures."""

from __future__ import annotations

import base64
import hashlib
import io

import numpy as np
from PIL import Image

from featreport.results.schema import (
    Activation,
    Buffer,
    DeadFilter,
    Death,
    Definition,
    FailedImage,
    FeatureMaps,
    FilterPair,
    Histogram,
    ImageFile,
    Images,
    Kernels,
    Load,
    Mismatch,
    Norm,
    Provenance,
    RareChannel,
    Results,
    Run,
    RunFailure,
    Summary,
    Thresholds,
    Unmeasured,
    Weight,
)

HOSTILE = "<script>alert('x')</script>\"$\\frac{1}{0}$&amp;\u202e" + "long_name." * 24
GAP = 1


def picture(pixels: np.ndarray, kind: str = "PNG") -> tuple[str, str]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    content = buffer.getvalue()
    text = base64.b64encode(content).decode()
    return hashlib.sha256(content).hexdigest()[:16], f"data:image/{kind.lower()};base64,{text}"


def histogram(values: np.ndarray) -> Histogram:
    counts, edges = np.histogram(values, bins=50)
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def activation(
    layer: str, channels: int, seed: int, *, rectifier: bool = True, dead: list[int] | None = None, **more
) -> Activation:
    noise = np.random.default_rng(seed)
    values = noise.normal(0.1 * seed, 1 + 0.2 * seed, (channels, 400))
    if rectifier:
        values = np.maximum(values, 0)
    dead = dead or []
    values[dead] = 0
    zeros, near = int((values == 0).sum()), int((np.abs(values) <= 1e-3).sum())
    fired = [0 if c in set(dead) else 10 + c % 7 for c in range(channels)]
    fields = {
        "layer": layer, "call": 0, "module": "ReLU" if rectifier else "Conv2d", "rectifier": rectifier,
        "shape": [channels, 20, 20], "channel_axis": 0, "channels": channels, "images": 16, "count": values.size,
        "mean": float(values.mean()), "std": float(values.std()), "min": float(values.min()),
        "max": float(values.max()), "zeros": zeros, "zero_fraction": zeros / values.size, "near_zeros": near,
        "near_zero_fraction": near / values.size, "nonfinite": 0, "nan": 0, "posinf": 0, "neginf": 0, "dead": dead,
        "dead_fraction": len(dead) / channels, "constant": [], "fired_images": fired if rectifier else None,
        "histogram": histogram(values),
    }  # fmt: skip
    return Activation(**{**fields, **more})


def weight(name: str, shape: list[int], seed: int, kind: str = "weight", **more) -> Weight:
    values = np.random.default_rng(seed).normal(0, 0.05, shape)
    values[np.abs(values) < 0.004] = 0
    near = int((np.abs(values) <= 1e-3).sum())
    fields = {
        "name": name, "module": "Conv2d", "kind": kind, "dtype": "float32", "shape": shape, "count": values.size,
        "mean": float(values.mean()), "std": float(values.std(ddof=1)) if values.size > 1 else None,
        "min": float(values.min()), "max": float(values.max()), "zeros": int((values == 0).sum()),
        "zero_fraction": float((values == 0).mean()), "near_zeros": near, "near_zero_fraction": near / values.size,
        "relative_near_zero_fraction": 0.008, "nonfinite": 0, "nan": 0, "posinf": 0, "neginf": 0, "channels": shape[0],
        "dead": [], "dead_fraction": 0.0, "histogram": histogram(values),
    }  # fmt: skip
    return Weight(**{**fields, **more})


def summary(taps: list[Activation], weights: list[Weight]) -> Summary:
    rectifiers = [tap for tap in taps if tap.rectifier]
    channels, dead = sum(tap.channels for tap in rectifiers), sum(len(tap.dead) for tap in rectifiers)
    own = [tensor for tensor in weights if tensor.kind == "weight"]
    count, near, zero = (
        sum(getattr(tensor, field) for tensor in own) for field in ("count", "near_zeros", "zeros")
    )
    return Summary(
        channels=channels, dead_channels=dead, dead_fraction=dead / channels if channels else None,
        dead_fraction_macro=float(np.mean([tap.dead_fraction for tap in rectifiers])) if rectifiers else None,
        rectifiers=len(rectifiers), weights=count, near_zero_weights=near,
        near_zero_fraction=near / count if count else None, zero_weights=zero,
        zero_fraction=zero / count if count else None, dead_filters=sum(len(tensor.dead) for tensor in own),
        nonfinite=sum(tap.nonfinite for tap in taps), constant_channels=sum(len(tap.constant) for tap in taps),
    )  # fmt: skip


def load(**more) -> Load:
    fields = {
        "path": "runs/net.pth",
        "sha256": "ab" * 32,
        "format": "torch zip",
        "bytes": 1_234_567,
        "matched": 12,
    }
    return Load(**{**fields, **more})


def run(
    run_id: str, pictures: dict[str, str], dead: dict[int, list[int]], layers: int = 6, seed: int = 0, **more
) -> Run:
    """Return a finished run whose rectifier `i` has `dead[i]`; its pictures go into `pictures`."""
    model, _, checkpoint = run_id.partition("/")
    noise = np.random.default_rng(seed)
    taps, weights, buffers, maps = [], [], [], []
    files = []
    for index in range(4):
        y, x = np.mgrid[0:48, 0:64]
        colours = [128 + 100 * np.sin(x / (5 + index) + c) * np.cos(y / (7 - index) - c) for c in range(3)]
        key, source = picture(np.stack(colours, -1).astype(np.uint8), "WEBP")
        pictures[key] = source
        files.append(
            ImageFile(name=f"images/photo_{index}.jpg", sha256="cd" * 32, width=640, height=480, picture=key)
        )
    for index in range(layers):
        channels = (16, 32, 64)[min(2, index // 2)]
        layer, silent = f"features.{index * 3}", dead.get(index, [])
        taps.append(activation(layer, channels, index + seed, rectifier=False))
        taps.append(activation(f"features.{index * 3 + 2}", channels, index + seed, dead=silent))
        weights.append(weight(f"{layer}.weight", [channels, 3, 3, 3], index + seed))
        weights.append(weight(f"{layer}.bias", [channels], index + seed, "bias"))
        statistic = f"features.{index * 3 + 1}.running_mean"
        buffers.append(Buffer(name=statistic, module="BatchNorm2d", dtype="float32",
                              shape=[channels], count=channels, mean=0.1, std=1.0, min=-2.0, max=2.0,
                              nonfinite=0))  # fmt: skip
        side = max(4, 40 >> index)
        tiles = noise.integers(0, 255, (4, 12, side, side), np.uint8)
        shown = [c for c in silent if c < 12]
        tiles[:, shown] = 0
        sheet = np.full((4 * (side + GAP) - GAP, 12 * (side + GAP) - GAP), 132, np.uint8)
        for r in range(4):
            for c in range(12):
                sheet[
                    r * (side + GAP) : r * (side + GAP) + side, c * (side + GAP) : c * (side + GAP) + side
                ] = tiles[r, c]
        key, source = picture(sheet)
        pictures[key] = source
        maps.append(FeatureMaps(layer=f"features.{index * 3 + 2}", call=0, kind="maps", picture=key,
                                images=[0, 1, 2, 3], channels=list(range(12)),
                                tile=[side, side], gap=GAP, low=0.0, high=4.1))  # fmt: skip
    units = activation("classifier.1", 128, 3 + seed, dead=[3, 4, 5, 6, 70, 127], shape=[128])
    taps.append(units)
    key, source = picture(noise.integers(0, 255, (2 * 2 + GAP, 64), np.uint8))
    pictures[key] = source
    maps.append(FeatureMaps(layer="classifier.1", call=0, kind="units", picture=key, images=[0, 1],
                            channels=list(range(128)), tile=[2, 64], gap=GAP, low=0.0, high=2.5))  # fmt: skip
    key, source = picture(noise.integers(1, 255, (2 * 8 + GAP, 8 * 8 + 7 * GAP, 3), np.uint8), "WEBP")
    pictures[key] = source
    kernels = Kernels(
        name="features.0.weight", picture=key, tile=[8, 8], gap=GAP, columns=8, shown=16, total=16, limit=0.31
    )
    fields = {
        "id": run_id, "model": model, "checkpoint": checkpoint, "source": "python:net.py:Net", "status": "ok",
        "load": load(), "images": Images(count=16, files=files),
        "transform": "resize 256, crop 224, mean 0.485 0.456 0.406", "device": "cpu", "precision": "float32",
        "batch_size": 16, "parameters": sum(tensor.count for tensor in weights),
        "summary": summary(taps, weights), "activations": taps, "weights": weights, "buffers": buffers, "maps": maps,
        "kernels": kernels,
    }  # fmt: skip
    return Run(**{**fields, **more})


def failed(
    run_id: str = "net/broken", message: str = "runs/broken.pth is a Git LFS pointer, not a checkpoint"
) -> Run:
    model, _, checkpoint = run_id.partition("/")
    return Run(
        id=run_id, model=model, checkpoint=checkpoint, source="python:net.py:Net", status="failed",
        error=RunFailure(stage="checkpoint", message=message, hint="run `git lfs pull`, then build again"),
        images=Images(count=16), transform="none", precision="float32",
    )  # fmt: skip


def results(runs: list[Run], pictures: dict[str, str] | None = None, **more) -> Results:
    fields = {
        "title": "Which channels are dead?",
        "provenance": Provenance(
            versions={"featreport": "0.1.0", "python": "3.11", "torch": "2.15.0", "numpy": "2.4"}, device="cpu",
            precision="float32", manifest_name="config.yaml", manifest_sha256="ef" * 32,
            manifest_text="version: 1\ntitle: Which channels are dead?\n", code_run=["python:net.py:Net"],
        ),
        "thresholds": Thresholds(dead=0.0, near_zero=0.001), "max_bytes": 15_000_000,
        "definitions": [Definition(metric="dead", label="dead channel", sentence="max |a| ≤ 0.")],
        "runs": runs, "pictures": pictures or {},
    }  # fmt: skip
    return Results(**{**fields, **more})


def sample() -> Results:
    """Return four runs: healthy, dying, partial with non-finite values, and one that failed."""
    pictures: dict[str, str] = {}
    healthy = run("net/epoch-10", pictures, {1: [3]}, seed=1)
    dying = run(
        "net/lr-10",
        pictures,
        {2: list(range(32)), 3: [0, 2, 5, 6, 7, 8, 20], 4: list(range(0, 64, 2))},
        seed=2,
    )
    broken = activation("features.9", 8, 1, rectifier=False, nonfinite=7, nan=5, posinf=2, constant=[1, 2, 3])
    partial = run(
        "other/partial", pictures, {0: [1]}, layers=3, seed=3,
        load=load(missing=["head.weight", "head.bias"], unexpected=["fc.weight"], prefix="module.",
                  mismatched=[Mismatch(name="x.weight", expected=[3, 4], got=[4, 3])], key="state_dict_ema"),
        unmeasured=[Unmeasured(layer="aux.fc", reason="never called in evaluation mode")],
        notes=["The batch was halved to 8 after the device ran out of memory."],
    )  # fmt: skip
    taps = [*partial.activations, broken]
    images = Images(
        count=14,
        files=partial.images.files,
        failed=[FailedImage(path="images/bad.tif", reason="cannot be decoded")],
    )
    partial = partial.model_copy(
        update={"activations": taps, "summary": summary(taps, partial.weights), "images": images}
    )
    return results([healthy, dying, partial, failed()], pictures)


def few() -> Results:
    """Return two runs of few layers with findings of most kinds, and one that failed."""
    pictures: dict[str, str] = {}
    first = run("net/early", pictures, {0: [1, 2, 3, 9], 1: list(range(16))}, layers=2, seed=4)
    second = run(
        "net/late", pictures, {1: [0]}, layers=2, seed=5, load=load(unexpected=["fc.weight"], prefix="module."),
        unmeasured=[Unmeasured(layer="aux.fc", reason="never called in evaluation mode")],
        notes=["The batch was halved to 8 after the device ran out of memory."],
    )  # fmt: skip
    return results([first, second, failed()], pictures)


def measured() -> Results:
    """Return a run that has every number a run can have, with names and lists as long as real ones."""
    pictures: dict[str, str] = {}
    base = run("swin_t/imagenet", pictures, {0: [1, 2], 1: [0]}, layers=2, seed=6)
    more = {
        "dormant": {"0": [1, 2], "0.025": [1, 2, 5], "0.1": [1, 2, 5, 9]}, "dormant_fraction": 0.1875,
        "saturated": [4], "massive": [7, 8], "effective_rank": 3.0000000000000004, "median_magnitude": 0.3,
        "rare": [RareChannel(channel=11, images=1, loudest_image=3)], "firing_rate_bound": 0.17, "constant": [12],
    }  # fmt: skip
    taps = [
        tap.model_copy(update={**more, "deaths": [_death(channel) for channel in tap.dead]})
        if tap.rectifier and tap.channels < 128
        else tap
        for tap in base.activations[:-1]
    ]
    taps.append(activation("classifier.1", 512, 3, dead=list(range(1, 512, 2)), shape=[512]))
    told = {
        "matrix": [16, 27], "spectral_norm": 0.7071067811865476, "stable_rank": 2.5, "redundant_pairs": 3, "pairs": 120,
        "redundant_fraction": 0.025, "zero_filters": 1, "two_four_groups": 96, "two_four": 66,
        "two_four_fraction": 0.6875, "two_four_chance": 0.5, "looks_untrained": True,
        "initialisation": "kaiming uniform", "alpha": 3.1,
        "alpha_start": 0.5, "alpha_distance": 0.04, "alpha_tail": 9, "dead": [3], "dead_fraction": 0.0625,
        "dead_filters": [DeadFilter(channel=3, peak=1e-9, norm=1e-8)], "median_norm": 0.4,
        "closest": [FilterPair(one=1, other=2, cosine=0.98)],
    }  # fmt: skip
    weights = [
        tensor.model_copy(update={"name": f"layers.2.blocks.1{place}.attn.{tensor.name}"}
                          | (told if tensor.kind == "weight" else {}))
        for place, tensor in enumerate(base.weights)
    ]  # fmt: skip
    shapes = {"shape": [1024, 1024, 3, 3], "module": "NonDynamicallyQuantizableLinear"}
    weights.append(weights[0].model_copy(update={"name": "features.18.conv.1.0.weight", **shapes}))
    norms = [
        Norm(layer="features.1", module="BatchNorm2d", channels=16, eps=1e-5, counter=1200, small_scale=[1, 2],
             closed=[1], small_scale_fraction=0.125, effective_min=0.01, effective_median=0.9, effective_max=1.5,
             still=[2], untouched=False),
        Norm(layer="features.4", module="LayerNorm", channels=16, eps=None, counter=None, small_scale=None, closed=None,
             small_scale_fraction=None, effective_min=None, effective_median=None, effective_max=None, still=None,
             untouched=True),
    ]  # fmt: skip
    full = base.model_copy(
        update={"activations": taps, "weights": weights, "norms": norms, "summary": summary(taps, weights)}
    )
    return results([full], pictures)


def _death(channel: int) -> Death:
    return Death(channel=channel, cause="zero weights", proved=True, at="features.0")


def empty() -> Results:
    """Return a run with nothing in it."""
    fields = {
        "activations": [],
        "weights": [],
        "buffers": [],
        "maps": [],
        "kernels": None,
        "summary": None,
        "load": None,
    }
    bare = run("net/empty", {}, {}, layers=1).model_copy(
        update={**fields, "images": Images(count=0), "parameters": None}
    )
    return results([bare])
