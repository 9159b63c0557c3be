from featreport.manifest.editor import json_schema, starter
from featreport.manifest.read import load
from featreport.manifest.schema import CheckpointEntry, ImagesEntry, Manifest, Model, TransformEntry

__all__ = [
    "CheckpointEntry",
    "ImagesEntry",
    "Manifest",
    "Model",
    "TransformEntry",
    "json_schema",
    "load",
    "starter",
]
