"""Published weights; torchvision's are found by name, fetched once into torch.hub's folder, verified by hash."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch
import torchvision

from featreport.checkpoints import hub
from featreport.errors import CheckpointError
from featreport.plan.types import SourceRef

TIMEOUT = 30  # seconds without a byte
CHUNK = 2**20
_HASH = re.compile(
    r"-([0-9a-f]{8,64})\."
)  # torch.hub's convention: the start of the sha256 stands in the file's name


def fetch(source: SourceRef, name: str) -> Path:
    """Return the local file of the published weights `name`, downloaded if it is not there yet.

    Raises:
        CheckpointError: no such weights, or the file cannot be fetched or is not the published one.
    """
    if source.kind == "timm":
        return hub.fetch(source, name)
    url = _url(source, name)
    parts = urlsplit(url)
    file = unquote(parts.path).rpartition("/")[2]
    if parts.scheme not in {"https", "http", "file"} or not file:
        raise CheckpointError(
            f"weights:{name} has an address featreport does not open: {url}", "name a file instead"
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / file
    if path.is_file():
        with path.open("rb") as stream:
            _verify(
                file,
                hashlib.file_digest(stream, "sha256").hexdigest(),
                f"delete {_short(path)} to fetch it again",
            )
        return path
    by_hand = f"fetch {url} elsewhere and put it into {_short(folder)} as {file}"
    try:
        _download(url, path, by_hand)
    except OSError as error:  # URLError, HTTPError and timeouts are among them
        reason = getattr(error, "reason", None) or error.strerror or error
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise CheckpointError(
            f"{file} could not be fetched: {' '.join(str(reason).split())}", by_hand
        ) from error
    return path


def _url(source: SourceRef, name: str) -> str:
    if source.kind != "torchvision":
        raise CheckpointError(
            f"weights:{name} needs a torchvision or timm source, not {source.text}", "name a file instead"
        )
    try:
        known = torchvision.models.get_model_weights(source.name).__members__
    except (ValueError, KeyError):
        raise CheckpointError(f"weights:{name}: torchvision knows no model {source.name!r}", "") from None
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise CheckpointError(
            f"weights:{name} were not published for {source.name}; there are: {', '.join(known) or 'none'}",
            f"did you mean weights:{near[0]}?" if near else "name a file instead",
        )
    return str(known[name].url)


def _download(url: str, path: Path, by_hand: str) -> None:
    """Fetch `url` to `path`, which appears whole and verified or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".partial")
    digest, received = hashlib.sha256(), 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "featreport"})  # noqa: S310 – scheme checked above
        with (
            os.fdopen(handle, "wb") as out,
            urllib.request.urlopen(request, timeout=TIMEOUT) as answer,  # noqa: S310
        ):
            promised = answer.headers.get("Content-Length")
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                digest.update(chunk)
                received += len(chunk)
        if promised is not None and received != int(promised):
            raise OSError(f"the connection ended after {received:,} of {int(promised):,} bytes")
        _verify(path.name, digest.hexdigest(), by_hand)
        Path(partial).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(partial).unlink()


def _verify(file: str, sha256: str, hint: str) -> None:
    expected = _HASH.search(file)
    if expected and not sha256.startswith(expected[1]):
        raise CheckpointError(
            f"{file} is not the published file: its sha256 begins {sha256[:8]}, not {expected[1][:8]}", hint
        )


def _short(path: Path) -> str:
    """Write the home folder as ~, so that no user name stands in a report."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
