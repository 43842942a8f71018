"""Sampling as repair and controlled damage: with noise, without it, and by a unitary."""

from compute.diffusion_samplers.restore_and_degrade.cold import ErrorLines, Strip, error_lines, strip
from compute.diffusion_samplers.restore_and_degrade.noise import (
    ErrorMap,
    LookbackMap,
    Paths,
    StepCurve,
    error_map,
    lookback_map,
    paths,
    step_curve,
)
from compute.diffusion_samplers.restore_and_degrade.unitary import CircuitLoss, circuit_loss

__all__ = [
    "CircuitLoss",
    "ErrorLines",
    "ErrorMap",
    "LookbackMap",
    "Paths",
    "StepCurve",
    "Strip",
    "circuit_loss",
    "error_lines",
    "error_map",
    "lookback_map",
    "paths",
    "step_curve",
    "strip",
]
