"""Fit the elbow, sample its posterior, and call few-shot emergence as a multiple of the largest model's compute."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from scipy.optimize import least_squares

from compute.experiment import Result, experiment
from compute.models.emergence_law import (
    HIGHEST_ELBOW,
    LOSS_FLOOR,
    POWERS,
    SHIFTS,
    Array,
    Finetuned,
    GridFit,
    accuracy,
    bounds,
    compute_of_loss,
    moved_by,
)
from compute.parameters import ParameterError, Seed
from compute.scaling_laws.emergence_elbow.setting import (
    SLOPE,
    AccuracyNoise,
    Chance,
    ComputeGap,
    DataLevels,
    Elbow,
    ModelSizes,
    Power,
    Runs,
    Shift,
    simulate,
)

N_WALKERS, N_STEPS, BURN_IN, THIN = 40, 2000, 600, 14
LEVEL = (0.05, 0.5, 0.95)
LEAST_GAIN = 9.0  # of chi-square by an elbow over pure chance: three standard deviations


@lru_cache(maxsize=4)
def _grid(loss: tuple[float, ...], examples: tuple[float, ...]) -> GridFit:
    elbows, shifts, powers = np.linspace(LOSS_FLOOR + 0.02, 3.2, 50), np.linspace(*SHIFTS, 16), np.linspace(*POWERS, 6)
    return GridFit.of(np.array(loss), np.array(examples), elbows, shifts, powers)


def fit(runs: Finetuned) -> tuple[Array, float]:
    """Least squares: (elbow, shift, power, log slope) and the sum of squares over the noise variance.

    From the best place of a grid, which knows no ceiling and is shown only what stays below it.
    """
    below = runs.accuracy < 0.95
    grid = _grid(tuple(runs.loss[below].tolist()), tuple(runs.examples[below].tolist()))
    theta, slope = grid.best(runs.accuracy[below] - runs.chance)

    def residuals(p: Array) -> Array:
        e, s, q, log_slope = p
        return (accuracy(runs.loss, runs.examples, runs.chance, e, s, q, np.exp(log_slope)) - runs.accuracy) / runs.noise

    low, high = bounds()
    start = np.clip(np.append(theta, np.log(slope)), low + 1e-6, high - 1e-6)
    found = least_squares(residuals, start, bounds=(low, high), x_scale=(0.1, 0.1, 0.5, 0.5))
    return found.x, float(2 * found.cost)


def is_seen(runs: Finetuned, cost: float) -> bool:
    """Whether an elbow explains the runs better than pure chance."""
    flat = float(np.sum((runs.accuracy - runs.chance) ** 2) / runs.noise**2)
    return flat - cost >= LEAST_GAIN


def posterior(runs: Finetuned, best: Array, rng: np.random.Generator) -> Array:
    """(n_draws, 4) of elbow, shift, power, log slope, flat within their bounds."""
    low, high = bounds()
    start = best + np.array([0.02, 0.01, 0.05, 0.05]) * rng.standard_normal((N_WALKERS, 4))
    start = np.clip(start, low + 1e-3 * rng.random((N_WALKERS, 4)), high - 1e-3 * rng.random((N_WALKERS, 4)))
    return runs.walk(start, N_STEPS, rng)[BURN_IN::THIN].reshape(-1, 4)


@dataclass(frozen=True)
class Call(Result):
    """Runs, fit and posterior."""

    runs: Finetuned
    amounts: Array  # (n_amounts,)
    curve_loss: Array  # (n_loss,)
    fitted: Array  # (n_amounts, n_loss) accuracy by the best fit
    few_shot: Array  # (3, n_loss) 5, 50 and 95% of the posterior, few-shot
    true_few_shot: Array | None  # (n_loss,)
    tuned: Array  # (n_tuned,) finetuning amounts
    elbow_band: Array  # (3, n_tuned)
    elbow_fit: Array  # (n_tuned,)
    true_elbow_path: Array | None  # (n_tuned,)
    draws: Array  # (n_draws,) of the few-shot elbow
    multiples: Array  # (n_draws,) compute at the elbow over the largest model's
    best: Array  # (4,)
    truth: tuple[float, float] | None  # elbow, multiple

    def histograms(self) -> dict[str, tuple[Array, Array]]:
        """Posterior densities: (bin centers, density) of the elbow in nats and of log10 of the compute multiple."""
        found = {}
        for name, values in (("elbow", self.draws), ("log10_multiple", np.log10(self.multiples))):
            low, high = np.quantile(values, (0.001, 0.999))
            density, edges = np.histogram(values, np.linspace(low, max(high, low + 1e-6), 41), density=True)
            found[name] = ((edges[1:] + edges[:-1]) / 2, density)
        return found

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame({"loss": self.runs.loss, "examples": self.runs.examples, "accuracy": self.runs.accuracy})
        curves = pl.DataFrame(
            {
                "loss": np.tile(self.curve_loss, self.amounts.size),
                "examples": np.repeat(self.amounts, self.curve_loss.size),
                "fitted_accuracy": self.fitted.ravel(),
            }
        )
        band = {f"few_shot_{int(100 * q)}%": row for q, row in zip(LEVEL, self.few_shot, strict=True)}
        true = {} if self.true_few_shot is None else {"few_shot_truth": self.true_few_shot}
        few = pl.DataFrame({"loss": self.curve_loss} | band | true)
        moved = {f"elbow_{int(100 * q)}%": row for q, row in zip(LEVEL, self.elbow_band, strict=True)}
        true = {} if self.true_elbow_path is None else {"elbow_truth": self.true_elbow_path}
        path = pl.DataFrame({"examples": self.tuned, "elbow_fit": self.elbow_fit} | moved | true)
        densities = [
            pl.DataFrame({name: center, f"density_of_{name}": density}) for name, (center, density) in self.histograms().items()
        ]
        return pl.concat([runs, curves, few, path, *densities], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        low, middle, high = np.quantile(self.multiples, LEVEL)
        found: dict[str, float | str] = {
            "emerges at × the largest model's compute": float(middle),
            "its 90% interval": f"{low:.3g} to {high:.3g}",
        }
        if self.truth:
            found["truth"] = self.truth[1]
            found["truth in the interval"] = "yes" if low <= self.truth[1] <= high else "no"
            found["off by a factor"] = float(np.exp(abs(np.log(middle / self.truth[1]))))
        found["few-shot elbow, nats"] = f"{self.draws.mean():.3f} ± {self.draws.std():.3f}"
        return found


@experiment
def called_emergence(
    *,
    elbow: Elbow = 2.2,
    shift: Shift = 0.15,
    power: Power = 1.0,
    model_sizes: ModelSizes = 6,
    data_levels: DataLevels = 5,
    accuracy_noise: AccuracyNoise = 0.015,
    compute_gap: ComputeGap = 4.0,
    chance: Chance = 0.25,
    runs: Runs = None,
    seed: Seed = 0,
) -> Call:
    """Finetune models that are all few-shot at chance, fit the law of the elbow, and foretell where few-shot emerges.

    Raises
    ------
    ParameterError
        Where no run is surely above chance: the likelihood does not depend on the elbow below the least loss seen.
    """
    rng = np.random.default_rng([seed, 1])
    if runs is None:
        seen = simulate(elbow, shift, power, model_sizes, data_levels, accuracy_noise, compute_gap, chance, rng)
        truth = (elbow, float(compute_of_loss(elbow) / compute_of_loss(seen.loss.min())))
    else:
        loss, examples, scored = (runs[name].to_numpy().astype(float) for name in ("loss", "examples", "accuracy"))
        if loss.size < 6:
            raise ParameterError("runs", f"has {loss.size} sound rows; a law of four constants needs at least 6.")
        seen, truth = Finetuned(loss, examples, scored, chance, accuracy_noise), None
    best, cost = fit(seen)
    if not is_seen(seen, cost):
        raise ParameterError(
            "shift" if runs is None else "runs",
            "leaves every run at chance within its noise: nothing says where the elbow is. Finetuning must lift some model, "
            "or a model must stand nearer to emergence.",
        )
    draws = posterior(seen, best, np.random.default_rng([seed, 2]))
    # Bands of curves do with a part of the draws, which are near copies from one step to the next.
    e, s, q, log_slope = draws.reshape(-1, N_WALKERS, 4)[::4].reshape(-1, 4, 1).transpose(1, 0, 2)
    amounts = np.unique(seen.examples)
    curve = np.linspace(max(LOSS_FLOOR + 0.02, seen.loss.min() - 0.35), min(seen.loss.max() + 0.05, HIGHEST_ELBOW), 110)
    tuned = np.geomspace(1, 1e5, 60)
    few_shot = np.quantile(accuracy(curve, np.zeros(1), chance, e, s, q, np.exp(log_slope)), LEVEL, axis=0)
    fitted = accuracy(curve, amounts[:, None], chance, best[0], best[1], best[2], np.exp(best[3]))
    return Call(
        seen,
        amounts,
        curve,
        fitted,
        few_shot,
        accuracy(curve, np.zeros(1), chance, elbow, shift, power, SLOPE) if truth else None,
        tuned,
        np.quantile(e + s * moved_by(tuned, q), LEVEL, axis=0),
        best[0] + best[1] * moved_by(tuned, best[2]),
        elbow + shift * moved_by(tuned, power) if truth else None,
        draws[:, 0],
        compute_of_loss(draws[:, 0]) / compute_of_loss(seen.loss.min()),
        best,
        truth,
    )
