"""Results → plain tables: the numbers behind every figure and row, in full precision, in the order of the model."""

from featreport.tables.builds import builds, similarities
from featreport.tables.checks import checks
from featreport.tables.depth import (
    TAU,
    Compared,
    checkpoints,
    comparison,
    dead_by_depth,
    dormant_by_depth,
    near_zero_by_depth,
    near_zero_comparison,
)
from featreport.tables.histograms import activation_histograms, histograms, weight_histograms, zeros_counted
from featreport.tables.layers import fired, firing, layers
from featreport.tables.pictures import kernel_norms, kernels, maps
from featreport.tables.runs import definitions, images, loads, overview, unmeasured
from featreport.tables.table import Column, Table, Value, cell_text, csv_text
from featreport.tables.tensors import buffers, norms, weights
from featreport.tables.trajectories import Trajectories, trajectories, trajectory_table

PER_RUN = (
    layers,
    firing,
    activation_histograms,
    weights,
    weight_histograms,
    norms,
    buffers,
    dead_by_depth,
    dormant_by_depth,
    near_zero_by_depth,
    maps,
    kernels,
    kernel_norms,
)
OVER_RUNS = (
    overview,
    checks,
    loads,
    images,
    unmeasured,
    comparison,
    near_zero_comparison,
    trajectory_table,
    builds,
    similarities,
    definitions,
)

__all__ = [
    "OVER_RUNS",
    "PER_RUN",
    "TAU",
    "Column",
    "Compared",
    "Table",
    "Trajectories",
    "Value",
    "activation_histograms",
    "buffers",
    "builds",
    "cell_text",
    "checkpoints",
    "checks",
    "comparison",
    "csv_text",
    "dead_by_depth",
    "definitions",
    "dormant_by_depth",
    "fired",
    "firing",
    "histograms",
    "images",
    "kernel_norms",
    "kernels",
    "layers",
    "loads",
    "maps",
    "near_zero_by_depth",
    "near_zero_comparison",
    "norms",
    "overview",
    "similarities",
    "trajectories",
    "trajectory_table",
    "unmeasured",
    "weight_histograms",
    "weights",
    "zeros_counted",
]
