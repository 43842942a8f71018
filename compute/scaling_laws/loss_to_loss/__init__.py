"""Can one dataset's loss curve predict another's: a shifted power law between two losses, fitted, extrapolated and compared."""

from compute.scaling_laws.loss_to_loss.curves import (
    AgainstCompute,
    ExponentCloud,
    LossAgainstLoss,
    against_compute,
    exponent_cloud,
    loss_against_loss,
)
from compute.scaling_laws.loss_to_loss.maps import Advantage, MisfitMap, advantage, misfit_map

__all__ = [
    "Advantage",
    "AgainstCompute",
    "ExponentCloud",
    "LossAgainstLoss",
    "MisfitMap",
    "advantage",
    "against_compute",
    "exponent_cloud",
    "loss_against_loss",
    "misfit_map",
]
