r"""Predict the loss of a wide network from narrow ones: L(n) = A n^-b + C fitted at one rate, under SP and under muP.

The rate is ``rate_offset`` times the best rate of the widest network fitted, the same at all widths: what is done when nobody
searches at the largest. Losses are exact, of the linear network of ``exact``; of seeds the geometric mean is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.bootstrap import resample_counts
from compute.methods.power_law import PowerLawForm, fit_log_huber, refit_log_huber
from compute.models.width_parametrization import LinearTask, power_law_task
from compute.parameters import Integer, LogInteger, LogReal, Seed
from compute.scaling_laws.mu_transfer.exact import (
    BASES,
    N_INPUTS,
    SLOPES,
    LargestWidth,
    SpectrumExponent,
    Steps,
    losses_at,
    seconds_of,
    starts,
)
from compute.scaling_laws.mu_transfer.sweep import Array, best_rate

FORM = PowerLawForm(((1,), (0,)))
HUBER = 10.0  # beyond all residuals: least squares of log loss
N_REFITS = 60
NARROWEST = 16
TUNING_SEEDS = 4
N_CURVE = 40

FittedWidths = Annotated[
    int, Integer("widths fitted", "k", low=3, high=10, help="From 16 to a sixteenth of the largest, at least 32.")
]
InitScale = Annotated[float, LogReal("scale of the start", "s", low=0.25, high=4.0, help="Multiplies all weights at the start.")]
RateOffset = Annotated[
    float, LogReal("rate over the best", r"\eta/\eta^*", low=0.03, high=3.0, help="Best at the widest network fitted.")
]
PredictionSeeds = Annotated[int, LogInteger("seeds of a loss", "R", low=16, high=256, help="Networks behind each loss.")]


def fitted_widths(largest: int, n_widths: int) -> list[int]:
    """At most so many widths from 16 to a sixteenth of the largest, at least 32."""
    return [int(n) for n in np.unique(np.rint(np.geomspace(NARROWEST, max(32, largest / 16), n_widths)))]


def tuned_rate(parametrization: str, width: int, task: LinearTask, n_steps: int, seed: int) -> float:
    """Best rate at a width, of the geometric mean over a few seeds."""
    rate = BASES[parametrization] * float(width) ** SLOPES[parametrization]
    found = losses_at(parametrization, width, rate, starts(parametrization, width, TUNING_SEEDS, seed), task, n_steps)
    with np.errstate(divide="ignore"):
        return best_rate(rate, np.exp(np.log(found).mean(axis=0)))


@dataclass(frozen=True)
class Prediction:
    """Of one parametrization."""

    name: str
    rate: float
    width: list[int]  # all that did not diverge
    loss: Array  # geometric means
    log_error: Array  # standard errors of their logs
    n_fitted: int  # of them, the first
    curve_width: Array  # empty where nothing was fitted
    curve: Array
    low: Array  # 95%
    high: Array
    exponent: float | None
    predicted: float | None  # at the largest
    log_spread: float  # standard deviation of the log of refits there
    diverged: list[int]

    @property
    def truth(self) -> float | None:
        """Loss at the largest width, None where it diverged."""
        return None if self.diverged else float(self.loss[-1])

    @property
    def z(self) -> float | None:
        """Log of predicted over true loss in standard errors of both."""
        if self.predicted is None or self.truth is None:
            return None
        return float(np.log(self.predicted / self.truth) / np.hypot(self.log_spread, self.log_error[-1]))


@dataclass(frozen=True)
class Predictions(Result):
    """Loss against width and its extrapolation, SP and muP."""

    of: tuple[Prediction, ...]

    def table(self) -> pl.DataFrame:
        frames = []
        for p in self.of:
            frames.append(
                pl.DataFrame(
                    {
                        "parametrization": [p.name] * len(p.width),
                        "width": np.array(p.width, dtype=float),
                        "loss": p.loss,
                        "loss_standard_error": p.loss * p.log_error,
                        "fitted": np.arange(len(p.width)) < p.n_fitted,
                    }
                )
            )
            frames.append(
                pl.DataFrame(
                    {
                        "parametrization": [p.name] * p.curve.size,
                        "width": p.curve_width,
                        "fit": p.curve,
                        "fit_low": p.low,
                        "fit_high": p.high,
                    }
                )
            )
        return pl.concat(frames, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for p in self.of:
            label = f"error at the largest, {p.name}"
            if p.diverged:
                found[label] = f"diverges from width {min(p.diverged):,}"
            elif p.predicted is None or p.truth is None or p.z is None:
                found[label] = "no fit"
            else:
                found[label] = f"{100 * (p.predicted / p.truth - 1):+.1f}%, {p.z:+.1f} standard errors"
        for p in self.of:
            if p.exponent is not None:
                found[f"exponent b, {p.name}"] = p.exponent
        return found


def log_law(parameters: Array, weights: Array, log_loss: Array, width: Array) -> Array:
    """Log of fitted laws (m, 3), with row weights (m, n), at widths.

    A loss that rises with width is no law of this kind: under b >= 0 the best is then a constant, the weighted mean.
    """
    law = np.logaddexp(parameters[:, :1] - parameters[:, 2:] * np.log(width), parameters[:, 1:2])
    constant = (weights @ log_loss / weights.sum(axis=1))[:, None]
    return np.where(parameters[:, 2:] > 0, law, constant)


def predict(
    parametrization: str,
    largest: int,
    fitted: list[int],
    task: LinearTask,
    n_steps: int,
    rate_offset: float,
    init_scale: float,
    n_seeds: int,
    seed: int,
) -> Prediction:
    """Fit at the narrow widths, extrapolate with a bootstrap over networks, and compare at the wide ones.

    The rate is relative to the best at ``init_scale`` 1.
    """
    rate = rate_offset * tuned_rate(parametrization, fitted[-1], task, n_steps, seed)
    between = [n for n in (fitted[-1] * 4**k for k in range(1, 8)) if n < largest / 1.5]
    logs: dict[int, Array] = {}
    diverged = []
    for n in (*fitted, *between, largest):
        grams = starts(parametrization, n, n_seeds, seed + 1, init_scale)
        found = losses_at(parametrization, n, np.array([rate]), grams, task, n_steps)[:, 0]
        if np.isfinite(found).all():
            logs[n] = np.log(np.maximum(found, 1e-300))
        else:
            diverged.append(n)
    width = list(logs)
    loss = np.array([np.exp(v.mean()) for v in logs.values()])
    error = np.array([v.std(ddof=1) / np.sqrt(v.size) for v in logs.values()])
    used = [n for n in fitted if n in logs]
    empty = np.empty(0)
    if len(used) < FORM.n_parameters:
        return Prediction(
            parametrization, rate, width, loss, error, len(used), empty, empty, empty, empty, None, None, 0.0, diverged
        )
    x = np.repeat(np.array(used, dtype=float), n_seeds)[:, None]
    y = np.exp(np.concatenate([logs[n] for n in used]))
    precision = np.array([1 / max(logs[n].var(ddof=1), 1e-12) for n in used])
    weight = np.repeat(precision / precision.mean(), n_seeds)
    fit = fit_log_huber(FORM, x, y, weights=weight, huber_delta=HUBER)
    rng = np.random.default_rng([seed, 2])
    weights = weight * np.hstack([resample_counts(rng, n_seeds, N_REFITS) for _ in used])
    refits = refit_log_huber(fit, x, y, weights, huber_delta=HUBER)
    grid = np.geomspace(NARROWEST, largest, N_CURVE)
    each = log_law(refits, weights, np.log(y), grid)
    low, high = np.exp(np.quantile(each, (0.025, 0.975), axis=0))
    curve = np.exp(log_law(fit.parameters[None], weight[None], np.log(y), grid)[0])
    return Prediction(
        parametrization,
        rate,
        width,
        loss,
        error,
        len(used),
        grid,
        curve,
        low,
        high,
        max(0.0, float(fit.exponents[0])),
        float(curve[-1]),
        float(each[:, -1].std(ddof=1)),
        diverged,
    )


def _prediction_seconds(*, largest_width: int, n_fitted: int, steps: int, n_losses: int, **_: object) -> float:
    n_widths = n_fitted + 1 + max(0, round(np.log(largest_width / 64) / np.log(16)))
    n_starts = 2 * n_losses * n_widths
    return 0.03 + 5e-5 * n_starts + seconds_of(n_starts, steps) + 2e-4 * n_fitted * n_losses


@experiment(seconds=_prediction_seconds)
def loss_prediction(
    *,
    largest_width: LargestWidth = 4096,
    n_fitted: FittedWidths = 5,
    rate_offset: RateOffset = 0.5,
    init_scale: InitScale = 1.0,
    steps: Steps = 40,
    spectrum_exponent: SpectrumExponent = 1.5,
    n_losses: PredictionSeeds = 64,
    seed: Seed = 0,
) -> Iterator[tuple[float, Predictions]]:
    """Loss against width at one rate, A n^-b + C fitted to narrow networks, and the truth at the widest, exact."""
    task = power_law_task(N_INPUTS, spectrum_exponent)
    fitted = fitted_widths(largest_width, n_fitted)
    done: tuple[Prediction, ...] = ()
    for k, name in enumerate(SLOPES):
        done = (*done, predict(name, largest_width, fitted, task, steps, rate_offset, init_scale, n_losses, seed))
        yield (k + 1) / len(SLOPES), Predictions(done)
