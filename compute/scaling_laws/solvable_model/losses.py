"""The loss over features and samples: a map, a slice, and what the ridge does at equal sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.models.ridge_simulation import SimulatedRisk, simulate_risk, simulation_seconds
from compute.models.spectra import Modes
from compute.parameters import Choice, Seed
from compute.scaling_laws.solvable_model.model import (
    HIGHEST,
    LOWEST,
    Alpha,
    Features,
    LabelNoise,
    Latents,
    Repeats,
    Ridge,
    RidgeChoice,
    Samples,
    asymptote,
    fixed_ridge_loss,
    frontier,
    latent_head,
    latent_modes,
    local_exponents,
    optimal_ridge_loss,
    optimal_ridge_plane,
)

Array = NDArray[np.float64]

SIZES = np.geomspace(LOWEST, HIGHEST, 61)
FLOOR = 1e-9  # of a loss shown on a log axis; without noise it vanishes beyond M

Swept = Annotated[str, Choice("sweep over", options=("features N", "samples T"), help="What grows along the horizontal axis.")]


def _point_headline(
    alpha: float, latents: int, n: int, t: int, ridge: float, ridge_choice: str, noise: float
) -> dict[str, float | str]:
    """What is true at the reader's (N, T)."""
    modes = latent_modes(alpha, latents)
    fixed = fixed_ridge_loss(modes, n, t, ridge, noise)
    best = optimal_ridge_loss(modes, n, t, noise)
    by_n, by_t = local_exponents(modes, n, t, None if ridge_choice == "optimal" else ridge, noise)
    of_best = float(best.loss[0])
    return {
        "loss at the ridge": float(fixed.loss),
        "loss at the best ridge": of_best,
        "best ridge γ": float(best.ridge[0]) if best.ridge[0] > 0 else "0: no ridge is best",
        "gain of the best ridge": float(fixed.loss / of_best) if of_best > 1e-300 else "both are 0",
        "local exponent in N": by_n,
        "local exponent in T": by_t,
        "exponent α of the law": alpha,
    }


