from featreport.manifest.editor import json_schema, missing, starter
from featreport.manifest.jobs import Check
from featreport.manifest.read import load, read
from featreport.manifest.schema import (
    CheckpointEntry,
    ImagesEntry,
    Manifest,
    Model,
    Report,
    TransformEntry,
)
from featreport.manifest.values import bytes_of

__all__ = [
    "Check",
    "CheckpointEntry",
    "ImagesEntry",
    "Manifest",
    "Model",
    "Report",
    "TransformEntry",
    "bytes_of",
    "json_schema",
    "load",
    "missing",
    "read",
    "starter",
]
