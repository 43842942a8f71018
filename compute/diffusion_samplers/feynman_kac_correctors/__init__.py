"""Feynman-Kac correctors: particles with weights, the variance without them, and unions of shards."""

from compute.diffusion_samplers.feynman_kac_correctors.particles import (
    N_UNION,
    Correction,
    Scaling,
    UnionMap,
    Weights,
    correction,
    scaling,
    union_map,
    weights,
)
from compute.diffusion_samplers.feynman_kac_correctors.variance import VarianceMap, heuristic_variance, variance_map

__all__ = [
    "N_UNION",
    "Correction",
    "Scaling",
    "UnionMap",
    "VarianceMap",
    "Weights",
    "correction",
    "heuristic_variance",
    "scaling",
    "union_map",
    "variance_map",
    "weights",
]
