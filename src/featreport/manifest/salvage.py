"""The parts of a faulty manifest that are right, so that their paths and names can be looked up all the same."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from featreport.manifest.schema import Document, Model

_STAND_IN: dict[str, Any] = {"name": "-", "source": "none", "checkpoints": ["random:0"]}
_SEEDS = 2**62  # seeds nobody writes: each stands where a checkpoint is faulty


def salvage(value: dict[str, Any]) -> Document:
    """Return the document with harmless stand-ins for what the schema refuses; it is to be looked at, never run.

    Every model and checkpoint keeps its place, so that a complaint about it names the right one. Images that are
    faulty, or whose key may be the one that is misspelt, become no images at all, which nothing complains about.
    """
    known = {key: value[key] for key in Document.model_fields if key in value}
    models = known.get("models")
    kept = [_model(model) for model in models] if isinstance(models, list) else []
    fields = {"version": 1, "models": [_STAND_IN]}
    for key in (key for key in known if key not in fields):
        if _is_right({**fields, key: known[key]}):
            fields[key] = known[key]
    document = Document.model_validate(fields)
    changes: dict[str, Any] = {"models": tuple(kept)}
    if "images" not in fields and ("images" in known or len(known) < len(value)):
        changes["images"] = ()
    return document.model_copy(update=changes)


def _is_right(fields: dict[str, Any]) -> bool:
    try:
        Document.model_validate(fields)
    except ValidationError:
        return False
    return True


def _model(value: Any) -> Model:
    if not isinstance(value, dict):
        return _without_checkpoints(Model.model_validate(_STAND_IN))
    fields = {key: value[key] for key in Model.model_fields if key in value}
    checkpoints = fields.get("checkpoints")
    if isinstance(checkpoints, list):
        fields["checkpoints"] = [_checkpoint(entry, place) for place, entry in enumerate(checkpoints)]
    wrong = _wrong(fields)
    model = Model.model_validate(_STAND_IN | {key: kept for key, kept in fields.items() if key not in wrong})
    if "images" in wrong or ("images" not in fields and len(fields) < len(value)):
        model = model.model_copy(update={"images": ()})
    return _without_checkpoints(model) if "checkpoints" in wrong else model


def _wrong(fields: dict[str, Any]) -> set[str]:
    """Return the keys of a model whose values are refused, or that are missing."""
    try:
        Model.model_validate(fields)
    except ValidationError as error:
        return {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
    return set()


def _checkpoint(value: Any, place: int) -> Any:
    try:
        Model.model_validate({**_STAND_IN, "checkpoints": [value]})
    except ValidationError:
        path = value.get("path") if isinstance(value, dict) else None
        bare = {**_STAND_IN, "checkpoints": [path]}
        if isinstance(path, str) and not _wrong(bare):
            return {"path": path, "name": f"{_SEEDS + place}"}
        return f"random:{_SEEDS + place}"
    return value


def _without_checkpoints(model: Model) -> Model:
    return model.model_copy(update={"checkpoints": ()})
