"""Builds that are killed, refused the disk, interrupted, crowded and moved: is the report whole, is it the same?

    python benchmarks/sweep.py [--parts calls strace times signals crowd places] [--every 1] [--json]

It makes a tiny project (three checkpoints of a small network, four pictures), builds it once for the old report and,
under another title, once for the new one. Then every point of every part starts from the old report, does a build that
meets one fault, and looks: is the report on disk the old or the new one, byte for byte, are its results, is every entry
of the store whole, is the exit code right? A build without a fault follows: nothing is mended by hand before it, and it
must leave the new report and nothing beside it.

    calls    a kill -9, ENOSPC, EIO and EACCES at every call of Python on the output's folder and the store
    strace   the same, met by the kernel's calls; left out where strace is not installed
    times    kill -9 at random times of a build that measures
    signals  SIGINT and SIGTERM at random times: ends within 10 s, exit 130 or 143, finished runs are kept
    crowd    16 builds at once on one store, four for each of 4 reports, some of them killed
    places   another working directory, time zone, locale, hash seed, umask, time stamps, order on disk, workers
             (not the number of torch's threads: torch's own convolution differs with it in the last bits)

Most builds are forks of this process, which has loaded torch already: a build is then a third of a second. `--every 3`
takes every third point. What went wrong is told below the table, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import json
import locale
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from faults import KILL, Call, Watch
from PIL import Image
from torch import nn

from featreport import cli, pipeline, process
from featreport.images import batches
from featreport.results.entries import Store

PARTS = ("calls", "strace", "times", "signals", "crowd", "places")
ERRORS = ("ENOSPC", "EIO", "EACCES")
BUILDS, REPORTS = 16, 4
SECONDS = 10.0  # in which an interrupted build ends
MENTIONED = {"write", "fsync", "replace", "rename"}  # of the store: who fails here is told
NET = """
import os
import time
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.ReLU(),
                         nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Conv2d(6, 2, 1))

    def forward(self, x):
        time.sleep(float(os.environ.get("SWEEP_SLOW", "0")))
        return super().forward(x)
