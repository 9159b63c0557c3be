"""How a file's names become the model's: prefixes and suffixes derived from the names themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

MAX_CUTS = 16  # parts of one name that are tried
MAX_LENGTH = 1024  # of a name whose parts are tried
TRIED = 8  # the most frequent prefixes
SUFFIXES_TRIED = 3

# DataParallel and DDP, torch.compile, FSDP, activation checkpointing: a name's part that is theirs alone.
_WRAPPER = re.compile(
    r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
# torchvision's DenseNets were published with these names; torchvision rewrites them on download, so do we.
_OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))"
)
# Ends of names that are one of several parts of a tensor, which alone it must not be taken for.
_PART = re.compile(r"[._](orig|mask|g|v|u|original\d?)$")


@dataclass(frozen=True)
class Renaming:
    """What is taken off a file's names: wrappers inside them first, then one prefix and one suffix."""

    prefix: str = ""
    suffix: str = ""
    unwrapped: bool = False
    modern: bool = False

    def __call__(self, name: str) -> str:
        """Return the new name."""
        return self.inner(name).removeprefix(self.prefix).removesuffix(self.suffix)

    def inner(self, name: str) -> str:
        """Return the name with what is changed inside it alone."""
        if self.unwrapped:
            name = unwrapped(name)
        return _OLD_DENSENET.sub(r"\1\2", name) if self.modern else name

    def described(self, names: Collection[str]) -> list[str]:
        """Return what was changed inside the names, for the audit; prefix and suffix have fields of their own."""
        found = []
        if self.unwrapped:
            count = sum(_WRAPPER.search(name) is not None for name in names)
            parts = sorted({match[0] for name in names for match in _WRAPPER.finditer(name)})
            found.append(f"{', '.join(parts)} removed from inside {count} names")
        if self.modern:
            found.append("old DenseNet names rewritten as torchvision does")
        return found


def unwrapped(name: str) -> str:
    """Return the name without the parts that wrappers added."""
    return _WRAPPER.sub("", name, count=MAX_CUTS)


def renamings(expected: Collection[str], names: Collection[str]) -> Iterator[Renaming]:
    """Yield the renamings that may raise the match, the plainest first."""
    plain = list(names)
    tried: list[list[str]] = []
    for base in (
        Renaming(),
        Renaming(unwrapped=True),
        Renaming(modern=True),
        Renaming(unwrapped=True, modern=True),
    ):
        inner = [base.inner(name) for name in plain]
        if inner in tried:
            continue
        tried.append(inner)
        yield base
        for prefix, _ in prefixes(expected, inner)[:TRIED]:
            yield replace(base, prefix=prefix)
        for suffix, _ in _affixes(expected, inner, _starts_of)[:SUFFIXES_TRIED]:
            shorter = [name.removesuffix(suffix) for name in inner]
            yield replace(base, suffix=suffix)
            for prefix, _ in prefixes(expected, shorter)[:TRIED]:
                yield replace(base, prefix=prefix, suffix=suffix)


def prefixes(expected: Collection[str], names: Iterable[str]) -> list[tuple[str, int]]:
    """Return what stands before an expected name in `names` and how often, the most frequent first."""
    return _affixes(expected, names, _ends_of)


def _affixes(
    expected: Collection[str], names: Iterable[str], split: Callable[[str], Iterator[tuple[str, str]]]
) -> list[tuple[str, int]]:
    """Return what is left of the names beside an expected one, the most frequent first."""
    counts: Counter[str] = Counter()
    for name in names:
        if len(name) <= MAX_LENGTH:
            counts.update(affix for affix, rest in split(name) if rest in expected)
    return counts.most_common()


def _ends_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield (prefix, rest) at every dot, longest rest first."""
    at = name.find(".")
    for _ in range(MAX_CUTS):
        if at < 0:
            return
        yield name[: at + 1], name[at + 1 :]
        at = name.find(".", at + 1)


def _starts_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield (suffix, rest) at the marks that set one off, longest rest first; parts of a tensor are none."""
    if _PART.search(name):
        return
    marks = [found.start() for found in re.finditer(r"[._:/]", name[1:])]
    for at in reversed(marks[-MAX_CUTS:]):
        yield name[at + 1 :], name[: at + 1]
