"""Samplers of a few steps, tuned: fitted coefficients, searched noise levels, and early exits from the denoiser."""

from compute.diffusion_samplers.tuned_few_step_samplers.early_exit import ExitMap, exit_map
from compute.diffusion_samplers.tuned_few_step_samplers.grid_search import FoundGrid, found_grid
from compute.diffusion_samplers.tuned_few_step_samplers.tuning import (
    Coefficients,
    Landing,
    StepCurve,
    coefficients,
    landing,
    step_curve,
)

__all__ = [
    "Coefficients",
    "ExitMap",
    "FoundGrid",
    "Landing",
    "StepCurve",
    "coefficients",
    "exit_map",
    "found_grid",
    "landing",
    "step_curve",
]
