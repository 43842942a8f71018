"""Two clocks: the denoising error over their square, and the three samplers that one denoiser gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.conditional_sampling.pair import (
    Correlation,
    Joint,
    Observed,
    Pair,
    Particles,
    Steps,
    TimeX,
    TimeY,
    clock,
    denoising_error,
    given_clean,
    level_of,
    levels_from,
    time_of,
)
from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.methods.grids import grid_table
from compute.methods.reverse_samplers import Run, er_sde_1, euler, path, sample
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.linear_sde import SharedMixture
from compute.parameters import Seed

Array = NDArray[np.float64]

N_TIMES = 31
REACH = 2.6  # of pictures of x
GRID = np.linspace(-REACH, REACH, 131)
EDGES = np.linspace(-REACH, REACH, 41)


def histogram(x: Array) -> tuple[Array, Array, Array]:
    """Centers, density and its standard error of (n,) samples over fixed bins."""
    share = np.histogram(x, EDGES)[0] / x.size
    width = EDGES[1] - EDGES[0]
    return (EDGES[1:] + EDGES[:-1]) / 2, share / width, np.sqrt(share * (1 - share) / x.size) / width


# --- clock square --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClockSquare(Result):
    """Denoising error over both clocks, and what is known of x at one place of the square."""

    time: Array  # (n_times,) of both axes
    error: Array  # (n_times, n_times) [time_y, time_x], share of Var(x)
    here: tuple[float, float]  # (time_x, time_y)
    error_here: float
    x: Array  # (n_grid,)
    prior: Array  # (n_grid,) density of x
    posterior: Array  # (n_grid,) density of x given x_t and y_t
    center: Array  # (n_bins,)
    density: Array  # (n_bins,) of the sampler's end
    density_error: Array
    denoised: float
    w1: float
    floor: float
    marginal_error: float  # at this t_x, with y forgotten
    conditional_error: float  # at this t_x, with y known

    def table(self) -> pl.DataFrame:
        square = grid_table("time_x", self.time, "time_y", self.time, denoising_error=self.error)
        density = pl.DataFrame({"x": self.x, "prior_density": self.prior, "posterior_density": self.posterior})
        found = pl.DataFrame({"x": self.center, "sampled_density": self.density, "standard_error": self.density_error})
        return pl.concat([square, density, found], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "denoising error here ÷ Var x": self.error_here,
            "with y forgotten": self.marginal_error,
            "with y known": self.conditional_error,
            "W₁ of the sampler to the exact law": self.w1,
            "of exact samples": self.floor,
        }


@lru_cache(maxsize=32)  # the same for every place of the square
def error_map(joint: str, correlation: float) -> Array:
    """(N_TIMES, N_TIMES) of ``denoising_error`` over the square, y's clock down the rows."""
    time = np.linspace(0, 1, N_TIMES)
    error = denoising_error(Pair(joint, correlation), *np.meshgrid(time, time))
    error.setflags(write=False)
    return error


@experiment
def clock_square(
    *,
    joint: Joint = "four modes",
    correlation: Correlation = 0.6,
    time_x: TimeX = 0.8,
    time_y: TimeY = 0.3,
    observed: Observed = 0.8,
    steps: Steps = 30,
    particles: Particles = 500,
    seed: Seed = 0,
) -> ClockSquare:
    r"""E Var(x | x_t, y_t)/Var(x) over both clocks, and samples of x at one place of the square.

    The truth behind that place is x = y = ``observed``, seen through noise that the seed draws once; from there the
    reverse SDE of x runs to its end while the clock of y stands still, on the joint denoiser alone. Paper 003, section 3.
    """
    pair = Pair(joint, correlation)
    time = np.linspace(0, 1, N_TIMES)
    error = error_map(joint, correlation)
    rng = np.random.default_rng([seed, 1])
    alpha, sigma = clock(np.array([time_x, time_y]))
    x_seen, y_seen = alpha * observed + sigma * rng.standard_normal(2)
    law = pair.given(float(y_seen), time_y, float(x_seen), time_x)
    x = reverse(pair, float(x_seen), time_x, float(y_seen), time_y, steps, particles, rng)
    center, density, density_error = histogram(x)
    here = denoising_error(pair, np.full(3, time_x), np.array([time_y, 1.0, 0.0]))
    w1, floor = distance(law, x)
    return ClockSquare(
        time,
        error,
        (time_x, time_y),
        float(here[0]),
        GRID,
        pair.marginal().pdf(GRID),
        law.pdf(GRID) if law.width > 0 else np.zeros(GRID.size),
        center,
        density,
        density_error,
        float(law.mean[0]),
        w1,
        floor,
        float(here[1]),
        float(here[2]),
    )


def reverse(
    pair: Pair, x_seen: float, time_x: float, y_seen: float, time_y: float, steps: int, n: int, rng: np.random.Generator
) -> Array:
    """(n,) samples of x given (x_t, y_t): the reverse SDE in x down from its clock, that of y standing still."""
    top = level_of(time_x)
    if top == 0:
        return np.full(n, x_seen)
    alpha, _ = clock(time_x)
    start = np.full((n, 1), x_seen / alpha) if time_x < 1 and top < 80 else top * rng.standard_normal((n, 1))
    run = Run(lambda y, sigma: given_clean(pair, y[:, 0], sigma, y_seen, time_y)[:, None], rng, eta=1.0)
    return sample(er_sde_1, run, start, levels_from(top, steps))[:, 0]


