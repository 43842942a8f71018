"""What the chains of this lab share: the data, and their parameters."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import WIDTH, GaussianMixture, preset
from compute.models.serial_reproduction import FAMILIES
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

Noise = Annotated[float, LogReal("noise level", r"\sigma", low=0.02, high=3.0)]
Family = Annotated[str, Choice("noise family", options=tuple(FAMILIES))]
Power = Annotated[float, Real("schedule power", "p", low=0.1, high=7.0, help="Noise levels fall as ((N - i)/N)^p.")]
Rounds = Annotated[int, LogInteger("steps", "N", low=2, high=200, help="Rounds of the schedule, of falling noise.")]
Separation = Annotated[float, Real("separation", r"\Delta", low=1.0, high=10.0, help="Between modes, which are 0.3 wide.")]
LangevinStep = Annotated[
    float, LogReal("Langevin step", r"\eta", low=0.001, high=1.0, help="In units of the variance 0.3² + σ² of a noisy mode.")
]
Skip = Annotated[int, Integer("skip", r"n_{\mathrm{skip}}", low=1, high=50, help="Moves of the chain between two outputs.")]
TrainingPoints = Annotated[int, LogInteger("training pairs", "n", low=50, high=5000, help="Of noisy and clean points.")]
DenoiserError = Annotated[
    float,
    Real("denoiser error", r"\varepsilon", low=0.0, high=1.0, help="Share of guesses from a normal law in place of the posterior."),
]
TargetLaw = Annotated[str, Choice("target", options=("four modes", "grid of 25"), help="On a line, or in the plane.")]
Evaluations = Annotated[int, LogInteger("evaluations", "n", low=7, high=40, help="Of the score for one output, in all.")]

WEIGHTS = np.array([0.1, 0.4, 0.2, 0.3])


@lru_cache(maxsize=32)
def line_law(separation: float) -> GaussianMixture:
    """Four unequal modes, evenly spaced about 0."""
    return GaussianMixture(WEIGHTS, separation * np.array([[-1.5], [-0.5], [0.5], [1.5]]), WIDTH)


@lru_cache(maxsize=32)
def target_law(name: str, separation: float) -> GaussianMixture:
    """The law of that name."""
    return line_law(separation) if name == "four modes" else preset("grid_2d", separation)


def nearest_mode(law: GaussianMixture, x: Array) -> NDArray[np.int64]:
    """(n,) index of the nearest mode of (n, d) points."""
    gap = np.sum(x**2, axis=1)[:, None] - 2 * x @ law.means.T + np.sum(law.means**2, axis=1)
    return np.asarray(gap.argmin(axis=1))
