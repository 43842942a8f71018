"""How many epochs is your data worth: the law of repeated tokens, its optimum, its fit, and a regression that repeats its data."""

from compute.scaling_laws.data_constrained.fit import FittedRuns, fit_runs
from compute.scaling_laws.data_constrained.law import Allocation, RepeatMap, optimal_allocation, repeat_map
from compute.scaling_laws.data_constrained.regression import (
    EpochCurves,
    Valley,
    Worth,
    effective_data,
    epoch_curves,
    fixed_compute,
)

__all__ = [
    "Allocation",
    "EpochCurves",
    "FittedRuns",
    "RepeatMap",
    "Valley",
    "Worth",
    "effective_data",
    "epoch_curves",
    "fit_runs",
    "fixed_compute",
    "optimal_allocation",
    "repeat_map",
]
