"""A folder that fills up unseen and then appears file by file, each whole."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from featreport.errors import OutputError


class Staging:
    """Files written aside, to be moved to `target` together; what else lies there stays."""

    def __init__(self, target: Path, aside: Path) -> None:
        self._target = target
        self._aside = aside
        self.files: list[str] = []

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file by its path below the folder, in POSIX form."""
        path = self._aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        self.files.append(name)

    def move(self) -> None:
        """Move every file into place, one by one, over a file of the same name; none where a folder is in the way."""
        for name in self.files:
            if (self._target / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        for name in self.files:
            path = self._target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (self._aside / name).replace(path)


@contextmanager
def staged(target: Path, folders: Sequence[str]) -> Iterator[Staging]:
    """Yield a place to write to; where nothing goes wrong, its files then move into `target`.

    Args:
        target: the folder; made, with those above it, where it does not exist.
        folders: names of folders in it that will be written to: whether they can be is tried beforehand.

    Raises:
        OutputError: something cannot be written; what was at `target` before still stands, unless the moving itself
            was cut short.
    """
    aside: Path | None = None
    try:
        for folder in (target, *(target / name for name in folders)):
            if folder.is_dir():
                with tempfile.TemporaryFile(dir=folder):
                    pass
            elif folder.exists():
                raise OutputError(
                    f"{folder}: cannot write the paper kit: it is a file, not a folder; name another place"
                )
        # On the disk of the target, so that moving is renaming.
        beside = target if target.is_dir() else target.parent
        beside.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=beside, prefix=".featreport-", suffix=".part"))
        staging = Staging(target, aside)
        yield staging
        target.mkdir(exist_ok=True)
        staging.move()
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written: {error.strerror or error}; name another place"
        ) from error
    finally:
        if aside is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(aside)
