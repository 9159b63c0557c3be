"""Where the channels are, what is proved of them, and what else unusual networks must not get wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Permute

from featreport.collect.activations import ActivationCollector
from featreport.collect.deaths import explain_deaths
from featreport.collect.forward import guarded
from featreport.collect.passed import Key
from featreport.collect.taps import Taps
from featreport.collect.unmeasured import list_unmeasured
from featreport.collect.weights import measure_buffers, measure_weights
from featreport.results.schema import Activation
from featreport.statistics import Ledger, Settings

Rows = dict[Key, Activation]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def watched(model: nn.Module, *batches: Tensor) -> tuple[Rows, list[str]]:
    """Measure some batches; every tap by its key, and the reasons of what is unmeasured."""
    model.eval()
    collector = ActivationCollector(Settings(), shown_images=0, shown_channels=0)
    taps = Taps(model, guarded(collector))
    first = 0
    with torch.inference_mode(), taps.attached():
        for batch in batches:
            collector.begin_batch(first, len(batch))
            with taps.one_pass():
                model(batch)
            collector.end_batch()
            first += len(batch)
    found = explain_deaths(model, collector.value()[0], taps.producers, 0.0, taps.borrowed)
    reasons = [one.reason for one in list_unmeasured(model, taps, collector)]
    return {(tap.layer, tap.call, tap.output): tap for tap in found}, reasons


class Of(nn.Module):
    """Modules, and a function that computes with them."""

    def __init__(self, then: Callable[..., object], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self._then = then

    def forward(self, x: Tensor) -> object:
        return self._then(self, x)


class Leaf(nn.Module):
    """A module of one function, without modules inside."""

    def __init__(self, then: Callable[[Tensor], object]) -> None:
        super().__init__()
        self._then = then

    def forward(self, x: Tensor) -> object:
        return self._then(x)


def test_a_layer_that_runs_from_the_second_batch_on_has_its_channels_where_those_before_it_have_them() -> (
    None
):
    """Nothing says then what it was computed from: what stands before it in the same pass tells."""

    def run(net: Of, x: Tensor) -> Tensor:
        y = net.wide(x)
        return net.late(y) if len(x) == 3 else y

    rows, _ = watched(
        Of(run, wide=nn.Linear(5, 6), late=Leaf(lambda y: y * 2)), *(torch.randn(n, 7, 8, 5) for n in (2, 3))
    )
    assert (rows["late", 0, None].channels, rows["late", 0, None].channel_axis) == (6, 2)


@pytest.mark.parametrize("size", [30, 32])
def test_a_relu_has_its_channels_where_its_own_input_has_them(size: int) -> None:
    a, b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(3, 32, 3, padding=1)
    with torch.no_grad():
        a.bias[:8] = -100

    def both(net: Of, x: Tensor) -> Tensor:
        y, z = net.a(x), net.b(x)  # b is the latest layer, and has as many channels as a's maps have rows
        return torch.cat([net.ra(y), net.rb(z)], 1)

    rows, _ = watched(Of(both, a=a, b=b, ra=nn.ReLU(), rb=nn.ReLU()), torch.rand(4, 3, size, size))
    assert (rows["ra", 0, None].channels, rows["ra", 0, None].dead) == (16, list(range(8)))
    assert rows["rb", 0, None].channels == 32
    assert rows["cat", 0, None].channels == 48


@pytest.mark.parametrize("size", [2, 4, 9])  # as many rows as images, as channels, as neither
@pytest.mark.parametrize("images", [2, 4])
def test_images_given_one_by_one_without_a_batch_axis_have_their_channels_first(
    size: int, images: int
) -> None:
    def one_by_one(net: Of, x: Tensor) -> Tensor:
        return torch.stack([F.relu(net.pool(net.norm(net.relu(net.conv(image))))) for image in x])

    conv = nn.Conv2d(3, 4, 1)
    conv.bias = nn.Parameter(torch.tensor([9.0, -9.0, 9.0, 9.0]))
    net = Of(one_by_one, conv=conv, relu=nn.ReLU(), norm=nn.InstanceNorm2d(4), pool=nn.AvgPool2d(1))
    rows, _ = watched(net, torch.rand(images, 3, size, 9))
    for (layer, call, _), row in rows.items():
        if layer != "(model)":
            assert (layer, call, row.shape, row.channel_axis) == (layer, call, [4, size, 9], 0)
    assert rows["relu", images - 1, None].dead == [1]


class Patches(nn.Conv2d):
    """A convolution that gives tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)


