"""Data or compute in value-based reinforcement learning: laws in the updates-to-data ratio, their optimum, and a toy that has them."""

from compute.scaling_laws.value_based_rl.fit import DataFit, data_fit
from compute.scaling_laws.value_based_rl.plan import CostCurves, Frontier, RatioMap, cost_curves, frontier, ratio_map
from compute.scaling_laws.value_based_rl.toy import ToyLaw, toy_law

__all__ = [
    "CostCurves",
    "DataFit",
    "Frontier",
    "RatioMap",
    "ToyLaw",
    "cost_curves",
    "data_fit",
    "frontier",
    "ratio_map",
    "toy_law",
]
