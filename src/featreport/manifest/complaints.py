"""What the schema refuses, said in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import ErrorDetails

from featreport.manifest import jobs, schema
from featreport.manifest.scalars import Loc, describe, did_you_mean, join_words, nearest, quote, spell
from featreport.manifest.section import Section

SECTIONS: dict[str, type[Section]] = {
    "": schema.Document,
    "images": schema.ImagesEntry,
    "transform": schema.TransformEntry,
    "models[]": schema.Model,
    "models[].checkpoints[]": schema.CheckpointEntry,
    "models[].layers": schema.Layers,
    "models[].images": schema.ImagesEntry,
    "models[].transform": schema.TransformEntry,
    "statistics": schema.Statistics,
    "compare": jobs.Compare,
    "checks[]": jobs.Check,
    "remote": jobs.Remote,
    "report": schema.Report,
}
_HOME = {
    "": "the top level",
    "models[]": "a model",
    "models[].checkpoints[]": "a checkpoint",
    "checks[]": "a check",
}
_EXPECTED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
}
_MISSING_HINTS = {
    ("", "version"): "add 'version: 1'",
    ("", "models"): "a list of models, each with name, source and checkpoints",
    ("models[]", "name"): "the first part of its run ids",
    ("models[]", "source"): "torchvision:NAME or python:net.py:CALLABLE",
    ("models[]", "checkpoints"): "a list of at least one file, glob, weights:NAME or random:SEED",
}


def place(error: ErrorDetails) -> Loc:
    """Return where in the document an error is: the schema's own names for its branches are left out."""
    *parents, last = error["loc"] or ("",)
    kept = [part for part in parents if part not in schema.TAGS]
    if error["loc"] and (last not in schema.TAGS or error["type"] == "extra_forbidden"):
        kept.append(last)
    return tuple(kept)


def about_a_key(error: ErrorDetails) -> bool:
    """Say whether the error is about a key, missing or unknown, so about the mapping around it."""
    return error["type"] in {"extra_forbidden", "missing"}


def spurious(error: ErrorDetails) -> bool:
    """Say whether the error only follows from another: entries that are wrong are not counted as entries."""
    entries = error["input"]
    if error["type"] != "too_short" or not isinstance(entries, list):
        return False
    return len(entries) >= int(error["ctx"]["min_length"])


def sentence(error: ErrorDetails) -> str:
    """Return an error of the schema as a sentence: what was expected, what was there."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in _EXPECTED:
        bare = kind == "string_type" and isinstance(value, bool | int | float)
        return f"expected {_EXPECTED[kind]}, got {describe(value)}{' (put it in quotes)' if bare else ''}"
    if kind in _LIMITS:
        got = str(len(value)) if isinstance(value, list) and value else describe(value)
        return f"expected {_LIMITS[kind](context)}, got {got}"
    say = _SENTENCES.get(kind)
    return say(error) if say else f"not usable here: {describe(value)}"


def _word(error: ErrorDetails) -> str:
    value = error["input"]
    words = re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))
    return f"expected {join_words(words)}, got {describe(value)}{did_you_mean(value, words)}"


def _missing(error: ErrorDetails) -> str:
    loc = place(error)
    section = re.sub(r"\[\d+\]", "[]", spell(loc[:-1]))
    hint = _MISSING_HINTS.get((section, str(loc[-1])), "")
    return f"missing key {quote(str(loc[-1]))}" + (f" ({hint})" if hint else "")


def misspelt(error: ErrorDetails) -> str | None:
    """Return the key that an unknown key was probably meant to be."""
    loc = place(error)
    if error["type"] != "extra_forbidden":
        return None
    return nearest(str(loc[-1]), known_keys(loc[:-1]))


def known_keys(loc: Loc) -> Iterable[str]:
    """Return the keys that the mapping at `loc` may have; nothing where any may stand there."""
    section = re.sub(r"\[\d+\]", "[]", spell(loc))
    return SECTIONS[section].model_fields if section in SECTIONS else ()


def unknown_key(loc: Loc) -> str:
    """Return the sentence about a key that the mapping around it does not have, with what was probably meant."""
    key, known = str(loc[-1]), known_keys(loc[:-1])
    guess = did_you_mean(key, known)
    elsewhere = sorted(set(_homes(key)))
    if not guess and elsewhere:
        guess = f" (it belongs under {join_words(elsewhere)})"
    if not guess and known:
        guess = f" (known here: {', '.join(known)})"
    return f"unknown key {quote(key)}{guess}"


def _homes(key: str) -> Iterable[str]:
    for path, section in SECTIONS.items():
        if key in section.model_fields:
            yield _HOME.get(path) or repr(path.rpartition(".")[2])


def _at_least(context: dict[str, Any]) -> str:
    least = context["min_length"]
    return f"{least} values" if least > 1 else "at least one entry"


_LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda context: f"a number greater than {context['gt']:g}",
    "greater_than_equal": lambda context: f"a number of at least {context['ge']:g}",
    "less_than_equal": lambda context: f"a number of at most {context['le']}",
    "too_short": _at_least,
    "too_long": lambda context: f"{context['max_length']} values",
}
_SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    "extra_forbidden": lambda error: unknown_key(place(error)),
    "missing": _missing,
    "value_error": lambda error: str(error["ctx"]["error"]),
    "literal_error": _word,
    "branch": lambda error: f"{error['msg']}, got {describe(error['input'])}",
}
