"""Run many architectures with every tap on, and compare each with its plain forward: the table docs/architectures.md.

And compare the channels of each tap with what its layer's own attributes say, wherever they say it.

All of torchvision's classification, segmentation, detection, video and optical-flow models and 40 of timm, seeded, with
random weights, two images of the smallest size each accepts, one model at a time, by the code a build uses.

    python benchmarks/architectures.py                      # everything, and the table
    python benchmarks/architectures.py --rows rows.jsonl    # the same, and a stopped run goes on
    python benchmarks/architectures.py --only 'timm:*'      # some, printed only
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from featreport.collect.activations import ActivationCollector
from featreport.collect.faithful import Proof
from featreport.collect.feeding import fed
from featreport.collect.taps import Taps
from featreport.collect.unmeasured import list_unmeasured
from featreport.results.schema import Activation, Faithfulness, Unmeasured
from featreport.sources.seeding import seeded
from featreport.statistics import Settings

TABLE = Path(__file__).parent.parent / "docs" / "architectures.md"
SIZES = (32, 64, 96, 128, 224, 240, 256, 288, 384)
IMAGES = 2
SMALL = {"min_size": 64, "max_size": 96}
TIMM = (
    *(
        "vit_tiny_patch16_224",
        "deit_tiny_distilled_patch16_224",
        "beit_base_patch16_224",
        "eva02_tiny_patch14_224",
    ),
    *("cait_xxs24_224", "xcit_nano_12_p16_224", "levit_128s", "twins_svt_small", "pvt_v2_b0", "pit_ti_224"),
    *(
        "swin_tiny_patch4_window7_224",
        "swinv2_tiny_window8_256",
        "coat_tiny",
        "crossvit_tiny_240",
        "visformer_tiny",
    ),
    *("coatnet_nano_rw_224", "maxvit_tiny_rw_224", "mobilevit_xxs", "mobilevitv2_050", "efficientformer_l1"),
    *(
        "edgenext_xx_small",
        "poolformer_s12",
        "mixer_s32_224",
        "gmlp_ti16_224",
        "resmlp_12_224",
        "convmixer_768_32",
    ),
    *("convnext_atto", "convnextv2_atto", "efficientnet_b0", "tf_efficientnetv2_b0", "mobilenetv3_small_050"),
    *(
        "ghostnet_100",
        "mnasnet_small",
        "regnety_002",
        "resnext26ts",
        "seresnet50",
        "res2net50_26w_4s",
        "resnest14d",
    ),
    *(
        "skresnet18",
        "densenet121",
        "inception_v4",
        "xception41",
        "hrnet_w18_small",
        "dpn48b",
        "vgg11_bn",
        "repvgg_a0",
    ),
    *(
        "nfnet_l0",
        "nf_resnet26",
        "dla34",
        "cspresnet50",
        "vovnet39a",
        "selecsls42",
        "hardcorenas_a",
        "repghostnet_050",
    ),
    *("fastvit_t8", "nextvit_small", "davit_tiny", "focalnet_tiny_srf", "tiny_vit_5m_224", "volo_d1_224"),
)


Forward = Callable[[Tensor], object]


@dataclass(frozen=True)
class Case:
    """One architecture: how to build it, and what to show it at a given size."""

    name: str
    family: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Tensor, ...]]
    sizes: tuple[int, ...] = SIZES


class Row(BaseModel):
    """What one architecture gave; `error` where it could not be run."""

    name: str
    family: str
    shape: str = ""
    taps: int = 0
    functional: int = 0
    unmeasured: list[Unmeasured] = []
    known: int = (
        0  # taps whose channels the attributes of their layer, or of the one before an activation, tell
    )
    astray: list[str] = []  # those among them that have others, or have them on another axis
    proof: Faithfulness | None = None
    seconds: float = 0.0
    error: str = ""

    @property
    def faithful(self) -> bool:
        """Output bit for bit as without hooks, state as before, no hook left; channels where they are known to be."""
        proof = self.proof
        same = bool(proof and proof.output_identical and proof.state_unchanged and not proof.hooks_left)
        return same and not self.astray


@dataclass(frozen=True)
class Channels:
    """How many channels an output has by the attributes of what gave it, and on which of its axes."""

    count: int
    axes: int  # of the output
    last: bool

    def of(self, tap: Activation) -> bool:
        """Whether a tap has them: its shape leaves out the batch, where one is known."""
        axis = len(tap.shape) - 1 if self.last else int(len(tap.shape) == self.axes)
        return (tap.channels, tap.channel_axis, tap.shape[axis]) == (self.count, axis, self.count)


def images(size: int) -> tuple[Tensor, ...]:
    return (torch.rand(IMAGES, 3, size, size),)


def clips(frames: int) -> Callable[[int], tuple[Tensor, ...]]:
    return lambda size: (torch.rand(IMAGES, 3, frames, size, size),)


def pairs(size: int) -> tuple[Tensor, ...]:
    return torch.rand(IMAGES, 3, size, size), torch.rand(IMAGES, 3, size, size)


def cases() -> Iterator[Case]:
    """Yield every architecture of the table."""
    yield from torchvision_cases()
    for name in TIMM:
        yield Case(f"timm:{name}", "timm", lambda name=name: _timm(name), images)


def torchvision_cases() -> Iterator[Case]:
    models = torchvision.models
    rooms: tuple[tuple[str, Any], ...] = (
        ("classification", models),
        ("segmentation", models.segmentation),
        ("detection", models.detection),
        ("video", models.video),
        ("optical flow", models.optical_flow),
    )
    for family, room in rooms:
        for name in models.list_models(module=room):
            more: dict[str, Any] = {"weights": None}
            make, sizes = images, SIZES
            if family in {"segmentation", "detection"}:
                more["weights_backbone"] = None
            if name in {"inception_v3", "googlenet"}:
                more["init_weights"] = False  # truncated normals from SciPy take minutes
            if family == "detection":
                sizes = (96, 128)
                more |= {} if name.startswith("ssd") else SMALL
            if family == "video":
                make, sizes = clips(16), (32, 64, 112, 224)
            if family == "optical flow":
                make, sizes = pairs, (128,)
            yield Case(name, family, lambda name=name, more=more: models.get_model(name, **more), make, sizes)


def _timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False)


def measure(case: Case, seed: int = 0) -> Row:
    """Run one architecture; whatever it raises is its row."""
    began = time.perf_counter()
    try:
        with seeded(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = case.build().eval()
            return _measured(case, model, began)
    except Exception as error:  # noqa: BLE001 - a table of all of them, with what went wrong
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Row(name=case.name, family=case.family, error=reason[:200])


def _measured(case: Case, model: nn.Module, began: float) -> Row:
    collector = ActivationCollector(Settings(dead=0.0, near_zero=1e-3), shown_images=0, shown_channels=0)
    taps = Taps(model, collector.observe)
    proof = Proof(model, torch.device("cpu"))
    with torch.inference_mode():
        first, forward = _plain(case, model, proof)
        with taps.attached():
            collector.begin_batch(0, len(first))
            with taps.one_pass():
                output = forward(first)
        proof.compare(output)
        value = proof.value(forward)
        known = known_channels(model, lambda: forward(first))
    found, _ = collector.value()
    told = [(tap, known[tap.layer, tap.call]) for tap in found if (tap.layer, tap.call) in known]
    return Row(
        name=case.name,
        family=case.family,
        shape="×".join(str(size) for size in first.shape),
        taps=len(found),
        functional=sum("." in tap.module for tap in found),
        unmeasured=list_unmeasured(model, taps, collector),
        known=len(told),
        astray=[f"{tap.layer} (call {tap.call})" for tap, channels in told if not channels.of(tap)],
        proof=value,
        seconds=time.perf_counter() - began,
    )


def _plain(case: Case, model: nn.Module, proof: Proof) -> tuple[Tensor, Forward]:
    """Run the plain forward on the smallest input that the network accepts."""
    for size in case.sizes:
        first, *others = case.inputs(size)

        def forward(batch: Tensor, others: list[Tensor] = others) -> object:
            return model(fed(model, batch), *others)

        try:
            proof.plain(forward, first)
        except Exception as error:  # noqa: BLE001 - any refusal: the next size
            refused = error
        else:
            return first, forward
    raise refused


def declared(module: nn.Module, output: Tensor) -> Channels | None:
    """Return what the attributes of a layer say of its output; None of other modules."""
    axes = output.ndim
    if isinstance(module, (_ConvNd, _NormBase, nn.GroupNorm)):
        names = ("out_channels", "num_features", "num_channels")
        return Channels(
            next(getattr(module, name) for name in names if hasattr(module, name)), axes, last=False
        )
    if isinstance(module, nn.LayerNorm):
        return Channels(module.normalized_shape[-1], axes, last="2d" not in type(module).__name__)
    return Channels(module.out_features, axes, last=True) if isinstance(module, nn.Linear) else None


def known_channels(model: nn.Module, forward: Callable[[], object]) -> dict[tuple[str, int], Channels]:
    """Return what is known of each call of a layer in a forward pass, by hooks that know nothing of taps."""
    found: dict[tuple[str, int], Channels] = {}
    calls: Counter[str] = Counter()
    given: dict[int, tuple[Tensor, Channels]] = {}  # with the tensor, so that no other takes its number

    def hook(name: str, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        call = calls[name]
        calls[name] += 1
        if not isinstance(output, Tensor):
            return
        known = declared(module, output)
        if known is None and "activation" in type(module).__module__ and args:  # torch's and timm's
            known = given.get(id(args[0]), (None, None))[1]
        if known is not None:
            found[name, call] = known
            given[id(output)] = (output, known)

    handles = [
        module.register_forward_hook(partial(hook, name)) for name, module in model.named_modules() if name
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return found


def reasons(unmeasured: tuple[Unmeasured, ...]) -> str:
    """Return how often each reason was given, in few words."""
    count: Counter[str] = Counter()
    for entry in unmeasured:
        reason = re.sub(
            r"nn\.MultiheadAttention reads.*", "output projection: the attention's own output", entry.reason
        )
        reason = re.sub(r"queries, keys and values.*", "packed q, k, v", reason)
        reason = re.sub(r"the attention weights never.*", "fused attention weights", reason)
        reason = re.sub(r"boxes, scores, anchors.*", "picked boxes, no activation", reason)
        reason = reason.replace(
            " in the forward pass (its parameters may be used by the module around it)", "; owns weights"
        )
        count[reason.replace(" in the forward pass", "").replace("its output is ", "")] += 1
    return "; ".join(f"{number} {reason}" for reason, number in count.most_common())


COLUMNS = (
    *(
        "architecture",
        "input",
        "taps",
        "functional",
        "channels",
        "unmeasured",
        "output",
        "state",
        "hooks left",
    ),
    "why unmeasured",
)


def line(row: Row) -> str:
    """Return one row of the table."""
    if row.proof is None:
        return f"| {row.name} | – | – | – | – | – | not run | – | – | {row.error.replace('|', '/')} |"
    proof = row.proof
    same = {True: "identical", False: "DIFFERS", None: "does not repeat itself"}[proof.output_identical]
    state = "unchanged" if proof.state_unchanged else f"CHANGED ({len(proof.changed)})"
    declared = f"{row.known - len(row.astray)} of {row.known}"
    return (
        f"| {row.name} | {row.shape} | {row.taps} | {row.functional} | {declared} | {len(row.unmeasured)} "
        f"| {same} | {state} | {proof.hooks_left} | {reasons(row.unmeasured)} |"
    )


def table(rows: list[Row]) -> str:
    """Return the page of the docs."""
    faithful = sum(row.faithful for row in rows)
    failed = sum(row.proof is None for row in rows)
    known, every = sum(row.known for row in rows), sum(row.taps for row in rows)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if any(row.family == "timm" for row in rows):
        import timm

        versions += f", timm {timm.__version__}"
    intro = f"""# Architectures

