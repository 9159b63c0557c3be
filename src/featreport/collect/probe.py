"""The batch size for `batch_size: auto`: by what one image needs of the memory that is free.

A batch size can change the last bits of a sum, so it is the same power of two for all machines of a class: on the CPU 8
wherever that surely fits.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from featreport.checkpoints.ahead import free_memory
from featreport.collect.device import out_of_memory
from featreport.collect.feeding import fed
from featreport.collect.outputs import tensors_of

CPU, ACCELERATOR = 8, 64  # the most images in a batch
UNPROBED = 32  # on an accelerator that does not tell its memory
SHARE = 0.5  # of the free memory, for everything that a batch needs
PER_VALUE = 512  # bytes that a network is taken to need for each value of an image: VGG needs 250
LIVE = 3  # times the inputs and outputs of its largest module: what branches and residuals keep beside them


def auto_batch(model: nn.Module, image: Tensor) -> int:
    """Return how many images like `image` [C, H, W] a batch of `batch_size: auto` begins with.

    `model` is on its device and in its precision; what runs here is a copy of it, so that it stays as it was built.
    """
    device = _device(model)
    if device.type == "cpu":
        return _on_cpu(model, image)
    free = _free(device)
    if free is None:
        return UNPROBED
    return _probed(model, lambda net: _peak(net, image.to(device), device), free, ACCELERATOR, UNPROBED)


def _on_cpu(model: nn.Module, image: Tensor) -> int:
    """8, without a probe where an image is small for this machine: a forward pass would be lost on it."""
    free = free_memory()
    if CPU * image.numel() * PER_VALUE <= SHARE * free:
        return CPU
    return _probed(model, lambda net: _sizes(net, image), free, CPU, 1)


def _probed(
    model: nn.Module, bytes_of_one: Callable[[nn.Module], int], free: int, most: int, otherwise: int
) -> int:
    """Return the largest power of two, at most `most`, whose images fit; `otherwise` where no copy can run."""
    try:
        with torch.inference_mode():
            one = bytes_of_one(copy.deepcopy(model))
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the run meets it again, and reports it
        return 1 if out_of_memory(error) else otherwise
    finally:
        gc.collect()
    fits = int(SHARE * free / max(one, 1))
    return max(1, min(most, 1 << (max(fits, 1).bit_length() - 1)))


def _peak(model: nn.Module, image: Tensor, device: torch.device) -> int:
    """Return how much the peak of an accelerator's memory grows by one image: of two images less that of one.

    Measured at two images, one image's own workspace and what the library keeps is not counted for each.
    """
    image = image.to(_type(model, image))
    peaks = []
    for count in (1, 2):
        torch.accelerator.reset_peak_memory_stats(device)
        before = torch.accelerator.memory_allocated(device)
        model(fed(model, image.expand(count, *image.shape)))
        torch.accelerator.synchronize(device)
        peaks.append(torch.accelerator.max_memory_allocated(device) - before)
    torch.accelerator.empty_cache()
    return max(peaks[1] - peaks[0], peaks[1] // 4, 1)


def _sizes(model: nn.Module, image: Tensor) -> int:
    """Return about what an image needs on the CPU, which does not tell its peak: the largest module's tensors."""
    largest = 0

    def hook(_module: nn.Module, args: object, output: object) -> None:
        nonlocal largest
        size = sum(tensor.nbytes for part in (args, output) for _, tensor in tensors_of(part))
        largest = max(largest, size)

    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):  # takes none; its neighbours' show what it gives
            module.register_forward_hook(hook)
    model(fed(model, image.to(_type(model, image))[None]))
    return largest * LIVE


def _type(model: nn.Module, image: Tensor) -> torch.dtype:
    """Return the type of the forward pass: that of the network's own numbers, indices and complex ones aside."""
    return next((value.dtype for value in model.parameters() if value.is_floating_point()), image.dtype)


def _device(model: nn.Module) -> torch.device:
    return next((value.device for value in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def _free(device: torch.device) -> int | None:
    """Return the free bytes of an accelerator's memory, None where it does not say."""
    try:
        return int(torch.accelerator.get_memory_info(device)[0])
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
