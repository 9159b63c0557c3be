"""What every part of a manifest is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of the manifest's parts: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
