"""A reader's own snapshots: bridges with a refitted reference, judged on snapshots that are left out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.parameters import Choice, Column, Dataset, ParameterError, Seed
from compute.transport_bridges.population_dynamics.reference import SUBSTEPS, Bridge, DriftClass, Snapshots, refine
from compute.transport_bridges.population_dynamics.refinement import projected_w1
from compute.transport_bridges.population_dynamics.setting import Array, Diffusion, Iterations
from compute.transport_bridges.population_dynamics.systems import simulate

FITTED = ("linear", "constant")
SPAN = 5.0  # the whole time, in which the diffusion is counted
MOST_PARTICLES, MOST_SNAPSHOTS, FEWEST = 200, 12, 5
N_PATHS = 160
N_SHOWN = 30
EXAMPLE, EXAMPLE_TIMES = 40, 5  # particles and snapshots, where none are brought

TEMPLATE = "time,x1,x2\n" + "".join(
    f"{t},{a:.2f},{b:.2f}\n"
    for t, row in ((0, (0.9, 0.0)), (1, (0.5, 0.9)), (2, (-0.6, 0.9)))
    for a, b in ((row[0] + d, row[1] - e) for d, e in ((0, 0), (0.1, 0.05), (-0.1, 0.1), (0.05, -0.1), (-0.05, -0.05)))
)
OwnSnapshots = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your snapshots",
        help="A row a particle: when it was seen and where. Nobody needs to be seen twice. 3 to 12 times, 5 particles or more in each.",
        columns=[
            Column("time", "when", low=-1e9, high=1e9),
            Column("x1", "first coordinate", low=-1e9, high=1e9),
            Column("x2", "second coordinate", required=False, low=-1e9, high=1e9),
            Column("x3", "third coordinate", required=False, low=-1e9, high=1e9),
        ],
        template=TEMPLATE,
    ),
]
FittedClass = Annotated[
    str, Choice("fitted drift", options=FITTED, help="Of the reference that is refitted; the other is Brownian.")
]


@dataclass(frozen=True)
class OwnPaths(Result):
    """Paths through a reader's snapshots, in units of their pooled deviations.

    Parameters
    ----------
    of : str
    times : (T,) array
        As given.
    dots : (m, 1 + d) array
        Time and place of particles.
    path_time : (q,) array
    paths : (n_shown, q, d) float32 array
    left_out : (j,) array
        Times that were left out in turn.
    brownian, fitted, floor : (j,) arrays
        W1 between the law inferred without that snapshot and the snapshot; between its two halves.
    coefficients : (p,) array
        Of the fitted drift, in units of pooled deviations and a fifth of the whole time.
    """

    of: str
    times: Array
    dots: Array
    path_time: Array
    paths: Any
    left_out: Array
    brownian: Array
    fitted: Array
    floor: Array
    coefficients: Array

    def table(self) -> pl.DataFrame:
        shown, q, d = self.paths.shape
        names = [f"x{c + 1} (deviations)" for c in range(d)]
        paths = pl.DataFrame(
            {"what": ["path"] * (shown * q), "path": np.repeat(np.arange(shown), q), "time": np.tile(self.path_time, shown)}
            | {name: self.paths[..., c].ravel().astype(float) for c, name in enumerate(names)}
        )
        dots = pl.DataFrame(
            {"what": ["particle"] * len(self.dots), "time": self.dots[:, 0]}
            | {name: self.dots[:, 1 + c] for c, name in enumerate(names)}
        )
        errors = pl.DataFrame(
            {
                "what": ["left out"] * self.left_out.size,
                "time": self.left_out,
                "W1, Brownian": self.brownian,
                "W1, fitted": self.fitted,
                "W1 of halves": self.floor,
            },
            schema_overrides={"time": pl.Float64, "W1, Brownian": pl.Float64, "W1, fitted": pl.Float64, "W1 of halves": pl.Float64},
        )
        return pl.concat([paths, dots, errors], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        if self.left_out.size == 0:
            return {"snapshots": self.of, "left-out error": "being computed"}
        gap = self.brownian - self.fitted
        spread = gap.std(ddof=1) / np.sqrt(gap.size) if gap.size > 1 else None
        return {
            "snapshots": self.of,
            "W₁ to left-out snapshots, Brownian": float(self.brownian.mean()),
            "W₁ to left-out snapshots, fitted": float(self.fitted.mean()),
            "their difference": f"{gap.mean():.3g} ± {spread:.2g} (SE)" if spread is not None else f"{gap.mean():.3g}, of one",
            "W₁ of a snapshot's halves": float(self.floor.mean()),
        }


def _read(frame: pl.DataFrame | None, seed: int) -> tuple[str, Array, list[Array]]:
    """Name, times and particles at each, in pooled deviations; a built-in example where nothing is brought."""
    rng = np.random.default_rng(seed)
    if frame is None:
        times = np.linspace(0, SPAN, EXAMPLE_TIMES)
        paths = simulate(np.random.default_rng(7), "Lotka-Volterra", 1.0, 0.05, times, EXAMPLE * times.size)
        groups = [paths[i, i * EXAMPLE : (i + 1) * EXAMPLE] for i in range(times.size)]
        return "a Lotka-Volterra example", times, _scaled(groups)
    names = [c for c in ("x1", "x2", "x3") if c in frame.columns and frame[c].null_count() < frame.height]
    sound = frame.drop_nulls(["time", *names])
    times = np.unique(sound["time"].to_numpy())
    if not 3 <= times.size <= MOST_SNAPSHOTS:
        raise ParameterError("table", f"has {times.size} different times; it takes 3 to {MOST_SNAPSHOTS}.")
    groups = [sound.filter(pl.col("time") == t).select(names).to_numpy().astype(float) for t in times]
    small = [float(t) for t, group in zip(times, groups, strict=True) if len(group) < FEWEST]
    if small:
        raise ParameterError("table", f"has fewer than {FEWEST} particles at the time {small[0]:g}.")
    if np.any(np.concatenate(groups).std(axis=0) == 0):
        raise ParameterError("table", "has a coordinate that never varies; leave it out.")
    groups = [g if len(g) <= MOST_PARTICLES else rng.choice(g, MOST_PARTICLES, replace=False) for g in groups]
    return f"{sum(len(g) for g in groups)} particles, {times.size} times", times, _scaled(groups)


def _scaled(groups: list[Array]) -> list[Array]:
    pooled = np.concatenate(groups)
    return [(g - pooled.mean(axis=0)) / pooled.std(axis=0) for g in groups]


def _last(rng: np.random.Generator, drift: DriftClass, seen: Snapshots, g: float, iterations: int) -> Bridge:
    *_, bridge = refine(rng, drift, seen, g, iterations)
    return bridge


def inferred_at(rng: np.random.Generator, bridge: Bridge, time: float, n: int) -> Array:
    """(n, d) draws of the law that a bridge infers at a time between snapshots."""
    times, chains = bridge.seen.times, bridge.chains(rng, n)
    i = int(np.searchsorted(times, time, side="right")) - 1
    share = (time - times[i]) / (times[i + 1] - times[i])
    place = SUBSTEPS * (i + share)
    low = int(np.floor(place))
    part = place - low
    return np.asarray((1 - part) * chains[low] + part * chains[min(low + 1, len(chains) - 1)])


def _seconds(iterations: int, table: pl.DataFrame | None, **_: Any) -> float:
    n = EXAMPLE * EXAMPLE_TIMES if table is None else min(table.height, MOST_PARTICLES * MOST_SNAPSHOTS)
    snapshots = EXAMPLE_TIMES if table is None else min(table["time"].n_unique(), MOST_SNAPSHOTS)
    mean = n / snapshots
    return 0.01 + snapshots**2 * (iterations + 2) * (5e-4 + 6e-6 * mean + 5e-8 * mean**2)


@experiment(seconds=_seconds)
def own_paths(
    *,
    fitted_class: FittedClass = "linear",
    diffusion: Diffusion = 0.02,
    iterations: Iterations = 3,
    table: OwnSnapshots = None,
    seed: Seed = 0,
) -> Iterator[tuple[float, OwnPaths]]:
    """Paths through snapshots that a reader brings, and the error on each of them left out in turn."""
    of, given, groups = _read(table, seed)
    times = SPAN * (given - given[0]) / (given[-1] - given[0])
    d = groups[0].shape[1]
    drift, none = DriftClass(fitted_class, d), DriftClass("Brownian", d)
    rng = np.random.default_rng(seed)
    whole = _last(rng, drift, Snapshots(times, groups), diffusion, iterations)
    chains = whole.chains(rng, N_SHOWN)
    grid = np.concatenate([np.linspace(a, b, SUBSTEPS, endpoint=False) for a, b in pairwise(given)])
    grid = np.append(grid, given[-1])
    dots = np.concatenate([np.column_stack([np.full(len(g), t), g]) for t, g in zip(given, groups, strict=True)])
    errors: list[tuple[float, ...]] = []
    for k in range(1, len(groups) - 1):
        rest = Snapshots(np.delete(times, k), [g for i, g in enumerate(groups) if i != k])
        found = []
        for cls in (none, drift):
            bridge = _last(rng, cls, rest, diffusion, iterations)
            guess = inferred_at(rng, bridge, float(times[k]), N_PATHS)
            found.append(_distance(rng, guess, groups[k]))
        errors.append((float(given[k]), *found, _halves(rng, groups[k])))
        e = np.array(errors)
        yield (
            k / (len(groups) - 2),
            OwnPaths(
                of,
                given,
                dots,
                grid,
                chains.transpose(1, 0, 2).astype(np.float32),
                e[:, 0],
                e[:, 1],
                e[:, 2],
                e[:, 3],
                whole.coefficients,
            ),
        )


def _distance(rng: np.random.Generator, guess: Array, seen: Array) -> float:
    """Mean projected W1 of samples made equal in size, the smaller at full length."""
    n = min(len(guess), len(seen))
    return float(projected_w1(rng.permutation(guess)[:n], rng.permutation(seen)[:n]))


def _halves(rng: np.random.Generator, seen: Array) -> float:
    """W1 of a snapshot's halves, scaled by the square root of two to samples of its own size."""
    mixed = rng.permutation(seen)
    half = len(seen) // 2
    return float(projected_w1(mixed[:half], mixed[half : 2 * half])) / np.sqrt(2)
