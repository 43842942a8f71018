r"""Early exit: a cheap denoiser where noise hides what it leaves out.

The denoiser has layers: layer l splits each Gaussian of the data in two, so that at depth l it knows 2^l moment-matched Gaussians
(``merged_mixture``). Its error e(l, sigma) = E |D_l - D|^2 vanishes at high noise for every l. A step from sigma to sigma' puts
(1 - sigma'/sigma) (D_l - D) into the state, so that the exit depths of a run are chosen to minimize

    sum_i (1 - sigma_{i+1}/sigma_i)^2 e(l_i, sigma_i)      with      sum_i (l_i + 1) <= budget K (L + 1)

by dynamic programming over steps and layers spent. Compared with the same depth in all steps.

References
----------
Paper 199 of the catalogue, of which this is a miniature: the layers are those of an exact mixture, not of a network.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.tuned_few_step_samplers.setting import SIGMA_MAX, Budget, Separation
from compute.experiment import Result, experiment
from compute.models.diffusion_setting import mixture_of
from compute.models.merged_mixture import FullMixture, depths
from compute.models.noise_schedule import EDM
from compute.parameters import Seed

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

N_STEPS = 24
N_POINTS = 300


@lru_cache(maxsize=16)
def _errors(separation: float) -> tuple[Array, list[FullMixture], Array]:
    """Levels of a run, the denoiser at each depth, and (n_depths, n_steps) mean square errors of each."""
    mixture = mixture_of("grid_2d", separation)
    levels = EDM.levels(N_STEPS, SIGMA_MAX)
    layers = depths(mixture)
    rng = np.random.default_rng(7)
    data, noise = mixture.sample(rng, N_POINTS), rng.standard_normal((N_POINTS, 2))
    error = np.empty((len(layers), N_STEPS))
    for i, sigma in enumerate(levels[:-1]):
        y = data + sigma * noise
        exact = mixture.denoise(y, float(sigma))
        for depth, layer in enumerate(layers[:-1]):
            error[depth, i] = np.mean(np.sum((layer.denoise(y, float(sigma)) - exact) ** 2, axis=1))
    error[-1] = 0.0
    return levels, layers, error


def best_depths(cost: Array, layers: int) -> Indices:
    """(n_steps,) depths that minimize the sum of cost[depth, step] with sum (depth + 1) <= layers, by dynamic programming."""
    n_depths, n_steps = cost.shape
    value = np.zeros(layers + 1)
    choice = np.empty((n_steps, layers + 1), dtype=int)
    for i in range(n_steps - 1, -1, -1):
        options = np.full((n_depths, layers + 1), np.inf)
        for depth in range(n_depths):
            options[depth, depth + 1 :] = cost[depth, i] + value[: layers - depth]
        choice[i], value = options.argmin(axis=0), options.min(axis=0)
    found, left = np.empty(n_steps, dtype=int), layers
    for i in range(n_steps):
        found[i] = choice[i, left]
        left -= found[i] + 1
    return found


def run(layers: list[FullMixture], chosen: Indices, levels: Array, y: Array) -> Array:
    """Endpoints of Euler with the denoiser of the chosen depth in each step."""
    for (sigma, sigma_next), depth in zip(itertools.pairwise(levels), chosen, strict=True):
        ratio = sigma_next / sigma
        y = ratio * y + (1 - ratio) * layers[depth].denoise(y, float(sigma))
    return y


@dataclass(frozen=True)
class ExitMap(Result):
    """Error of the denoiser over (noise level, depth), the chosen exits, and what they cost in samples."""

    sigma: Array  # (n_steps,)
    depth: Array  # (n_depths,)
    error: Array  # (n_depths, n_steps) root mean square error of the denoiser over the data's scale
    chosen: Indices  # (n_steps,)
    uniform: int  # the largest depth that the budget allows in all steps
    scheduled_error: float  # root mean square distance of endpoints to those of the full denoiser, over the data's scale
    uniform_error: float
    used: float  # share of all layers

    def table(self) -> pl.DataFrame:
        sigma, depth = np.meshgrid(self.sigma, self.depth)
        whole = {"noise_level": sigma.ravel(), "depth": depth.ravel(), "relative_error": self.error.ravel()}
        whole["log10_error"] = np.log10(np.maximum(self.error, 1e-8)).ravel()
        path = {"step_noise_level": self.sigma, "exit_depth": self.chosen.astype(float)}
        return pl.concat([pl.DataFrame(whole), pl.DataFrame(path)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "layers used": self.used,
            "endpoint error ÷ scale, scheduled exits": self.scheduled_error,
            f"endpoint error ÷ scale, depth {self.uniform} in all steps": self.uniform_error,
            "depth at the top and at the end": f"{self.chosen[0]} and {self.chosen[-1]} of {int(self.depth[-1])}",
        }


@experiment
def exit_map(*, compute_budget: Budget = 0.6, separation: Separation = 3.0, seed: Seed = 0) -> ExitMap:
    """Error of a truncated denoiser over depth and noise level, and the best exits under a budget of layers."""
    levels, layers, error = _errors(separation)
    scale = mixture_of("grid_2d", separation).scale
    weight = (1 - levels[1:] / levels[:-1]) ** 2
    n_depths = len(layers)
    allowed = max(N_STEPS, int(np.floor(compute_budget * N_STEPS * n_depths + 1e-9)))
    chosen = best_depths(weight * error, allowed)
    uniform = allowed // N_STEPS - 1
    start = SIGMA_MAX * np.random.default_rng(seed).standard_normal((N_POINTS, 2))
    full = run(layers, np.full(N_STEPS, n_depths - 1), levels, start)
    scheduled, even = (
        float(np.sqrt(np.mean((run(layers, c, levels, start) - full) ** 2)) / scale) for c in (chosen, np.full(N_STEPS, uniform))
    )
    return ExitMap(
        levels[:-1],
        np.arange(n_depths, dtype=float),
        np.sqrt(error / 2) / scale,
        chosen,
        uniform,
        scheduled,
        even,
        float(np.sum(chosen + 1) / (N_STEPS * n_depths)),
    )
