"""What training past compute-optimal costs, and whether small runs predict it: loss, downstream error, lifetime cost."""

from compute.scaling_laws.over_training.accuracy import ErrorMap, prediction_error
from compute.scaling_laws.over_training.lifetime import Lifetime, lifetime_cost
from compute.scaling_laws.over_training.prediction import Downstream, Extrapolation, downstream_error, extrapolate_loss

__all__ = [
    "Downstream",
    "ErrorMap",
    "Extrapolation",
    "Lifetime",
    "downstream_error",
    "extrapolate_loss",
    "lifetime_cost",
    "prediction_error",
]
