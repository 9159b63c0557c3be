"""`extends: base.yaml`: a manifest on top of another, read as one document."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from featreport.manifest.compose import compose
from featreport.manifest.scalars import describe, did_you_mean, quote
from featreport.manifest.tree import Mark, Node, Slip, UnreadableError, beyond, mapped
from featreport.manifest.variables import Variables

MAX_BYTES = 2**20  # of all manifests of a chain together
MAX_BASES = 8


@dataclass(frozen=True)
class Base:
    """A manifest that another extends: its name as written there, never absolute, and its text."""

    name: str
    text: str


@dataclass
class Chain:
    """The manifests of one build as they are read: the first, the one it extends, and so on."""

    variables: Variables
    slips: list[Slip] = field(default_factory=list)
    bases: list[Base] = field(default_factory=list)
    text: str = ""  # of the first
    _files: list[str] = field(default_factory=list)
    _size: int = 0

    def whole(self, content: bytes, file: str) -> Node:
        """Return the document in `content` with what it extends below it; `file` is its name in messages.

        Raises:
            UnreadableError: it or one of its bases cannot be read any further.
        """
        self._size += len(content)
        if self._size > MAX_BYTES:
            what = "this is not a manifest" if not self._files else "with the manifests that extend it"
            raise UnreadableError(Slip(Mark(file, 1, 1), "", f"larger than {MAX_BYTES:,} bytes: {what}"))
        text = _decode(content, file)
        if self._files:
            self.bases[-1] = Base(self.bases[-1].name, text)
        else:
            self.text = text
        self._files.append(file)
        composed = compose(text, file, self.variables)
        self.slips += composed.slips
        root = composed.root
        named = root.get("extends")
        if len(self._files) > 1:
            self._check(root)
        if named is None:
            return root
        own = mapped(root.mark, tuple(entry for entry in root.entries or () if entry[0] != "extends"))
        return beyond(_merged(self._base(named, file), own), root.mark)

    def _check(self, root: Node) -> None:
        """Note what of a base would not show in the whole."""
        if root.entries is None:
            what = f"expected a mapping, got {'a list' if root.items is not None else describe(root.scalar)}"
            raise UnreadableError(Slip(root.mark, "", what))
        version = root.get("version")
        if version is not None and version.scalar != 1 and not version.unknown:
            got = describe(version.scalar)
            message = f"this featreport reads manifests of version 1, got {got}"
            self.slips.append(Slip(version.mark, "version", message))

    def _base(self, named: Node, file: str) -> Node:
        def stop(message: str) -> UnreadableError:
            return UnreadableError(Slip(named.mark, "extends", message))

        written = named.scalar
        if named.unknown:
            raise stop(named.wrong[0])
        if not isinstance(written, str) or not written.strip() or not written.isprintable():
            got = describe(written) if named.height == 0 else "a list or a mapping"
            raise stop(f"expected the path of a manifest, got {got}")
        inside = os.path.expanduser(written)  # noqa: PTH111 - never raises, unlike Path.expanduser
        path = os.path.normpath(Path(file).parent / inside)
        files = [*self._files, path]
        if Path(path).resolve() in {Path(one).resolve() for one in self._files}:
            raise stop(f"{quote(written)} leads in a circle: {' → '.join(files)}")
        if len(files) > MAX_BASES + 1:
            raise stop(f"more than {MAX_BASES} manifests below one another")
        try:
            with Path(path).open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise stop(f"{quote(written)}: {why(error)}{_sibling(Path(path))}") from None
        outside = Path(inside).is_absolute()
        self.bases.append(Base("/".join(Path(path).parts[-2:]) if outside else written, ""))
        return self.whole(content, path)


def _merged(base: Node, own: Node) -> Node:
    """Return `own` on top of `base`: mappings key by key, everything else replaced."""
    if base.entries is None or own.entries is None:
        return own
    mine = {key: (mark, node) for key, mark, node in own.entries}
    entries = []
    for key, mark, node in base.entries:
        above = mine.pop(key, None)
        entries.append((key, above[0], _merged(node, above[1])) if above else (key, mark, node))
    return mapped(own.mark, (*entries, *((key, mark, node) for key, (mark, node) in mine.items())))


def why(error: OSError | ValueError) -> str:
    """Return in words why a manifest could not be opened."""
    match error:
        case FileNotFoundError():
            return "no such file"
        case IsADirectoryError():
            return "is a folder, expected a manifest file"
        case PermissionError():
            return "cannot be read (no permission)"
        case OSError():
            return f"cannot be read ({error.strerror})"
    return "not a usable file name"


def _sibling(path: Path) -> str:
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except (OSError, ValueError):
        return ""


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise UnreadableError(Slip(mark, "", "not UTF-8 text: save the file as UTF-8")) from None
