r"""What the experiments on consistency maps share: parameters, centered data, and trigonometric time.

With sigma_d the data's standard deviation, x_t = cos t x_0 + sin t z, z ~ N(0, sigma_d^2), is the path y = x_0 + sigma z'
seen through y cos t with tan t = sigma/sigma_d: data at t = 0, noise at pi/2, and the same variance all the way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.flow_map import FlowTable
from compute.models import gaussian_mixture
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import EDM
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

Data = Annotated[str, Choice("data", options=("three_modes_1d", "two_modes_1d"), help="Mixtures on the line, modes 0.3 wide.")]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.5, high=6.0, help="Distance between neighboring modes.")]
SigmaMax = Annotated[float, LogReal("top noise level", r"\sigma_{\max}", low=5.0, high=80.0)]
Steps = Annotated[int, LogInteger("steps", "N", low=1, high=32, help="Jumps from noise to data; each is one evaluation.")]
Gamma = Annotated[
    float, Real("re-noising", r"\gamma", low=0.0, high=1.0, help="0: follow the flow. 1: jump to the data, then add noise back.")
]
JumpError = Annotated[float, Real("jump error", r"\varepsilon", low=0.0, high=0.3, help="Size of the error of the jump map.")]
ErrorGrowth = Annotated[
    float,
    Real(
        "growth of error with length",
        "q",
        low=0.0,
        high=2.0,
        help="A jump from t to s errs as sin(t - s)^q; 1 is a constant error of the network F.",
    ),
]
Dt = Annotated[float, LogReal("time step", r"\Delta t", low=0.003, high=0.3, help="Gap between the two times training compares.")]
NormalizeTangent = Annotated[
    float, Real("normalization", "c", low=0.0, high=1.0, help="The tangent g becomes g/(|g| + c); 0 leaves it as it is.")
]
Warmup = Annotated[
    float, Real("warm-up", "r", low=0.0, high=1.0, help="Share of the run over which the unstable part of the tangent grows to 1.")
]
LearningRate = Annotated[float, LogReal("learning rate", r"\eta", low=0.01, high=10.0)]
Iterations = Annotated[int, LogInteger("iterations", "I", low=100, high=20000)]
Teacher = Annotated[
    str,
    Choice(
        "velocity",
        options=("from a pair", "exact"),
        help="dx/dt from one pair of datum and noise (training), or the flow's own (distillation).",
    ),
]
Particles = Annotated[int, Integer("particles shown", "n", low=5, high=60)]


@lru_cache(maxsize=16)
def mixture_of(data: str, separation: float) -> GaussianMixture:
    """The data, centered."""
    mixture = gaussian_mixture.preset(data, separation)
    return GaussianMixture(mixture.weights, mixture.means - mixture.mean, mixture.width)


@lru_cache(maxsize=8)
def table_of(mixture: GaussianMixture) -> FlowTable:
    """Its flow map; cached with the levels it has met."""
    return FlowTable(mixture)


def levels_of(n_steps: int, sigma_max: float) -> Array:
    """(n_steps + 1,) falling noise levels of the EDM grid, its last put at 0; the grid of 2n holds the grid of n."""
    levels = EDM.levels(n_steps + 1, sigma_max)[:-1]
    levels[-1] = 0.0
    return levels