# --- the map -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossPlane(Result):
    """The loss over features and samples."""

    sizes: Array  # (n_sizes,) of both axes
    loss: Array  # (n_sizes, n_sizes), rows are T
    best_n: Array  # (n_lines,) least loss at the best ridge on each line N T = const
    best_t: Array
    latents: int
    choice: str
    noise: float
    summary: dict[str, float | str]

    @property
    def log10_loss(self) -> Array:
        return np.log10(np.maximum(self.loss, FLOOR))

    def table(self) -> pl.DataFrame:
        plane = grid_table("N_features", self.sizes, "T_samples", self.sizes, loss=self.loss, log10_loss=self.log10_loss)
        line = pl.DataFrame({"N_features": self.best_n, "T_samples": self.best_t})
        return pl.concat([plane.with_columns(kind=pl.lit("map")), line.with_columns(kind=pl.lit("frontier"))], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def loss_plane(
    *,
    alpha: Alpha = 0.8,
    n_features: Features = 100,
    n_samples: Samples = 200,
    latents: Latents = 3000,
    ridge: Ridge = 1e-3,
    ridge_choice: RidgeChoice = "fixed",
    label_noise: LabelNoise = 0.0,
) -> LossPlane:
    """Test loss over (N, T) at a fixed or at the best ridge, and the best sizes at each product N T (best ridge).

    Symmetric without noise, so the frontier is N = T; label noise is averaged by samples and not by features, and moves it to T > N.
    """
    noise = label_noise**2
    best = _best_plane(alpha, latents, noise)
    loss = best if ridge_choice == "optimal" else _fixed_plane(alpha, latents, ridge, noise)
    best_n, best_t = frontier(SIZES, np.log(np.maximum(best, 1e-300)))
    before = np.minimum(best_n, best_t) < latents  # past M there is nothing left to learn
    best_n, best_t = best_n[before], best_t[before]
    return LossPlane(
        SIZES,
        loss,
        best_n,
        best_t,
        latents,
        ridge_choice,
        noise,
        _point_headline(alpha, latents, n_features, n_samples, ridge, ridge_choice, noise),
    )


@lru_cache(maxsize=8)
def _best_plane(alpha: float, latents: int, noise: float) -> Array:
    loss: Array = optimal_ridge_plane(latent_modes(alpha, latents), SIZES, SIZES, noise).loss
    loss.flags.writeable = False
    return loss


@lru_cache(maxsize=8)
def _fixed_plane(alpha: float, latents: int, ridge: float, noise: float) -> Array:
    """The plane at one ridge: kappa is symmetric, so it is found on one triangle."""
    modes = latent_modes(alpha, latents)
    row, column = np.triu_indices(SIZES.size)
    clean = fixed_ridge_loss(modes, SIZES[column], SIZES[row], ridge, 0.0).loss
    plane = np.empty((SIZES.size, SIZES.size))
    plane[row, column] = plane[column, row] = clean
    if noise > 0:
        plane[row, column] += fixed_ridge_loss(modes, SIZES[column], SIZES[row], ridge, noise).loss - clean
        below = row != column
        row, column = row[below], column[below]
        plane[column, row] += fixed_ridge_loss(modes, SIZES[row], SIZES[column], ridge, noise).loss - clean[below]
    return plane


# --- a slice -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCurve(Result):
    """Loss against one size at a fixed other."""

    swept: str
    x: Array  # (n_sizes,)
    fixed: Array  # (n_sizes,) at the ridge
    best: Array  # (n_sizes,) at the best ridge
    law: Array  # (n_sizes,) asymptote for an infinite other size and M
    level: float  # as the swept size -> infinity
    held: int  # the size held fixed
    latents: int
    simulation: SimulatedRisk
    summary: dict[str, float | str]

    @property
    def simulated_at(self) -> Array:
        return self.simulation.k if self.swept == "features N" else self.simulation.n

    def table(self) -> pl.DataFrame:
        size = "N_features" if self.swept == "features N" else "T_samples"
        curves = pl.DataFrame(
            {size: self.x, "loss": self.fixed, "loss_at_best_ridge": self.best, "asymptotic_law": self.law}
        ).with_columns(kind=pl.lit("theory"), plateau=pl.lit(self.level))
        dots = pl.DataFrame(
            {
                size: self.simulated_at,
                "simulated_loss": self.simulation.test,
                "standard_error": self.simulation.test_error,
                "theory_of_simulated_latents": self.simulation.theory.test,
            }
        ).with_columns(kind=pl.lit("simulation"))
        return pl.concat([curves, dots], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary | {"plateau": self.level} | _gap(self.simulation)


def _gap(simulation: SimulatedRisk) -> dict[str, float | str]:
    """Largest distance of the simulation from theory, away from the peak, where the draws have heavy tails."""
    error = simulation.test_error
    sound = (error > 0) & (np.abs(np.log(np.maximum(simulation.n, 1) / np.maximum(simulation.k, 1))) > 0.2)
    if not sound.any():
        return {"simulation": "none"}
    gap = (simulation.test - simulation.theory.test)[sound] / error[sound]
    return {"largest gap to theory, standard errors": float(gap[np.argmax(np.abs(gap))])}


SIMULATED_SIZES = np.array([10.0, 25.0, 60.0, 120.0, 300.0])


def _slice_points(n_features: int, n_samples: int, swept: str, repeats: int) -> tuple[Array, Array]:
    """(T, N) of the simulated points; empty without draws."""
    if repeats < 2:
        return np.empty(0), np.empty(0)
    if swept == "features N":
        return np.full(SIMULATED_SIZES.size, float(min(n_samples, 1000))), SIMULATED_SIZES
    return SIMULATED_SIZES, np.full(SIMULATED_SIZES.size, float(min(n_features, 1000)))


@experiment(
    seconds=lambda n_features, n_samples, swept, mc_repeats, **_: (
        0.02 + simulation_seconds(*_slice_points(n_features, n_samples, swept, mc_repeats), mc_repeats)
    )
)
def loss_curve(
    *,
    swept: Swept = "features N",
    alpha: Alpha = 0.8,
    n_features: Features = 100,
    n_samples: Samples = 200,
    latents: Latents = 3000,
    ridge: Ridge = 1e-3,
    ridge_choice: RidgeChoice = "fixed",
    label_noise: LabelNoise = 0.0,
    mc_repeats: Repeats = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, LossCurve]]:
    """Loss against one size at a fixed other: theory at the ridge and at the best ridge, simulation, law and plateau.

    Simulated draws keep three latents a sample and let the others act by their sum; a point holds at most 1,000 samples.
    """
    modes, noise = latent_modes(alpha, latents), label_noise**2
    by_n = swept == "features N"
    held = n_samples if by_n else n_features
    n, t = (SIZES, held) if by_n else (held, SIZES)
    fixed, best = fixed_ridge_loss(modes, n, t, ridge, noise), optimal_ridge_loss(modes, n, t, noise)
    level = _plateau(modes, held, ridge, noise, by_n)
    samples, features = _slice_points(n_features, n_samples, swept, mc_repeats)
    summary = _point_headline(alpha, latents, n_features, n_samples, ridge, ridge_choice, noise)
    head = latent_head(alpha, latents, int(samples.max()) if samples.size else 1)
    for done, simulation in simulate_risk(seed, head, samples, features, ridge / np.maximum(features, 1), noise, mc_repeats):
        yield (
            done,
            LossCurve(
                swept,
                SIZES,
                np.maximum(fixed.loss, FLOOR),
                np.maximum(best.loss, FLOOR),
                asymptote(alpha, SIZES),
                max(level, FLOOR),
                held,
                latents,
                simulation,
                summary,
            ),
        )


def _plateau(modes: Modes, held: int, ridge: float, noise: float, by_n: bool) -> float:
    """The loss as the swept size goes to infinity."""
    far = 1e9
    n, t = (far, held) if by_n else (held, far)
    return float(fixed_ridge_loss(modes, n, t, ridge, noise).loss)


# --- equal sizes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tilt(Result):
    """Loss against N/T at a fixed product N T, and along N = T."""

    ratio: Array  # (n_ratios,) N/T
    fixed: Array  # (n_ratios,)
    best: Array  # (n_ratios,)
    size: Array  # (n_sizes,) of N = T
    equal_fixed: Array  # (n_sizes,)
    equal_best: Array
    law: Array  # (n_sizes,) N^-alpha through the middle of the best
    best_ratio: float
    product: float
    simulation: SimulatedRisk  # first half at the ridge, second at the best
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        tilt = pl.DataFrame({"N_over_T": self.ratio, "loss": self.fixed, "loss_at_best_ridge": self.best})
        equal = pl.DataFrame({"N_features": self.size, "loss": self.equal_fixed, "loss_at_best_ridge": self.equal_best})
        dots = pl.DataFrame(
            {
                "N_over_T": self.simulation.k / self.simulation.n,
                "simulated_loss": self.simulation.test,
                "standard_error": self.simulation.test_error,
            }
        )
        parts = [
            tilt.with_columns(kind=pl.lit("fixed product")),
            equal.with_columns(kind=pl.lit("N = T")),
            dots.with_columns(kind=pl.lit("simulation")),
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {"best N/T": self.best_ratio} | self.summary | _gap(self.simulation)


TILTS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])


