"""Small models predict a large one: Kaplan's law of a training run, its constants estimated step by step.

References
----------
Su et al., "Unraveling the Mystery of Scaling Laws: Part I" (2024), paper 382 of the catalogue; Kaplan et al. (2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval
from compute.methods.scaling_study import LEVEL, Noise, Refits
from compute.models import kaplan
from compute.models.kaplan import KAPLAN_RUN, KaplanConstants, KaplanObservations
from compute.parameters import LogReal, Seed

Array = NDArray[np.float64]

SMALLEST = 1e6
STEPS = np.geomspace(1e2, 1e6, 49)

Batch = Annotated[float, LogReal("batch", "B", low=1e4, high=1e8, unit="tokens", help="Batch of the runs that are predicted.")]
TargetSize = Annotated[float, LogReal("size predicted", "N", low=1e8, high=1e11, unit="parameters")]
LargestFitted = Annotated[
    float,
    LogReal("largest size fitted", low=1e7, high=1e9, unit="parameters", help="Six sizes from 1M up to this one are trained."),
]


@dataclass(frozen=True)
class Trajectories(Result):
    """Loss against steps of small runs, and of larger ones as truth and as predicted."""

    sizes: Array  # (n_predicted,) sizes whose curves are drawn
    steps: Array  # (n_steps,)
    truth: Array  # (n_predicted, n_steps)
    predicted: Array  # (n_predicted, n_steps)
    low: Array  # (n_steps,) 80% band of the prediction at the largest size
    high: Array
    seen: KaplanObservations
    sweep_cost: Array  # (n_levels, n_batches) E/E_min from the estimated constants
    sweep_time: Array  # (n_levels, n_batches) S/S_min
    batch: float
    constants: KaplanConstants
    constants_error: KaplanConstants

    def table(self) -> pl.DataFrame:
        n, m = self.truth.shape
        curves = pl.DataFrame(
            {
                "kind": "predicted",
                "N": np.repeat(self.sizes, m),
                "steps": np.tile(self.steps, n),
                "loss_truth": self.truth.ravel(),
                "loss": self.predicted.ravel(),
            }
        )
        k, m = self.seen.trajectory.shape
        small = pl.DataFrame(
            {
                "kind": "seen",
                "N": np.repeat(self.seen.sizes, m),
                "steps": np.tile(self.seen.steps, k),
                "loss": self.seen.trajectory.ravel(),
            }
        )
        sweep = pl.DataFrame({"kind": "batch sweep", "E/E_min": self.sweep_cost.ravel(), "S/S_min": self.sweep_time.ravel()})
        return pl.concat([curves, small, sweep], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        last, size = -1, self.sizes[-1]
        worst = float(np.max(np.abs(self.predicted[last] / self.truth[last] - 1)))
        errors = {
            label: f"{value:.3g} ± {error:.2g} (true {true:g})"
            for label, value, error, true in (
                ("α_N", self.constants.alpha_parameters, self.constants_error.alpha_parameters, KAPLAN_RUN.alpha_parameters),
                ("α_S", self.constants.alpha_steps, self.constants_error.alpha_steps, KAPLAN_RUN.alpha_steps),
                ("α_B", self.constants.alpha_batch, self.constants_error.alpha_batch, KAPLAN_RUN.alpha_batch),
            )
        }
        end = float(self.truth[last, -1])
        return {
            "predicted final loss": float(self.predicted[last, -1]),
            "true final loss": end,
            "largest error on the curve, %": 100 * worst,
            "80% width at the end, %": 100 * float((self.high[-1] - self.low[-1]) / end),
            **errors,
            "critical batch at the end, tokens": float(kaplan.critical_batch(KAPLAN_RUN, end)),
            "smallest loss of this size": float(kaplan.converged_loss(KAPLAN_RUN, size)),
        }


def _study(constants: KaplanConstants, rng: np.random.Generator, largest: float, noise: float) -> KaplanObservations:
    return kaplan.observe(constants, rng, largest=largest, smallest=SMALLEST, batch=5e5, noise_sigma=noise)


@experiment(seconds=lambda n_bootstrap, **_: 0.02 + 9e-4 * n_bootstrap)
def trajectories(
    *,
    batch: Batch = 2e6,
    target_size: TargetSize = 3.3e10,
    largest_fitted: LargestFitted = 6e7,
    noise_sigma: Noise = 6e-3,
    n_bootstrap: Refits = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, Trajectories]]:
    """Estimate Kaplan's constants from models of 1M parameters and a little more, and predict a large run at any batch.

    L = (Nc/N)^{alpha_N} + (Sc/S_min)^{alpha_S}, S_min = S/(1 + B_crit(L)/B), B_crit = B* L^{-1/alpha_B} (382; Kaplan et al. 2020,
    equations 1.4, 1.6, 5.4). The band repeats the small study on the estimated constants.
    """
    rng = np.random.default_rng([seed, 4])
    seen = _study(KAPLAN_RUN, rng, largest_fitted, noise_sigma)
    constants = kaplan.fit_kaplan(seen)
    sizes = np.geomspace(largest_fitted, target_size, 4)
    truth = kaplan.kaplan_loss(KAPLAN_RUN, sizes[:, None], STEPS, batch)
    predicted = kaplan.kaplan_loss(constants, sizes[:, None], STEPS, batch)
    # A sweep in the units of its estimated hyperbola: S_min and E_min of each level, as the constants have them.
    critical = kaplan.critical_batch(constants, seen.sweep_loss)[:, None]
    least = np.exp(np.mean(np.log(seen.sweep_steps / (1 + critical / seen.sweep_batch)), axis=1, keepdims=True))
    sweep_time = seen.sweep_steps / least
    sweep_cost = seen.sweep_steps * seen.sweep_batch / (least * critical)
    repeats: list[KaplanConstants] = []
    curves: list[Array] = []
    chunk = max(50, n_bootstrap // 10)
    for k in range(n_bootstrap):
        repeats.append(kaplan.fit_kaplan(_study(constants, rng, largest_fitted, noise_sigma)))
        curves.append(kaplan.kaplan_loss(repeats[-1], target_size, STEPS, batch))
        if (k + 1) % chunk == 0 or k + 1 == n_bootstrap:
            low, high = interval(np.array(curves), LEVEL)
            error = KaplanConstants(*np.std(np.array(repeats), axis=0, ddof=1).tolist())
            yield (
                (k + 1) / n_bootstrap,
                Trajectories(sizes, STEPS, truth, predicted, low, high, seen, sweep_cost, sweep_time, batch, constants, error),
            )
