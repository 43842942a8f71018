"""How sparse a mixture of experts should be: the law within a budget, its optimum, its worth in dense compute, its refit."""

from compute.scaling_laws.moe_sparsity.fitting import Refit, refit
from compute.scaling_laws.moe_sparsity.maps import LossMap, MultiplierMap, loss_map, multiplier_map
from compute.scaling_laws.moe_sparsity.optima import Constraints, Frontier, constraints, frontier
from compute.scaling_laws.moe_sparsity.setting import FITTED_COMPUTE, FITTED_SHARE

__all__ = [
    "FITTED_COMPUTE",
    "FITTED_SHARE",
    "Constraints",
    "Frontier",
    "LossMap",
    "MultiplierMap",
    "Refit",
    "constraints",
    "frontier",
    "loss_map",
    "multiplier_map",
    "refit",
]
