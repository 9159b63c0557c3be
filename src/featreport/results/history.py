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
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from featreport.errors import OutputError, ResultsError
from featreport.results import codec
from featreport.results.builds import Head, Past, digest_of, digests_of, repeats
from featreport.results.schema import PastRun, Results
from featreport.results.store import refused, write_atomically

FORMAT, VERSION = "featreport/history", 1
INDEX = "index.json"
TRIES = 100  # other builds that may take the next number first
_NAME = re.compile(r"build-(\d{6,})\.json")
_DAMAGED = "damaged: it does not have the digest it should have"
Say = Callable[[str], None]
Stamp = tuple[int, int]  # size and time of a file


@dataclass(frozen=True)
class History:
    """A folder of builds; `say` tells people what was found wrong in it."""

    folder: Path
    say: Say = print

    @cached_property
    def builds(self) -> tuple[Past, ...]:
        """Every build, oldest first; a file whose first line cannot be read is mentioned and left where it is."""
        known = self._index()
        heads: dict[str, tuple[Stamp, Head]] = {}
        for name in self.state():
            stamp = self._stamp(name)
            if name in known and known[name][0] == stamp:
                heads[name] = known[name]
            elif (head := self._head(name)) is not None:
                heads[name] = (stamp, head)
        if heads != known:
            self._write_index(heads)
        return tuple(Past(_number(name), name, head) for name, (_, head) in heads.items())

    def before(self, results: Results) -> tuple[Past, ...]:
        """Return the builds before this one that have any of its runs, oldest first.

        The newest of them that measured the same in every such run are this very build: one that is made again, or
        that was killed after it was added, has the same past.
        """
        digests = digests_of(results)
        builds = [build for build in self.builds if build.digests.keys() & digests.keys()]
        while builds and repeats(builds[-1], digests):
            builds.pop()
        return tuple(builds)

    @property
    def unreadable(self) -> int:
        """How many files are damaged."""
        return len(self.state()) - len(self.builds)

    def load(self, past: Past) -> Results | None:
        """Return the results of a build; None, and a mention, where its file is not whole."""
        path = self.folder / past.name
        try:
            return codec.decode(_body(path.read_bytes()).decode("ascii"), past.name)
        except (OSError, ValueError, ResultsError) as error:
            self.say(f"{path}: {_why(error)}; this build is passed over")
            return None

    def add(self, results: Results) -> None:
        """Keep a build's results, unless the newest builds hold all of it already.

        Raises:
            OutputError: they could not be written.
        """
        digests = digests_of(results)
        failed = {
            check.run for check in results.checks if (check.verdict, check.severity) == ("failed", "error")
        }
        runs = [PastRun.of(run, digest=digests[run.id], passed=run.id not in failed) for run in results.runs]
        mine = [build for build in self.builds if build.digests.keys() & digests.keys()]
        known: dict[str, bool] = {}
        while mine and repeats(mine[-1], digests):
            known = {run.id: run.passed for run in mine.pop().head.runs} | known
        if all(known.get(run.id) == run.passed for run in runs):
            return
        body = codec.embedded(_bare(results)).encode("ascii")
        content = _head_line(Head(runs=runs), body) + body
        number = max(map(_number, self.state()), default=0)
        for attempt in range(number + 1, number + 1 + TRIES):
            if self._create(self.folder / f"build-{attempt:06d}.json", content):
                self.__dict__.pop("builds", None)
                _ = self.builds  # and with them the index
                return
        raise OutputError(f"{self.folder}: no number after {number} was free for this build's results")

    def state(self) -> list[str]:
        """Return the names of all builds, oldest first: what changes when one is added."""
        return sorted((name for name in self._names() if _NAME.fullmatch(name)), key=_number)

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
            raise refused(path, error, "choose another folder in `history`") from error
        else:
            return True
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _stamp(self, name: str) -> Stamp:
        """Return what changes when a file is replaced."""
        try:
            found = (self.folder / name).stat()
        except OSError:
            return (-1, -1)
        return (found.st_size, found.st_mtime_ns)

    def _index(self) -> dict[str, tuple[Stamp, Head]]:
        """Return the first lines that the index knows, with the stamps of their files; none where it is damaged."""
        try:
            told = json.loads((self.folder / INDEX).read_bytes())
            if told["sha256"] != digest_of(told["builds"]):
                return {}
            return {
                name: ((size, time), Head.model_validate(line))
                for name, (size, time, line) in told["builds"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _write_index(self, heads: dict[str, tuple[Stamp, Head]]) -> None:
        lines = {name: [*stamp, head.model_dump()] for name, (stamp, head) in heads.items()}
        told = {"format": FORMAT, "version": VERSION, "sha256": digest_of(lines), "builds": lines}
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
        "sha256": [digest_of(lines), hashlib.sha256(body).hexdigest()],
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
        if digest != digest_of(told["head"]):
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


def _number(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else -1


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
