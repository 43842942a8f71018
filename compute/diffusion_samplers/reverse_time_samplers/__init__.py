"""Reverse-time samplers on data whose score is known exactly: solvers, noise, Poisson flows and likelihoods."""

from compute.diffusion_samplers.reverse_time_samplers.noise import NoiseMap, NoiseTrial, noise_map, noise_trial
from compute.diffusion_samplers.reverse_time_samplers.poisson import PoissonMap, poisson_map
from compute.diffusion_samplers.reverse_time_samplers.solvers import (
    Comparison,
    Generation,
    Likelihood,
    comparison,
    generation,
    likelihood,
)

__all__ = [
    "Comparison",
    "Generation",
    "Likelihood",
    "NoiseMap",
    "NoiseTrial",
    "PoissonMap",
    "comparison",
    "generation",
    "likelihood",
    "noise_map",
    "noise_trial",
    "poisson_map",
]
