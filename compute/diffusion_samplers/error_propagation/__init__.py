"""Errors of a score along the reverse chain: split, budgeted, and calibrated away."""

from compute.diffusion_samplers.error_propagation.chain import Budget, Propagation, budget, propagation
from compute.diffusion_samplers.error_propagation.flow import ErrorCurve, HorizonMap, error_curve, horizon_map
from compute.diffusion_samplers.error_propagation.martingale import Calibration, ScorePaths, calibration, score_paths

__all__ = [
    "Budget",
    "Calibration",
    "ErrorCurve",
    "HorizonMap",
    "Propagation",
    "ScorePaths",
    "budget",
    "calibration",
    "error_curve",
    "horizon_map",
    "propagation",
    "score_paths",
]
