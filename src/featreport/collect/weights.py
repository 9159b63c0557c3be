"""Weight statistics: every parameter tensor once, buffers apart, norms as modules (STATISTICS 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from featreport import memory
from featreport.checkpoints.alone import Whole
from featreport.collect import kinds
from featreport.results.schema import Buffer, Weight
from featreport.statistics import Settings
from featreport.statistics.weights import Subject, WeightStatistic, all_weight_statistics
from featreport.statistics.weights.base import read_together
from featreport.statistics.weights.gram import one_thread
from featreport.statistics.weights.reading import Numbers, measure, measure_all

CPU = torch.device("cpu")
FEW = 8  # tensors that are not worth a thread
MOST = 8  # threads
TOGETHER = 48 * 2**20  # bytes of Gram matrices that threads hold side by side: one of 5,000 filters
PRODUCTS = memory.Budget(TOGETHER)
NOTHING: Mapping[str, Tensor] = {}


def measure_weights(
    model: nn.Module, settings: Settings, stored: Mapping[str, Tensor] = NOTHING, device: torch.device = CPU
) -> list[Weight]:
    """Measure every parameter, tied ones once under their first name.

    Args:
        model: whose parameters.
        settings: the thresholds.
        stored: the checkpoint's own tensors, by the model's names, where they are of another type than the model's:
            these are what is measured.
        device: where products of matrices are taken.
    """
    subjects = parameters(model, settings, stored, device)
    statistics = all_weight_statistics(settings)
    try:
        return _measured(subjects, statistics, device)
    finally:
        for statistic in statistics:
            statistic.release()


def parameters(
    model: nn.Module, settings: Settings, stored: Mapping[str, Tensor] = NOTHING, device: torch.device = CPU
) -> list[Subject]:
    """Return every parameter, tied ones once under their first name, read once (see `measure_weights`)."""
    owned = owners(model)
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    for name, (owner, local) in owned.items():
        parameter = kinds.held_by(owner)[0].get(local)
        if parameter is None or parameter.is_complex():  # the latter are listed as unmeasured
            continue
        names.setdefault(id(parameter), []).append(name)
        tensors[id(parameter)] = parameter
    subjects = []
    for key, (name, *tied) in names.items():
        module, local = owned[name]
        layer = kinds.class_of(module)
        groups = int(getattr(module, "groups", 1)) if issubclass(layer, _ConvNd) else 1
        tensor = own_or_stored((name, *tied), stored, tensors[key])
        subject = Subject(
            name,
            tensor,
            kinds.of_parameter(module, local, tensors[key]),
            layer.__name__,
            tied,
            transposed=groups if issubclass(layer, _ConvTransposeNd) else None,
            groups=groups,
            near_zero=settings.near_zero,
            device=device,
        )
        subjects.append(subject)
    read_together(subjects, settings.near_zero)
    return subjects


def _measured(
    subjects: Sequence[Subject], statistics: Sequence[WeightStatistic], device: torch.device
) -> list[Weight]:
    """Measure tensors side by side on the CPU, each in one thread: small products gain nothing from sharing them.

    The largest first, so that no thread is left alone with one at the end.
    """
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    if workers == 1 or len(subjects) < FEW:
        return [_weight(subject, statistics) for subject in subjects]
    with (
        one_thread(),
        ThreadPoolExecutor(
            min(workers, MOST), "featreport-weights", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        largest = sorted(range(len(subjects)), key=lambda place: -subjects[place].tensor.numel())
        found = pool.map(lambda place: _weight(subjects[place], statistics), largest)
        return [weight for _, weight in sorted(zip(largest, found, strict=True), key=itemgetter(0))]


def measure_buffers(model: nn.Module, stored: Mapping[str, Tensor] = NOTHING) -> list[Buffer]:
    """Measure every buffer (BN running statistics, counters): apart, because none of them is a weight."""
    owned = owners(model)
    tensors = {
        name: own_or_stored((name,), stored, buffer).detach()
        for name, buffer in model.named_buffers()
        if not buffer.is_complex()
    }
    numbers = measure_all([(tensor, False) for tensor in tensors.values()], 0.0)
    return [
        _buffer(name, kinds.class_of(owned[name][0]).__name__, tensor, found)
        for (name, tensor), found in zip(tensors.items(), numbers, strict=True)
    ]


def measure_tensors(
    tensors: Mapping[str, Tensor | Whole], settings: Settings, device: torch.device = CPU
) -> tuple[list[Weight], list[Buffer]]:
    """Measure a state dict without its model, tied tensors once under their first name.

    What each tensor is, its name and shape say; output channels lie along the first axis, also where it belongs to
    a transposed convolution, which nothing tells.
    """
    weights: list[Weight] = []
    buffers: list[Buffer] = []
    names: dict[tuple[object, ...], list[str]] = {}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    statistics = all_weight_statistics(settings)
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor) and tensor.is_complex():  # listed as unmeasured
            continue
        names.setdefault(_identity(name, tensor), []).append(name)
    for name, *tied in names.values():
        entry = tensors[name]
        tensor = entry if isinstance(entry, Tensor) else entry.value()
        if kinds.is_buffer(name, tensor.dtype):
            numbers = measure(tensor, 0.0)
            buffers += [_buffer(each, "", tensor, numbers) for each in (name, *tied)]
        else:
            kind = kinds.of_name(name, shapes)
            subject = Subject(name, tensor, kind, tied=tied, near_zero=settings.near_zero, device=device)
            weights.append(_weight(subject, statistics))
    return weights, buffers


def _identity(name: str, tensor: Tensor | Whole) -> tuple[object, ...]:
    """Return what is equal for tied tensors: the same numbers in the same place."""
    if not isinstance(tensor, Tensor) or not tensor.numel():
        return (name,)
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def owners(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Full parameter or buffer name → (the module that holds it, its name there)."""
    return {
        (f"{prefix}.{name}" if prefix else name): (module, name)
        for prefix, module in model.named_modules(remove_duplicate=False)
        for held in kinds.held_by(module)
        for name in held
    }


def own_or_stored(names: Sequence[str], stored: Mapping[str, Tensor], tensor: Tensor) -> Tensor:
    """Return the checkpoint's tensor of one of these names, otherwise the model's, as dense numbers."""
    return kinds.dense(next((stored[name] for name in names if name in stored), tensor))


def _weight(subject: Subject, statistics: Sequence[WeightStatistic]) -> Weight:
    fields: dict[str, object] = {}
    for statistic in statistics:
        if not statistic.products:
            fields |= statistic.value(subject)
    with PRODUCTS.taken(subject.angles):
        for statistic in statistics:
            if statistic.products:
                fields |= statistic.value(subject)
        subject.release()
    tensor = subject.tensor
    return Weight(
        name=subject.name,
        module=subject.module,
        kind=subject.kind,
        tied=subject.tied,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=subject.numbers.count,
        transposed=subject.transposed if subject.filters and subject.turned else None,
        reasons=subject.reasons,
        **fields,
    )


def _buffer(name: str, module: str, tensor: Tensor, numbers: Numbers) -> Buffer:
    return Buffer(
        name=name,
        module=module,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        count=numbers.count,
        mean=numbers.mean,
        std=numbers.std,
        min=numbers.low if numbers.finite else None,
        max=numbers.high if numbers.finite else None,
        nonfinite=numbers.nonfinite,
    )
