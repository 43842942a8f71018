"""How many samples until a score generates and no longer memorizes: smoothness, training time, subspaces."""

from compute.diffusion_samplers.sample_complexity.rates import (
    RateCurve,
    StopMap,
    Stopping,
    rate_curve,
    stop_map,
    stopping,
)
from compute.diffusion_samplers.sample_complexity.reader_table import OwnData, own_data
from compute.diffusion_samplers.sample_complexity.subspaces import Generated, RecoveryMap, generated, recovery_map
from compute.diffusion_samplers.sample_complexity.training import RiskCurve, WidthCurve, risk_curve, width_curve

__all__ = [
    "Generated",
    "OwnData",
    "RateCurve",
    "RecoveryMap",
    "RiskCurve",
    "StopMap",
    "Stopping",
    "WidthCurve",
    "generated",
    "own_data",
    "rate_curve",
    "recovery_map",
    "risk_curve",
    "stop_map",
    "stopping",
    "width_curve",
]
