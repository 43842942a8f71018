"""Exact diffusion on circles, spheres and rotations: heat kernels, their approximations, and sampling with exact scores."""

from compute.diffusion_samplers.riemannian_heat_kernels.kernels import (
    AngleLaw,
    Classes,
    ErrorMap,
    Terms,
    angle_law,
    rotation_classes,
    score_errors,
    terms_needed,
)
from compute.diffusion_samplers.riemannian_heat_kernels.sampler import Flow, reverse_flow

__all__ = [
    "AngleLaw",
    "Classes",
    "ErrorMap",
    "Flow",
    "Terms",
    "angle_law",
    "reverse_flow",
    "rotation_classes",
    "score_errors",
    "terms_needed",
]
