"""A folder that fills up unseen and then appears file by file, each whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
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
        """Move every file into place, one by one, over a file of the same name."""
        for name in self.files:
            path = self._target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (self._aside / name).replace(path)


@contextmanager
def staged(target: Path) -> Iterator[Staging]:
    """Yield a place to write to; where nothing goes wrong, its files then move into `target`.

    Raises:
        OutputError: something could not be written; what was at `target` before still stands, unless the moving itself
            was cut short.
    """
    aside: Path | None = None
    try:
        if target.exists() and not target.is_dir():
            raise OutputError(
                f"{target}: cannot write the paper kit: it is a file, not a folder; name another place"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that moving is renaming.
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
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
