"""Results → plain tables: the numbers behind every figure and row, in full precision, in the order of the model."""

from featreport.tables.depth import checkpoints, comparison, dead_by_depth, near_zero_by_depth
from featreport.tables.histograms import activation_histograms, weight_histograms, zeros_counted
from featreport.tables.layers import firing, layers
from featreport.tables.pictures import maps
from featreport.tables.runs import images, loads, overview, unmeasured
from featreport.tables.table import Column, Table, Value, cell_text, csv_text
from featreport.tables.tensors import buffers, norms, weights

PER_RUN = (
    layers,
    firing,
    activation_histograms,
    weights,
    weight_histograms,
    norms,
    buffers,
    dead_by_depth,
    near_zero_by_depth,
    maps,
)
OVER_RUNS = (overview, loads, images, unmeasured, comparison)

__all__ = [
    "OVER_RUNS",
    "PER_RUN",
    "Column",
    "Table",
    "Value",
    "activation_histograms",
    "buffers",
    "cell_text",
    "checkpoints",
    "comparison",
    "csv_text",
    "dead_by_depth",
    "firing",
    "images",
    "layers",
    "loads",
    "maps",
    "near_zero_by_depth",
    "norms",
    "overview",
    "unmeasured",
    "weight_histograms",
    "weights",
    "zeros_counted",
]
