"""The single values of a manifest: what each may look like, and the sentence when it does not."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from featreport.manifest import metrics
from featreport.manifest.scalars import describe, did_you_mean, join_words, quote

SOURCE_FORMS = (
    "torchvision:NAME",
    "timm:NAME",
    "python:net.py:CALLABLE",
    "python:package.module:CALLABLE",
    "none",
)
SOURCE_KINDS = ("torchvision", "timm", "python")
DEVICES = ("auto", "cpu", "cuda", "cuda:1", "mps", "xpu")
PRESETS = ("imagenet", "weights", "none")
LARGEST_SIDE = 16_384  # pixels
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DOTTED = r"[^\W\d]\w*(\.[^\W\d]\w*)*"


def _clean(text: str) -> str:
    if not text.strip():
        raise ValueError("expected text, got an empty text")
    if not text.isprintable():
        raise ValueError(f"expected text on one line without control characters, got {quote(text)}")
    return text


def _model_name(text: str) -> str:
    if "/" in text:
        raise ValueError(
            f"a model's name must not contain '/', got {quote(text)} (run ids are model/checkpoint)"
        )
    if text != text.strip():
        raise ValueError(f"a name must not begin or end with a space, got {quote(text)}")
    return text


def _python(text: str) -> bool:
    """Say whether `FILE.py:CALLABLE` or `package.module:CALLABLE` is well formed."""
    place, colon, name = text.rpartition(":")
    right_place = (place.endswith(".py") and place != ".py") or re.fullmatch(_DOTTED, place) is not None
    return bool(colon) and right_place and re.fullmatch(_DOTTED, name) is not None


def _source(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if text == "none":
        return text
    if kind in {"torchvision", "timm"} and re.fullmatch(r"[\w./-]+", rest):
        return text
    if kind == "python" and _python(rest):
        return text
    guess = did_you_mean(kind, SOURCE_KINDS) if colon else ""
    if not colon and re.fullmatch(r"[\w.]+", text):
        guess = f" (did you mean {'torchvision:' + text!r}?)"
    raise ValueError(f"expected {join_words(SOURCE_FORMS)}, got {quote(text)}{guess}")


def _package(text: str) -> str:
    """Check `package:DISTRIBUTION/path` where the text begins so; any other path passes."""
    if text.startswith("package:"):
        distribution, _, inside = text.removeprefix("package:").partition("/")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", distribution) or not inside:
            raise ValueError(f"expected package:DISTRIBUTION/path/in/it, got {quote(text)}")
        if ".." in inside.split("/") or inside.startswith("/"):
            raise ValueError(f"expected a path inside the distribution, got {quote(text)}")
    return text


def _checkpoint(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or "/" in kind:
        return text
    if kind == "random" and not (re.fullmatch(r"[0-9]{1,19}", rest) and int(rest) < 2**63):
        raise ValueError(f"expected random:SEED with a whole number from 0 to 2**63 - 1, got {quote(text)}")
    if kind == "weights" and not re.fullmatch(r"\w+", rest):
        raise ValueError(f"expected weights:NAME such as weights:IMAGENET1K_V1, got {quote(text)}")
    if kind not in {"random", "weights", "package"}:
        guess = did_you_mean(kind, ("random", "weights", "package"))
        if guess:
            raise ValueError(f"expected a path, package:, weights: or random:, got {quote(text)}{guess}")
    return _package(text)


def _transform(text: str) -> str:
    if text in PRESETS or (text.startswith("python:") and _python(text.removeprefix("python:"))):
        return text
    if text.startswith("python:"):
        forms = "python:file.py:CALLABLE or python:package.module:CALLABLE"
        raise ValueError(f"expected {forms}, got {quote(text)}")
    known = join_words((*PRESETS, "python:file.py:CALLABLE", "a mapping"))
    raise ValueError(f"expected {known}, got {quote(text)}{did_you_mean(text, PRESETS)}")


def _device(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"auto|cpu|mps|xpu|cuda(:[0-9]{1,3})?", value):
        guess = " (did you mean 'cuda'?)" if value.casefold() == "gpu" else did_you_mean(value, DEVICES)
        raise ValueError(f"expected {join_words(DEVICES)}, got {quote(value)}{guess}")
    return value


def _batch_size(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6
    if value != "auto" and not whole:
        raise ValueError(f"expected auto or a whole number greater than 0, got {describe(value)}")
    return None if value == "auto" else value


def bytes_of(value: Any) -> int:
    """Turn 15MB, 500KB, 2MiB or a number of bytes into bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = (
        re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)", value)
        if isinstance(value, str)
        else None
    )
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or float(match[1]) * unit < 1:
        raise ValueError(f"expected a size such as 15MB or 500KB, got {describe(value)}")
    return int(float(match[1]) * unit)


def _seconds(value: Any) -> float:
    """Turn 90s, 30min or 2h into seconds."""
    match = (
        re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|min|h)", value) if isinstance(value, str) else None
    )
    if match is None or not float(match[1]):
        text = value if isinstance(value, str) else ""
        guess = f" (did you mean '{text}in'?)" if re.fullmatch(r"[0-9.]+ ?m", text) else ""
        raise ValueError(f"expected a time such as 90s, 30min or 2h, got {describe(value)}{guess}")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def _metric(text: str) -> str:
    wrong = metrics.problem(text)
    if wrong:
        raise ValueError(wrong)
    return text


def _sha256(value: Any) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"expected a SHA-256, 64 hex digits (sha256sum FILE), got {describe(value)}")
    return text


Text = Annotated[str, Strict(), AfterValidator(_clean)]
Sha256 = Annotated[
    str, BeforeValidator(_sha256), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"})
]
ModelName = Annotated[Text, AfterValidator(_model_name)]
Source = Annotated[Text, AfterValidator(_source)]
CheckpointPath = Annotated[Text, AfterValidator(_checkpoint)]
ImagePath = Annotated[Text, AfterValidator(_package)]
TransformName = Annotated[Text, AfterValidator(_transform)]
Metric = Annotated[Text, AfterValidator(_metric)]
YesNo = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Pixels = Annotated[int, Strict(), Field(ge=1, le=LARGEST_SIDE)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Device = Annotated[
    str, Strict(), BeforeValidator(_device), WithJsonSchema({"type": "string", "examples": list(DEVICES)})
]
BatchSize = Annotated[
    int | None,
    BeforeValidator(_batch_size),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(s|min|h)$", "examples": ["30min"]}),
]
Bytes = Annotated[
    int,
    BeforeValidator(bytes_of),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9.]+ ?[A-Za-z]*$"}]}
    ),
]
