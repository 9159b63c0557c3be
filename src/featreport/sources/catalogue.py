"""What torchvision publishes, read from its source text; torch is not imported."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

_BUILDER = re.compile(r"^@register_model\(([^)]*)\)\n", re.MULTILINE)
_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)
_WEIGHTS = re.compile(r"\bweights\s*:[^=]*?\b(\w+Weights)\b")
_ENUM = re.compile(r"^class (\w+)\(WeightsEnum\):\n", re.MULTILINE)
_MEMBER = re.compile(r"^    ([A-Z]\w*)\s*=\s*Weights\(", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^\S", re.MULTILINE)


@functools.cache
def torchvision_models() -> dict[str, tuple[str, ...]]:
    """Return torchvision's model names, each with the names of its published weights.

    Empty when torchvision is not installed or its source no longer looks as expected: nothing is then known.
    """
    texts = [_read(file) for file in _files()]
    enums = {name: weights for text in texts for name, weights in _enums(text)}
    found = {name: enums.get(enum, ()) for text in texts for name, enum in _builders(text)}
    return dict(sorted(found.items()))


def _enums(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for match in _ENUM.finditer(text):
        after = _TOP_LEVEL.search(text, match.end())
        yield match[1], tuple(_MEMBER.findall(text, match.end(), after.start() if after else len(text)))


def _builders(text: str) -> Iterator[tuple[str, str]]:
    """Yield each registered model's name and the class of its weights."""
    for match in _BUILDER.finditer(text):
        function = _FUNCTION.search(text, match.end())
        if function is None:
            continue
        arguments = text[function.end() : text.find("->", function.end())]
        weights = _WEIGHTS.search(arguments)
        given = re.search(r"[\"'](\w+)[\"']", match[1])
        yield given[1] if given else function[1], weights[1] if weights else ""


def _files() -> list[Path]:
    try:
        spec = importlib.util.find_spec("torchvision")
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "models").rglob("*.py"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
