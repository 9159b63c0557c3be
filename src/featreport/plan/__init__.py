from featreport.plan.resolve import resolve
from featreport.plan.types import CheckpointRef, ImageRef, Plan, RunPlan, SourceRef, TransformSpec

__all__ = ["CheckpointRef", "ImageRef", "Plan", "RunPlan", "SourceRef", "TransformSpec", "resolve"]