def _tilt_points(n_features: int, n_samples: int, repeats: int) -> tuple[Array, Array]:
    product = float(n_features * n_samples)
    if repeats < 2:
        return np.empty(0), np.empty(0)
    n = np.rint(np.clip(np.sqrt(product * TILTS), LOWEST, 1000))
    t = np.rint(np.clip(np.sqrt(product / TILTS), LOWEST, 1000))
    kept = np.abs(n * t / product - 1) < 0.2
    return t[kept], n[kept]


def _tilt_seconds(n_features: int, n_samples: int, mc_repeats: int, **_: object) -> float:
    samples, features = _tilt_points(n_features, n_samples, mc_repeats)
    return 0.03 + simulation_seconds(np.tile(samples, 2), np.tile(features, 2), mc_repeats)


@experiment(seconds=_tilt_seconds)
def tilt(
    *,
    alpha: Alpha = 0.8,
    n_features: Features = 100,
    n_samples: Samples = 200,
    latents: Latents = 3000,
    ridge: Ridge = 1e-3,
    label_noise: LabelNoise = 0.0,
    mc_repeats: Repeats = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, Tilt]]:
    """The same budget N T spent on features or on samples, and the loss along N = T, at the ridge and at the best ridge."""
    modes, noise = latent_modes(alpha, latents), label_noise**2
    product = float(n_features * n_samples)
    widest = min(np.log(product) - 2 * np.log(LOWEST), 2 * np.log(HIGHEST) - np.log(product), np.log(40.0))
    ratio = np.exp(np.linspace(-max(widest, 0.2), max(widest, 0.2), 61))
    n, t = np.sqrt(product * ratio), np.sqrt(product / ratio)
    fixed, best = fixed_ridge_loss(modes, n, t, ridge, noise), optimal_ridge_loss(modes, n, t, noise)
    size = SIZES[::4]
    equal_fixed, equal_best = fixed_ridge_loss(modes, size, size, ridge, noise), optimal_ridge_loss(modes, size, size, noise)
    samples, features = _tilt_points(n_features, n_samples, mc_repeats)
    ridges = np.empty(0)
    if samples.size:
        at_best = np.maximum(optimal_ridge_loss(modes, features, samples, noise).ridge, 1e-12)
        ridges = np.concatenate([np.full(samples.size, ridge), at_best]) / np.tile(features, 2)
    head = latent_head(alpha, latents, int(samples.max()) if samples.size else 1)
    summary = _point_headline(alpha, latents, n_features, n_samples, ridge, "optimal", noise)
    middle = size.size // 2
    stream = simulate_risk(seed, head, np.tile(samples, 2), np.tile(features, 2), ridges, noise, mc_repeats)
    for done, simulation in stream:
        yield (
            done,
            Tilt(
                ratio,
                np.maximum(fixed.loss, FLOOR),
                np.maximum(best.loss, FLOOR),
                size,
                np.maximum(equal_fixed.loss, FLOOR),
                np.maximum(equal_best.loss, FLOOR),
                np.maximum(equal_best.loss[middle] * (size / size[middle]) ** -alpha, FLOOR),
                float(ratio[np.argmin(best.loss)]),
                product,
                simulation,
                summary,
            ),
        )