"""
MANIFEST = """version: 1
title: "{title}"
output: out/report.html
device: cpu
images: [photos/]
transform: none
batch_size: 2
models: [{{name: net, source: "python:net.py:Net", checkpoints: ["e*.pt"]}}]
"""
OLD, NEW = "Before: dürre Kanäle", "After: dürre Kanäle"
COMMAND = [sys.executable, "-m", "featreport", "build", "config.yaml"]
# what Python says of our own signal where nobody sees an exception; any other traceback is a fault, also beside it
UNHEARD = re.compile(
    r"Exception ignored[^\n]*\n(?:Traceback[^\n]*\n)?(?:[ \t][^\n]*\n)*[\w.]*(?:KeyboardInterrupt|Terminated)[^\n]*"
)


@dataclass
class Row:
    """What came of the points of one kind."""

    part: str
    fault: str
    call: str
    tried: int = 0
    old: int = 0
    new: int = 0
    neither: int = 0
    same: int = 0  # next builds that gave the new report's bytes
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """How a build ended."""

    code: int
    said: str
    seconds: float


class Sweep:
    """The project, its old and its new report, and the rows so far."""

    def __init__(
        self, folder: Path, every: int, quick: bool, only: Sequence[str] = (), rounds: int = 6
    ) -> None:
        self.folder, self.every, self.quick, self.only = folder, every, quick, only
        self.rounds = rounds
        self.work = folder / "work"
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.chance = random.Random(6)
        make_project(self.work)
        self.old = self._built(OLD)
        self.states = {"kept": folder / "kept", "cold": folder / "cold"}
        (self.work / "config.yaml").write_text(MANIFEST.format(title=NEW), encoding="utf-8")
        shutil.copytree(self.work, self.states["kept"])
        shutil.rmtree(self.work / ".featreport")
        shutil.copytree(self.work, self.states["cold"])
        self.new = self._built(NEW)
        self.reset("kept")
        pipeline.build(self.work / "config.yaml")  # renders only, so that its forks have seen it all
        assert not set(self.old.values()) & set(self.new.values())

    def _built(self, title: str) -> dict[str, bytes]:
        (self.work / "config.yaml").write_text(MANIFEST.format(title=title), encoding="utf-8")
        ended = self.fork()  # this process itself measures nothing: OpenMP forbids forks of who did
        assert ended.code == 0, ended.said
        return self.report()

    def report(self, folder: str = "out") -> dict[str, bytes]:
        """Return the bytes of report and results, as far as they are there."""
        paths = [self.work / folder / name for name in ("report.html", "report.json")]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def reset(self, state: str) -> None:
        """Put the old report and the store of a state in place."""
        shutil.rmtree(self.work)
        shutil.copytree(self.states[state], self.work)

    def row(self, part: str, fault: str, call: str) -> Row:
        """Return the row of a kind of point."""
        return self.rows.setdefault((part, fault, call), Row(part, fault, call))

    def judge(self, row: Row, ended: Ended, *, rules: Callable[[str], str] = lambda _found: "") -> None:
        """Look at what a build left, then build again; `rules` says what else is wrong, of what stands there now."""
        row.tried += 1
        html = self.report().get("report.html")
        results = self.report().get("report.json")
        found = "old" if html == self.old["report.html"] else "new"
        if html not in {self.old["report.html"], self.new["report.html"]}:
            found = "neither"
        wrong = [] if found != "neither" else ["the report is neither the old nor the new one"]
        if results not in {self.old["report.json"], self.new["report.json"]}:
            found = "neither"
            wrong.append("the results are neither the old nor the new ones")
        setattr(row, found, getattr(row, found) + 1)
        wrong += [more] if (more := rules(found)) else []
        # Python tells of a signal that fell where nobody sees an exception; the build is ended seconds later
        if "Traceback" in UNHEARD.sub("", ended.said):
            wrong.append("a traceback")
        wrong += self._store()
        after = self.fork()
        if after.code == 0 and self.report() == self.new:
            row.same += 1
        else:
            wrong.append(f"the next build ends with {after.code}: {after.said[-300:]!r}")
        left = sorted(path.name for path in (self.work / "out").iterdir())
        if left != ["report.html", "report.json"]:
            wrong.append(f"left behind: {left}")
        wrong += self._store()
        row.wrong += [f"{one}; it ended with {ended.code}: {ended.said[-700:]}" for one in wrong]

    def _store(self) -> list[str]:
        said: list[str] = []
        _, bad = Store(self.work / ".featreport", said.append).verify()
        return [f"the store is not clean: {said}"] if bad or said else []

    def fork(
        self,
        before: Callable[[], None] = lambda: None,
        *more: str,
        cwd: Path | None = None,
    ) -> Ended:
        """Build in a fork of this process, after `before`."""
        return self.wait(self.start(before, *more, cwd=cwd))

    def start(
        self, before: Callable[[], None] = lambda: None, *more: str, cwd: Path | None = None
    ) -> tuple[int, Path, float]:
        """Start a build in a fork of this process."""
        descriptor, log = tempfile.mkstemp(dir=self.folder, suffix=".log")
        sys.stdout.flush()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            try:
                os.dup2(descriptor, 1)
                os.dup2(descriptor, 2)
                os.chdir(cwd or self.work)
                sys.argv = ["featreport", "build", str(self.work / "config.yaml"), *more]
                before()
                cli.main()
            except BaseException:  # noqa: BLE001 - a child must never go on as this process
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(99)
        os.close(descriptor)
        return child, Path(log), began

    def wait(self, started: tuple[int, Path, float]) -> Ended:
        """Wait for a build."""
        child, log, began = started
        _, status = os.waitpid(child, 0)
        said = log.read_text(encoding="utf-8", errors="replace")
        log.unlink()
        return Ended(os.waitstatus_to_exitcode(status), said, time.monotonic() - began)

    # the parts

    def calls(self) -> None:
        """Every call of Python on output and store."""
        for state in self.states:
            listed = self.folder / "calls"
            self.reset(state)
            self.fork(self._watch(seen=_noted(listed)).begin)
            points = list(enumerate(Call(*line.split("\t")) for line in listed.read_text().splitlines()))
            listed.unlink()
            points = [point for point in points if not self.only or point[1].name in self.only]
            for at, call in points[self.chance.randrange(self.every) :: self.every]:
                self._call(state, at, call, KILL)
                if call.name == "write":
                    self._call(state, at, call, KILL, torn=True)
                # bounded, each point meets one of the errors, and in turn all of them
                for error in [ERRORS[at // self.every % 3]] if self.quick else ERRORS:
                    self._call(state, at, call, error, torn=call.name == "write")
                if call.name in {"write", "open to write"}:
                    self._call(state, at, call, "ENOSPC", lasting=True)

    def _watch(self, **more: object) -> Watch:
        folders = [self.work / "out", self.work / ".featreport"]
        return Watch(folders, **more)  # type: ignore[arg-type]  # the fields of Watch, by name

    def _call(self, state: str, at: int, call: Call, fault: str, **how: bool) -> None:
        self.reset(state)
        watch = self._watch(at=at, fault=fault, **how)
        full = self.folder / "full"  # where results are rescued

        def before() -> None:
            if how.get("lasting"):
                tempfile.tempdir = str(full)
                watch.folders = [*watch.folders, full]
            watch.begin()

        full.mkdir(exist_ok=True)
        ended = self.fork(before)
        place = "store" if ".featreport" in call.path else "output"
        label = f"{fault} from then on" if how.get("lasting") else fault
        row = self.row("calls", label, f"{call.name}, {place}")

        def rules(found: str) -> str:
            if fault == KILL:
                return "" if ended.code == -signal.SIGKILL else f"not killed at {call}"
            return f"{said} at {call}" if (said := self.fair(ended, found, call.name, place, how)) else ""

        self.judge(row, ended, rules=rules)

    def fair(self, ended: Ended, found: str, name: str, place: str, how: dict[str, bool]) -> str:
        """Say what is wrong with how a build ended that was refused something."""
        if ended.code == 0:
            if found != "new":
                return "exit 0 without the new report"
            told = ".featreport" in ended.said
            return "" if place == "output" or name not in MENTIONED or told else "the store's fault is untold"
        if ended.code != 5:
            return f"exit {ended.code}"
        if place == "store" and not how.get("lasting"):
            return "the store stopped the build"
        named = re.search(r"out/report\.(html|json): cannot be written: .*MB free", ended.said)
        return "" if named else "path or free space are not named"

    def strace(self) -> None:
        """The kernel's calls on output and store, met from outside."""
        if shutil.which("strace") is None:
            print("strace is not installed: that part is left out", file=sys.stderr)
            return
        for state in ("kept",) if self.quick else ("kept", "cold"):
            self.reset(state)
            log = self.folder / "trace"
            subprocess.run(
                ["strace", "-f", "-y", "-qq", "-o", log, "-e", "trace=%file,%desc", *COMMAND],
                cwd=self.work,
                capture_output=True,
                check=False,
            )
            points = list(_places(log, self.work))
            rarer = self.every if state == "kept" else self.every * 4  # a build that measures takes seconds
            for name, number, place in points[self.chance.randrange(rarer) :: rarer]:
                self._syscall(state, name, number, place, KILL)
                if not self.quick and name not in {"close", "getdents64"}:
                    self._syscall(state, name, number, place, ERRORS[number % 3])
            if self.quick:
                name, number, place = self.chance.choice([one for one in points if one[0] in MENTIONED])
                for error in ERRORS:
                    self._syscall(state, name, number, place, error)

    def _syscall(self, state: str, name: str, number: int, place: str, fault: str) -> None:
        self.reset(state)
        what = f"signal=KILL:when={number}" if fault == KILL else f"error={fault}:when={number}"
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            f"trace={name}",
            "-e",
            f"inject={name}:{what}",
        ]
        began = time.monotonic()
        done = subprocess.run(
            [*command, *COMMAND], cwd=self.work, capture_output=True, text=True, check=False
        )
        ended = Ended(done.returncode, done.stdout + done.stderr, time.monotonic() - began)

        def rules(found: str) -> str:
            if fault == KILL:
                return "" if ended.code in {-signal.SIGKILL, 137} else f"not killed at {name} {number}"
            said = self.fair(ended, found, "", place, {})
            return f"{said} at {name} {number}" if said else ""

        self.judge(self.row("strace", fault, f"{name}, {place}"), ended, rules=rules)

    def times(self) -> None:
        """Kill -9 at random times."""
        for _ in range(4 if self.quick else 40):  # of a fork, which measures at once
            self.reset("cold")
            started = self.start(lambda: os.environ.update(SWEEP_SLOW="0.03"))
            time.sleep(self.chance.uniform(0, 0.7))
            os.kill(started[0], signal.SIGKILL)
            self.judge(self.row("times", KILL, "a build under way"), self.wait(started))
        for _ in range(0 if self.quick else 12):
            self.reset("cold")
            with subprocess.Popen(COMMAND, cwd=self.work, stdout=-3, stderr=-3) as going:
                time.sleep(self.chance.uniform(0.1, 5))
                going.kill()
            self.judge(self.row("times", KILL, "a build from its start"), Ended(going.returncode, "", 0))

    def signals(self) -> None:
        """SIGINT and SIGTERM."""
        for number in range(6 if self.quick else 60):
            sent, code = [(signal.SIGINT, 130), (signal.SIGTERM, 143)][number % 2]
            self.reset("cold" if number % 4 < 2 else "kept")
            started = self.start(lambda: os.environ.update(SWEEP_SLOW="0.1"))
            _until_heard(started[0])
            time.sleep(self.chance.uniform(0, 1.2 if number % 4 < 2 else 0.4))
            self._signal(started[0], sent, code, lambda started=started: self.wait(started))
        for number in range(1 if self.quick else 16):
            sent, code = [(signal.SIGINT, 130), (signal.SIGTERM, 143)][number % 2]
            self.reset("cold")
            with subprocess.Popen(COMMAND, cwd=self.work, stdout=-1, stderr=-2, text=True) as going:
                _until_heard(going.pid)
                time.sleep(self.chance.uniform(0, 4))

                def wait(going: subprocess.Popen[str] = going) -> Ended:
                    said, _ = going.communicate(timeout=60)
                    return Ended(going.returncode, said, 0)

                self._signal(going.pid, sent, code, wait)

    def _signal(self, process: int, sent: signal.Signals, code: int, wait: Callable[[], Ended]) -> None:
        began = time.monotonic()
        os.kill(process, sent)
        ended, took = wait(), time.monotonic() - began
        kept, said = len(list(Store(self.work / ".featreport").entries())), ended.said.count("✓")

        def rules(found: str) -> str:
            if took > SECONDS:
                return f"took {took:.1f} s to end"
            if ended.code != code and (ended.code != 0 or found != "new"):
                return f"exit {ended.code}"
            return (
                "" if kept >= said - 1 else f"{said} runs were finished, {kept} are kept"
            )  # one is being kept

        self.judge(self.row("signals", sent.name, "a build under way"), ended, rules=rules)

    def crowd(self) -> None:
        """Many builds at once."""
        for turn in range(self.rounds):
            killed = turn % 2 == 1
            self.reset("cold")
            row = self.row(
                "crowd", "KILL of some" if killed else "none", f"{BUILDS} builds, {REPORTS} reports"
            )
            log, gate = self.folder / "writers", self.folder / "gate"
            with gate.open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                going = [
                    self.start(
                        _crowded(log, gate),
                        "--output",
                        str(self.work / f"out-{number % REPORTS}/report.html"),
                    )
                    for number in range(BUILDS)
                ]
                time.sleep(0.3)
                fcntl.flock(held, fcntl.LOCK_UN)  # the forks hold this file too: closing it opens no gate
            if killed:
                for child, _, _ in going[::3]:
                    time.sleep(self.chance.uniform(0, 0.4))
                    os.kill(child, signal.SIGKILL)
            ended = [self.wait(one) for one in going]
            allowed = {0, 75, -signal.SIGKILL} if killed else {0, 75}
            row.wrong += [f"exit {one.code}: {one.said[-500:]}" for one in ended if one.code not in allowed]
            row.wrong += self._store()
            row.wrong += [] if killed else _together(log)
            log.unlink()
            for number in range(REPORTS):
                row.tried += 1
                found = self.report(f"out-{number}")
                whole = found == self.new
                row.new += whole
                if not whole and (found.get("report.html") or not killed):
                    row.neither += 1
                    row.wrong.append(f"out-{number} holds {sorted(found)}, which are not the new report")
                if not killed and not any(one.code == 0 for one in ended[number::REPORTS]):
                    row.wrong.append(f"nobody wrote out-{number}")
                after = self.fork(lambda: None, "--output", str(self.work / f"out-{number}/report.html"))
                row.same += after.code == 0 and self.report(f"out-{number}") == self.new
                left = sorted(path.name for path in (self.work / f"out-{number}").iterdir())
                if left != ["report.html", "report.json"]:
                    row.wrong.append(f"left behind: {left}")
            row.wrong += self._store()

    def places(self) -> None:
        """Where, when and in what order a build happens."""
        inside = _inside()
        if self.quick:
            inside = {", ".join(inside): _all_of(list(inside.values()))}
        for name, before in inside.items():
            for state in ("cold",) if self.quick else self.states:
                self._place(name, state, lambda before=before: self.fork(before, cwd=self.folder))
        for name, prepare in {"other time stamps": _aged, "files made in another order": _shuffled}.items():
            self._place(name, "cold", self.fork, prepare)
        self._place("resumed", "cold", self._resumed)
        for name, environment in _outside(self.folder, self.quick).items():
            for state in ("cold",) if self.quick else self.states:
                self._place(name, state, lambda environment=environment: self._process(environment))

    def _place(
        self,
        name: str,
        state: str,
        build: Callable[[], Ended],
        prepare: Callable[[Path], None] = lambda _folder: None,
    ) -> None:
        self.reset(state)
        prepare(self.work)
        ended = build()
        row = self.row("places", name, "runs kept" if state == "kept" else "all measured")
        self.judge(
            row,
            ended,
            rules=lambda found: "" if (ended.code, found) == (0, "new") else "not the same report",
        )

    def _resumed(self) -> Ended:
        started = self.start(lambda: os.environ.update(SWEEP_SLOW="0.15"))
        store = Store(self.work / ".featreport")
        while not list(store.entries()) and os.waitpid(started[0], os.WNOHANG) == (0, 0):
            time.sleep(0.01)
        os.kill(started[0], signal.SIGKILL)
        self.wait(started)
        ended = self.fork()
        told = ended.said.count("unchanged")
        return ended if 0 < told < 3 else Ended(99, f"{told} runs were resumed: {ended.said}", 0)

    def _process(self, environment: dict[str, str]) -> Ended:
        done = subprocess.run(
            COMMAND,
            cwd=self.work,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, **environment},
        )
        return Ended(done.returncode, done.stdout + done.stderr, 0)


