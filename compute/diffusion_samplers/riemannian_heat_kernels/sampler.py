r"""Points that flow back from uniform on the sphere or the torus, with the exact score of a mixture of heat kernels.

The target is a mixture of heat kernels of age tau around K places; after a time t of diffusion it is the same mixture of age
tau + t, so that the score is sum_k w_k grad log k_{tau+t}(x, mu_k) with w_k the posterior over places. The reverse of
dX = dW is dX = score dt + dW with time running back; each step follows the geodesic of a tangent vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.sphere_heat_kernel import Array, EigenSum, dual_kernel
from compute.parameters import Choice, Integer, LogInteger, LogReal, Seed

TOP_TIME = {"sphere": 6.0, "torus": 12.0}  # what is left of the first harmonic then is e^-6
N_FRAMES, MOST_SHOWN = 17, 300
GRID = np.linspace(0, np.pi, 502)[1:-1]

Surface = Annotated[str, Choice("surface", options=("sphere", "torus"))]
Places = Annotated[int, Integer("modes", "K", low=1, high=10)]
Age = Annotated[float, LogReal("width of a mode", r"\tau", low=0.01, high=0.5, help="Its age as a heat kernel.")]
Steps = Annotated[int, LogInteger("steps", low=10, high=500)]
Points = Annotated[int, LogInteger("points", low=100, high=5000)]


def places(surface: str, n: int) -> Array:
    """Fixed places, spread like seeds of a sunflower; (n, 3) unit vectors, or (n, 2) angles."""
    k = np.arange(n) + 0.5
    if surface == "torus":
        return np.stack([2 * np.pi * k / n - np.pi, (2 * np.pi * k * 0.618034) % (2 * np.pi) - np.pi], axis=1)
    height, turn = 1 - 2 * k / n, np.pi * (3 - np.sqrt(5)) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def masses(n: int) -> Array:
    """Unequal ones, so that losing or swapping a mode is seen."""
    weight = np.linspace(1.0, 2.0, n)
    return np.asarray(weight / weight.sum())


def times(top: float, n_steps: int, age: float) -> Array:
    """(n_steps + 1,) from the top to 0, each age tau + t a fixed ratio below the last."""
    return np.asarray(np.geomspace(top + age, age, n_steps + 1) - age)


def _at(theta: Array, tables: tuple[Array, ...]) -> list[Array]:
    """Tables on the grid, linear in between; the grid is even, so that no place is searched for, and one serves all."""
    place = np.clip(theta / GRID[0] - 1, 0, GRID.size - 1)
    low = np.minimum(place.astype(np.intp), GRID.size - 2)
    share = place - low
    return [table[low] + share * (table[low + 1] - table[low]) for table in tables]


@dataclass(frozen=True)
class Sphere:
    """Kernels on S^2 around places, by tables in the angle."""

    center: Array  # (K, 3)
    weight: Array  # (K,)
    sums: EigenSum

    @classmethod
    def of(cls, n: int, age: float) -> Sphere:
        terms = int(np.clip(np.ceil(9 / np.sqrt(age)) + 4, 12, 120))
        return cls(places("sphere", n), masses(n), EigenSum(2, terms, GRID))

    def uniform(self, n: int, rng: np.random.Generator) -> Array:
        x = rng.standard_normal((n, 3))
        return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))

    def table(self, age: float) -> tuple[Array, Array]:
        """log k and its derivative on the grid; beyond the digits of the sum, Varadhan's."""
        kernel, derivative = self.sums.kernel(age), self.sums.derivative(age)
        lost = kernel < 1e-9 * kernel[0]
        last = int(np.argmax(lost)) - 1 if lost.any() else GRID.size - 1
        log_kernel, slope = np.log(np.maximum(kernel, 1e-300)), derivative / np.maximum(kernel, 1e-300)
        log_kernel[last + 1 :] = log_kernel[last] - (GRID[last + 1 :] ** 2 - GRID[last] ** 2) / (2 * age)
        slope[last + 1 :] = -GRID[last + 1 :] / age
        return log_kernel, slope

    def score(self, x: Array, age: float) -> Array:
        """Tangent vectors, (n, 3)."""
        # Places first: sums over these few rows are far faster than along them.
        cosine = np.clip(self.center @ x.T, -1, 1)
        theta = np.arccos(cosine)
        log_kernel, slope = _at(theta, self.table(age))
        log_weight = np.log(self.weight)[:, None] + log_kernel
        posterior = np.exp(log_weight - log_weight.max(axis=0))
        posterior /= posterior.sum(axis=0)
        # grad theta = -(mu - x cos theta)/sin theta
        pull = -posterior * slope / np.maximum(np.sin(theta), 0.02)
        return np.asarray(pull.T @ self.center - (pull * cosine).sum(axis=0)[:, None] * x)

    def move(self, x: Array, score: Array, dt: float, rng: np.random.Generator) -> Array:
        """Along the geodesic of score dt + noise."""
        noise = rng.standard_normal(x.shape)
        noise -= np.einsum("nd,nd->n", noise, x)[:, None] * x
        v = score * dt + np.sqrt(dt) * noise
        r = np.sqrt(np.einsum("nd,nd->n", v, v))[:, None]
        moved = np.cos(r) * x + np.sinc(r / np.pi) * v
        return np.asarray(moved / np.sqrt(np.einsum("nd,nd->n", moved, moved))[:, None])

    def nearest(self, x: Array) -> NDArray[np.intp]:
        return np.asarray(np.argmax(x @ self.center.T, axis=1))

    def draw(self, n: int, age: float, rng: np.random.Generator) -> Array:
        """Exact samples: an angle from its law, a direction at random."""
        density = np.maximum(self.sums.kernel(age), 0) * np.sin(GRID)
        theta = np.interp(rng.random(n), np.cumsum(density) / density.sum(), GRID)
        center = self.center[rng.choice(self.weight.size, n, p=self.weight)]
        side = rng.standard_normal((n, 3))
        side -= np.sum(side * center, axis=1, keepdims=True) * center
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        return np.asarray(np.cos(theta)[:, None] * center + np.sin(theta)[:, None] * side)

    def flat(self, x: Array) -> Array:
        """(n, 2) of Hammer's equal-area map."""
        longitude, latitude = np.arctan2(x[:, 1], x[:, 0]), np.arcsin(np.clip(x[:, 2], -1, 1))
        scale = np.sqrt(1 + np.cos(latitude) * np.cos(longitude / 2))
        return np.stack(
            [2 * np.sqrt(2) * np.cos(latitude) * np.sin(longitude / 2) / scale, np.sqrt(2) * np.sin(latitude) / scale], axis=1
        )

    def features(self, x: Array) -> Array:
        """Harmonics of degrees 1 and 2, (n, 8)."""
        return np.stack([*x.T, x[:, 0] * x[:, 1], x[:, 1] * x[:, 2], x[:, 0] * x[:, 2], x[:, 0] ** 2, x[:, 1] ** 2], axis=1)


