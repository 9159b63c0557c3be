"""What the addresses of a manifest name: all are asked at once, for each may be silent for a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from featreport.manifest import ImagesEntry, Manifest
from featreport.remote import Address, RemoteError, find, is_remote, together

TOGETHER = 16  # questions at a time
Answer = tuple[list[Address], bool]
Find = Callable[[str], Answer]


def finder(manifest: Manifest) -> Find:
    """Ask for every address that a manifest names, and return what tells the answers: a file that is, or why not."""
    said = together(_asked, dict.fromkeys(_addresses(manifest)), TOGETHER)

    def told(text: str) -> Answer:
        answer = said.get(text) or _asked(text)
        if isinstance(answer, RemoteError):
            raise answer
        return answer

    return told


def _asked(text: str) -> Answer | RemoteError:
    try:
        return find(text)
    except RemoteError as error:
        return error


def _addresses(manifest: Manifest) -> Iterator[str]:
    """Yield the addresses of a manifest in its order; those of images only where a network is to see them."""
    paths: list[str] = [*_images(manifest.images)]
    for model in manifest.models:
        paths += _images(model.images) if model.source != "none" else ()
        checkpoints = (entry if isinstance(entry, str) else entry.path for entry in model.checkpoints)
        paths += (path for path in checkpoints if not path.endswith("/"))  # a folder is refused unasked
    if manifest.compare is not None and manifest.compare.baseline is not None:
        paths.append(manifest.compare.baseline)
    yield from (path for path in paths if is_remote(path))


def _images(written: tuple[str, ...] | ImagesEntry | None) -> tuple[str, ...]:
    return written.paths if isinstance(written, ImagesEntry) else written or ()
