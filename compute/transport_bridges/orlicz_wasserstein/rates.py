r"""Distances and outlying mass against the number of samples, on the line.

For the Dirichlet process E[G(A) | x] = (alpha G_0(A) + E #{i: atom of x_i in A})/(alpha + n): at least alpha G_0(A)/(alpha + n), whatever
the data. And for any fit, mass beyond r is at most 1/Phi(r/W_Phi).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.methods.location_mixture import chance_of_outlying, outlying_mass
from compute.methods.orlicz import Young, monotone_coupling, orlicz_norm
from compute.methods.shared_parameters import gathered
from compute.parameters import Integer, LogInteger, Seed
from compute.transport_bridges.orlicz_wasserstein.setting import (
    BURN_IN,
    DIRICHLET,
    Mixture,
    Phi,
    Power,
    Radius,
    Samples,
    fit_seconds,
    phi_of,
)

Array = NDArray[np.float64]
LEAST_N = 50
RADII = np.geomspace(0.3, 20, 31)
KEPT_DRAWS = 8
MAP_SIZES = 8
LEAST_MASS = 1e-6  # shown on logarithmic scales

Repeats = Annotated[int, Integer("repeats", low=2, high=40, help="Data sets at each size.")]
Sweeps = Annotated[int, LogInteger("sweeps", low=20, high=1000, help="Of the Gibbs sampler, after 30 of burn-in.")]


def sizes(n: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` sizes from 50 to n."""
    return np.unique(np.rint(np.geomspace(LEAST_N, max(n, 2 * LEAST_N), count)).astype(np.int64))


def distances(atoms: Array, means: Array, weights: Array, phi: Young) -> tuple[float, float, float]:
    """W_1, W_2 and W_Phi of the fitted measure to equal weights on the atoms, on the line."""
    mass, start, end = monotone_coupling(atoms[:, 0], np.full(len(atoms), 1 / len(atoms)), means[:, 0], weights)
    gap = np.abs(start - end)
    return float(mass @ gap), float(np.sqrt(mass @ gap**2)), orlicz_norm(gap, mass, phi)