@dataclass(frozen=True)
class Torus:
    """Products of wrapped Gaussians on the flat torus."""

    center: Array  # (K, 2)
    weight: Array

    @classmethod
    def of(cls, n: int) -> Torus:
        return cls(places("torus", n), masses(n))

    def uniform(self, n: int, rng: np.random.Generator) -> Array:
        return np.asarray(rng.uniform(-np.pi, np.pi, (n, 2)))

    def score(self, x: Array, age: float) -> Array:
        """(n, 2)."""
        offset = np.linspace(-np.pi, np.pi, 513)
        kernel, slope = dual_kernel(1, age, offset, 4)
        kernel = np.maximum(kernel, 1e-300)
        # (2, K, n) places on that even grid, linear in between; one serves both tables.
        place = ((x.T[:, None] - self.center.T[:, :, None] + np.pi) % (2 * np.pi)) * (512 / (2 * np.pi))
        low = np.minimum(place.astype(np.intp), 511)
        share = place - low
        mass, pull = (table[low] + share * (table[low + 1] - table[low]) for table in (kernel, slope / kernel))
        posterior = self.weight[:, None] * mass[0] * mass[1]
        posterior /= posterior.sum(axis=0)
        return np.asarray((posterior * pull).sum(axis=1).T)

    def move(self, x: Array, score: Array, dt: float, rng: np.random.Generator) -> Array:
        moved = x + score * dt + np.sqrt(dt) * rng.standard_normal(x.shape)
        return np.asarray((moved + np.pi) % (2 * np.pi) - np.pi)

    def nearest(self, x: Array) -> NDArray[np.intp]:
        gap = (x[:, None] - self.center + np.pi) % (2 * np.pi) - np.pi
        return np.asarray(np.argmin(np.sum(gap**2, axis=2), axis=1))

    def draw(self, n: int, age: float, rng: np.random.Generator) -> Array:
        """Exact samples."""
        center = self.center[rng.choice(self.weight.size, n, p=self.weight)]
        return np.asarray((center + np.sqrt(age) * rng.standard_normal((n, 2)) + np.pi) % (2 * np.pi) - np.pi)

    def flat(self, x: Array) -> Array:
        return x

    def features(self, x: Array) -> Array:
        """First harmonics, (n, 8)."""
        a, b = x.T
        return np.stack([f(g) for g in (a, b, a + b, a - b) for f in (np.cos, np.sin)], axis=1)


