"""Diffusion with a momentum: damping, integrators of the reverse flow, and phase bridges, all with exact scores."""

from compute.diffusion_samplers.phase_space_diffusion.bridge import EarlyEstimate, early_estimate
from compute.diffusion_samplers.phase_space_diffusion.flow import (
    OrderStudy,
    PhaseFlow,
    StabilityMap,
    order_study,
    phase_flow,
    stability_map,
)
from compute.diffusion_samplers.phase_space_diffusion.process import DampingMap, damping_map

__all__ = [
    "DampingMap",
    "EarlyEstimate",
    "OrderStudy",
    "PhaseFlow",
    "StabilityMap",
    "damping_map",
    "early_estimate",
    "order_study",
    "phase_flow",
    "stability_map",
]
