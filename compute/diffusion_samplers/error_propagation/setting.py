"""What the views of this lab share: parameters, the error of the score, and the Gaussian data."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.forward_process import PROCESSES, ForwardProcess
from compute.parameters import Choice, LogInteger, LogReal, Real

Array = NDArray[np.float64]

INTEGRATORS = ("Euler", "exponential", "Heun")
PROFILES = ("uniform", "early", "late")
MEAN = 1.0  # of the Gaussian data, in every direction

Family = Annotated[
    str, Choice("forward process", options=tuple(PROCESSES), help="Drift and diffusion in time, one constant fixed.")
]
Horizon = Annotated[float, LogReal("horizon", "T", low=0.5, high=20.0, help="Time at which the forward process is cut off.")]
Steps = Annotated[int, LogInteger("steps", "K", low=5, high=1000, help="Equal steps in time from T to 0.")]
Integrator = Annotated[
    str, Choice("integrator", options=INTEGRATORS, help="Exponential: the linear part exact, the score held during a step.")
]
Dimension = Annotated[int, LogInteger("dimension", "d", low=1, high=1000)]
Condition = Annotated[
    float,
    LogReal("condition number", r"\kappa", low=1.0, high=100.0, help="Eigenvalues from 1/√κ to √κ, evenly in their logarithm."),
]
Bias = Annotated[
    float,
    Real(
        "score bias",
        "b",
        low=0.0,
        high=0.5,
        help="Taken from every coordinate of the score: it pushes away from the mean of the data.",
    ),
]
Gain = Annotated[float, Real("score gain", r"\gamma", low=-0.3, high=0.3, help="The score is multiplied by 1 + γ.")]
Profile = Annotated[
    str, Choice("when the score errs", options=PROFILES, help="Always, in the noisy half of the time (early in sampling), or late.")
]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.5, high=6.0, help="Distance between the two modes.")]


def shape(profile: str, t: Array | float, horizon: Array | float) -> Array:
    """psi(t): 1 where the score errs, else 0. Sampling starts at t = T, so that the upper half is early."""
    t = np.asarray(t, dtype=float)
    if profile == "uniform":
        return np.ones_like(t)
    is_early = t > 0.5 * horizon
    return np.where(is_early if profile == "early" else ~is_early, 1.0, 0.0)


def times(horizon: float, steps: int) -> Array:
    """(steps + 1,) falling times from T to 0."""
    return horizon * np.linspace(1.0, 0.0, steps + 1)


def process_of(family: str) -> ForwardProcess:
    return PROCESSES[family]