def _until_heard(process: int) -> None:
    """Wait until a build hears SIGTERM, however busy the machine is: before, nobody answers a signal."""
    status = Path(f"/proc/{process}/status")
    with suppress(OSError):  # elsewhere than on Linux it is taken to hear at once
        for _ in range(6000):
            caught = re.search(r"SigCgt:\s*(\w+)", status.read_text())
            if caught and int(caught[1], 16) & 1 << (signal.SIGTERM - 1):
                return
            time.sleep(0.01)


def load() -> None:
    """Import what a build imports, so that its forks need not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs deaf to it
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the builds that are no forks
    for module in (
        "collect.run",
        "collect.session",
        "statistics.kernel",
        "report.rendering",
        "judge.checks.judging",
    ):
        importlib.import_module(f"featreport.{module}")


def make_project(folder: Path) -> None:
    """Make three checkpoints of a small network and four pictures."""
    (folder / "photos").mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    noise = np.random.default_rng(0)
    for name in ("10", "9", "é", "İ"):
        pixels = noise.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{name}.png")
    for index in (1, 2, 10):
        torch.manual_seed(index)
        layers = [(3, 4, 3), (4, 6, 1), (6, 6, 1), (6, 6, 1), (6, 2, 1)]
        net = nn.Sequential(*(part for sizes in layers for part in (nn.Conv2d(*sizes), nn.ReLU())))
        torch.save(net.state_dict(), folder / f"e{index}.pt")


def _noted(listed: Path) -> Callable[[Call], None]:
    """Return what appends each call to a file."""
    descriptor = os.open(listed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write = os.write
    return lambda call: (write(descriptor, f"{call.name}\t{call.path}\n".encode()), None)[1]


def _places(log: Path, work: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the calls of the first process on output and store: name, which one of that name, place."""
    first, counted = "", Counter[str]()
    for line in log.read_text(errors="replace").splitlines():
        process, _, call = line.partition(" ")
        name, parenthesis, rest = call.strip().partition("(")
        if not parenthesis or not name.isidentifier():
            continue
        first = first or process
        if process != first:
            continue
        counted[name] += 1
        for place, folder in (("output", work / "out"), ("store", work / ".featreport")):
            if f"{folder}/" in rest or f'{folder}"' in rest or f"{folder}>" in rest:
                yield name, counted[name], place
                break


