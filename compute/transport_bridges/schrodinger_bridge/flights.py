"""The light bridge in the plane: particles on their way, where a start may end, and the error against components and samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.parameters import LogInteger, Seed
from compute.transport_bridges.schrodinger_bridge.light import brownian_bridges, fit_light
from compute.transport_bridges.schrodinger_bridge.setting import Epsilon, PlanePair, plane_pair

Array = NDArray[np.float64]

Components = Annotated[int, LogInteger("components", "K", low=1, high=50, help="Of the light bridge's potential.")]
Samples = Annotated[int, LogInteger("samples", "n", low=100, high=5000, help="Of both ends, that the bridge is fitted to.")]

N_PARTICLES, N_TIMES = 200, 41
N_FANS, N_PER_FAN = 3, 20
N_JUDGED = 2000
FIT_STEPS = 60


def fit_seconds(n: int, k: int) -> float:
    """Warm seconds of a fit, about."""
    return FIT_STEPS * (2e-4 + 7e-8 * n * k)


@lru_cache(maxsize=4)
def judged(plane: str) -> tuple[Target, float]:
    """The end's law, made ready to be compared with, and what exact samples show."""
    target = Target(plane_pair(plane)[1], N_JUDGED)
    return target, target.noise_floor(np.random.default_rng(0), 5)[0]


@dataclass(frozen=True)
class Flight(Result):
    """Particles of the fitted bridge."""

    time: Array  # (n_times,)
    paths: NDArray[np.float32]  # (n_times, n_particles, 2)
    sector: NDArray[np.int64]  # (n_particles,) sixth of the turn about the start's center where it began
    fan_starts: Array  # (n_fans, 2)
    fan_ends: Array  # (n_fans, n_per_fan, 2)
    target: Array  # (n, 2) fresh samples of the end
    reach: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        index = np.indices(self.paths.shape[:2]).reshape(2, -1)
        moving = pl.DataFrame(
            {
                "what": "particle",
                "time": self.time[index[0]],
                "particle": index[1],
                "x1": self.paths[:, :, 0].ravel().astype(float),
                "x2": self.paths[:, :, 1].ravel().astype(float),
            }
        )
        fans = pl.DataFrame(
            {
                "what": "end from one start",
                "particle": np.repeat(np.arange(self.fan_starts.shape[0]), self.fan_ends.shape[1]),
                "x1": self.fan_ends[:, :, 0].ravel(),
                "x2": self.fan_ends[:, :, 1].ravel(),
            }
        )
        wanted = pl.DataFrame({"what": "target", "x1": self.target[:, 0], "x2": self.target[:, 1]})
        return pl.concat([moving, fans, wanted], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(
    seconds=lambda plane, components, samples, **_: (
        (0.7 if plane == "moons to circles" else 0.03) + fit_seconds(samples, components)
    )
)
def flight(
    *,
    plane: PlanePair = "8 Gaussians",
    epsilon: Epsilon = 1.0,
    components: Components = 12,
    samples: Samples = 500,
    seed: Seed = 0,
) -> Iterator[tuple[float, Flight]]:
    """Fit a light bridge to samples of both ends and fly fresh particles along it, with the ends that a few starts may have."""
    rng = np.random.default_rng(seed)
    start, end = plane_pair(plane)
    fitted = fit_light(rng, start.sample(rng, samples), end.sample(rng, samples), epsilon, components, FIT_STEPS)
    begin = start.sample(rng, N_JUDGED)
    arrive, _ = fitted.sample_end(rng, begin)
    time = np.linspace(0, 1, N_TIMES)
    some = slice(0, N_PARTICLES)
    paths = brownian_bridges(rng, begin[some], arrive[some], epsilon, time)
    about = begin[some] - start.mean
    sector = np.floor(6 * (np.arctan2(about[:, 1], about[:, 0]) / (2 * np.pi) % 1.0)).astype(np.int64)
    # Starts spread over the turn, a typical distance from the center.
    angle = 2 * np.pi * (np.arange(N_FANS) + 0.3) / N_FANS
    aim = start.mean + 1.2 * start.scale * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    nearest = np.argmin(np.sum((begin[:, None] - aim) ** 2, axis=2), axis=0)
    fan_starts = begin[nearest]
    fan_ends, _ = fitted.sample_end(rng, np.repeat(fan_starts, N_PER_FAN, axis=0))
    judge, floor = judged(plane)
    moved = 0.5 * float(np.mean(np.sum((arrive - begin) ** 2, axis=1)))
    summary: dict[str, float | str] = {
        "W₁ of the ends to their law (mean over directions)": judge.w1(arrive),
        "the same for exact samples": floor,
        "transport cost E|x₁ − x₀|²/2": moved,
        "fitted objective": fitted.objective,
    }
    both = np.concatenate([begin, end.sample(rng, 400)])
    reach = float(np.ceil(2 * (np.abs(both).max() + 0.3)) / 2)
    result = Flight(
        time,
        paths.astype(np.float32),
        sector,
        fan_starts,
        fan_ends.reshape(N_FANS, N_PER_FAN, 2),
        end.sample(rng, 110),
        reach,
        summary,
    )
    yield 1.0, result


# --- error against components and samples -----------------------------------------------------------------

MANY_COMPONENTS = (1, 2, 4, 8, 16, 32, 50)
SOME_SAMPLES = (100, 500, 2500)
REPEATS = 3


@dataclass(frozen=True)
class LightError(Result):
    """How far the ends are from their law."""

    components: Array  # (n_components,)
    samples: tuple[int, ...]
    error: Array  # (n_done, n_samples) mean W1
    spread: Array  # (n_done, n_samples) standard error over repeats
    floor: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        done = self.error.shape[0]
        parts = [
            pl.DataFrame(
                {
                    "samples": float(n),
                    "components": self.components[:done],
                    "w1": self.error[:, j],
                    "standard_error": self.spread[:, j],
                }
            )
            for j, n in enumerate(self.samples)
        ]
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=lambda **_: REPEATS * sum(0.01 + fit_seconds(n, k) for n in SOME_SAMPLES for k in MANY_COMPONENTS))
def light_error(*, plane: PlanePair = "8 Gaussians", epsilon: Epsilon = 1.0, seed: Seed = 0) -> Iterator[tuple[float, LightError]]:
    """Distance of the fitted bridge's ends to their law, against components, for three numbers of samples."""
    start, end = plane_pair(plane)
    judge, floor = judged(plane)
    mean, spread = [], []
    for at, k in enumerate(MANY_COMPONENTS):
        row = np.empty((len(SOME_SAMPLES), REPEATS))
        for j, n in enumerate(SOME_SAMPLES):
            for r in range(REPEATS):
                rng = np.random.default_rng([seed, n, r])
                fitted = fit_light(rng, start.sample(rng, n), end.sample(rng, n), epsilon, k, FIT_STEPS)
                row[j, r] = judge.w1(fitted.sample_end(rng, start.sample(rng, N_JUDGED))[0])
        mean.append(row.mean(axis=1))
        spread.append(row.std(axis=1, ddof=1) / np.sqrt(REPEATS))
        best = int(np.argmin([m[-1] for m in mean]))
        summary: dict[str, float | str] = {
            "best components at 2,500 samples": float(MANY_COMPONENTS[best]),
            "W₁ there": float(mean[best][-1]),
            "W₁ of exact samples": floor,
        }
        yield (
            (at + 1) / len(MANY_COMPONENTS),
            LightError(np.array(MANY_COMPONENTS, dtype=float), SOME_SAMPLES, np.array(mean), np.array(spread), floor, summary),
        )
