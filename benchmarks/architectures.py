"""Run many architectures with every tap on, and compare each with its plain forward: the table docs/architectures.md.

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
from pathlib import Path
from typing import Any

import torch
import torchvision
from pydantic import BaseModel
from torch import Tensor, nn

from featreport.collect.activations import ActivationCollector
from featreport.collect.faithful import Proof
from featreport.collect.feeding import fed
from featreport.collect.taps import Taps
from featreport.collect.unmeasured import list_unmeasured
from featreport.results.schema import Faithfulness, Unmeasured
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
    proof: Faithfulness | None = None
    seconds: float = 0.0
    error: str = ""

    @property
    def faithful(self) -> bool:
        """Output bit for bit as without hooks, state as before, no hook left."""
        proof = self.proof
        return bool(proof and proof.output_identical and proof.state_unchanged and not proof.hooks_left)


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
    found, _ = collector.value()
    return Row(
        name=case.name,
        family=case.family,
        shape="×".join(str(size) for size in first.shape),
        taps=len(found),
        functional=sum("." in tap.module for tap in found),
        unmeasured=list_unmeasured(model, taps, collector),
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


def line(row: Row) -> str:
    """Return one row of the table."""
    if row.proof is None:
        return f"| {row.name} | – | – | – | – | not run | – | – | {row.error.replace('|', '/')} |"
    proof = row.proof
    same = {True: "identical", False: "DIFFERS", None: "does not repeat itself"}[proof.output_identical]
    state = "unchanged" if proof.state_unchanged else f"CHANGED ({len(proof.changed)})"
    return (
        f"| {row.name} | {row.shape} | {row.taps} | {row.functional} | {len(row.unmeasured)} | {same} | {state} "
        f"| {proof.hooks_left} | {reasons(row.unmeasured)} |"
    )


def table(rows: list[Row]) -> str:
    """Return the page of the docs."""
    faithful = sum(row.faithful for row in rows)
    failed = sum(row.proof is None for row in rows)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if any(row.family == "timm" for row in rows):
        import timm

        versions += f", timm {timm.__version__}"
    intro = f"""# Architectures

Written by `benchmarks/architectures.py` with {versions} on the CPU: {len(rows)} architectures with random weights
(seed 0), {IMAGES} images of the smallest size each accepts, every tap and statistic on.

**{faithful} of {len(rows)}** gave, with every tap on, the output of the plain forward bit for bit, kept every
parameter and buffer, and had no hook left; {failed} could not be run (the last column says why). The plain forward has
no hook and no function mode; like the watched one it runs without the transformer fast path, which is other arithmetic.

*Taps* are rows of a report, *functional* the ones that a torch function gives rather than a module. *Unmeasured* is
what a report lists without numbers, and why. Quantised models are left out: they need an engine of their own and
published weights.
"""
    parts = [intro]
    for family in dict.fromkeys(row.family for row in rows):
        parts += [
            f"## {family}\n",
            "| architecture | input | taps | functional | unmeasured | output | state | hooks left | why unmeasured |",
            "|---|---|---:|---:|---:|---|---|---:|---|",
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
