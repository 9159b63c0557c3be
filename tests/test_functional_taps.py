"""What torch functions give in `forward()`: under the module that runs them, once, and only what is of the images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featreport.collect.passed import Key
from featreport.collect.sites import asked_blocks
from featreport.collect.taps import Tap, Taps
from test_taps import BLOCK, measured, net, rows, tap


def watch(
    model: nn.Module, *inputs: object, include: tuple[str, ...] = ()
) -> tuple[list[tuple[Tap, Tensor]], Taps]:
    """Run one pass; every tap with a copy of its tensor."""
    kept: list[tuple[Tap, Tensor]] = []
    taps = Taps(
        model.eval(), lambda tap, _module, output: kept.append((tap, output.clone())), include=include
    )
    with torch.inference_mode(), taps.attached(), taps.one_pass():
        model(*inputs)
    return kept, taps


def names(model: nn.Module, *inputs: object, include: tuple[str, ...] = ()) -> list[str]:
    return [tap.layer for tap, _ in watch(model, *inputs, include=include)[0]]


class Plain(nn.Module):
    """A convolution, then whatever function is given."""

    def __init__(self, then) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.conv(x))


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize(
    "add",
    [
        lambda x, y: x + y, torch.add, torch.Tensor.add, torch.Tensor.add_, lambda x, y: torch.add(x, y, alpha=1),
        lambda x, y: x.__iadd__(y), lambda x, y: torch.add(x, y, out=torch.empty_like(x)),
    ],
)  # fmt: skip
def test_every_spelling_of_a_residual_addition_is_one_tap(add) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return add(self.a(x), self.b(x))

    model = nn.Sequential(Residual())
    kept, _ = watch(model, IMAGES)
    assert [tap.layer for tap, _ in kept] == ["0.a", "0.b", "0.add"]
    assert torch.equal(kept[2][1], kept[0][1] + kept[1][1])


@pytest.mark.parametrize(
    "cut",
    [
        F.relu, torch.relu, torch.relu_, lambda x: x.relu(), lambda x: x.relu_(), lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(x, True), F.relu6, lambda x: F.hardtanh(x, 0, 6), lambda x: F.threshold(x, 0, 0),
        lambda x: x.clamp(min=0), lambda x: x.clamp(0, 6), lambda x: torch.clamp(x, 0.0), lambda x: x.clamp_(min=0),
        lambda x: x.clamp_min(0), lambda x: torch.clamp_min_(x, 0), lambda x: torch.clip(x, min=0),
        lambda x: torch.maximum(x, torch.zeros_like(x)), lambda x: torch.max(x, torch.tensor(0.0)),
        lambda x: F.leaky_relu(x, 0.0), lambda x: F.leaky_relu_(x, negative_slope=0),
    ],
)  # fmt: skip
def test_every_spelling_that_cuts_off_at_zero_is_a_rectifier(cut) -> None:
    kept, _ = watch(Plain(cut), IMAGES)
    assert [(tap.layer.split(".")[-1] == "conv", tap.rectifier) for tap, _ in kept] == [
        (True, False),
        (False, True),
    ]
    assert torch.equal(kept[1][1], kept[0][1].clamp(min=0))


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.clamp(min=1e-6), lambda x: x.clamp(max=0), lambda x: x.clamp(-1, 1), lambda x: torch.clip(x, -0.5),
        lambda x: torch.maximum(x, torch.ones_like(x)), lambda x: x.max(1).values, lambda x: x.clamp_min(0.1),
    ],
)  # fmt: skip
def test_a_clamp_elsewhere_is_no_rectifier_and_no_functional_tap(other) -> None:
    kept, _ = watch(Plain(other), IMAGES)
    assert [(tap.layer, tap.rectifier) for tap, _ in kept] == [("conv", False), ("(model)", False)]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (F.gelu, "gelu"), (torch.sigmoid, "sigmoid"), (lambda x: F.silu(x, inplace=True), "silu"),
        (lambda x: x.softmax(1), "softmax"), (lambda x: F.max_pool2d(x, 2), "max_pool2d"),
        (lambda x: F.adaptive_avg_pool2d(x, 1), "adaptive_avg_pool2d"), (F.normalize, "normalize"),
        (lambda x: F.interpolate(x, scale_factor=2), "interpolate"), (lambda x: x @ x, "matmul"),
        (lambda x: torch.einsum("nchw,ncHw->nchH", x, x), "einsum"), (lambda x: torch.cat([x, x], 1), "cat"),
        (lambda x: torch.concat((x, x), dim=1), "cat"), (lambda x: x * x.mean((2, 3), keepdim=True), "mul"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "scaled_dot_product_attention"),
        (lambda x: F.conv2d(x, torch.ones(5, 4, 1, 1)), "conv2d"), (lambda x: F.linear(x, torch.ones(5, 8)), "linear"),
        (lambda x: F.layer_norm(x, (8,)), "layer_norm"),
        (lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)), "batch_norm"),
        (F.hardshrink, "hardshrink"), (F.softshrink, "softshrink"), (F.tanhshrink, "tanhshrink"),
        (torch.special.expit, "sigmoid"), (lambda x: torch.special.softmax(x, 1), "softmax"),
        (F.gumbel_softmax, "gumbel_softmax"), (lambda x: F.local_response_norm(x, 2), "local_response_norm"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "max_pool2d"),
        (lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0], "adaptive_max_pool2d"),
        (lambda x: F.fractional_max_pool2d(x, 2, output_size=3), "fractional_max_pool2d"),
        (lambda x: torch.linalg.matmul(x, x), "matmul"), (lambda x: torch.inner(x, x[0, 0]), "inner"),
        (lambda x: torch.tensordot(x, torch.ones(8, 5), dims=1), "tensordot"), (lambda x: torch.hstack([x, x]), "cat"),
    ],
)  # fmt: skip
def test_functions_that_compute_what_a_layer_would_are_taps(call, name: str) -> None:
    assert names(Plain(call), IMAGES) == ["conv", name]


@pytest.mark.parametrize(
    "read",
    [
        F.normalize,
        lambda x: torch.tensordot(x, x, dims=0),
        lambda x: torch.clamp(x, min=0, out=torch.empty(0)),
    ],
    ids=["normalize", "tensordot", "clamp"],
)
def test_what_is_only_read_is_still_what_its_layer_gave(read) -> None:
    """Some functions are told `out=None`; where there is an `out`, that alone is written to."""

    def then(x: Tensor) -> Tensor:
        read(x)
        return x + x.flip(1)

    assert names(Plain(then), IMAGES)[-1] == "add"
    gone, _ = watch(Plain(lambda x: torch.neg(x.clone(), out=x) + x.flip(1)), IMAGES)
    assert gone[-1][0].layer == "(model)"


TABLE = torch.rand(1, 4, 8, 8)


@pytest.mark.parametrize(
    "noise",
    [
        lambda x: x * 2 - 1, lambda x: x + TABLE, lambda x: x * TABLE,
        lambda x: torch.cat([TABLE.expand(2, -1, -1, -1), x]),
        lambda x: F.dropout(x, training=False) + 1, lambda x: x + F.relu(TABLE), lambda x: torch.stack([x, x], 1),
        lambda x: x + torch.zeros_like(x), lambda x: x.transpose(2, 3) + 0.5,
        lambda x: x + F.interpolate(F.softmax(TABLE, 1), (8, 8)), lambda x: x.div(TABLE @ TABLE),
        lambda x: (x * 2) + (x * 3),
    ],
)  # fmt: skip
def test_constants_tables_masks_and_rearrangements_are_no_taps(noise) -> None:
    assert names(Plain(noise), IMAGES) == ["conv", "(model)"]  # and the network's output, which no layer gave


def test_what_layers_make_of_parameters_alone_is_of_no_image_though_it_has_as_many_rows() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.rand(len(IMAGES), 4))
            self.mlp = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))
            self.head = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.mean((2, 3))) + self.mlp(self.table)

    kept, _ = watch(Positions(), IMAGES)
    assert "add" not in [tap.layer for tap, _ in kept]


@pytest.mark.parametrize("swapped", [False, True])
def test_what_a_layer_makes_by_weights_made_of_the_images_is_of_the_images(swapped: bool) -> None:
    class Hyper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.made = nn.Linear(3, 4), nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.head(x.mean((2, 3)))
            weight, ones = y[0, :, None].repeat(1, 5), torch.ones(len(IMAGES), 5)
            if swapped:
                return y + torch.func.functional_call(self.made, {"weight": weight}, (ones,))
            with torch.no_grad():
                self.made.weight.copy_(weight)
            return y + self.made(ones)

    kept, _ = watch(Hyper(), IMAGES)
    assert "add" in [tap.layer for tap, _ in kept]


def test_a_layer_that_writes_into_a_part_of_what_another_gave_makes_it_another_tensor() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            self.relu(y[:, 1:])
            return y

    assert names(nn.Sequential(Half()), IMAGES) == ["0.conv", "0.relu", "0"]


def test_weights_made_by_functions_are_no_taps() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            flat = self.weight.reshape(1, self.out_channels, -1)
            weight = F.batch_norm(flat, None, None, training=True).reshape_as(self.weight)
            return F.conv2d(x, weight + F.relu(self.weight) * 0, self.bias)

    kept, _ = watch(nn.Sequential(Standardised(3, 4, 3), nn.ReLU()), IMAGES)
    assert [(tap.layer, tap.kind) for tap, _ in kept] == [("0", "Standardised"), ("1", "ReLU")]


def test_a_leaf_has_one_row_under_its_own_name_and_is_the_rectifier_it_computes() -> None:
    class Act(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x)

    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    kept, _ = watch(nn.Sequential(nn.Conv2d(3, 4, 1), Act(), nn.Conv2d(4, 4, 1), Swish()), IMAGES)
    assert [(tap.layer, tap.kind, tap.rectifier) for tap, _ in kept] == [
        ("0", "Conv2d", False), ("1", "Act", True), ("2", "Conv2d", False), ("3.sigmoid", "F.sigmoid", False),
        ("3", "Swish", False),
    ]  # fmt: skip
    assert torch.equal(kept[1][1], kept[0][1].relu())


def test_what_is_written_after_a_function_does_not_reach_its_tap() -> None:
    class Leaf(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(x)
            y += 1
            return y

    kept, _ = watch(nn.Sequential(nn.Conv2d(3, 4, 1), Leaf()), IMAGES)
    assert [tap.layer for tap, _ in kept] == ["0", "1.relu", "1"]
    assert torch.equal(kept[1][1], kept[0][1].relu())
    assert torch.equal(kept[2][1], kept[0][1].relu() + 1)


def test_a_layer_whose_weight_is_used_without_calling_it_has_its_own_row(tmp_path: Path) -> None:
    code = net("return F.linear(x.mean((2, 3)), self.fc.weight, self.fc.bias)", fc="nn.Linear(3, 5)")
    run = measured(code, tmp_path)
    assert rows(run) == [("fc", 0, None, "Linear")]
    assert run.unmeasured == []


def test_derived_values_written_into_a_buffer_count_as_derived() -> None:
    def fill(x: Tensor) -> Tensor:
        room = torch.zeros(2, 4, 8, 8)
        room[:, :2] = x[:, :2]
        return F.relu(room)

    assert names(Plain(fill), IMAGES) == ["conv", "relu"]


def producers(model: nn.Module, *inputs: object) -> dict[Key, Key | None]:
    return watch(model, *inputs)[1].producers


def test_a_dead_relu_can_be_traced_back_to_its_convolution() -> None:
    made = producers(
        nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Identity(), nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 1), nn.ReLU(),
        ),
        IMAGES,
    )  # fmt: skip
    assert made["4", 0, None] == ("1", 0, None)  # across Dropout and Identity
    assert made["1", 0, None] == ("0", 0, None)
    assert made["0", 0, None] is None
    assert (made["5", 0, None], made["6", 0, None]) == (("4", 0, None), ("5", 0, None))


def test_functional_chains_shared_modules_and_additions_are_traced() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn, self.fc = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Linear(3, 3)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.bn(self.conv(x)), inplace=True)
            y = self.relu(self.conv(y))
            y = y + x
            y = self.relu(y)
            y = self.relu(y * 2)
            return torch.relu_(self.fc(y.flatten(2).transpose(1, 2)))

    assert producers(Net(), IMAGES) == {
        ("conv", 0, None): None,
        ("bn", 0, None): ("conv", 0, None),
        ("relu()", 0, None): ("bn", 0, None),
        ("conv", 1, None): ("relu()", 0, None),
        ("relu", 0, None): ("conv", 1, None),
        ("add", 0, None): None,
        ("relu", 1, None): ("add", 0, None),
        ("relu", 2, None): None,  # of y * 2, which no tap gave
        ("fc", 0, None): None,  # of a view with its axes in another order
        ("relu()", 1, None): ("fc", 0, None),
    }


@pytest.mark.parametrize(
    ("include", "asked"),
    [
        ((), set()),
        (("*",), set()),
        (("features.*",), set()),
        (("features.0",), {"features.0"}),
        (("features.?",), {"features.0", "features.1"}),
        (("features*",), set()),
        (("*.0", "head"), {"features.0"}),
        (("(model)",), {"(model)"}),
    ],
)
def test_a_glob_asks_for_a_block_where_it_matches_nothing_inside(
    include: tuple[str, ...], asked: set[str]
) -> None:
    names = ["", "features", "features.0", "features.0.conv", "features.1", "features.1.conv", "head"]
    blocks = {"features", "features.0", "features.1", "(model)"}
    assert asked_blocks(names, include) & blocks == asked


@pytest.mark.parametrize(
    ("include", "want"),
    [
        ((), [("0.conv", None)]),
        (("*",), [("0.conv", None)]),
        (("0*",), [("0.conv", None)]),
        (("0",), [("0", "0.conv")]),
        (("0", "*conv"), [("0.conv", None), ("0", "0.conv")]),
        (("(model)",), [("(model)", "0.conv")]),
    ],
)
def test_a_block_asked_for_by_name_has_its_row_and_says_whose_tensor_it_is(
    tmp_path: Path, include: tuple[str, ...], want: list[tuple[str, str | None]]
) -> None:
    run = measured(BLOCK + "def make(): return nn.Sequential(Block('plain'))", tmp_path, include=include)
    assert [(a.layer, a.same_as) for a in run.activations] == want


def test_calls_and_sizes_that_vary_are_kept_apart_by_call_and_merged_by_size(tmp_path: Path) -> None:
    code = """