Written by `benchmarks/architectures.py` with {versions} on the CPU: {len(rows)} architectures with random weights
(seed 0), {IMAGES} images of the smallest size each accepts, every tap and statistic on.

**{faithful} of {len(rows)}** gave, with every tap on, the output of the plain forward bit for bit, kept every
parameter and buffer, had no hook left, and had the declared channels on their axis in every tap that *channels*
counts; {failed} could not be run (the last column says why). The plain forward has no hook and no function mode; like
the watched one it runs without the transformer fast path, which is other arithmetic.

*Taps* are rows of a report, *functional* the ones that a torch function gives rather than a module. *Channels* are the
taps whose layer declares how many it gives: a convolution, a linear layer, a batch, group, instance or layer norm, and
an activation right after one. Of those, as many as stand before "of" were recorded with that number on that axis: the
last one of a linear layer and a layer norm, else the one after the batch. They are {known:,} of {every:,} taps; others
have channels that no attribute tells. *Unmeasured* is what a report lists without numbers, and why. Quantised models
are left out: they need an engine of their own and published weights.
"""
    parts = [intro]
    for family in dict.fromkeys(row.family for row in rows):
        parts += [
            f"## {family}\n",
            f"| {' | '.join(COLUMNS)} |",
            "|---|---|---:|---:|---:|---:|---|---|---:|---|",
            *(line(row) for row in rows if row.family == family),
            "",
        ]
    return "\n".join(parts).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="glob over names; writes no table")
    parser.add_argument("--rows", type=Path, help="keep finished rows in this file, and go on from it")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    every = list(cases())
    done = _kept(chosen.rows)
    for case in every:
        if case.name in done or (
            chosen.only and not any(fnmatchcase(case.name, glob) for glob in chosen.only)
        ):
            continue
        row = done[case.name] = measure(case)
        print(line(row), f"{row.seconds:.1f} s", flush=True)
        if chosen.rows:
            with chosen.rows.open("a") as file:
                file.write(row.model_dump_json() + "\n")
        gc.collect()
    rows = [done[case.name] for case in every if case.name in done]
    if len(rows) == len(every):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(rows))
    wrong = [row.name for row in rows if not row.faithful]
    print(f"{len(rows) - len(wrong)} of {len(rows)} faithful; not: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


def _kept(file: Path | None) -> dict[str, Row]:
    if file is None or not file.exists():
        return {}
    rows = [Row.model_validate_json(text) for text in file.read_text().splitlines()]
    return {row.name: row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
