r"""What labs on diffusion samplers share: their parameters, and what is cached for the data set they choose."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.distance_to_target import Target
from compute.methods.dpm_solver_v3 import Statistics, statistics
from compute.models import gaussian_mixture
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import SCHEDULES, SIGMA_MIN, NoiseSchedule
from compute.parameters import Choice, LogInteger, LogReal, ParameterError, Real

Array = NDArray[np.float64]

Data = Annotated[
    str, Choice("data", options=tuple(gaussian_mixture.PRESETS), help="Gaussian mixtures, modes 0.3 wide (moons 0.1).")
]
Separation = Annotated[
    float, Real("separation", r"\Delta", low=0.5, high=6.0, help="Distance between modes, radius of the ring, size of the moons.")
]
Sde = Annotated[
    str,
    Choice(
        "forward process",
        options=tuple(SCHEDULES),
        help="Grid of noise levels and prior; the last is the chain of paper 263, whose top level follows from its steps.",
    ),
]
Nfe = Annotated[int, LogInteger("evaluations", "n", low=3, high=100, help="Evaluations of the denoiser for one sample.")]
SigmaMax = Annotated[float, LogReal("top noise level", r"\sigma_{\max}", low=2.0, high=80.0)]
ScoreError = Annotated[
    float, Real("score error", r"\varepsilon", low=0.0, high=1.0, help="Size of a smooth wrong field added to the denoiser.")
]


@lru_cache(maxsize=32)
def mixture_of(data: str, separation: float) -> GaussianMixture:
    """The data set; cached so that what is cached for it is found again."""
    return gaussian_mixture.preset(data, separation)


@lru_cache(maxsize=64)
def target_of(mixture: GaussianMixture, n: int) -> tuple[Target, float, float]:
    """The target for n samples, and mean and standard deviation of the noise floor."""
    target = Target(mixture, n)
    return (target, *target.noise_floor(np.random.default_rng(12345)))


@lru_cache(maxsize=64)
def statistics_of(mixture: GaussianMixture, sigma_max: float) -> Statistics:
    return statistics(mixture, np.random.default_rng(0), SIGMA_MIN, sigma_max)


def grid_of(schedule: NoiseSchedule, n_steps: int, sigma_max: float) -> Array:
    """The falling levels of a run, or a sentence where the process has none."""
    try:
        return schedule.levels(n_steps, sigma_max)
    except ValueError:
        raise ParameterError("nfe", f"pays for {n_steps} steps; the {schedule.name} process needs at least 9.") from None


def start_points(schedule: NoiseSchedule, levels: Array, n: int, dimension: int, seed: int) -> Array:
    """Draws from the prior; the same numbers for every solver, grid and level."""
    return schedule.prior(np.random.default_rng([seed, 1]), n, dimension, float(levels[0]))
