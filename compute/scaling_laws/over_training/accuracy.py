r"""How far small runs predict: the median error of the extrapolated loss, simulated and by linear theory.

For runs of n log losses with Jacobian J and noise sigma the Huber fit of threshold delta has, for small noise, parameters of
covariance v sigma^2 (J^T J)^{-1}, where v = E psi^2/(sigma^2 P(|r| < delta)^2) with psi the residual cut at delta: 1 for least
squares, pi/2 for least absolute deviations. A prediction with gradient g is then off by 0.6745 sqrt(v sigma^2 g^T (J^T J)^{-1} g) in
the median.

References
----------
Huber, "Robust estimation of a location parameter" (1964), for v; Gadre et al. (2024), paper 080 of the catalogue, for the question.
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
from compute.methods import huber_theory
from compute.methods.grids import grid_table
from compute.models import over_training
from compute.models.over_training import OverTraining
from compute.parameters import LogInteger, Seed
from compute.scaling_laws.over_training.study import (
    HUBER_DELTA,
    Compute,
    CustomA,
    CustomB,
    CustomE,
    CustomEta,
    Cutoff,
    Design,
    FreeExponents,
    LawName,
    Multiplier,
    PerMultiplier,
    SeedNoise,
    draw_runs,
    fit_loss,
    laws,
    plan,
    predict,
)

Array = NDArray[np.float64]

CUTOFFS = np.geomspace(1e17, 1e22, 11)
TARGETS = np.geomspace(1e16, 1e24, 33)
SMALLEST = 1e-7

Studies = Annotated[int, LogInteger("studies per cutoff", low=5, high=400, help="Each draws its runs anew and fits them.")]


@dataclass(frozen=True)
class ErrorMap(Result):
    """Median relative error of the predicted loss over (largest run fitted, compute predicted)."""

    cutoff: Array  # (n_cutoffs,)
    compute: Array  # (n_targets,)
    simulated: Array  # (n_targets, n_cutoffs) NaN where not yet run
    theory: Array  # (n_targets, n_cutoffs)
    multiplier: float
    here: tuple[float, float]
    here_theory: float
    distance: float  # root mean square of (simulated - theory)/its standard error
    n_studies: int

    def table(self) -> pl.DataFrame:
        return grid_table(
            "largest_run_FLOP",
            self.cutoff,
            "compute_FLOP",
            self.compute,
            median_relative_error=self.simulated,
            log10_simulated=np.log10(self.simulated),
            linear_theory=self.theory,
        )

    def headline(self) -> dict[str, float | str]:
        cutoff, compute = self.here
        i = int(np.argmin(np.abs(np.log(self.cutoff / cutoff))))
        j = int(np.argmin(np.abs(np.log(self.compute / compute))))
        found: dict[str, float | str] = {
            "median error where you stand, theory, %": 100 * self.here_theory,
            "extrapolation factor": compute / cutoff,
        }
        if np.isfinite(self.simulated[j, i]):
            found["median error of the nearest cell, simulated, %"] = 100 * float(self.simulated[j, i])
        found["simulated − theory over the map, rms in SE"] = self.distance
        return found


def gradient(law: OverTraining, compute: Array, multiplier: Array, free: bool) -> Array:
    """d log L/d(log E, log A, log B, alpha[, beta]), (n, 4 or 5)."""
    n, d = over_training.sizes(compute, multiplier)
    part = over_training.as_law(law)
    level = over_training.loss(law, compute, multiplier)
    of_n, of_d = np.exp(part.log_A - part.alpha * np.log(n)), np.exp(part.log_B - part.beta * np.log(d))
    by_n, by_d = -np.log(n) * of_n, -np.log(d) * of_d
    exponents = [by_n, by_d] if free else [by_n + by_d]
    # At E = 0, where log E does not exist, the derivative is in E itself.
    by_offset = law.E if law.E > 0 else 1.0
    return np.stack(np.broadcast_arrays(by_offset, of_n, of_d, *exponents), axis=-1) / level[..., None]


def linear_error(
    law: OverTraining, runs: tuple[Array, Array], target: tuple[Array, Array], noise: float, free: bool = False
) -> Array:
    """Standard error of the predicted log loss at each target, for small noise."""
    jacobian, g = gradient(law, *runs, free), gradient(law, *target, free)
    return huber_theory.linear_error(jacobian, g, noise, HUBER_DELTA)


def true_parameters(law: OverTraining, free: bool) -> Array:
    """The truth as the fit's parameters: one start that lies in the basin of its minimum."""
    part = over_training.as_law(law)
    log_e = max(float(part.log_E), -10.0)
    return np.array([log_e, part.log_A, part.log_B, part.alpha] + [part.beta] * free, dtype=float)