class Summed(nn.Conv2d):
    """A convolution that gives columns."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sum(2)


@pytest.mark.parametrize(("conv", "shape", "axis"), [(Patches, [16, 6], 1), (Summed, [6, 4], 0)])
@pytest.mark.parametrize(
    "counts", [(2, 3), (2, 2), (6, 6)]
)  # as many images as channels: none of them is one
def test_what_is_derived_from_a_convolution_may_give_three_axes_of_a_batch(
    conv: type[nn.Conv2d], shape: list[int], axis: int, counts: tuple[int, int]
) -> None:
    rows, reasons = watched(
        nn.Sequential(conv(3, 6, 2, 2)), *(torch.rand(count, 3, 8, 8) for count in counts)
    )
    assert reasons == []
    row = rows["0", 0, None]
    assert (row.shape, row.channel_axis, row.images) == (shape, axis, sum(counts))


@pytest.mark.parametrize(("conv", "size"), [(nn.Conv1d(3, 6, 1), (9,)), (nn.Conv2d(3, 6, 1), (9, 8))])
def test_channels_turned_before_their_images_leave_those_where_they_are(
    conv: nn.Module, size: tuple[int, ...]
) -> None:
    net = Of(lambda net, x: net.relu(net.conv(x).transpose(0, 1)).sum(), conv=conv, relu=nn.ReLU())
    rows, _ = watched(net, torch.rand(4, 3, *size), torch.rand(3, 3, *size))
    relu = rows["relu", 0, None]
    assert (relu.shape, relu.channel_axis, relu.images) == ([6, *size], 0, 7)


def test_features_given_image_by_image_are_no_images_where_there_are_as_many() -> None:
    def one_by_one(net: Of, x: Tensor) -> Tensor:
        return torch.stack([net.relu(net.norm(net.fc(image))) for image in x])

    fc = zeroed(nn.Linear(4, 3))
    nn.init.constant_(fc.bias, -1.0)
    rows, _ = watched(Of(one_by_one, fc=fc, norm=nn.LayerNorm(3), relu=nn.ReLU()), torch.rand(3, 4))
    for layer in ("fc", "norm", "relu"):
        row = rows[layer, 2, None]
        assert (row.shape, row.channels, row.fired_images) == ([3], 3, None)


@pytest.mark.parametrize(
    ("pool", "given", "shape", "axis"),
    [
        (nn.AdaptiveAvgPool1d(6), (12,), [6], 0),
        (nn.MaxPool2d(2), (8, 12), [4, 6], 0),
        (nn.MaxPool2d(2), (4, 8, 12), [4, 4, 6], 0),
    ],
)
def test_pooling_of_features_and_of_planes_has_its_images_first(
    pool: nn.Module, given: tuple[int, ...], shape: list[int], axis: int
) -> None:
    rows, reasons = watched(nn.Sequential(pool, nn.ReLU()), torch.rand(2, *given), torch.rand(1, *given))
    assert reasons == []
    assert {(tuple(row.shape), row.channel_axis, row.images) for row in rows.values()} == {
        (tuple(shape), axis, 3)
    }


@pytest.mark.parametrize(
    ("layers", "channels"),
    [
        ((nn.Conv2d(3, 32, 1), nn.Conv2d(32, 64, 1), nn.PixelShuffle(2)), 16),
        ((nn.Conv2d(3, 8, 1), nn.PixelUnshuffle(2)), 32),
        ((nn.Conv2d(3, 16, 1), nn.GLU(1)), 8),
        ((nn.Conv2d(3, 16, 1), Leaf(lambda x: torch.cat([x, x], 1))), 32),
        ((nn.Conv2d(3, 24, 1), Leaf(lambda x: x.permute(0, 2, 3, 1).contiguous()), nn.ReLU()), 24),
        ((nn.Conv2d(3, 24, 1), Leaf(lambda x: x.permute(0, 2, 3, 1)), nn.ReLU()), 24),
        ((nn.Conv2d(3, 16, 1), nn.Upsample(scale_factor=2), nn.SiLU()), 16),
    ],
    ids=lambda value: "" if isinstance(value, int) else "-".join(type(layer).__name__ for layer in value),
)
def test_what_only_moves_values_keeps_the_axis_of_the_channels(
    layers: tuple[nn.Module, ...], channels: int
) -> None:
    rows, _ = watched(nn.Sequential(*layers), torch.rand(2, 3, 16, 16))
    assert list(rows.values())[-1].channels == channels


def test_a_function_after_an_unrelated_layer_keeps_its_own_axis() -> None:
    def then(net: Of, x: Tensor) -> Tensor:
        y = net.conv(x)
        over = net.over(y)  # a linear layer over the width, with as many features as there are channels
        return F.relu(y) + over

    rows, _ = watched(Of(then, conv=nn.Conv2d(3, 16, 1), over=nn.Linear(16, 16)), torch.rand(2, 3, 16, 16))
    assert (rows["relu", 0, None].channel_axis, rows["over", 0, None].channel_axis) == (0, 2)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """Give a layer negative weights, and a first filter of zeros."""
    with torch.no_grad():
        layer.weight.fill_(-1.0)
        layer.weight[0] = 0
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


class Adapted(nn.Linear):
    """Computes more than its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - x


def hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda _module, args, output: output + args[0])
    return layer


def scaled(scale: float, shift: float, variance: float = 1.0) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(4)
    with torch.no_grad():
        norm.weight[0], norm.bias[0], norm.running_var[0] = scale, shift, variance
    return norm


NOT_PROVED: dict[str, Callable[[], nn.Module]] = {
    "a derived class": lambda: nn.Sequential(zeroed(Adapted(4, 4, bias=False)), nn.ReLU()),
    "a hook": lambda: nn.Sequential(hooked(zeroed(nn.Linear(4, 4, bias=False))), nn.ReLU()),
    "a leaf that turns channels": lambda: nn.Sequential(
        zeroed(nn.Linear(4, 4)), Leaf(lambda x: F.relu(x.flip(1)))
    ),
    "a leaf that computes first": lambda: nn.Sequential(
        zeroed(nn.Linear(4, 4)), Leaf(lambda x: F.relu(x - 1))
    ),
    "a small scale": lambda: nn.Sequential(scaled(1e-6, 0.0), nn.ReLU()),
    "a far shift": lambda: nn.Sequential(scaled(0.02, -2.0), nn.ReLU()),
    "a still input": lambda: nn.Sequential(scaled(0.009, -1.0, 1e-12), nn.ReLU()),
    "a threshold below zero": lambda: nn.Sequential(zeroed(nn.Linear(4, 4)), nn.Threshold(-1.0, 0.0)),
    "a bias from the data": lambda: Of(
        lambda net, x: F.relu(F.linear(x, net.fc.weight, x[0])), fc=zeroed(nn.Linear(4, 4))
    ),
}


@pytest.mark.parametrize("case", NOT_PROVED)
def test_nothing_is_proved_that_another_input_could_refute(case: str) -> None:
    rows, _ = watched(NOT_PROVED[case](), -torch.rand(3, 4))
    last = list(rows.values())[-1]
    assert not [death for death in last.deaths if death.proved]


def test_a_turned_view_is_not_explained_by_the_layer_before_it() -> None:
    def then(net: Of, x: Tensor) -> Tensor:
        return net.act(net.fc(x).transpose(1, 2))

    x = torch.rand(3, 4, 4)
    x[:, 1:] *= -1
    rows, _ = watched(Of(then, fc=zeroed(nn.Linear(4, 4)), act=nn.ReLU()), x)
    assert not [death for death in rows["act", 0, None].deaths if death.proved]


def test_a_norm_of_tokens_is_not_explained_by_the_features_of_the_layer_before_it() -> None:
    norm = nn.BatchNorm1d(4)
    norm.running_mean = torch.tensor([50.0, 0.0, 0.0, 0.0])  # silent on these images only
    fc = zeroed(nn.Linear(4, 4))
    nn.init.constant_(fc.bias, -1.0)
    rows, _ = watched(nn.Sequential(fc, norm, nn.ReLU()), torch.rand(3, 4, 4))
    assert (rows["0", 0, None].channel_axis, rows["2", 0, None].channel_axis) == (1, 0)
    first = rows["2", 0, None].deaths[0]
    assert (first.channel, first.proved) == (0, False)
    rows, _ = watched(nn.Sequential(fc, nn.BatchNorm1d(4), nn.ReLU()), torch.rand(3, 4))
    first = rows["2", 0, None].deaths[0]
    assert (first.channel, first.cause, first.proved) == (0, "zero filter", True)


def test_what_a_fused_update_wrote_to_is_not_what_was_measured() -> None:
    def then(net: Of, x: Tensor) -> Tensor:
        y = net.fc(x)
        torch._foreach_add_([y], [x])
        return net.act(y)

    rows, _ = watched(Of(then, fc=zeroed(nn.Linear(4, 4)), act=nn.ReLU()), -torch.rand(3, 4))
    assert rows["act", 0, None].dead[0] == 0
    assert not [death for death in rows["act", 0, None].deaths if death.proved]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("function", "upper"),
    [
        (nn.Hardtanh(-0.7, 0.7), 0.7),
        (nn.ReLU6(), 6.0),
        (Leaf(lambda x: F.hardtanh(x, 0, 6)), 6.0),
        (Leaf(F.hardtanh), 1.0),
        (Leaf(lambda x: torch.clamp(x, 0, 6)), 6.0),
        (Leaf(lambda x: x.clamp(min=0, max=2.5)), 2.5),
    ],
    ids=str,
)
def test_a_channel_at_its_upper_bound_is_saturated(
    function: nn.Module, upper: float, dtype: torch.dtype
) -> None:
    x = torch.full((2, 3, 4, 4), 9.0, dtype=dtype)
    x[:, 1] = upper / 2
    model = Of(lambda net, x: net.act(x * 1) * 2, act=function)
    [row] = [row for (layer, _, _), row in watched(model, x)[0].items() if layer.startswith("act")]
    assert row.saturated == [0, 2]


