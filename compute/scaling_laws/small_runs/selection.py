r"""Choose between two models from their small runs: how often the extrapolated fits rank them right.

The second model's error is e^gap times the first's at every size. With normal noise and fits linear in it, the difference of the
predicted log errors has deviation sqrt(2) s(m), s the standard error of one prediction, and the choice is right with probability
Phi(gap/(sqrt(2) s)).

References
----------
Ivgi et al. (2022), paper 354 of the catalogue, for the question; ``compute.methods.huber_theory`` for s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.methods.huber_theory import linear_error
from compute.parameters import Choice, LogInteger, Real, Seed
from compute.scaling_laws.small_runs.planted import (
    HUBER_DELTA,
    N_SIZES,
    PLATEAU_END,
    PURE,
    SPAN,
    WITH_FLOOR,
    Exponent,
    Factor,
    Floor,
    LargestFitted,
    Mistuned,
    SeedNoise,
    SeedsPerSize,
    draw_runs,
    fit,
)

Array = NDArray[np.float64]

NOISES = np.geomspace(1e-3, 0.1, 9)
FACTORS = np.geomspace(1.0, 1e4, 17)

Gap = Annotated[float, Real("gap between the models", low=0.0, high=0.2, help="In log error, at every size.")]
Studies = Annotated[int, LogInteger("studies per noise", low=10, high=1000, help="Each draws and fits both models anew.")]
FormName = Annotated[str, Choice("form fitted", options=("with_floor", "pure"), help="c + A m^-b, or A m^-b.")]


@dataclass(frozen=True)
class Selection(Result):
    """Probability that the better model is chosen, over (noise, extrapolation factor)."""

    noise: Array  # (n_noises,)
    factor: Array  # (n_factors,)
    simulated: Array  # (n_factors, n_noises) NaN where not yet run
    theory: Array  # (n_factors, n_noises)
    by_largest: Array  # (n_noises,) theory: compare the mean log errors of the largest runs
    here: tuple[float, float]
    here_theory: float
    here_largest: float
    distance: float
    n_studies: int

    def table(self) -> pl.DataFrame:
        return grid_table(
            "noise",
            self.noise,
            "extrapolation_factor",
            self.factor,
            probability_right=self.simulated,
            linear_theory=self.theory,
            largest_runs_only=np.broadcast_to(self.by_largest, self.theory.shape),
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "right choice where you stand, theory": self.here_theory,
            "by comparing the largest runs only": self.here_largest,
            "simulated − theory over the map, rms in SE": self.distance,
            "studies per noise": float(self.n_studies),
        }


def gradient(size: Array, exponent: float, floor: float, form_name: str) -> Array:
    """d log error/d(log c, log A, b) at the planted law, or d/d(log A, b) of the pure one."""
    learned = (size / PLATEAU_END) ** -exponent
    if form_name == "pure":
        return np.column_stack([np.ones(size.size), -np.log(size)])
    share = learned / (floor + learned)
    # At c = 0, where log c does not exist, the derivative is in c itself.
    by_floor = 1 - share if floor > 0 else 1 / learned
    return np.column_stack([by_floor, share, -np.log(size) * share])


def right_choice(sizes: Array, targets: Array, exponent: float, floor: float, form_name: str, noise: float, gap: float) -> Array:
    """Phi(gap/(sqrt(2) s)) at each target."""
    s = linear_error(gradient(sizes, exponent, floor, form_name), gradient(targets, exponent, floor, form_name), noise, HUBER_DELTA)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(s > 0, gap / (np.sqrt(2) * s), np.inf if gap > 0 else 0.0)
    return np.asarray(norm.cdf(score))


def _seconds(n_studies: int, seeds_per_size: int, **_: object) -> float:
    return 0.01 + NOISES.size * n_studies * 2 * 4e-4 * (0.8 + 0.2 * seeds_per_size / 3)


@experiment(seconds=_seconds)
def choose_model(
    *,
    gap: Gap = 0.03,
    seed_noise: SeedNoise = 0.01,
    extrapolation_factor: Factor = 100.0,
    seeds_per_size: SeedsPerSize = 3,
    form_fitted: FormName = "with_floor",
    exponent: Exponent = 0.15,
    floor: Floor = 0.2,
    largest_fitted_size: LargestFitted = 1e7,
    mistuned_share: Mistuned = 0.0,
    n_studies: Studies = 20,
    seed: Seed = 0,
) -> Iterator[tuple[float, Selection]]:
    """Probability that fits to the small runs of two models rank them right at the target, over noise and distance.

    Color: simulated studies. Lines: linear theory with Gaussian noise (no mistuned runs, no bend of the law).
    """
    sizes = np.repeat(np.geomspace(largest_fitted_size / SPAN, largest_fitted_size, N_SIZES), seeds_per_size)
    targets = largest_fitted_size * FACTORS
    form = WITH_FLOOR if form_fitted == "with_floor" else PURE
    truth = [np.log(max(floor, 1e-3)), exponent * np.log(PLATEAU_END), exponent]
    start = np.array(truth if form is WITH_FLOOR else truth[1:])
    theory = np.column_stack([right_choice(sizes, targets, exponent, floor, form_fitted, s, gap) for s in NOISES])
    largest = norm.cdf(gap * np.sqrt(seeds_per_size / 2) / NOISES)
    here = right_choice(
        sizes, np.array([largest_fitted_size * extrapolation_factor]), exponent, floor, form_fitted, seed_noise, gap
    )
    simulated = np.full(theory.shape, np.nan)
    for i, noise in enumerate(NOISES):
        rng = np.random.default_rng([seed, 5])  # the same noise, scaled: columns compare on equal terms
        right = np.zeros(FACTORS.size)
        for _ in range(n_studies):
            first, second = (
                fit(form, sizes, lift * draw_runs(sizes, exponent, floor, noise, mistuned_share, rng)[0], start + shift)
                for lift, shift in ((1.0, 0.0), (np.exp(gap), np.array([gap] * form.n_terms + [0.0])))
            )
            ahead = second.log_prediction(targets[:, None]) - first.log_prediction(targets[:, None])
            right += np.where(np.abs(ahead) < 1e-9, 0.5, ahead > 0)
        simulated[:, i] = right / n_studies
        if i % 3 and i + 1 < NOISES.size:
            continue
        p = theory[:, : i + 1]
        sure = np.sqrt(np.maximum(p * (1 - p), 0.25 / n_studies) / n_studies)
        z = (simulated[:, : i + 1] - p) / sure
        yield (
            (i + 1) / NOISES.size,
            Selection(
                NOISES,
                FACTORS,
                simulated.copy(),
                theory,
                largest,
                (seed_noise, extrapolation_factor),
                float(here[0]),
                float(norm.cdf(gap * np.sqrt(seeds_per_size / 2) / seed_noise)),
                float(np.sqrt(np.mean(z**2))),
                n_studies,
            ),
        )