@experiment(
    seconds=lambda n_studies, runs_per_multiplier, free_exponents, **_: (
        0.02 + CUTOFFS.size * n_studies * (8e-4 if free_exponents else 4e-4) * (0.7 + 0.3 * runs_per_multiplier / 4)
    )
)
def prediction_error(
    *,
    law: LawName = "redpajama",
    fit_cutoff: Cutoff = 2.5e19,
    compute: Compute = 7.56e21,
    token_multiplier: Multiplier = 640.0,
    runs_per_multiplier: PerMultiplier = 4,
    design: Design = "grid",
    seed_noise: SeedNoise = 0.003,
    free_exponents: FreeExponents = False,
    n_studies: Studies = 20,
    custom_offset: CustomE = 1.8,
    custom_a: CustomA = 200.0,
    custom_b: CustomB = 300.0,
    custom_eta: CustomEta = 0.13,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorMap]]:
    """Median relative error of the predicted loss of a run, over the largest run fitted and the compute predicted.

    Each cell is the median over studies that draw their runs anew; the lines are the linear theory of the Huber fit.
    """
    truth, errors = laws(law, custom_offset, custom_a, custom_b, custom_eta)
    m = np.array(token_multiplier)
    true_level = over_training.loss(truth, TARGETS, m)
    simulated = np.full((TARGETS.size, CUTOFFS.size), np.nan)
    theory = np.empty((TARGETS.size, CUTOFFS.size))
    quartile = float(norm.ppf(0.75))
    for i, cutoff in enumerate(CUTOFFS):
        runs = plan(cutoff, runs_per_multiplier, design)
        theory[:, i] = quartile * linear_error(truth, runs, (TARGETS, m), seed_noise, free_exponents)
    here = quartile * linear_error(
        truth, plan(fit_cutoff, runs_per_multiplier, design), (np.array([compute]), m), seed_noise, free_exponents
    )
    theory = np.maximum(theory, SMALLEST)
    start = true_parameters(truth, free_exponents)
    for i, cutoff in enumerate(CUTOFFS):
        off = np.empty((n_studies, TARGETS.size))
        rng = np.random.default_rng([seed, 4])  # the same noise at every cutoff: columns compare on equal terms
        for s in range(n_studies):
            seen = draw_runs(truth, errors, *plan(cutoff, runs_per_multiplier, design), seed_noise, 0.0, rng)
            off[s] = np.abs(predict(fit_loss(seen, free_exponents, start), TARGETS, m) / true_level - 1)
        simulated[:, i] = np.maximum(np.median(off, axis=0), SMALLEST)
        if i % 3 and i + 1 < CUTOFFS.size:
            continue
        done = slice(0, i + 1)
        # The median of |normal| from n studies: 1/(2 f sqrt n), f its density at the median.
        relative = 1 / (2 * 2 * norm.pdf(quartile) * quartile * np.sqrt(n_studies))
        z = (simulated[:, done] / theory[:, done] - 1) / relative
        yield (
            (i + 1) / CUTOFFS.size,
            ErrorMap(
                CUTOFFS,
                TARGETS,
                simulated.copy(),
                theory,
                token_multiplier,
                (fit_cutoff, compute),
                float(here[0]),
                float(np.sqrt(np.mean(z**2))),
                n_studies,
            ),
        )
