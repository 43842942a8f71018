"""Does the best learning rate survive a change of width? Exact sweeps, predictions, and networks trained live."""

from compute.scaling_laws.mu_transfer.attention import attention_sweep
from compute.scaling_laws.mu_transfer.basin import Basin, prediction_basin
from compute.scaling_laws.mu_transfer.exact import exact_sweep
from compute.scaling_laws.mu_transfer.networks import CoordinateCheck, coordinate_check, network_sweep
from compute.scaling_laws.mu_transfer.prediction import Prediction, Predictions, loss_prediction
from compute.scaling_laws.mu_transfer.sweep import Arm, RateSweep

__all__ = [
    "Arm",
    "Basin",
    "CoordinateCheck",
    "Prediction",
    "Predictions",
    "RateSweep",
    "attention_sweep",
    "coordinate_check",
    "exact_sweep",
    "loss_prediction",
    "network_sweep",
    "prediction_basin",
]