def _crowded(log: Path, gate: Path) -> Callable[[], None]:
    """Return what lets a build wait at the gate, and note when it begins and ends to be the writer of its report."""

    def before() -> None:
        plain = pipeline.held

        @contextmanager
        def held(output: Path) -> Iterator[None]:
            with plain(output):
                _append(log, f"+ {output}")
                try:
                    yield
                finally:
                    _append(log, f"- {output}")

        pipeline.held = held
        with gate.open() as waiting:
            fcntl.flock(waiting, fcntl.LOCK_SH)

    return before


def _append(log: Path, line: str) -> None:
    with log.open("a") as file:  # one write, at the end of what others wrote
        file.write(f"{line}\n")


def _together(log: Path) -> list[str]:
    """Return the reports that two builds wrote at once."""
    now: Counter[str] = Counter()
    wrong = []
    for line in log.read_text().splitlines():
        mark, _, output = line.partition(" ")
        now[output] += 1 if mark == "+" else -1
        if now[output] > 1:
            wrong.append(f"two builds wrote {Path(output).parent.name} at once")
    return wrong


def _inside() -> dict[str, Callable[[], None]]:
    """Return what a process can change of itself; each with another working directory as well."""

    def zone(name: str) -> Callable[[], None]:
        def change() -> None:
            os.environ["TZ"] = name
            time.tzset()

        return change

    def workers(number: int) -> Callable[[], None]:
        def change() -> None:
            batches.cores = lambda: number

        return change

    def disorder() -> None:
        listed, scanned = os.listdir, os.scandir

        class Scan(list):  # type: ignore[type-arg]  # of what the system yields
            def __enter__(self) -> Scan:
                return self

            def __exit__(self, *_what: object) -> None:
                pass

            def __iter__(self) -> Scan:
                return self

            def __next__(self) -> os.DirEntry[str]:
                if not self:
                    raise StopIteration
                return self.pop()

            def close(self) -> None:
                pass

        def scandir(path: str = ".") -> Scan:
            with scanned(path) as found:
                return Scan(sorted(found, key=lambda entry: entry.name[::-1]))

        os.listdir = lambda path=".": sorted(listed(path), key=lambda name: name[::-1], reverse=True)
        os.scandir = scandir

    return {
        "another folder": lambda: None,
        "TZ": zone("Asia/Kathmandu"),
        "TZ, west": zone("America/St_Johns"),
        "umask 077": lambda: (os.umask(0o077), None)[1],
        "umask 000": lambda: (os.umask(0), None)[1],
        "1 worker": workers(1),
        "4 workers": workers(4),
        "folders listed in another order": disorder,
    }


