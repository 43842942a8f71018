"""Absorbing diffusion: tokens that become masks and counts that die to black, and what reversing either costs."""

from compute.diffusion_samplers.absorbing_diffusion.counts import CountsCurve, Film, counts_curve, film
from compute.diffusion_samplers.absorbing_diffusion.pictures import Pictures, pictures
from compute.diffusion_samplers.absorbing_diffusion.truncation import PrecisionMap, Trap, precision_map, trap
from compute.diffusion_samplers.absorbing_diffusion.words import Raster, StepsCurve, raster, steps_curve

__all__ = [
    "CountsCurve",
    "Film",
    "Pictures",
    "PrecisionMap",
    "Raster",
    "StepsCurve",
    "Trap",
    "counts_curve",
    "film",
    "pictures",
    "precision_map",
    "raster",
    "steps_curve",
    "trap",
]
