"""What the views share: parameters, pairs of laws on the line and in the plane, and a random walk to run between them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Real
from compute.transport_bridges.schrodinger_bridge.grid import Walk, monotone_plan, walk

Array = NDArray[np.float64]

LINE_PAIRS = ("Gaussians", "Gaussian to two modes", "two modes to three")
PLANE_PAIRS = ("8 Gaussians", "moons to circles", "two to two, turned")
COUPLINGS = ("independent", "reversed", "optimal transport")

LinePair = Annotated[str, Choice("pair on the line", options=LINE_PAIRS)]
PlanePair = Annotated[str, Choice("pair in the plane", options=PLANE_PAIRS)]
Epsilon = Annotated[
    float, LogReal("noise", r"\varepsilon", low=0.01, high=10.0, help="Variance of the reference Brownian motion at time 1.")
]
ScaleRatio = Annotated[
    float, Real("scale ratio", r"s_1/s_0", low=0.3, high=4.0, help="Deviation of the end over that of the start, which is 1.")
]
Gap = Annotated[float, Real("gap of means", "m", low=0.0, high=3.0, help="At 0 proportional fitting has no means to find.")]
InnerTimes = Annotated[int, LogInteger("inner times", "N", low=1, high=50, help="Of Markovian fitting, between start and end.")]
Iterations = Annotated[int, Integer("iterations", "n", low=1, high=60)]
Coupling = Annotated[str, Choice("first coupling", options=COUPLINGS, help="Where Markovian fitting starts.")]
StartNoise = Annotated[
    float,
    LogReal(
        "noise of the first process",
        r"\kappa",
        low=0.1,
        high=10.0,
        help="Over ε; proportional fitting started so keeps it for ever.",
    ),
]

N_GRID = 121
LEAST_NOISE = 1 / 1200  # over the squared width of the grid, before the kernel underflows
LEAST_STEP = 0.6  # deviation of a step over the grid's spacing


def line_laws(pair: str, scale_ratio: float, gap: float) -> tuple[Array, Array, Array]:
    """A grid x (n,) and the two laws on it, p and q (n,), each summing to one."""
    half = 4.2 * max(1.0, scale_ratio) + gap / 2
    x = gap / 2 + np.linspace(-half, half, N_GRID)
    if pair == "Gaussians":
        laws = norm.pdf(x), norm.pdf(x, gap, scale_ratio)
    else:
        modes = {"Gaussian to two modes": ((0.0,), (-1.0, 1.0)), "two modes to three": ((-0.8, 0.8), (-1.5, 0.0, 1.5))}[pair]
        p = sum(norm.pdf(x, m, 1.0 if len(modes[0]) == 1 else 0.4) for m in modes[0])
        q = sum(norm.pdf(x, gap + scale_ratio * m, 0.3 * scale_ratio) for m in modes[1])
        laws = np.asarray(p), np.asarray(q)
    return x, laws[0] / laws[0].sum(), laws[1] / laws[1].sum()


def line_walk(x: Array, epsilon: float, inner_times: int) -> Walk:
    """The reference walk on the grid, where the grid can hold it."""
    least = LEAST_NOISE * (x[-1] - x[0]) ** 2
    if epsilon < least:
        raise ParameterError("epsilon", f"has to be at least {least:.2g} here, where the kernel on the grid would underflow.")
    spacing = x[1] - x[0]
    most = int(epsilon / (LEAST_STEP * spacing) ** 2) - 1
    if inner_times > most:
        raise ParameterError(
            "inner_times",
            f"has to be at most {max(most, 0)} at this noise, where a step would be finer than the grid; raise ε for more.",
        )
    return walk(x, epsilon, inner_times)


def first_plan(coupling: str, p: Array, q: Array) -> Array:
    """A plan with both marginals for Markovian fitting to start from."""
    if coupling == "independent":
        return np.asarray(p[:, None] * q)
    if coupling == "reversed":
        return np.asarray(monotone_plan(p, q[::-1])[:, ::-1])
    return monotone_plan(p, q)


def first_correlation(coupling: str) -> float:
    """Of the same plan between Gaussians."""
    return {"independent": 0.0, "reversed": -1.0, "optimal transport": 1.0}[coupling]


def plane_pair(name: str) -> tuple[GaussianMixture, GaussianMixture]:
    """Start and end in the plane."""

    def circle(n: int, radius: float, turn: float = 0.0) -> Array:
        angle = 2 * np.pi * (np.arange(n) + turn) / n
        return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def mixture(means: Array, width: float) -> GaussianMixture:
        return GaussianMixture(np.full(len(means), 1 / len(means)), means, width)

    if name == "8 Gaussians":
        return mixture(np.zeros((1, 2)), 0.5), mixture(circle(8, 3.0), 0.25)
    if name == "moons to circles":
        angle = np.linspace(0, np.pi, 12)
        upper = np.stack([2 * np.cos(angle) - 1, 2 * np.sin(angle) - 0.5], axis=1)
        lower = np.stack([1 - 2 * np.cos(angle), 0.5 - 2 * np.sin(angle)], axis=1)
        return mixture(np.concatenate([upper, lower]), 0.12), mixture(np.concatenate([circle(16, 1.2), circle(32, 3.0)]), 0.12)
    return mixture(np.array([[-2.5, 1.0], [-2.5, -1.0]]), 0.35), mixture(np.array([[2.5, 2.2], [2.5, -2.2]]), 0.35)