def one_fit(
    mixture: Mixture, n: int, phi: Young | None, radius: Array, n_sweeps: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """(4,) distances and the bound on mass beyond the last radius, and mass beyond (n_radii,), of one data set, means over the posterior where there is one."""
    atoms = mixture.on_the_line()
    x = mixture.sample(atoms, n, rng)
    if mixture.estimator == DIRICHLET:
        drawn = list(mixture.posterior(x, BURN_IN + n_sweeps, rng))[BURN_IN:]
        # Given labels the mean is known: far less noise than counting drawn atoms.
        center, spread = np.concatenate([d.center[:, 0] for d in drawn]), np.concatenate([d.spread for d in drawn])
        weight = np.concatenate([d.expected_weights for d in drawn]) / len(drawn)
        far = weight @ chance_of_outlying(center, spread, atoms[:, 0], radius)
        kept = [(d.means, d.weights) for d in drawn[:: max(1, len(drawn) // KEPT_DRAWS)]]
    else:
        kept = list(mixture.draws(x, 1, rng))
        far = outlying_mass(*kept[0], atoms, radius)
    if phi is None:
        return np.zeros(4), far
    found = np.array([distances(atoms, m, w, phi) for m, w in kept])
    # Markov's bound holds for each draw, so that its mean bounds the mean mass.
    ratio = radius[-1] / np.maximum(found[:, 2], 1e-12)
    bound = np.minimum(1.0, 1 / np.maximum(phi.value(ratio), 1e-300))
    return np.append(found.mean(axis=0), bound.mean()), far


def prior_share(mixture: Mixture, n: Array, radius: Array) -> Array:
    """(n_radii, n_sizes) least posterior mass beyond each radius: the base measure's, times alpha/(alpha + n)."""
    if mixture.estimator != DIRICHLET:
        return np.zeros((radius.size, n.size))
    mass = chance_of_outlying(np.zeros(1), np.array([mixture.prior_width]), mixture.on_the_line()[:, 0], radius)[0]
    return np.asarray(mass[:, None] * mixture.concentration / (mixture.concentration + n))


@dataclass(frozen=True)
class Rates(Result):
    """Means over repeats with their standard errors."""

    n: Array  # (n_sizes,)
    distance: dict[str, Array]  # by name
    distance_error: dict[str, Array]
    outlying: Array  # (n_sizes,)
    outlying_error: Array
    bound: Array  # (n_sizes,) 1/Phi(r/W_Phi), mean over draws and repeats
    prior: Array  # (n_sizes,) the base measure's share, 0 for EM
    radius: float

    def table(self) -> pl.DataFrame:
        columns = {"samples": self.n, "outlying_mass": self.outlying, "outlying_mass, standard error": self.outlying_error}
        columns |= {"markov_bound": self.bound, "base_measure_share": self.prior}
        for name, values in self.distance.items():
            columns[name] = values
            columns[f"{name}, standard error"] = self.distance_error[name]
        return pl.DataFrame(columns)

    def slope(self, values: Array) -> float | str:
        """Of a straight line through the logarithms."""
        kept = values > LEAST_MASS
        if kept.sum() < 3:
            return "nothing left to fit"
        return float(np.polyfit(np.log(self.n[kept]), np.log(values[kept]), 1)[0])

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"{name} at the largest n": float(v[-1]) for name, v in self.distance.items()}
        found |= {f"slope, {name}": self.slope(v) for name, v in self.distance.items() if name != "W₂"}
        return found | {
            "outlying mass at the largest n": float(self.outlying[-1]),
            "slope, outlying mass": self.slope(self.outlying),
        }


def _study_seconds(count: int, with_distances: bool, **values: object) -> float:
    n, repeats = int(values["n_samples"]), int(values["repeats"])  # type: ignore[call-overload]
    sweeps = BURN_IN + int(values["sweeps"])  # type: ignore[call-overload]
    total = 0.01
    for size in sizes(n, count):
        once = fit_seconds(float(size), int(values["truncation"]), str(values["estimator"]), sweeps)  # type: ignore[call-overload]
        total += repeats * (once + sweeps * 2e-5 + (0.001 if with_distances else 0.0))
    return total


def _rates_seconds(**values: object) -> float:
    return _study_seconds(5, True, **values)


@experiment(seconds=_rates_seconds)
@gathered(Mixture, "mixture")
def rates(
    *,
    phi: Phi = "exp(x)-1",
    power_p: Power = 2.0,
    n_samples: Samples = 500,
    outlier_radius: Radius = 2.0,
    repeats: Repeats = 2,
    sweeps: Sweeps = 24,
    mixture: Mixture,
    seed: Seed = 0,
) -> Iterator[tuple[float, Rates]]:
    """Fit data sets of growing size; distances of the mixing measure to the truth, and its mass beyond the radius."""
    young = phi_of(phi, power_p)
    grid = sizes(n_samples, 5)
    found, far = np.empty((grid.size, repeats, 4)), np.empty((grid.size, repeats))
    for k, n in enumerate(grid):
        for j in range(repeats):
            found[k, j], mass = one_fit(
                mixture, int(n), young, np.array([outlier_radius]), sweeps, np.random.default_rng([seed, 23, int(n), j])
            )
            far[k, j] = mass[0]
        done = slice(0, k + 1)
        names = ("W₁", "W₂", f"W, {young.name}")
        yield (
            (k + 1) / grid.size,
            Rates(
                grid[done].astype(float),
                {name: found[done, :, i].mean(axis=1) for i, name in enumerate(names)},
                {name: found[done, :, i].std(axis=1, ddof=1) / np.sqrt(repeats) for i, name in enumerate(names)},
                far[done].mean(axis=1),
                far[done].std(axis=1, ddof=1) / np.sqrt(repeats),
                found[done, :, 3].mean(axis=1),
                prior_share(mixture, grid[done].astype(float), np.array([outlier_radius]))[0],
                outlier_radius,
            ),
        )


# --- map ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OutlierMap(Result):
    """log10 of the outlying mass over (n, r)."""

    n: Array  # (n_sizes,)
    radius: Array  # (n_radii,)
    log_mass: Array  # (n_radii, n_sizes) clipped from below
    one_percent: Array  # (n_sizes,) the radius beyond which one percent lies
    prior_takes_over: Array  # (n_sizes,) the radius from which half the mass is the base measure's
    here: tuple[float, float, float]

    def table(self) -> pl.DataFrame:
        grid = grid_table("samples", self.n, "radius", self.radius, log10_outlying_mass=self.log_mass)
        lines = pl.DataFrame(
            {"samples": self.n, "radius_of_one_percent": self.one_percent, "radius_of_the_prior": self.prior_takes_over}
        )
        return pl.concat([grid, lines.with_columns(pl.col(pl.Float64).fill_nan(None))], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        n, r, mass = self.here
        return {
            "samples": n,
            "radius": r,
            "outlying mass there": mass,
            "one percent lies beyond, at the largest n": float(self.one_percent[-1]),
        }


def _map_seconds(**values: object) -> float:
    return _study_seconds(MAP_SIZES, False, **values)


def _crossing(level: Array, radius: Array) -> float:
    """The first radius at which ``level`` has become positive, by its place between two; NaN where it never does."""
    k = int(np.argmax(level > 0))
    if not level[k] > 0 or k == 0:
        return float(radius[0]) if level[0] > 0 else float("nan")
    share = -level[k - 1] / (level[k] - level[k - 1])
    return float(np.exp(np.log(radius[k - 1]) * (1 - share) + np.log(radius[k]) * share))


@experiment(seconds=_map_seconds)
@gathered(Mixture, "mixture")
def outlier_map(
    *,
    n_samples: Samples = 500,
    outlier_radius: Radius = 2.0,
    repeats: Repeats = 2,
    sweeps: Sweeps = 24,
    mixture: Mixture,
    seed: Seed = 0,
) -> Iterator[tuple[float, OutlierMap]]:
    """Mean outlying mass of fits at eight sizes, for all radii at once."""
    grid = sizes(n_samples, MAP_SIZES)
    mass = np.empty((RADII.size, grid.size))
    radii = np.append(RADII, outlier_radius)
    for k, n in enumerate(grid):
        runs = [
            one_fit(mixture, int(n), None, radii, sweeps, np.random.default_rng([seed, 23, int(n), j]))[1] for j in range(repeats)
        ]
        mean = np.mean(runs, axis=0)
        mass[:, k], at = mean[:-1], float(mean[-1])
        done = mass[:, : k + 1]
        floor = prior_share(mixture, grid[: k + 1].astype(float), RADII)
        half = np.where(floor > 0, 2 * floor - done, -1.0)
        yield (
            (k + 1) / grid.size,
            OutlierMap(
                grid[: k + 1].astype(float),
                RADII,
                np.log10(np.maximum(done, LEAST_MASS)),
                np.array([_crossing(0.01 - column, RADII) for column in done.T]),
                np.array([_crossing(column, RADII) for column in half.T]),
                (float(n), outlier_radius, at),
            ),
        )
