"""What the experiments on the geometry of the flow share: data sets of (nearly) points, parameters, grids."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import SIGMA_MIN
from compute.parameters import Choice, Column, Dataset, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

KINDS = ("spiral", "ring", "grid", "two points", "simplex")
Data = Annotated[
    str, Choice("data", options=KINDS, help="Points, in the first coordinates; a simplex has one more than dimensions.")
]
Separation = Annotated[
    float, Real("size", r"\Delta", low=0.5, high=6.0, help="Radius of spiral and ring; distance of neighbors in the others.")
]
Width = Annotated[
    float,
    LogReal("width of a datum", "s", low=0.01, high=0.5, help="Toward 0 the data are a finite set, and the flow memorizes it."),
]
Dimension = Annotated[int, LogInteger("dimension", "d", low=2, high=100)]
SigmaMax = Annotated[float, LogReal("top noise level", r"\sigma_{\max}", low=1.0, high=80.0)]
Steps = Annotated[int, LogInteger("steps", "K", low=2, high=100)]
Rho = Annotated[float, Real("grid exponent", r"\rho", low=1.0, high=10.0, help="Levels are evenly spaced in the 1/rho-th power.")]
Solver = Annotated[str, Choice("solver", options=("Heun", "Euler (DDIM)"))]
ScoreError = Annotated[
    float, Real("score error", r"\varepsilon", low=0.0, high=1.0, help="Size of a smooth wrong field added to the denoiser.")
]
GuidanceSteps = Annotated[int, Integer("guidance steps", "G", low=0, high=100, help="Gradient steps on the noise.")]
LearningRate = Annotated[
    float, LogReal("learning rate", r"\eta", low=1e-3, high=1.0, help="Of the noise in units of its standard deviation.")
]

TEMPLATE = "x1,x2\n-1.2,0.3\n-0.4,1.1\n0.5,0.9\n1.3,-0.2\n0.4,-1.2\n-0.6,-0.8\n"
POINTS = Dataset(
    "your data",
    columns=(Column("x1", "first coordinate", low=-1e3, high=1e3), Column("x2", "second coordinate", low=-1e3, high=1e3)),
    template=TEMPLATE,
    help="A CSV of up to 2000 points in the plane, in place of the data set: which of them does each noise reach?",
)
Table = Annotated[pl.DataFrame | None, POINTS]
MOST_ROWS = 2000


def _circle(angle: Array) -> Array:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _means(data: str, separation: float, dimension: int) -> Array:
    if data == "simplex":
        # The corners of the standard simplex in d + 1 dimensions, turned into their own d-dimensional plane (Helmert).
        n = dimension + 1
        axes = np.array([[1.0] * j + [-float(j)] + [0.0] * (n - j - 1) for j in range(1, n)])
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        return separation / np.sqrt(2) * axes.T
    if data == "spiral":
        along = np.sqrt(np.linspace(0.02, 1, 32))
        flat = separation * along[:, None] * _circle(3.5 * np.pi * along)
    elif data == "ring":
        flat = separation * _circle(2 * np.pi * np.arange(6) / 6)
    elif data == "grid":
        side = separation * np.arange(-2.0, 3.0)
        flat = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    else:
        flat = separation * np.array([[-0.5, 0.0], [0.5, 0.0]])
    return np.pad(flat - flat.mean(axis=0), ((0, 0), (0, dimension - 2)))


@lru_cache(maxsize=64)
def mixture_of(data: str, separation: float, width: float, dimension: int = 2) -> GaussianMixture:
    """The data set, centered."""
    means = _means(data, separation, dimension)
    return GaussianMixture(np.ones(len(means)), means, width)


def levels_of(steps: int, sigma_max: float, rho: float) -> Array:
    """(steps + 1,) falling levels: ``steps`` of them down to 0.02, evenly in sigma^(1/rho), then 0."""
    if steps == 1:
        return np.array([sigma_max, 0.0])
    inner = np.linspace(sigma_max ** (1 / rho), SIGMA_MIN ** (1 / rho), steps) ** rho
    inner[0], inner[-1] = sigma_max, SIGMA_MIN
    return np.append(inner, 0.0)
