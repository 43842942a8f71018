"""What a routed language model is worth in dense parameters: the bilinear law, its routers, its collapse, its refit."""

from compute.scaling_laws.routed_models.fitting import CONSTANTS, Refit, refit
from compute.scaling_laws.routed_models.law import FITTED_EXPERTS, FITTED_SIZE
from compute.scaling_laws.routed_models.maps import (
    Collapse,
    LossCurves,
    Routers,
    WorthMap,
    collapse,
    loss_curves,
    routers,
    worth_map,
)

__all__ = [
    "CONSTANTS",
    "FITTED_EXPERTS",
    "FITTED_SIZE",
    "Collapse",
    "LossCurves",
    "Refit",
    "Routers",
    "WorthMap",
    "collapse",
    "loss_curves",
    "refit",
    "routers",
    "worth_map",
]