def test_both_rectifiers_of_a_module_that_returns_two_are_counted_once() -> None:
    split = Leaf(lambda x: (F.relu(x), F.relu(-x)))
    rows, _ = watched(
        nn.Sequential(nn.Conv2d(3, 4, 1), Of(lambda net, x: sum(net.split(x)), split=split)),
        torch.rand(2, 3, 4, 4),
    )
    assert [row.rectifier for row in rows.values()].count(True) == 2
    rectified = [row for row in rows.values() if row.rectifier]
    assert rectified[0].mean != rectified[1].mean


def test_a_last_batch_of_one_image_is_measured_behind_a_squeeze() -> None:
    def then(net: Of, x: Tensor) -> Tensor:
        return net.out(net.act(net.fc(net.pool(x).squeeze())))

    model = Of(then, pool=nn.AdaptiveAvgPool2d(1), fc=nn.Linear(3, 5), act=nn.ReLU(), out=nn.Linear(5, 2))
    images = torch.rand(17, 3, 4, 4)
    rows, reasons = watched(model, images[:8], images[8:16], images[16:])
    assert {layer: (row.channels, row.images) for (layer, _, _), row in rows.items()} == {
        "pool": (3, 17), "fc": (5, 17), "act": (5, 17), "out": (2, 17)
    }  # fmt: skip
    assert reasons == []


def test_a_view_with_the_negative_bit_is_measured() -> None:
    rows, _ = watched(nn.Sequential(Leaf(lambda x: torch.fft.fft(x).conj().imag)), torch.rand(2, 6))
    [row] = rows.values()
    x = torch.fft.fft(torch.rand(2, 6)).conj().imag
    assert x.is_neg()
    assert row.count == 12


def test_complex_parameters_and_buffers_are_listed_not_measured_by_their_real_part() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model.register_parameter("wave", nn.Parameter(torch.complex(torch.zeros(4, 8), torch.ones(4, 8))))
    model.register_buffer("phase", torch.ones(3, dtype=torch.complex64))
    _, reasons = watched(model, torch.rand(2, 4))
    assert [weight.name for weight in measure_weights(model, Settings())] == ["0.weight", "0.bias"]
    assert measure_buffers(model) == []
    assert len([reason for reason in reasons if reason.startswith("complex numbers")]) == 2


def test_a_turned_view_is_read_once_and_keeps_its_own_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def then(net: Of, x: Tensor) -> Tensor:
        return net.back(net.norm(net.turn(net.conv(x))))

    modules = {"conv": nn.Conv2d(3, 5, 3), "turn": Permute([0, 2, 3, 1]), "norm": nn.LayerNorm(5)}
    net, images = Of(then, **modules, back=Permute([0, 3, 1, 2])), torch.randn(5, 3, 9, 8)
    read: list[tuple[int, ...]] = []
    plain = Ledger.record
    monkeypatch.setattr(
        Ledger,
        "record",
        lambda self, account, values, first: (read.append(values.shape), plain(self, account, values, first)),
    )
    rows, reasons = watched(net, images[:3], images[3:4], images[4:])
    assert reasons == []
    assert len(read) == 3 * 2  # three batches; what the convolution and the norm gave
    turn, back = rows["turn", 0, None], rows["back", 0, None]
    assert (turn.same_as, turn.shape, turn.channel_axis, turn.images) == ("conv", [7, 6, 5], 2, 5)
    assert (back.same_as, back.shape, back.channel_axis, back.images) == ("norm", [5, 7, 6], 0, 5)
    assert turn.mean == pytest.approx(net.conv(images).double().mean().item(), rel=1e-6)


def test_a_view_that_swaps_rows_and_columns_is_read_itself() -> None:
    net = Of(lambda net, x: net.turn(net.conv(x)), conv=nn.Conv2d(3, 5, 3), turn=Permute([0, 1, 3, 2]))
    rows, _ = watched(net, torch.randn(2, 3, 9, 8))
    assert (rows["turn", 0, None].same_as, rows["turn", 0, None].shape) == (None, [5, 6, 7])
