"""The accumulators of a whole run side by side: joining a batch to them costs a few operations, however many taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.base import Measured, State, Statistic
from featreport.statistics.cells import CELLS
from featreport.statistics.reduction import reduce_into
from featreport.statistics.sample import count_into
from featreport.statistics.table import Limits, blank, merge

ROOM = 4096  # channels to begin with
TAPS = 64


@dataclass
class Account:
    """The place of one tap in the ledger: columns `at … at + channels`, its row of cells, states of its own."""

    at: int
    channels: int
    row: int
    limits: Limits
    states: list[State]
    measured: int = field(default=0)  # positions


class Ledger:
    """Tables, samples and states of every tap of a run, on the device until the end.

    A tensor is read when it is recorded; the tables of a batch are joined to the run's in one go by `end_batch`.
    """

    def __init__(self, statistics: Sequence[Statistic], device: torch.device) -> None:
        self._statistics = statistics
        self._device = device
        self._total = blank(ROOM, device)
        self._batch = blank(ROOM, device)
        self._blank = blank(1, device)
        self._cells = torch.zeros((TAPS, CELLS + 1), dtype=torch.int32, device=device)
        self._sums = torch.zeros(0, dtype=self._total.dtype, device=device)
        self._channels = 0
        self._rows = 0

    def open(self, channels: int, limits: Limits) -> Account:
        """Make room for a tap."""
        states = [statistic.start(channels, self._device) for statistic in self._statistics]
        account = Account(self._channels, channels, self._rows, limits, states)
        self._channels += channels
        self._rows += 1
        missing = self._channels - self._total.shape[1]
        if missing > 0:
            more = blank(max(missing, self._total.shape[1] // 2), self._device)
            self._total = torch.cat([self._total, more], 1)
            self._batch = torch.cat([self._batch, more], 1)
        if self._rows > self._cells.shape[0]:
            self._cells = torch.cat([self._cells, torch.zeros_like(self._cells[: self._rows // 2])])
        return account

    def record(self, account: Account, values: Tensor, first: int) -> None:
        """Read `[n, c, p]`, images from number `first`: once for the table, a few values for the sample.

        A tap is recorded at most once between two calls of `end_batch`.
        """
        n, c, p = values.shape
        if self._sums.numel() < n * c:
            self._sums = torch.zeros(n * c, dtype=self._total.dtype, device=self._device)
        sums = self._sums[: n * c].view(n, c)
        reduce_into(self._batch, account.at, sums, values, account.limits, first)
        count_into(self._cells[account.row], values)
        account.measured += n * p
        for statistic, state in zip(self._statistics, account.states, strict=True):
            if state:
                statistic.update(state, sums / p)

    def end_batch(self) -> None:
        """Join the batch's tables to the run's."""
        merge(self._total[:, : self._channels], self._batch[:, : self._channels])
        self._batch[:, : self._channels] = self._blank

    def measured(self, accounts: Sequence[Account], images: Sequence[int | None]) -> list[list[Measured]]:
        """Return, in one transfer from the device, what each tap's statistics are worked out of: one each."""
        own = [tensor for account in accounts for state in account.states for tensor in state.values()]
        table, cells, rest = self._to_host(own)
        found = []
        for account, seen in zip(accounts, images, strict=True):
            columns = table[:, account.at : account.at + account.channels]
            kept = cells[account.row].astype(np.int64)
            found.append(
                [
                    Measured(
                        columns,
                        kept,
                        seen,
                        account.measured,
                        account.limits.upper,
                        {name: next(rest) for name in state},
                    )
                    for state in account.states
                ]
            )
        return found

    def _to_host(self, own: Sequence[Tensor]) -> Any:
        table = self._total[:, : self._channels]
        cells = self._cells[: self._rows, :CELLS]
        if self._device.type == "cpu":
            return table.double().numpy(), cells.numpy(), iter([tensor.double().numpy() for tensor in own])
        flat = torch.cat([part.reshape(-1).double() for part in (table, cells, *own)]).cpu().numpy()
        ends = np.cumsum([table.numel(), cells.numel(), *(tensor.numel() for tensor in own)])
        first, second, *more = np.split(flat, ends[:-1])
        arrays: list[NDArray[np.float64]] = [
            array.reshape(part.shape) for array, part in zip(more, own, strict=True)
        ]
        return first.reshape(table.shape), second.reshape(cells.shape), iter(arrays)
