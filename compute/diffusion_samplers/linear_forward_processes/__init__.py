"""Linear forward processes: anisotropic and rotating noise in the plane, and noise through auxiliary coordinates."""

from compute.diffusion_samplers.linear_forward_processes.auxiliary import Auxiliaries, auxiliaries
from compute.diffusion_samplers.linear_forward_processes.planar import (
    Mixing,
    PriceMap,
    Spectrum,
    Spirals,
    mixing,
    price_map,
    spectrum,
    spirals,
)

__all__ = [
    "Auxiliaries",
    "Mixing",
    "PriceMap",
    "Spectrum",
    "Spirals",
    "auxiliaries",
    "mixing",
    "price_map",
    "spectrum",
    "spirals",
]
