r"""What the views of this lab share: parameters, two data sets with their exact flow, and grids of noise levels.

Every sampler integrates dy/dsigma = (y - D(y; sigma))/sigma from sigma_max = 20 to 0 in K steps. Its error is the root mean
square distance of its endpoints to those of the exact flow from the same starts, in units of the data's scale.

On N(0, s^2), with theta = arctan(sigma/s), an Euler step shrinks by cos(theta - theta') against the exact flow, so that the best
K steps are even in theta, and K steps from theta_0 end at cos(theta_0/K)^K of the exact scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods import reverse_samplers as rs
from compute.models.diffusion_setting import mixture_of
from compute.models.noise_schedule import EDM, SIGMA_MIN, VE
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]
Denoiser = Callable[[Array, float], Array]

SIGMA_MAX = 20.0
DATA = ("ring", "Gaussian")
GRIDS = ("EDM", "even in log σ", "equal angles")
SOLVER_NAMES = ("Euler (DDIM)", "Heun", "DPM-2")

Steps = Annotated[int, Integer("steps", "K", low=2, high=30, help="From the top noise level to 0.")]
SolverName = Annotated[str, Choice("solver", options=SOLVER_NAMES, help="Heun and DPM-2 evaluate twice a step, but for the last.")]
Data = Annotated[str, Choice("data", options=DATA, help="Six modes on a ring, or one Gaussian in the plane.")]
Grid = Annotated[str, Choice("noise levels", options=GRIDS, help="EDM with ρ = 7; even in log σ; even in arctan(σ/s).")]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.5, high=6.0, help="Radius of the ring; distance between modes.")]
Anisotropy = Annotated[
    float, LogReal("anisotropy", "a", low=1.0, high=20.0, help="Ratio of the Gaussian's two standard deviations.")
]
History = Annotated[int, Integer("history", "r", low=0, high=4, help="Slopes of earlier steps that a step may use.")]
Trajectories = Annotated[
    int, LogInteger("training trajectories", "B", low=1, high=200, help="Runs that the coefficients are fitted on.")
]
Generations = Annotated[int, LogInteger("generations", "G", low=1, high=100)]
Population = Annotated[int, LogInteger("population", "P", low=10, high=200)]
Budget = Annotated[float, Real("compute budget", low=0.2, high=1.0, help="Share of the layers of all steps that may be evaluated.")]


@dataclass(frozen=True, eq=False)
class Problem:
    """Data with an exact denoiser and an exact flow; hashed by identity, one for each setting."""

    name: str
    denoise: Denoiser
    flow: Callable[[Array], Array]  # from points at SIGMA_MAX to data
    scale: float  # root mean square standard deviation
    stds: Array  # (2,) of the Gaussian; empty for the ring

    def starts(self, seed: int, n: int) -> Array:
        """(n, 2) draws from N(0, SIGMA_MAX^2 I)."""
        return SIGMA_MAX * np.random.default_rng(seed).standard_normal((n, 2))

    def error(self, end: Array, exact: Array) -> float:
        """Root mean square distance of endpoints, over the data's scale."""
        gap = (end - exact).ravel()
        return float(np.sqrt(gap @ gap / gap.size) / self.scale)


def problem_of(data: str, separation: float, anisotropy: float) -> Problem:
    return _ring(separation) if data == "ring" else _gaussian(anisotropy)


@lru_cache(maxsize=32)
def _gaussian(anisotropy: float) -> Problem:
    stds = 0.7 * anisotropy ** np.array([0.5, -0.5])

    def denoise(y: Array, sigma: float) -> Array:
        return stds**2 / (stds**2 + sigma**2) * y

    def flow(y: Array) -> Array:
        return y * stds / np.hypot(stds, SIGMA_MAX)

    return Problem("Gaussian", denoise, flow, float(np.sqrt(np.mean(stds**2))), stds)


@lru_cache(maxsize=32)
def _ring(separation: float) -> Problem:
    mixture = mixture_of("ring_2d", separation)

    def flow(y: Array) -> Array:
        levels = np.append(np.geomspace(SIGMA_MAX, 2e-3, 90), 0.0)
        return rs.sample(rs.rk4, rs.Run(mixture.denoise, np.random.default_rng(0)), y, levels)

    return Problem("ring", mixture.denoise, flow, mixture.scale, np.empty(0))


@lru_cache(maxsize=64)
def sample_of(problem: Problem, seed: int, n: int) -> tuple[Array, Array]:
    """Starts and the exact endpoints of the flow from them."""
    start = problem.starts(seed, n)
    return start, problem.flow(start)


def equal_angles(steps: int, std: float, sigma_max: float = SIGMA_MAX) -> Array:
    """(steps + 1,) levels even in arctan(sigma/std), the last 0."""
    levels = std * np.tan(np.arctan(sigma_max / std) * np.linspace(1, 0, steps + 1))
    levels[0], levels[-1] = sigma_max, 0.0
    return levels


def grid_of(name: str, steps: int, scale: float) -> Array:
    """(steps + 1,) falling levels from SIGMA_MAX to 0."""
    if name == "equal angles":
        return equal_angles(steps, scale)
    return (EDM if name == "EDM" else VE).levels(steps, SIGMA_MAX, SIGMA_MIN)


def run_base(problem: Problem, solver: str, start: Array, levels: Array) -> Array:
    """Endpoints of the base solver."""
    return rs.sample(rs.SOLVERS[solver].step, rs.Run(problem.denoise, np.random.default_rng(0)), start, levels)
