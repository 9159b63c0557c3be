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
from featreport.statistics.table import Limits, blank, lasting, merge

ROOM = 1 << 14  # channels side by side: 1.9 MiB


@dataclass
class Account:
    """The place of one tap in the ledger: columns `at … at + channels` of a page, its row of cells, its own states."""

    page: int
    at: int
    channels: int
    row: int
    limits: Limits
    states: list[State]
    measured: int = field(default=0)  # positions


class Ledger:
    """Tables, samples and states of every tap of a run, on the device until the end.

    The tables lie in pages, so that one more tap copies nothing. A tensor is read when it is recorded. On the CPU what
    is found is joined to the page at once; on an accelerator it goes to a page of the batch that stands for one page of
    the run, and is joined to that when another page's turn comes. Taps come in the same order in every batch, so that
    happens once for each page.
    """

    def __init__(self, statistics: Sequence[Statistic], device: torch.device) -> None:
        self._statistics = statistics
        self._device = device
        self._pages: list[Tensor] = []
        self._used: list[int] = []  # channels of each page
        self._apart = device.type != "cpu"
        self._batch = lasting(ROOM, device) if self._apart else blank(0, device)
        self._blank = blank(1, device)
        self._open: tuple[int, int, int] | None = None  # page, and its columns in use
        self._cells = Counters(device)
        self._sums = torch.zeros(0, dtype=self._batch.dtype, device=device)
        self._accounts: list[Account] = []

    def open(self, channels: int, limits: Limits) -> Account:
        """Make room for a tap."""
        states = [statistic.start(channels, self._device) for statistic in self._statistics]
        if not self._pages or self._used[-1] + channels > self._pages[-1].shape[1]:
            self._pages.append(lasting(max(channels, ROOM), self._device))
            self._used.append(0)
        page, at = len(self._pages) - 1, self._used[-1]
        account = Account(page, at, channels, self._cells.open(), limits, states)
        self._accounts.append(account)
        self._used[-1] += channels
        return account

    def record(self, account: Account, values: Tensor, first: int) -> None:
        """Read `[n, c, p]`, images from number `first`: once for the table, a few values for the sample.

        A tap is recorded at most once between two calls of `end_batch`.
        """
        n, c, p = values.shape
        sums = self._room_for(n, c) if any(account.states) else None
        cells = self._cells.row(account.row, n * min(c * p, PER_IMAGE))
        table = self._turn_to(account) if self._apart else self._pages[account.page]
        reduce_into(table, account.at, sums, values, account.limits, first, cells)
        account.measured += n * p
        if sums is not None:
            for statistic, state in zip(self._statistics, account.states, strict=True):
                if state:
                    statistic.update(state, sums / p)

    def _room_for(self, n: int, c: int) -> Tensor:
        if self._sums.numel() < n * c:
            self._sums = torch.zeros(n * c, dtype=self._batch.dtype, device=self._device)
        return self._sums[: n * c].view(n, c)

    def _turn_to(self, account: Account) -> Tensor:
        """Return the batch's page, which stands for the account's: it will be written to."""
        low, high = account.at, account.at + account.channels
        if self._open is not None and self._open[0] != account.page:
            self.end_batch()
        if self._open is not None:
            low, high = min(low, self._open[1]), max(high, self._open[2])
        elif self._batch.shape[1] < high:  # one tap that is wider than a page
            self._batch = lasting(high, self._device)
        self._open = account.page, low, high
        return self._batch

    def end_batch(self) -> None:
        """Join what the batch's page holds to the run's."""
        if self._open is None:
            return
        page, low, high = self._open
        merge(self._pages[page][:, low:high], self._batch[:, low:high])
        self._batch[:, low:high] = self._blank
        self._open = None

    def tensors(self) -> list[Tensor]:
        """Return all that is kept, on the device: what `measured` wants back from the host."""
        own = [tensor for account in self._accounts for state in account.states for tensor in state.values()]
        tables = [page[:, :used] for page, used in zip(self._pages, self._used, strict=True)]
        return [*tables, *self._cells.tensors(), *own]

    def measured(
        self, host: Sequence[NDArray[Any]], accounts: Sequence[Account], images: Sequence[int | None]
    ) -> Iterator[list[Measured]]:
        """Yield what each tap's statistics are worked out of, one each.

        Args:
            host: `tensors()`, on the host.
            accounts: the taps asked for.
            images: how many images each of them saw; None where no axis is the batch.
        """
        pages = len(self._pages)
        kept = pages + self._cells.chunks
        tables, cells, own = host[:pages], host[pages:kept], iter(host[kept:])
        states = {
            account.row: [{name: next(own) for name in state} for state in account.states]
            for account in self._accounts
        }
        for account, seen in zip(accounts, images, strict=True):
            columns = tables[account.page][:, account.at : account.at + account.channels]
            columns = columns.astype(np.float64, copy=False)
            counts = Counters.of_row(cells, account.row)  # of one tap at a time: it is large
            yield [
                Measured(columns, counts, seen, account.measured, account.limits.upper, state)
                for state in states[account.row]
            ]
