"""Stochastic interpolants: the laws at the ends, the choices of interpolant, and the parameters that views share."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture
from compute.models.interpolants import Blend, JointMixture, independent
from compute.parameters import Choice, Integer, LogReal, Real

Array = NDArray[np.float64]

INTERPOLANTS = ("linear", "trigonometric", "encoder-decoder", "mirror")

Interpolant = Annotated[
    str,
    Choice(
        "interpolant",
        options=INTERPOLANTS,
        help="How the two ends are blended; the mirror leads a law to itself, the encoder through noise.",
    ),
]
NoiseAmplitude = Annotated[
    float,
    Real(
        "noise amplitude",
        "a",
        low=0.0,
        high=4.0,
        help="Of the latent noise, γ² = a t (1 − t).",
        when=("interpolant", ("linear", "trigonometric", "mirror")),
    ),
]
BaseModes = Annotated[int, Integer("base modes", "K_0", low=1, high=8, help="Modes at t = 0; one is the standard normal law.")]
Modes = Annotated[int, Integer("modes", "K_1", low=1, high=8, help="Modes at t = 1.")]
Diffusion = Annotated[
    float, LogReal("diffusion", r"\varepsilon", low=0.02, high=5.0, help="Of the SDE that has the same marginals as the ODE.")
]
DriftError = Annotated[float, Real("velocity error", r"\delta", low=0.0, high=1.0, help="Size of the error put on the velocity.")]
ScoreError = Annotated[float, Real("score error", r"\delta_s", low=0.0, high=1.0, help="Size of the error put on the score.")]

WIDTH = 0.4


def base_law(modes: int) -> GaussianMixture:
    """N(0, 1) for one mode, else modes of width 0.4 evenly on [-1 - K/2, 1 + K/2], falling in weight."""
    if modes == 1:
        return GaussianMixture(np.ones(1), np.zeros((1, 1)), 1.0)
    upper = data_law(modes)
    return GaussianMixture(upper.weights[::-1], upper.means, WIDTH)


def data_law(modes: int) -> GaussianMixture:
    """Modes of width 0.4 evenly on [-1 - K/2, 1 + K/2], weights in the ratio 2 to 3 from first to last; one mode is at 1.5."""
    if modes == 1:
        return GaussianMixture(np.ones(1), np.array([[1.5]]), WIDTH)
    end = 1 + modes / 2
    return GaussianMixture(np.linspace(2, 3, modes), np.linspace(-end, end, modes)[:, None], WIDTH)


def ends(base_modes: int, modes: int) -> JointMixture:
    """The joint law of both ends, independent; the mirror gives the first no weight."""
    return independent([base_law(base_modes), data_law(modes)])


def blend(interpolant: str, t: float, amplitude: float) -> Blend:
    """The interpolant at time t."""
    variance, half_rate = amplitude * t * (1 - t), amplitude * (0.5 - t)
    if interpolant == "linear":
        return Blend(np.array([1 - t, t]), np.array([-1.0, 1.0]), variance, half_rate)
    if interpolant == "trigonometric":
        angle = 0.5 * np.pi * t
        c, s = np.cos(angle), np.sin(angle)
        return Blend(np.array([c, s]), 0.5 * np.pi * np.array([-s, c]), variance, half_rate)
    if interpolant == "mirror":
        return Blend(np.array([0.0, 1.0]), np.zeros(2), variance, half_rate)
    # Encoder-decoder: the first half forgets x0, the second recalls x1; at t = 1/2 the law is N(0, I).
    angle = np.pi * t
    size, rate = np.cos(angle) ** 2, -np.pi * np.sin(2 * angle)
    first, noise = (1.0, 0.0) if t < 0.5 else (0.0, 1.0), np.sin(angle) ** 2
    return Blend(size * np.array(first), rate * np.array(first), noise**2, -noise * rate)
