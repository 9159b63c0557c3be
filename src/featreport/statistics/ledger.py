"""The accumulators of a whole run side by side: joining a batch to them costs a few operations, however many taps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featreport.statistics.base import Measured, State, Statistic
from featreport.statistics.counters import Counters
from featreport.statistics.places import PER_IMAGE
from featreport.statistics.reduction import reduce_into
from featreport.statistics.table import Limits, blank, merge

ROOM = 4096  # channels to begin with


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
        self._cells = Counters(device)
        self._sums = torch.zeros(0, dtype=self._total.dtype, device=device)
        self._accounts: list[Account] = []
        self._channels = 0

    def open(self, channels: int, limits: Limits) -> Account:
        """Make room for a tap."""
        states = [statistic.start(channels, self._device) for statistic in self._statistics]
        account = Account(self._channels, channels, self._cells.open(), limits, states)
        self._accounts.append(account)
        self._channels += channels
        missing = self._channels - self._total.shape[1]
        if missing > 0:
            more = self._blank.repeat(
                1, max(missing, self._total.shape[1] // 4)
            )  # on the device: nothing waits
            self._total = torch.cat([self._total, more], 1)
            self._batch = torch.cat([self._batch, more], 1)
        return account

    def record(self, account: Account, values: Tensor, first: int) -> None:
        """Read `[n, c, p]`, images from number `first`: once for the table, a few values for the sample.

        A tap is recorded at most once between two calls of `end_batch`.
        """
        n, c, p = values.shape
        if self._sums.numel() < n * c:
            self._sums = torch.zeros(n * c, dtype=self._total.dtype, device=self._device)
        sums = self._sums[: n * c].view(n, c)
        cells = self._cells.row(account.row, n * min(c * p, PER_IMAGE))
        reduce_into(self._batch, account.at, sums, values, account.limits, first, cells)
        account.measured += n * p
        for statistic, state in zip(self._statistics, account.states, strict=True):
            if state:
                statistic.update(state, sums / p)

    def end_batch(self) -> None:
        """Join the batch's tables to the run's."""
        merge(self._total[:, : self._channels], self._batch[:, : self._channels])
        self._batch[:, : self._channels] = self._blank

    def tensors(self) -> list[Tensor]:
        """Return all that is kept, on the device: what `measured` wants back from the host."""
        own = [tensor for account in self._accounts for state in account.states for tensor in state.values()]
        return [self._total[:, : self._channels], *self._cells.tensors(), *own]

    def measured(
        self, host: Sequence[NDArray[Any]], accounts: Sequence[Account], images: Sequence[int | None]
    ) -> Iterator[list[Measured]]:
        """Yield what each tap's statistics are worked out of, one each.

        Args:
            host: `tensors()`, on the host.
            accounts: the taps asked for.
            images: how many images each of them saw; None where no axis is the batch.
        """
        table, chunks = host[0].astype(np.float64, copy=False), self._cells.chunks
        cells, own = host[1 : 1 + chunks], iter(host[1 + chunks :])
        states = {
            account.row: [{name: next(own) for name in state} for state in account.states]
            for account in self._accounts
        }
        for account, seen in zip(accounts, images, strict=True):
            columns = table[:, account.at : account.at + account.channels]
            counts = Counters.of_row(cells, account.row)  # of one tap at a time: it is large
            yield [
                Measured(columns, counts, seen, account.measured, account.limits.upper, state)
                for state in states[account.row]
            ]
