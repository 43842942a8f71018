"""Consistency maps: jumps along the probability flow, exact or erring, and what learning them from small steps gives."""

from compute.diffusion_samplers.consistency_maps.discrete import Discretization, discretization
from compute.diffusion_samplers.consistency_maps.jumps import Jumps, RenoiseMap, StepCurve, jumps, renoise_map, step_curve
from compute.diffusion_samplers.consistency_maps.training import Training, training

__all__ = [
    "Discretization",
    "Jumps",
    "RenoiseMap",
    "StepCurve",
    "Training",
    "discretization",
    "jumps",
    "renoise_map",
    "step_curve",
    "training",
]