@dataclass(frozen=True)
class Flow(Result):
    """Points from uniform to the mixture, on a flat map."""

    surface: str
    age: Array  # (n_frames,) tau + t
    position: NDArray[np.float32]  # (n_frames, n_shown, 2)
    owner: NDArray[np.intp]  # (n_shown,) nearest place at the end
    center: Array  # (K, 2)
    mass: Array  # (K,) share nearest to each place at the end
    mass_error: Array
    exact_mass: Array  # (K,) of exact samples
    harmonics: tuple[float, float]  # root mean square gap of mean harmonics, and its standard error's size

    def table(self) -> pl.DataFrame:
        n_frames, n_shown, _ = self.position.shape
        moves = pl.DataFrame(
            {
                "age": np.repeat(self.age, n_shown),
                "x": self.position[..., 0].ravel(),
                "y": self.position[..., 1].ravel(),
                "mode": np.tile(self.owner, n_frames),
            }
        )
        shares = pl.DataFrame(
            {
                "mode": np.arange(self.mass.size),
                "share": self.mass,
                "standard_error": self.mass_error,
                "exact_share": self.exact_mass,
            }
        )
        return pl.concat([moves, shares], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        gap = np.abs(self.mass - self.exact_mass) / self.mass_error
        return {
            "largest error of a mode's mass": float(np.abs(self.mass - self.exact_mass).max()),
            "the same (SE)": float(gap.max()),
            "gap of mean harmonics": self.harmonics[0],
            "of exact samples": self.harmonics[1],
        }


def _seconds(*, n_modes: int, steps: int, points: int, **_: object) -> float:
    return 0.012 + steps * (1e-4 + points * (2.5e-8 + 4e-8 * n_modes))


@experiment(seconds=_seconds)
def reverse_flow(
    *,
    surface: Surface = "sphere",
    n_modes: Places = 5,
    age: Age = 0.03,
    steps: Steps = 60,
    points: Points = 600,
    seed: Seed = 0,
) -> Iterator[tuple[float, Flow]]:
    """Run uniform points back in time; compare with exact samples of the mixture.

    The first 300 points are shown; all enter the shares and the means.
    """
    rng = np.random.default_rng([seed, 11])
    space = space_of(surface, n_modes, age)
    levels = times(TOP_TIME[surface], steps, age)
    x = space.uniform(points, rng)
    shown_at = set(np.unique(np.rint(np.linspace(0, steps, min(steps + 1, N_FRAMES))).astype(int)).tolist())
    n_shown = min(points, MOST_SHOWN)
    exact = exact_of(surface, n_modes, age)
    frames, ages = [space.flat(x[:n_shown])], [float(levels[0]) + age]
    for k in range(steps):
        dt = float(levels[k] - levels[k + 1])
        x = space.move(x, space.score(x, float(levels[k]) + age), dt, rng)
        if k + 1 in shown_at:
            frames.append(space.flat(x[:n_shown]))
            ages.append(float(levels[k + 1]) + age)
            if k + 1 < steps and len(frames) % 10 == 0:
                yield (k + 1) / steps, _flow(surface, space, x, frames, ages, exact)
    yield 1.0, _flow(surface, space, x, frames, ages, exact)


@lru_cache(maxsize=16)
def space_of(surface: str, n_modes: int, age: float) -> Sphere | Torus:
    """The surface and the kernels' places on it."""
    return Sphere.of(n_modes, age) if surface == "sphere" else Torus.of(n_modes)


@dataclass(frozen=True)
class Exact:
    """What exact samples say: the mass nearest each place, and their features."""

    mass: Array  # (K,)
    mean: Array  # (n_features,)
    variance: Array  # (n_features,)
    n: int


@lru_cache(maxsize=64)
def exact_of(surface: str, n_modes: int, age: float) -> Exact:
    """Of 20 000 exact samples, the same for every run to that age."""
    space = space_of(surface, n_modes, age)
    ideal = space.draw(20_000, age, np.random.default_rng([0, n_modes]))
    mass = np.bincount(space.nearest(ideal), minlength=n_modes) / len(ideal)
    features = space.features(ideal)
    mean, variance = features.mean(axis=0), features.var(axis=0)
    for array in (mass, mean, variance):
        array.setflags(write=False)
    return Exact(mass, mean, variance, len(ideal))


def _flow(surface: str, space: Sphere | Torus, x: Array, frames: list[Array], ages: list[float], exact: Exact) -> Flow:
    """What there is to show of a run: its frames, and its last points held to exact samples."""
    points, n_shown = len(x), len(frames[0])
    nearest = space.nearest(x)
    mass = np.bincount(nearest, minlength=space.weight.size) / points
    error = np.sqrt(exact.mass * (1 - exact.mass) * (1 / points + 1 / exact.n))
    gap = float(np.sqrt(np.mean((space.features(x).mean(axis=0) - exact.mean) ** 2)))
    floor = float(np.sqrt(np.mean(exact.variance) * (1 / points + 1 / exact.n)))
    return Flow(
        surface,
        np.array(ages, dtype=float),
        np.array(frames, dtype=np.float32),
        nearest[:n_shown],
        space.flat(space.center),
        mass,
        np.maximum(error, 1e-6),
        exact.mass,
        (gap, floor),
    )