def _all_of(changes: list[Callable[[], None]]) -> Callable[[], None]:
    def change() -> None:
        for one in changes:
            one()

    return change


def _outside(folder: Path, quick: bool) -> dict[str, dict[str, str]]:
    """Return what a process has to begin with."""
    latin = {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": str(folder / "locales"), "PYTHONUTF8": "0"}
    (folder / "locales").mkdir(exist_ok=True)
    made = (
        shutil.which("localedef") is not None
        and not subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "locales/de_DE.ISO-8859-1"],
            capture_output=True,
            check=False,
        ).returncode
    )
    bare = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if quick:
        return {
            "LC_ALL=C, hash seed 1, TZ": {
                "LC_ALL": "C",
                "PYTHONHASHSEED": "1",
                "TZ": "Asia/Kathmandu",
            },
            "a bare locale, hash seed 2": {**bare, "PYTHONHASHSEED": "2"},
        }  # fmt: skip
    found = {f"PYTHONHASHSEED={seed}": {"PYTHONHASHSEED": seed} for seed in ("0", "1", "4294967295")}
    found |= {f"LC_ALL={name}": {"LC_ALL": name} for name in ("C", "POSIX", "C.UTF-8", "tr_TR.UTF-8")}
    found |= {"LANG=C": {"LANG": "C"}, "LC_ALL=C, no UTF-8 mode": bare}
    found |= {"LC_ALL=de_DE.ISO-8859-1": latin} if made else {}
    return found


