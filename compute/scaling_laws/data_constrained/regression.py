r"""What repetition is worth where it can be measured: linear regression by stochastic gradient descent.

References
----------
Komatsuzaki, "One Epoch Is All You Need" (2019), paper 089 of the catalogue; the problem is in
``compute.models.repeated_regression``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.models.repeated_regression import one_pass_curve, regression, repeat_sgd, truncated_curve
from compute.models.repeated_tokens import effective
from compute.parameters import Seed
from compute.scaling_laws.data_constrained.parameters import (
    DecayTokens,
    Features,
    LabelNoise,
    Seeds,
    SpectrumExponent,
    StepsPerFeature,
    UniqueSamples,
    Updates,
    WeightDecay,
)

Array = NDArray[np.float64]

N_FEATURES = 200
WIDE = 400  # features of the problem whose valley is mapped
EPOCHS = np.unique(np.rint(np.geomspace(1, 100, 15)))
SPLITS = (1, 4, 20, 100)
LARGEST_DECAY = 1e3
ROUNDING = 1e-24  # an error below this is that of the arithmetic


def mean_and_error(runs: list[Array]) -> tuple[Array, Array]:
    """Mean over runs and its standard error; 0 for a single run."""
    values = np.array(runs)
    if len(runs) == 1:
        return values[0], np.zeros(values.shape[1])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(runs))


# --- effective data ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worth(Result):
    """Unique tokens that repeated ones are worth, as the law has it and as measured."""

    epochs: Array  # (n_curve,)
    law: Array  # (n_curve,) D'/U
    decay_tokens: float
    measured_epochs: Array  # (n_measured,)
    measured: Array  # (n_measured,) NaN where fresh samples never reach the loss
    measured_error: Array
    fitted: Array | None  # (n_curve,) the law through the measured
    fitted_decay: float | None
    unique_samples: int
    n_runs: int

    def table(self) -> pl.DataFrame:
        fitted = {} if self.fitted is None else {"fitted_worth": self.fitted}
        law = pl.DataFrame({"kind": "law", "epochs": self.epochs, "law_worth": self.law, **fitted})
        found = np.isfinite(self.measured)
        simulated = pl.DataFrame(
            {
                "kind": "regression",
                "epochs": self.measured_epochs[found],
                "measured_worth": self.measured[found],
                "standard_error": self.measured_error[found],
            }
        )
        return pl.concat([law, simulated], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        four = float(effective(4.0, 1.0, self.decay_tokens))
        last = np.flatnonzero(np.isfinite(self.measured))
        found: dict[str, float | str] = {
            "law: D′/D at 4 epochs": four / 4,
            "law: D′/D at 40 epochs": float(effective(40.0, 1.0, self.decay_tokens)) / 40,
            "law: most that data is worth, D′/U": 1 + self.decay_tokens,
            "regression: its own R*": "not told: the worth does not settle" if self.fitted_decay is None else self.fitted_decay,
        }
        if last.size:
            peak = int(last[np.argmax(self.measured[last])])
            found["regression: most worth, D′/U"] = float(self.measured[peak])
            found["reached at epoch"] = float(self.measured_epochs[peak])
            # E epochs reach a loss for which fresh samples need D'/U epochs' worth of steps.
            found["speed-up of fresh samples over 100 epochs"] = (
                float(self.measured_epochs[-1] / self.measured[-1])
                if np.isfinite(self.measured[-1]) and self.measured[-1] > 0
                else "fresh samples do not reach that loss at this step"
            )
        return found


def _worth_seconds(unique_samples: int, n_seeds: int, **_: object) -> float:
    return 0.01 + 1.3e-7 * N_FEATURES / 100 * EPOCHS[-1] * unique_samples * (n_seeds + 1)


@experiment(seconds=_worth_seconds)
def effective_data(
    *,
    decay_tokens: DecayTokens = 15.387756,
    unique_samples: UniqueSamples = 100,
    spectrum_exponent: SpectrumExponent = 1.3,
    label_noise: LabelNoise = 0.0,
    weight_decay: WeightDecay = 0.0,
    n_seeds: Seeds = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, Worth]]:
    """Worth of repeated data, D'/U: the fitted law of paper 480, and a regression in 200 features that repeats its samples.

    Measured: the first step at which the exact curve of fresh samples has the test error reached after so many epochs,
    over U. The law is then fitted to what was measured by least squares in its one constant.
    """
    problem = regression(N_FEATURES, spectrum_exponent, label_noise)
    marks = (EPOCHS * unique_samples).astype(np.int64)
    fresh = one_pass_curve(problem, int(marks[-1]), weight_decay)
    lowest = np.minimum.accumulate(fresh)
    grid = np.geomspace(1, 100, 61)
    runs: list[Array] = []
    for k in range(n_seeds):
        runs.append(repeat_sgd(problem, unique_samples, marks, np.random.default_rng([seed, k]), weight_decay)[0])
        if k == 0:
            continue
        level, error = mean_and_error(runs)
        worth, worth_error = _worth(lowest, level, error, unique_samples)
        decay = _fit_decay(EPOCHS, worth)
        fitted = None if decay is None else effective(grid, 1.0, decay)
        result = Worth(
            grid, effective(grid, 1.0, decay_tokens), decay_tokens, EPOCHS, worth, worth_error, fitted, decay, unique_samples, k + 1
        )
        yield (k + 1) / n_seeds, result


def _worth(lowest: Array, level: Array, error: Array, unique_samples: int) -> tuple[Array, Array]:
    """First step, between steps, at which a falling curve is at each level, over U; and its error by the curve's slope."""
    at = np.searchsorted(-lowest, -level)
    reached = (at < lowest.size) & (at > 0)
    at = np.clip(at, 1, lowest.size - 1)
    drop = np.maximum(lowest[at - 1] - lowest[at], 1e-300)
    steps = at - 1 + np.clip((lowest[at - 1] - level) / drop, 0, 1)
    # The slope over a tenth of the steps: that of one step is the rounding of a flat curve.
    back = np.maximum(at - 1 - at // 10, 0)
    slope = (lowest[back] - lowest[at]) / (at - back)
    reached &= (slope > 1e-12 * lowest[at]) & (level > ROUNDING)
    worth_error = error / np.where(reached, slope, 1.0) / unique_samples
    return np.where(reached, steps / unique_samples, np.nan), np.where(reached, worth_error, np.nan)


def _fit_decay(epochs: Array, worth: Array) -> float | None:
    """R* of the law through the measured worth; None where repeated data harms or does not settle."""
    found = np.isfinite(worth) & (worth > 0)
    # A worth that falls again is over-fitting, which this law cannot have.
    if found.sum() < 5 or worth[found][-1] < 0.8 * worth[found].max():
        return None
    e, target = epochs[found], np.log(worth[found])
    best = minimize_scalar(
        lambda log_decay: float(np.sum((np.log(effective(e, 1.0, np.exp(log_decay))) - target) ** 2)),
        bounds=(np.log(0.01), np.log(LARGEST_DECAY)),
        method="bounded",
    )
    decay = float(np.exp(best.x))
    return decay if decay < 0.9 * LARGEST_DECAY else None


# --- test and training error against updates -------------------------------------------------------------


@dataclass(frozen=True)
class EpochCurves(Result):
    """Errors against updates, the same number of updates split into 1, 4, 20 and 100 epochs."""

    steps: Array  # (n_marks,)
    splits: tuple[int, ...]
    test: Array  # (n_splits, n_marks)
    test_error: Array
    train: Array
    exact_steps: Array  # (n_exact,)
    exact: Array  # (n_exact,) fresh samples
    gap: float  # squared error on the next sample less test error, one epoch, in standard errors
    distance: float  # one epoch against the exact curve, at the end, in standard errors
    speed_up: dict[int, float | None]
    noise: float

    def table(self) -> pl.DataFrame:
        n = self.steps.size
        simulated = pl.DataFrame(
            {
                "kind": "simulation",
                "epochs": np.repeat(np.array(self.splits), n),
                "updates": np.tile(self.steps, len(self.splits)),
                "test_error": self.test.ravel(),
                "standard_error": self.test_error.ravel(),
                "training_error": self.train.ravel(),
            }
        )
        exact = pl.DataFrame({"kind": "exact, fresh samples", "updates": self.exact_steps, "test_error": self.exact})
        return pl.concat([simulated, exact], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            f"test error, {e} epoch{'s' * (e > 1)}": float(self.test[k, -1]) for k, e in enumerate(self.splits)
        }
        for e, gain in self.speed_up.items():
            if e > 1:
                found[f"speed-up of one epoch over {e}"] = "not reached" if gain is None else gain
        found["one epoch: simulation − theory at the end, SE"] = self.distance
        found["one epoch: error on the next sample − test error, SE"] = self.gap
        return found


def _curves_seconds(updates: int, n_seeds: int, **_: object) -> float:
    return 0.005 + n_seeds * (0.002 + 3e-6 * updates)


@experiment(seconds=_curves_seconds)
def epoch_curves(
    *,
    updates: Updates = 4000,
    spectrum_exponent: SpectrumExponent = 1.3,
    label_noise: LabelNoise = 0.0,
    weight_decay: WeightDecay = 0.0,
    n_seeds: Seeds = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, EpochCurves]]:
    """T updates of a regression in 200 features, spent on 1, 4, 20 or 100 epochs, over the exact curve of fresh samples.

    The miniature of paper 089: same updates, fewer unique samples. The exact curve is the closed recursion of second moments,
    weight decay included.
    """
    problem = regression(N_FEATURES, spectrum_exponent, label_noise)
    marks = np.unique(np.rint(np.geomspace(1, updates, 26))).astype(np.int64)
    marks[-1] = updates
    splits = tuple(e for e in SPLITS if updates >= e)
    exact = one_pass_curve(problem, updates, weight_decay)
    shown = np.unique(np.concatenate([marks, np.rint(np.geomspace(1, updates, 120)).astype(np.int64)]))
    tests: list[list[Array]] = [[] for _ in splits]
    trains: list[list[Array]] = [[] for _ in splits]
    gaps = np.zeros(3)
    for k in range(n_seeds):
        for i, e in enumerate(splits):
            # The last mark is read before the update, so one epoch needs one sample more than it has updates.
            unique = updates + 1 if e == 1 else max(1, round(updates / e))
            test, train, gap, square = repeat_sgd(problem, unique, marks, np.random.default_rng([seed, k, e]), weight_decay)
            tests[i].append(test)
            trains[i].append(train)
            if e == 1:
                gaps += gap, square, marks.size
        if k == 0:
            continue
        means, errors = (np.array(v) for v in zip(*(mean_and_error(t) for t in tests), strict=True))
        n = gaps[2]
        spread = np.sqrt(max(gaps[1] / n - (gaps[0] / n) ** 2, 1e-300) / n)
        ends = {e: _first_below(exact, means[i, -1]) for i, e in enumerate(splits)}
        result = EpochCurves(
            marks.astype(float),
            splits,
            means,
            errors,
            np.array([np.mean(t, axis=0) for t in trains]),
            shown.astype(float),
            exact[shown],
            float(gaps[0] / n / spread),
            float((means[0, -1] - exact[updates]) / max(errors[0, -1], 1e-300)),
            {e: None if end is None else updates / end for e, end in ends.items()},
            label_noise,
        )
        yield (k + 1) / n_seeds, result


