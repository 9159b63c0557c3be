"""Loads the files named on standard input, one a line, and answers each with one line of JSON.

Runs in a process of its own: a file that kills, hangs or bloats the reader is then a failed test, not a lost run.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from featreport.checkpoints import load_into
from featreport.errors import CheckpointError
from featreport.plan.types import CheckpointRef, SourceRef

SOURCE = SourceRef("python-file", "python:net.py:net", "net", file=Path("/net.py"))


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Linear(4, 5)))


def memory(field: str) -> int:
    """Return a field of this process's status in MiB: VmRSS now, VmHWM at most since the last `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) // 1024
    return 0


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def outcome(path: Path) -> dict[str, object]:
    model = net()
    try:
        load = load_into(model, CheckpointRef("file", path.name, path=path), SOURCE).audit
    except CheckpointError as error:
        return {"refused": error.message, "hint": error.hint}
    good = net(seed=1).state_dict()
    same = all(torch.equal(value, good[name]) for name, value in model.state_dict().items())
    return {"loaded": load.matched, "same": same, "objects": load.objects}


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        forget_peak()
        before = memory("VmRSS")
        found = outcome(Path(line.rstrip("\n")))
        print(json.dumps(found | {"mib": memory("VmHWM") - before}), flush=True)


if __name__ == "__main__":
    main()
