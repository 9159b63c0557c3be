"""Every build's results, kept one file each: what trends are drawn from and what a build is compared with.

A file, `build-000042.json`, is written once and never changed. Its first line holds the headline numbers, so that a
thousand builds are read without a thousand sets of results, and the digests of itself and of the second line; that one
holds the results without pictures and checks, packed as in a page. `index.json` holds the first lines together: only
ever a copy of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from featreport.errors import OutputError, ResultsError
from featreport.results import codec
from featreport.results.frozen import Frozen
from featreport.results.schema import PastBuild, PastRun, Results
from featreport.results.store import refused, write_atomically

FORMAT, VERSION = "featreport/history", 1
INDEX = "index.json"
TRIES = 100  # other builds that may take the next number first
_NAME = re.compile(r"build-(\d{6,})\.json")
_DAMAGED = "damaged: it does not have the digest it should have"
Say = Callable[[str], None]


class Head(Frozen):
    """The first line of a file: what was built, in a few numbers."""

    measured: str  # digest of what was measured: of two builds with the same, the second adds nothing
    runs: list[PastRun]


@dataclass(frozen=True)
class Past:
    """One build of the history: its place in it, its file's name, and its headline numbers."""

    number: int
    name: str
    head: Head

    def run(self, name: str) -> PastRun | None:
        """Return the headline of a run that succeeded."""
        return next((run for run in self.head.runs if run.id == name and run.status == "ok"), None)

    def build(self) -> PastBuild:
        """Return it as results tell of it."""
        return PastBuild(number=self.number, runs=self.head.runs)