def _first_below(curve: Array, level: float) -> float | None:
    """First step at which a curve is at a level or below; None where it never is, or at once."""
    below = np.flatnonzero(curve <= level)
    return float(below[0]) if below.size and below[0] > 0 else None


# --- the valley at fixed compute ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Valley(Result):
    """Exact error over model size and updates per feature, and the best size at each compute."""

    features: Array  # (n_sizes,)
    ratio: Array  # (n_ratios,)
    excess: Array  # (n_ratios, n_sizes) test error less the noise
    compute: Array  # (n_compute,) N T
    valley_features: Array  # (n_compute,)
    valley_ratio: Array
    valley_excess: Array
    here: tuple[int, float, float]  # features, ratio, excess
    speed_up: float | None

    def table(self) -> pl.DataFrame:
        cells = grid_table("features", self.features, "updates_per_feature", self.ratio, excess_error=self.excess)
        valley = pl.DataFrame(
            {
                "kind": "valley",
                "compute": self.compute,
                "features": self.valley_features,
                "updates_per_feature": self.valley_ratio,
                "excess_error": self.valley_excess,
            }
        )
        return pl.concat([cells.insert_column(0, pl.Series("kind", ["map"] * cells.height)), valley], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        n, ratio, excess = self.here
        spent = n * n * ratio
        k = int(np.argmin(np.abs(np.log(self.compute / spent))))
        slope = float(np.polyfit(np.log(self.compute), np.log(self.valley_features), 1)[0])
        return {
            "excess error where you stand": excess,
            "compute N·T where you stand": spent,
            "best features at that compute": float(self.valley_features[k]),
            "best updates per feature": float(self.valley_ratio[k]),
            "excess error there": float(self.valley_excess[k]),
            "speed-up of the valley": "outside the compute of the valley" if self.speed_up is None else self.speed_up,
            "best features grow as compute to the": slope,
        }


@experiment
def fixed_compute(
    *,
    spectrum_exponent: SpectrumExponent = 1.3,
    label_noise: LabelNoise = 0.0,
    n_features: Features = 100,
    updates_per_feature: StepsPerFeature = 1.0,
) -> Valley:
    """Exact one-pass error of a model of the first N of 400 features after T updates, over N and T/N; no simulation.

    Features left out act as noise. At fixed compute N T there is a best size: the valley, by minimizing over all integers N up
    to 200 on a grid even in log N. Paper 089 adjusts size and iterations in the same way.
    """
    problem = regression(WIDE, spectrum_exponent, label_noise)
    sizes = np.unique(np.rint(np.geomspace(2, 200, 44)))
    ratio = np.geomspace(0.1, 1e4, 51)
    budgets = np.geomspace(1e2, 3e5, 36)
    excess, at_budget = np.empty((ratio.size, sizes.size)), np.empty((budgets.size, sizes.size))
    for k, n in enumerate(sizes):
        curve = truncated_curve(problem, int(n), np.concatenate([ratio * n, budgets / n])) - label_noise**2
        excess[:, k], at_budget[:, k] = curve[: ratio.size], curve[ratio.size :]
    best = np.argmin(at_budget, axis=1)
    # A parabola through the three sizes around the best one, in logs, so that the valley is not a staircase.
    inner = np.clip(best, 1, sizes.size - 2)
    rows, x = np.arange(budgets.size), np.log(sizes)
    left, middle, right = (np.log(np.maximum(at_budget[rows, inner + s], 1e-300)) for s in (-1, 0, 1))
    d_left, d_right = x[inner] - x[inner - 1], x[inner + 1] - x[inner]
    slope_left, slope_right = (middle - left) / d_left, (right - middle) / d_right
    bend = np.maximum((slope_right - slope_left) / (d_left + d_right), 1e-12)
    shift = -(slope_left + bend * d_left) / (2 * bend)
    valley = np.where(best == inner, np.exp(x[inner] + np.clip(shift, -d_left / 2, d_right / 2)), sizes[best])
    lowest = at_budget[rows, best]
    here = float(truncated_curve(problem, n_features, np.array([updates_per_feature * n_features]))[0] - label_noise**2)
    spent = n_features**2 * updates_per_feature
    inside = lowest.min() < here < lowest.max() and budgets[0] <= spent
    falling = np.minimum.accumulate(lowest)
    enough = float(np.exp(np.interp(-np.log(here), -np.log(falling), np.log(budgets)))) if inside else None
    return Valley(
        sizes,
        ratio,
        excess,
        budgets,
        valley,
        budgets / valley**2,
        lowest,
        (n_features, updates_per_feature, here),
        None if enough is None else spent / enough,
    )
