r"""Sampling by long jumps along the flow, with and without noise put back, by an exact or an erring jump map.

One step of gamma-sampling (paper 175) from level t_n to t_{n+1}:

    y -> G(y, t_n, sqrt(1 - gamma^2) t_{n+1}) + gamma t_{n+1} z.

With the exact map each visited law is exact whatever gamma is. The erring map adds, in trigonometric time and with
t, s now angles, epsilon sigma_d sin(t - s)^q u / cos s to the end of a jump from t to s; u = cos(2 y / sd of y). At q = 1
this is what an error epsilon u of the network F of paper 216 does to f.

Laws are followed by array quasi-Monte Carlo: particles are sorted before noise is added, and rank and noise together
fill the unit square as a lattice; on the line this leaves far less sampling noise than independent draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.diffusion_samplers.consistency_maps.setting import (
    Data,
    ErrorGrowth,
    Gamma,
    JumpError,
    Particles,
    Separation,
    SigmaMax,
    Steps,
    levels_of,
    mixture_of,
    table_of,
)
from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.distance_to_target import Target
from compute.methods.flow_map import FlowTable, quantiles
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Seed

Array = NDArray[np.float64]

GOLDEN = (np.sqrt(5) - 1) / 2
TRIED_STEPS = (1, 2, 4, 8, 16, 32)
TRIED_GAMMA = (0.0, 0.25, 0.5, 1.0)


def erring_jump(flow: FlowTable, y: Array, t: float, s: float, size: Array | float, growth: Array | float) -> Array:
    """The jump map with its error; ``size`` and ``growth`` broadcast with y."""
    scale = flow.mixture.scale
    angle, end = np.arctan(t / scale), np.arctan(s / scale)
    error = size * scale * np.sin(angle - end) ** growth / np.cos(end)
    return flow.jump(y, t, s) + error * np.cos(2 * y / np.hypot(t, scale))


def start(flow: FlowTable, rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """Stratified draws of the exact law at a level, sorted along the last axis."""
    n = shape[-1]
    return quantiles(flow.mixture, ndtri((np.arange(n) + rng.random((*shape[:-1], 1))) / n), sigma)


def renoise(rng: np.random.Generator, y: Array, sigma: float) -> Array:
    """y + sigma z, rank and z together a shifted lattice."""
    y = np.sort(y, axis=-1)
    # Rows of the first axis, whose maps differ, share their noise: their differences are then less noisy.
    shift = rng.random((*y.shape[1:-1], 1))
    u = (np.arange(y.shape[-1]) * GOLDEN + shift) % 1
    return y + sigma * ndtri(np.clip(u, 1e-12, 1 - 1e-12))


def walk(
    flow: FlowTable,
    y: Array,
    levels: Array,
    gamma: float,
    size: Array | float,
    growth: Array | float,
    rng: np.random.Generator,
    *,
    stratified: bool = True,
) -> Iterator[tuple[float, Array]]:
    """The (level, state) after each jump and after each re-noising that follows it."""
    for t, t_next in itertools.pairwise(levels):
        s = float(np.sqrt(1 - gamma**2) * t_next)
        y = erring_jump(flow, y, t, s, size, growth)
        yield s, y
        sigma = gamma * t_next
        if sigma > 0:
            y = renoise(rng, y, sigma) if stratified else y + sigma * rng.standard_normal(y.shape)
            yield t_next, y


@lru_cache(maxsize=8)
def target_of(mixture: GaussianMixture, n: int) -> Target:
    return Target(mixture, n)


def w1_along_last(target: Target, y: Array) -> Array:
    """W1 to the target of the particles along the last axis."""
    return np.mean(np.abs(np.sort(y, axis=-1) - target.cells[0]), axis=-1)  # type: ignore[attr-defined]


# --- the walk of particles ----------------------------------------------------------------------------------

N_PARTICLES = 1500
N_LINES = 17
MAX_FRAMES = 56


@dataclass(frozen=True)
class Jumps(Result):
    """Particles on their way from noise to data in trigonometric time t, at x = y cos t."""

    time: Array  # (n_stops,) angle of each stop: the start, after each jump, after each re-noising
    is_jump: NDArray[np.bool_]  # (n_stops,) whether a jump led there
    position: Array  # (n_stops, n_shown)
    line_time: Array  # (n_times,)
    flow_lines: Array  # (n_lines, n_times) exact
    height: Array  # (n_height,) centers of bins
    density: Array  # (n_height, n_times) exact
    law: Array  # (n_stops, n_height) exact density at the stops
    share: Array  # (n_stops, n_height) density of all particles
    share_error: Array  # (n_stops, n_height) its standard error
    error: float
    floor: float
    floor_spread: float
    evaluations: int

    def table(self) -> pl.DataFrame:
        n_stops, n_shown = self.position.shape
        walks = pl.DataFrame(
            {
                "what": ["particle"] * self.position.size,
                "number": np.tile(np.arange(n_shown), n_stops),
                "time": np.repeat(self.time, n_shown),
                "x": self.position.ravel(),
            }
        )
        n_lines, n_times = self.flow_lines.shape
        lines = pl.DataFrame(
            {
                "what": ["flow line"] * self.flow_lines.size,
                "number": np.repeat(np.arange(n_lines), n_times),
                "time": np.tile(self.line_time, n_lines),
                "x": self.flow_lines.ravel(),
            }
        )
        last = {
            "what": ["law at the end"] * self.height.size,
            "number": np.arange(self.height.size),
            "time": np.full(self.height.size, self.time[-1]),
            "x": self.height,
            "exact_density": self.law[-1],
            "density_of_particles": self.share[-1],
            "standard_error": self.share_error[-1],
        }
        return pl.concat([walks, lines, pl.DataFrame(last)], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the data": self.error,
            "W₁ of exact samples": self.floor,
            "gap in SD of exact samples": (self.error - self.floor) / self.floor_spread,
            "evaluations": float(self.evaluations),
        }


@lru_cache(maxsize=8)
def _floor(mixture: GaussianMixture) -> tuple[float, float]:
    return target_of(mixture, N_PARTICLES).noise_floor(np.random.default_rng(12345))


@experiment
def jumps(
    *,
    data: Data = "three_modes_1d",
    separation: Separation = 3.0,
    sigma_max: SigmaMax = 20.0,
    steps: Steps = 4,
    gamma: Gamma = 0.5,
    jump_error: JumpError = 0.1,
    error_growth: ErrorGrowth = 2.0,
    particles: Particles = 24,
    seed: Seed = 0,
) -> Jumps:
    """Gamma-sampling of independent particles over exact flow lines and density.

    The first ``particles`` of 1500 are shown, evenly spread over the law of the start; all enter the histogram and W1.
    """
    mixture = mixture_of(data, separation)
    flow, scale = table_of(mixture), mixture.scale
    levels = levels_of(steps, sigma_max)
    rng = np.random.default_rng(seed)
    labels = rng.standard_normal(N_PARTICLES)
    labels[:particles] = ndtri((np.arange(particles) + 0.5) / particles)
    y = quantiles(mixture, labels, levels[0])
    stops = [(float(levels[0]), y), *walk(flow, y, levels, gamma, jump_error, error_growth, rng, stratified=False)]
    before = [float("inf"), *(level for level, _ in stops)]
    is_jump = np.array([level < last for (level, _), last in zip(stops, before, strict=False)])
    time = np.arctan(np.array([level for level, _ in stops]) / scale)
    x = np.stack([values for _, values in stops]) * np.cos(time)[:, None]

    line_time = np.linspace(0, time[0], 61)
    line_level = scale * np.tan(line_time)
    marks = ndtri((np.arange(N_LINES) + 0.5) / N_LINES)
    lines = np.stack([quantiles(mixture, marks, s) for s in line_level], axis=1) * np.cos(line_time)
    reach = max(3.2 * scale, float(np.abs(mixture.means).max()) + 4 * mixture.width)
    edges = np.linspace(-reach, reach, 81)
    height, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]

    def law(level: float, angle: float) -> Array:
        return np.diff(mixture.noised(level).cdf(edges / np.cos(angle))) / width

    density = np.stack([law(s, a) for s, a in zip(line_level, line_time, strict=True)], axis=1)
    counts = np.stack([np.histogram(row, edges)[0] for row in x])
    p = counts / N_PARTICLES
    floor, spread = _floor(mixture)
    return Jumps(
        time,
        is_jump,
        x[:, :particles],
        line_time,
        lines,
        height,
        density,
        np.stack([law(level, a) for (level, _), a in zip(stops, time, strict=True)]),
        p / width,
        np.sqrt(p * (1 - p) / N_PARTICLES) / width,
        float(w1_along_last(target_of(mixture, N_PARTICLES), stops[-1][1])),
        floor,
        spread,
        steps,
    )


# --- error against steps ------------------------------------------------------------------------------------

N_SORTED = 400
REPEATS = 3


def mean_w1(
    flow: FlowTable, n_steps: int, sigma_max: float, gamma: float, size: float, growth: Array, seed: int, repeats: int = REPEATS
) -> tuple[Array, Array]:
    """Mean and standard error of W1 over random shifts of the lattice, for each growth: two (n_growth,) arrays."""
    rng = np.random.default_rng([seed, n_steps])
    levels = levels_of(n_steps, sigma_max)
    shape = (growth.size, repeats, N_SORTED)
    y = start(flow, rng, shape, float(levels[0]))
    for _, end in walk(flow, y, levels, gamma, size, growth[:, None, None], rng):
        y = end
    values = w1_along_last(target_of(flow.mixture, N_SORTED), y)
    return values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(repeats)


@dataclass(frozen=True)
class StepCurve(Result):
    """W1 to the data against steps, for a few gammas."""

    steps: Array  # (n_steps,)
    gamma: Array  # (n_gamma,)
    error: Array  # (n_gamma, n_steps) of the erring map
    error_se: Array  # (n_gamma, n_steps)
    exact: Array  # (n_steps,) largest over gamma, of the exact map: the method's own resolution

    def table(self) -> pl.DataFrame:
        gamma, steps = np.meshgrid(self.gamma, self.steps, indexing="ij")
        return pl.DataFrame(
            {
                "gamma": gamma.ravel(),
                "steps": steps.ravel(),
                "w1": self.error.ravel(),
                "w1_standard_error": self.error_se.ravel(),
                "w1_exact_map": np.tile(self.exact, self.gamma.size),
            }
        )

    def headline(self) -> dict[str, float | str]:
        here = self.error[:, -1]
        best = np.unravel_index(self.error.argmin(), self.error.shape)
        return {
            "best γ at 32 steps": float(self.gamma[here.argmin()]),
            "W₁ at 32 steps, γ = 0": float(here[0]),
            "W₁ at 32 steps, γ = 1": float(here[-1]),
            "best of all": f"γ = {self.gamma[best[0]]:g} with {int(self.steps[best[1]])} steps, W₁ = {self.error.min():.3g}",
            "exact map, any γ, at most": float(self.exact.max()),
        }


@experiment
def step_curve(
    *,
    data: Data = "three_modes_1d",
    separation: Separation = 3.0,
    sigma_max: SigmaMax = 20.0,
    jump_error: JumpError = 0.1,
    error_growth: ErrorGrowth = 2.0,
    seed: Seed = 0,
) -> StepCurve:
    """W1 against steps for gamma 0, 0.25, 0.5, 1: the erring map, and the exact one as a check on the method."""
    flow = table_of(mixture_of(data, separation))
    growth = np.array([error_growth])
    error = np.empty((2, len(TRIED_GAMMA), len(TRIED_STEPS)))
    exact = np.zeros(len(TRIED_STEPS))
    for j, n_steps in enumerate(TRIED_STEPS):
        for i, gamma in enumerate(TRIED_GAMMA):
            error[:, i, j] = np.ravel(mean_w1(flow, n_steps, sigma_max, gamma, jump_error, growth, seed))
            if gamma in (0.0, 1.0):
                exact[j] = max(exact[j], mean_w1(flow, n_steps, sigma_max, gamma, 0.0, growth, seed)[0][0])
    return StepCurve(np.array(TRIED_STEPS, float), np.array(TRIED_GAMMA), error[0], error[1], exact)


# --- when to put noise back ---------------------------------------------------------------------------------

GROWTHS = np.linspace(0, 2, 9)
MAP_GAMMA = (0.0, 0.5, 1.0)
MAP_STEPS = TRIED_STEPS[1:]  # one step has no noise to put back


@dataclass(frozen=True)
class RenoiseMap(Result):
    """W1 over (steps, growth of error with length) for gamma 0, 1/2 and 1."""

    steps: Array  # (n_steps,)
    growth: Array  # (n_growth,)
    error: Array  # (n_gamma, n_growth, n_steps)
    error_se: Array  # (n_gamma, n_growth, n_steps)
    tie: tuple[Array, Array]  # where gamma 0 and gamma 1 err equally: segments broken by NaN
    at: tuple[float, float]  # log2 ratio at the nearest cell, best gamma there

    @property
    def log_ratio(self) -> Array:
        """(n_growth, n_steps) log2 of W1 at gamma 1 over W1 at gamma 0: positive where the flow wins."""
        return np.log2(self.error[-1] / self.error[0])

    @property
    def best(self) -> Array:
        """(n_growth, n_steps) the best gamma tried."""
        return np.array(MAP_GAMMA)[self.error.argmin(axis=0)]

    def table(self) -> pl.DataFrame:
        steps, growth = np.meshgrid(self.steps, self.growth)
        columns = {"steps": steps.ravel(), "error_growth": growth.ravel(), "log2_w1_gamma1_over_gamma0": self.log_ratio.ravel()}
        columns |= {f"w1_gamma_{gamma:g}": error.ravel() for gamma, error in zip(MAP_GAMMA, self.error, strict=True)}
        columns |= {f"se_gamma_{gamma:g}": error.ravel() for gamma, error in zip(MAP_GAMMA, self.error_se, strict=True)}
        return pl.DataFrame(columns | {"best_gamma": self.best.ravel()})

    def headline(self) -> dict[str, float | str]:
        return {
            "log₂ W₁(γ = 1)/W₁(γ = 0), nearest cell": self.at[0],
            "best γ there": self.at[1],
            "most the flow gains (log₂)": float(self.log_ratio.max()),
            "most re-noising gains (log₂)": float(-self.log_ratio.min()),
        }


@experiment
def renoise_map(
    *,
    data: Data = "three_modes_1d",
    separation: Separation = 3.0,
    sigma_max: SigmaMax = 20.0,
    steps: Steps = 4,
    jump_error: JumpError = 0.1,
    error_growth: ErrorGrowth = 2.0,
    seed: Seed = 0,
) -> RenoiseMap:
    """Whether to follow the flow (gamma 0) or to jump to the data and put noise back (gamma 1), by the erring map.

    At jump error 0 both are exact, and the map shows the method's sampling noise.
    """
    flow = table_of(mixture_of(data, separation))
    error = np.empty((2, len(MAP_GAMMA), GROWTHS.size, len(MAP_STEPS)))
    for j, n_steps in enumerate(MAP_STEPS):
        for i, gamma in enumerate(MAP_GAMMA):
            error[:, i, :, j] = mean_w1(flow, n_steps, sigma_max, gamma, jump_error, GROWTHS, seed, 2)
    tried = np.array(MAP_STEPS, float)
    ratio = np.log2(error[0, -1] / error[0, 0])
    x, y = level_lines(np.log(tried), GROWTHS, ratio, 0.0)
    j, i = int(np.argmin(np.abs(np.log(tried / steps)))), int(np.argmin(np.abs(GROWTHS - error_growth)))
    here = (float(ratio[i, j]), float(MAP_GAMMA[error[0, :, i, j].argmin()]))
    return RenoiseMap(tried, GROWTHS, error[0], error[1], (np.exp(x), y), here)