@dataclass(frozen=True)
class History:
    """A folder of builds; `say` tells people what was found wrong in it."""

    folder: Path
    say: Say = print

    @cached_property
    def builds(self) -> tuple[Past, ...]:
        """Every build, oldest first; a file whose first line cannot be read is mentioned and left where it is."""
        names = sorted(
            (int(found[1]), name) for name in self._names() if (found := _NAME.fullmatch(name)) is not None
        )
        known = self._index()
        heads: dict[str, Head] = {}
        for _, name in names:
            head = known.get(name) or self._head(name)
            if head is not None:
                heads[name] = head
        if heads.keys() != known.keys():
            self._write_index(heads)
        return tuple(Past(number, name, heads[name]) for number, name in names if name in heads)

    def before(self, results: Results) -> tuple[Past, ...]:
        """Return the builds before this one, oldest first.

        Where the newest measured exactly the same it is this one: a build that is made again, or that was killed after
        it was added, has the same past.
        """
        builds = self.builds
        if builds and builds[-1].head.measured == measured(results):
            return builds[:-1]
        return builds

    def load(self, past: Past) -> Results | None:
        """Return the results of a build; None, and a mention, where its file is not whole."""
        path = self.folder / past.name
        try:
            return codec.decode(_body(path.read_bytes()).decode("ascii"), past.name)
        except (OSError, ValueError, ResultsError) as error:
            self.say(f"{path}: {_why(error)}; this build is passed over")
            return None

    def add(self, results: Results) -> None:
        """Keep a build's results, unless the newest build measured exactly the same.

        Raises:
            OutputError: they could not be written.
        """
        builds = self.builds
        told = measured(results)
        if builds and builds[-1].head.measured == told:
            return
        body = codec.embedded(_bare(results)).encode("ascii")
        content = _head_line(Head(measured=told, runs=[PastRun.of(run) for run in results.runs]), body) + body
        number = max((build.number for build in builds), default=0)
        for attempt in range(number + 1, number + 1 + TRIES):
            if self._create(self.folder / f"build-{attempt:06d}.json", content):
                self.__dict__.pop("builds", None)
                _ = self.builds  # and with them the index
                return
        raise OutputError(f"{self.folder}: no number after {number} was free for this build's results")

    def state(self) -> list[str]:
        """Return what changes when a build is added."""
        return sorted(name for name in self._names() if _NAME.fullmatch(name))

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.say(f"{self.folder}: the history cannot be read ({error.strerror})")
            return []

    def _create(self, path: Path, content: bytes) -> bool:
        """Write a file that is there whole or not at all; say whether its name was still free.

        Of builds that ask for one name at once, one gets it: to make a link is to claim it.
        """
        temporary: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, made = tempfile.mkstemp(dir=self.folder, prefix=".build.", suffix=".part")
            temporary = Path(made)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o444)
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise refused(path, error) from error
        else:
            return True
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _index(self) -> dict[str, Head]:
        """Return the first lines that the index knows; none where it is damaged."""
        try:
            told = json.loads((self.folder / INDEX).read_bytes())
            if told["sha256"] != _digest(told["builds"]):
                return {}
            return {name: Head.model_validate(line) for name, line in told["builds"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _write_index(self, heads: dict[str, Head]) -> None:
        lines = {name: head.model_dump() for name, head in heads.items()}
        told = {"format": FORMAT, "version": VERSION, "sha256": _digest(lines), "builds": lines}
        with contextlib.suppress(OutputError):  # then the files are read the next time, too
            write_atomically(self.folder / INDEX, json.dumps(told, separators=(",", ":")))

    def _head(self, name: str) -> Head | None:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                return _read_head(file.readline().removesuffix(b"\n"))[0]
        except (OSError, ValueError) as error:
            self.say(f"{path}: {_why(error)}; this build is passed over")
            return None


def _head_line(head: Head, body: bytes) -> bytes:
    lines = head.model_dump()
    told = {
        "format": FORMAT,
        "version": VERSION,
        "head": lines,
        "sha256": [_digest(lines), hashlib.sha256(body).hexdigest()],
    }
    return f"{json.dumps(told, separators=(',', ':'))}\n".encode("ascii")


def _read_head(line: bytes) -> tuple[Head, str]:
    """Return the headline numbers in a file's first line, and the digest that its second has.

    Raises:
        ValueError: it is not a line that `add` wrote.
    """
    try:
        told = json.loads(line.decode("ascii"))
        if (told["format"], told["version"]) != (FORMAT, VERSION):
            raise ValueError(f"is {told['format']} {told['version']}, not {FORMAT} {VERSION}")
        digest, body = told["sha256"]
        if digest != _digest(told["head"]):
            raise ValueError(_DAMAGED)
        return Head.model_validate(told["head"]), body
    except (
        KeyError,
        TypeError,
        RecursionError,
        ValidationError,
        json.JSONDecodeError,
        UnicodeDecodeError,
    ) as error:
        raise ValueError("damaged: its first line cannot be read") from error


def _body(content: bytes) -> bytes:
    """Return the second line of a file.

    Raises:
        ValueError: the file is not as it was written.
    """
    first, _, rest = content.partition(b"\n")
    _, digest = _read_head(first)
    if hashlib.sha256(rest).hexdigest() != digest:
        raise ValueError(_DAMAGED)
    return rest


def _why(error: Exception) -> str:
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)


def measured(results: Results) -> str:
    """Return a digest of what was measured and with which thresholds; titles, pages and versions do not count."""
    told = {
        "runs": [run.model_dump(mode="python") for run in results.runs],
        "thresholds": results.thresholds.model_dump(mode="python"),
    }
    return _digest(told)


def latest(builds: Sequence[Past], run: str) -> list[Past]:
    """Return the builds in which this run succeeded, newest first."""
    return [build for build in reversed(builds) if build.run(run) is not None]


def best(builds: Sequence[Past], run: str, metric: str, *, higher: bool) -> list[Past]:
    """Return the builds in which this run succeeded and has a headline number, the best first, of equals the newest.

    Args:
        builds: oldest first.
        run: id of the run.
        metric: a field of `PastRun`, e.g. "dead_fraction".
        higher: whether a larger number is a better one.
    """
    sign = -1.0 if higher else 1.0
    found = [(build, getattr(build.run(run), metric, None)) for build in builds]
    ranked = [(sign * value, -build.number, build) for build, value in found if value is not None]
    return [build for *_, build in sorted(ranked, key=lambda entry: entry[:2])]


def _bare(results: Results) -> Results:
    """Return the results without what is no measurement: checks, sections of plug-ins, an older past."""
    return results.model_copy(
        update={
            "checks": [],
            "extras": [],
            "comparisons": [],
            "compared": [],
            "similarities": [],
            "history": None,
            "pictures": {},
        }
    )


def _digest(told: object) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