def distance(law: GaussianMixture, x: Array) -> tuple[float, float]:
    """W1 of samples to a law on the line, and its mean over exact samples; for a point mass the mean distance, and 0."""
    if law.width < 1e-9:
        return float(np.abs(x - law.mean[0]).mean()), 0.0
    target = Target(law, x.size)
    return target.w1(x[:, None]), target.noise_floor(np.random.default_rng(5), repeats=8)[0]


# --- three samplers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ThreeSamplers(Result):
    """Joint, conditional and marginal sampling by the same denoiser, over falling noise."""

    time: Array  # (n_frames,) the clock that runs
    joint: Array  # (n_frames, n, 2) (x_t, y_t)
    conditional: Array  # (n_frames, n) x_t with y's clock standing at time_y
    marginal: Array  # (n_frames, n) x_t with y's clock standing at 1
    seen: float  # y_t of the conditional sampler
    forgotten: Array  # (n,) y_t of the marginal sampler: noise
    time_y: float
    x: Array  # (n_grid,)
    conditional_density: Array  # (n_grid,)
    marginal_density: Array
    level_line: tuple[Array, Array]  # of the joint density of the data
    w1: dict[str, float]
    floor: dict[str, float]

    def table(self) -> pl.DataFrame:
        n = self.forgotten.size
        ends = {
            "joint": (self.joint[-1, :, 0], self.joint[-1, :, 1]),
            "conditional": (self.conditional[-1], np.full(n, self.seen)),
            "marginal": (self.marginal[-1], self.forgotten),
        }
        frames = [pl.DataFrame({"sampler": [name] * n, "x": x, "y_t": y}) for name, (x, y) in ends.items()]
        density = pl.DataFrame(
            {"x": self.x, "conditional_density": self.conditional_density, "marginal_density": self.marginal_density}
        )
        return pl.concat([*frames, density], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {f"W₁, {name} (exact samples)": f"{self.w1[name]:.3f} ({self.floor[name]:.3f})" for name in self.w1}


N_FRAMES = 30


@experiment
def three_samplers(
    *,
    joint: Joint = "four modes",
    correlation: Correlation = 0.6,
    time_y: TimeY = 0.3,
    observed: Observed = 0.8,
    steps: Steps = 30,
    particles: Particles = 500,
    seed: Seed = 0,
) -> ThreeSamplers:
    """The probability flow down three paths of the clock square: its diagonal, its column t_y, and the column t_y = 1."""
    pair = Pair(joint, correlation)
    rng = np.random.default_rng([seed, 2])
    levels = levels_from(80.0, steps)
    start = 80.0 * rng.standard_normal((particles, 2))
    alpha, sigma = clock(time_y)
    seen = float(alpha * observed + sigma * rng.standard_normal()) if time_y > 0 else observed
    forgotten = rng.standard_normal(particles)

    def both(y: Array, level: float) -> Array:
        scale = float(clock(time_of(level))[0])
        return pair.denoise(scale * y, time_of(level), time_of(level))

    def run(denoise, y: Array) -> Array:  # type: ignore[no-untyped-def]
        return np.stack(list(path(euler, Run(denoise, rng), y, levels)))

    first = start[:, :1]
    paths = {
        "joint": run(both, start),
        "conditional": run(lambda y, s: given_clean(pair, y[:, 0], s, seen, time_y)[:, None], first)[..., 0],
        "marginal": run(lambda y, s: given_clean(pair, y[:, 0], s, forgotten, 1.0)[:, None], first)[..., 0],
    }
    kept = np.unique(np.linspace(0, steps, min(steps + 1, N_FRAMES)).astype(int))
    time = np.array([time_of(s) for s in levels[kept]])
    scale = clock(time)[0]
    conditional, marginal = pair.given(seen, time_y), pair.marginal()
    ends = {name: values[-1] for name, values in paths.items()}
    w1, floor = {}, {}
    w1["conditional"], floor["conditional"] = distance(conditional, ends["conditional"])
    w1["marginal"], floor["marginal"] = distance(marginal, ends["marginal"])
    w1["x + y of joint"], floor["x + y of joint"] = distance(_sum(pair), ends["joint"].sum(axis=1) / np.sqrt(2))
    return ThreeSamplers(
        time,
        paths["joint"][kept] * scale[:, None, None],
        paths["conditional"][kept] * scale[:, None],
        paths["marginal"][kept] * scale[:, None],
        seen,
        forgotten,
        time_y,
        GRID,
        conditional.pdf(GRID),
        marginal.pdf(GRID),
        _level_line(pair),
        w1,
        floor,
    )


def _sum(pair: Pair) -> GaussianMixture:
    """The law of (x + y)/sqrt(2), which knows of the correlation."""
    return SharedMixture(pair.weights, pair.means, pair.covariance).along(np.array([1.0, 1.0]) / np.sqrt(2))


def _level_line(pair: Pair) -> tuple[Array, Array]:
    """Ellipses of two standard deviations around each mode, as segments broken by NaN."""
    angle = np.linspace(0, 2 * np.pi, 41)
    circle = np.linalg.cholesky(pair.covariance) @ np.stack([np.cos(angle), np.sin(angle)]) * 2
    rings = pair.means[:, :, None] + circle
    broken = np.concatenate([rings, np.full((len(rings), 2, 1), np.nan)], axis=2)
    return broken[:, 0].ravel(), broken[:, 1].ravel()