class Pyramid(nn.Module):
    def __init__(self):
        super().__init__(); self.head = nn.Conv2d(3, 4, 1); self.batch = 0
    def forward(self, x):
        self.batch += 1
        sizes = (8, 4) if len(x) == 2 else (6,)
        return [F.relu(self.head(x[..., :size, :size])) for size in sizes]
make = Pyramid
"""
    run = measured(code, tmp_path, count=3)  # a batch of two, a batch of one
    first, second = tap(run, "head"), tap(run, "head", 1)
    assert (first.images, first.count, first.shape, first.shape_varies) == (
        3,
        4 * (2 * 64 + 36),
        [4, 8, 8],
        True,
    )
    assert (second.images, second.count, second.shape_varies) == (2, 4 * 2 * 16, False)
    assert [(a.call, a.images) for a in run.activations if a.layer == "relu"] == [(0, 3), (1, 2)]


def test_results_of_any_shape_are_taken_apart_by_name(tmp_path: Path) -> None:
    code = """
import collections
@dataclasses.dataclass
class ModelOutput(collections.OrderedDict):  # as transformers': a mapping whose keys are attributes too
    logits: torch.Tensor = None
    hidden_states: tuple = None
    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)
""" + net(
        "f = self.conv(x); return ModelOutput(logits=f.mean((2, 3)), hidden_states=(f * 2, [f + 1]))",
        conv="nn.Conv2d(3, 4, 1)",
    )
    run = measured(code, tmp_path)
    assert [a.output for a in run.activations if a.layer == "(model)"] == [
        "logits", "hidden_states.0", "hidden_states.1.0",
    ]  # fmt: skip
    assert run.faithfulness is not None
    assert run.faithfulness.output_identical
