"""Paired bridges: implicit samplers of a diffusion pinned at its input, and Markov bridges between paired categories."""

from compute.transport_bridges.paired_bridges.categories import Errors, Raster, errors, raster
from compute.transport_bridges.paired_bridges.runs import Booting, Evaluations, Fan, booting, evaluations, fan
from compute.transport_bridges.paired_bridges.spread import NoiseMap, noise_map
from compute.transport_bridges.paired_bridges.strings import Substitution, substitution

__all__ = [
    "Booting",
    "Errors",
    "Evaluations",
    "Fan",
    "NoiseMap",
    "Raster",
    "Substitution",
    "booting",
    "errors",
    "evaluations",
    "fan",
    "noise_map",
    "raster",
    "substitution",
]