def _aged(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (number * 1e8, number * 1e8))


def _shuffled(folder: Path) -> None:
    """Make the files of the project anew, last ones first."""
    other = folder.with_name("shuffled")
    folder.rename(other)
    for path in sorted(other.rglob("*"), reverse=True):
        target = folder / path.relative_to(other)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    shutil.rmtree(other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument(
        "--every", type=int, default=1, help="take every so many-th point of calls and strace"
    )
    parser.add_argument(
        "--calls", nargs="+", default=(), metavar="CALL", help="of that part only these calls"
    )
    parser.add_argument(
        "--rounds", type=int, default=6, help="of crowds, of every second one some are killed"
    )
    parser.add_argument("--quick", action="store_true", help="few points of the other parts")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    asked = parser.parse_args()
    load()
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        sweep = Sweep(Path(folder).resolve(), asked.every, asked.quick, asked.calls, asked.rounds)
        for part in asked.parts:
            began = time.monotonic()
            getattr(sweep, part)()
            print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    rows = list(sweep.rows.values())
    if asked.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        show(rows)
    sys.exit(any(row.wrong or row.neither or row.same < row.tried for row in rows))


def show(rows: list[Row]) -> None:
    """Print the table, and below it what went wrong."""
    print(
        f"{'part':8s} {'fault':34s} {'call':24s} {'tried':>6s} {'old':>5s} {'new':>5s} {'neither':>8s} {'same':>5s}"
    )
    for row in [*rows, _sum(rows)]:
        print(
            f"{row.part:8s} {row.fault:34s} {row.call:24s} {row.tried:6d} {row.old:5d} {row.new:5d} "
            f"{row.neither:8d} {row.same:5d}"
        )
    for row in rows:
        for line in row.wrong:
            print(f"WRONG {row.part}, {row.fault}, {row.call}: {line}")


def _sum(rows: list[Row]) -> Row:
    names = ("tried", "old", "new", "neither", "same")
    return Row("all", "", "", *(sum(getattr(row, name) for row in rows) for name in names))


if __name__ == "__main__":
    process.begin_again(measuring=True)  # the builds are forks of this process
    main()
