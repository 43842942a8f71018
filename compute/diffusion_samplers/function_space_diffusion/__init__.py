"""Diffusion of functions: trace-class noise, exact scores in Laplace modes, sampling points and meshes (papers 388 and 333)."""

from compute.diffusion_samplers.function_space_diffusion.fields import FieldMovie, Spectrum, field_draws, mode_spectrum
from compute.diffusion_samplers.function_space_diffusion.growth import Growth, GrowthMap, growth_map, mode_growth
from compute.diffusion_samplers.function_space_diffusion.meshes import Transfer, mesh_transfer
from compute.diffusion_samplers.function_space_diffusion.sampling import Reconstruction, enough_points

__all__ = [
    "FieldMovie",
    "Growth",
    "GrowthMap",
    "Reconstruction",
    "Spectrum",
    "Transfer",
    "enough_points",
    "field_draws",
    "growth_map",
    "mesh_transfer",
    "mode_growth",
    "mode_spectrum",
]
