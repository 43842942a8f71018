r"""Repeated sampling against an imperfect verifier: the ceiling, the best number of tries, weak against strong.

References
----------
Stroebl, Kapoor & Narayanan, "Inference scaling fLaws: the limits of LLM resampling with imperfect verifiers" (2024),
paper 041 of the catalogue. The exact laws are derived in ``compute.methods.selectors.Verifier``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table, integers
from compute.methods.selectors import Verifier
from compute.models import problem_difficulty as difficulties
from compute.models.problem_difficulty import MOST_TRIES, REACH_TRIES, SUCCESS, Difficulty, tries_to_reach
from compute.models.sampled_problems import (
    LEAST_RATE,
    MOST_RATE,
    Accuracy,
    Atom,
    FalsePositiveRate,
    Family,
    Problems,
    Recall,
    Spread,
    StrongAccuracy,
    Table,
    TailExponent,
    law_of,
    measured_verifier,
    strong_law,
)
from compute.parameters import Real, Seed

Array = NDArray[np.float64]

FalsePositiveCost = Annotated[
    float,
    Real("cost of a wrong answer", "c", low=0.0, high=16.0, help="In units of the benefit of a right one; abstaining costs 0."),
]
TryCost = Annotated[float, Real("cost of a try", r"\kappa", low=0.0, high=0.05, help="In units of the benefit of a right answer.")]


ACCURACIES, RATES = np.linspace(0.01, 0.95, 63), np.geomspace(LEAST_RATE, MOST_RATE, 49)

# --- weak against strong -------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeakStrong(Result):
    """Tries that a weak model needs to reach one sample of a strong one, over accuracy and false-positive rate."""

    accuracy: Array  # (n_accuracies,)
    false_positive_rate: Array  # (n_rates,)
    log_tries: Array  # (n_rates, n_accuracies) log10 K, NaN where no number of tries is enough
    ceiling: Array  # (n_rates, n_accuracies) accuracy at K -> infinity
    boundary: Array  # (n_accuracies,) rate at which the ceiling is the strong model's accuracy, NaN outside the bounds
    strong_accuracy: float
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table(
            "accuracy",
            self.accuracy,
            "false_positive_rate",
            self.false_positive_rate,
            log10_tries_to_reach=self.log_tries,
            ceiling=self.ceiling,
            boundary_false_positive_rate=self.boundary,
        )

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def weak_against_strong(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    false_positive_rate: FalsePositiveRate = 0.05,
    strong_accuracy: StrongAccuracy = 0.6,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    recall: Recall = 1.0,
    data: Table = None,
) -> WeakStrong:
    """Where resampling a weak model against an imperfect verifier reaches one sample of a strong model, and where never.

    Accuracy after K tries is E[(pT/s)(1 - (1-s)^K)], s = pT + (1-p)F; its ceiling E[pT/s] falls with F, and where it
    stays under the strong model's accuracy no number of tries helps (041, its bound on resampling). With own_data the
    exponent of the fitted law is kept while the accuracy varies.
    """
    weak = law_of(family, accuracy, tail_exponent, spread, atom, data)
    law = ("logit_normal", 0.0, spread, 0.0)
    if family != "logit_normal":
        law = ("beta", weak.tail_exponent or tail_exponent, 0.0, atom if family == "beta_with_atom" else 0.0)
    weights, right, ceiling = _all_reached(*law, recall)
    log_tries = tries_to_reach(right, strong_accuracy)
    at = measured_verifier(data, family, recall, false_positive_rate)
    reach = tries_to_reach(weak.mean(at.outcome(SUCCESS, REACH_TRIES)[0]), strong_accuracy)
    best = at.ceiling(weak)
    needed: float | str = f"over {MOST_TRIES:.0e}" if best > strong_accuracy else "never"
    here: dict[str, float | str] = {
        "accuracy of one sample": weak.accuracy,
        "ceiling of resampling": best,
        "ceiling − strong model": best - strong_accuracy,
        "tries to reach it": needed if np.isnan(reach) else float(np.ceil(10 ** float(reach) - 1e-9)),
    }
    boundary = ceiling_boundary(weights, recall, strong_accuracy)
    return WeakStrong(ACCURACIES, RATES, log_tries, ceiling, boundary, strong_accuracy, here)


@lru_cache(maxsize=4)
def _all_reached(family: str, exponent: float, spread: float, atom: float, recall: float) -> tuple[Array, Array, Array]:
    """Weights of the problems at each accuracy, what is reached after every number of tries, and its ceiling.

    Of the strong model and of the reader's point none of them knows.

    Returns
    -------
    weights : (n_accuracies, n_problems) array
    right : (n_rates, n_accuracies, n_tries) array
    ceiling : (n_rates, n_accuracies) array
    """
    if family == "logit_normal":
        weights = difficulties.logit_normal_weight(difficulties.logit_normal_center(ACCURACIES, spread), spread)
    else:
        share = np.minimum(atom, 0.999 * (1 - ACCURACIES))
        weights = difficulties.beta_weight(exponent, difficulties.beta_shape(ACCURACIES, exponent, share), share)
    verifiers = [Verifier(recall, float(rate)) for rate in RATES]
    # One matrix product for all rates, limits and accuracies.
    right = np.concatenate([verifier.outcome(SUCCESS, REACH_TRIES)[0] for verifier in verifiers]) @ weights.T
    right = right.reshape(RATES.size, REACH_TRIES.size, ACCURACIES.size).swapaxes(1, 2)
    ceiling = np.stack([verifier.precision(SUCCESS) for verifier in verifiers]) @ weights.T
    for array in (weights, right, ceiling):
        array.flags.writeable = False
    return weights, right, ceiling


def ceiling_boundary(weights: Array, recall: float, target: float) -> Array:
    """The rate F within its bounds at which E[pT/(pT + (1-p)F)] = ``target`` for each row of weights; NaN where there is none."""
    low, high = np.full(len(weights), LEAST_RATE), np.full(len(weights), MOST_RATE)

    def ceiling(rate: Array) -> Array:
        right = SUCCESS * recall
        return np.sum(weights * right / np.maximum(right + (1 - SUCCESS) * rate[:, None], 1e-300), axis=1)

    crosses = (ceiling(low) > target) & (ceiling(high) < target)
    for _ in range(40):
        middle = np.sqrt(low * high)
        above = ceiling(middle) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(crosses, np.sqrt(low * high), np.nan)


# --- resampling against an imperfect verifier ----------------------------------------------------------


@dataclass(frozen=True)
class Resampled:
    """One model against tries K: exact, and simulated at some of them."""

    name: str
    one_sample: float
    accuracy: Array  # (n_tries,)
    precision: Array  # (n_tries,) share of right among the answers handed in
    utility: Array  # (n_tries,)
    ceiling: float
    best_tries: float  # K*, may be infinite
    simulated: dict[str, Array]  # accuracy, utility and their errors, each (n_points,)


@dataclass(frozen=True)
class Resampling(Result):
    """Accuracy, precision and utility against tries for a weak and a strong model."""

    tries: Array  # (n_tries,)
    points: Array  # (n_points,)
    models: tuple[Resampled, ...]  # weak, strong

    def table(self) -> pl.DataFrame:
        parts = []
        for m in self.models:
            curve = {"tries": self.tries, "accuracy": m.accuracy, "precision": m.precision, "utility": m.utility}
            parts.append(pl.DataFrame({"model": m.name, **curve, "ceiling": m.ceiling}))
            parts.append(
                pl.DataFrame({"model": m.name, "tries": self.points, **{f"simulated_{k}": v for k, v in m.simulated.items()}})
            )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        weak, strong = self.models
        scores = []
        for m in self.models:
            for quantity, exact in (("accuracy", m.accuracy), ("utility", m.utility)):
                error = m.simulated[f"{quantity}_error"]
                here = np.interp(np.log(self.points), np.log(self.tries), exact)
                scores.append(np.max(np.abs(m.simulated[quantity] - here)[error > 0] / error[error > 0], initial=0.0))
        return {
            "ceiling, weak": weak.ceiling,
            "one sample of strong": strong.one_sample,
            "weak can reach it": "yes" if weak.ceiling > strong.one_sample else "never",
            "best tries K*, weak": said(weak.best_tries),
            "best tries K*, strong": said(strong.best_tries),
            "largest gap, theory to simulation (SE)": float(max(scores)),
        }


def said(tries: float) -> float | str:
    """A number of tries, in words where it is none or has no end."""
    return "no end" if np.isinf(tries) else "0: abstain" if tries == 0 else tries


def resample(name: str, law: Difficulty, verifier: Verifier, tries: Array, points: Array, costs: tuple[float, float], p: Array,
             rng: np.random.Generator) -> Resampled:  # fmt: skip
    """Exact curves at ``tries``, simulated ones at ``points`` over problems of success ``p``; costs of a wrong answer and a try."""
    cost, try_cost = costs
    right, wrong, used = (law.mean(part) for part in verifier.outcome(SUCCESS, tries))
    precision = right / np.maximum(right + wrong, 1e-300)
    pass_right, pass_wrong = verifier.rates(p)
    rate = np.minimum(pass_right + pass_wrong, 1 - 1e-16)
    # Tries to the first pass: geometric, with no end where nothing passes.
    stop = np.ceil(rng.standard_exponential(p.size) / np.maximum(-np.log1p(-rate), 1e-18))
    is_right = rng.random(p.size) * rate < pass_right
    done = stop <= points[:, None]
    outcomes = {"accuracy": (done & is_right).astype(float)}
    outcomes["utility"] = outcomes["accuracy"] - cost * (done & ~is_right) - try_cost * np.minimum(stop, points[:, None])
    simulated = {key: value.mean(axis=1) for key, value in outcomes.items()}
    simulated |= {f"{key}_error": value.std(axis=1, ddof=1) / np.sqrt(p.size) for key, value in outcomes.items()}
    best = verifier.optimal_tries(law, cost, try_cost)
    utility = right - cost * wrong - try_cost * used
    return Resampled(name, law.accuracy, right, precision, utility, verifier.ceiling(law), best, simulated)


@experiment
def resampling(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    false_positive_rate: FalsePositiveRate = 0.05,
    false_positive_cost: FalsePositiveCost = 1.0,
    try_cost: TryCost = 0.001,
    strong_accuracy: StrongAccuracy = 0.6,
    recall: Recall = 1.0,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    problems: Problems = 1000,
    data: Table = None,
    seed: Seed = 0,
) -> Resampling:
    """Accuracy, precision and utility of resampling until the verifier passes, against the limit K on tries.

    Right E[(pT/s)(1-(1-s)^K)], wrong E[((1-p)F/s)(1-(1-s)^K)], tries used E[(1-(1-s)^K)/s]; utility is right minus cost
    times wrong minus the cost of a try times tries. K* is the first K at which E[(1-s)^K (pT - cost (1-p)F - try_cost)]
    is not positive (041, its utility of abstaining).
    """
    rng = np.random.default_rng(seed)
    weak = law_of(family, accuracy, tail_exponent, spread, atom, data)
    strong = strong_law(family, strong_accuracy, weak, tail_exponent, spread)
    verifier = measured_verifier(data, family, recall, false_positive_rate)
    tries = integers(10_000, 61)
    points = tries[::4]
    costs = (false_positive_cost, try_cost)
    models = tuple(
        resample(name, law, verifier, tries, points, costs, law.draw(rng, problems), rng)
        for name, law in (("weak", weak), ("strong", strong))
    )
    return Resampling(tries, points, models)


@dataclass(frozen=True)
class Stopping(Result):
    """The best number of tries over the cost of a wrong answer and the false-positive rate."""

    cost: Array  # (n_costs,)
    false_positive_rate: Array  # (n_rates,)
    log_tries: Array  # (n_rates, n_costs) log10(1 + K*), at most log10(1 + 1e6)
    levels: tuple[int, ...]
    boundaries: Array  # (n_levels, n_rates) the cost at which K* passes from above a level to it; NaN beyond the bounds
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        lines = {
            f"cost_where_tries_fall_to_{level}": line[:, None] for level, line in zip(self.levels, self.boundaries, strict=True)
        }
        return grid_table(
            "false_positive_cost",
            self.cost,
            "false_positive_rate",
            self.false_positive_rate,
            log10_one_plus_tries=self.log_tries,
            **lines,
        )

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def stopping(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    false_positive_rate: FalsePositiveRate = 0.05,
    false_positive_cost: FalsePositiveCost = 1.0,
    try_cost: TryCost = 0.001,
    recall: Recall = 1.0,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    data: Table = None,
) -> Stopping:
    """K*, the number of tries of most utility, over the cost of a wrong answer and the verifier's false-positive rate.

    Try K + 1 pays up to the cost E[(1-s)^K (pT - try_cost)]/E[(1-s)^K (1-p)F], which falls with K: the unsolved problems
    are ever harder. Where even the first does not pay the model should not be asked.
    """
    law = law_of(family, accuracy, tail_exponent, spread, atom, data)
    rates = np.geomspace(LEAST_RATE, MOST_RATE, 61)
    costs = np.linspace(0.0, 16.0, 81)
    k = np.unique(np.concatenate([np.arange(30.0), np.rint(np.geomspace(30, 1e6, 60))]))
    log_tries = np.empty((rates.size, costs.size))
    levels = (0, 1, 3, 10, 30, 100)
    boundaries = np.full((len(levels), rates.size), np.nan)
    for row, rate in enumerate(rates):
        worth = np.minimum.accumulate(Verifier(recall, float(rate)).cost_worth_trying(law, k, try_cost))
        # K* is the first K that is not worth its cost; above 30 between two points of the grid.
        first = np.searchsorted(-worth, -costs)
        log_tries[row] = np.log10(1 + k[np.minimum(first, k.size - 1)])
        at_levels = worth[np.searchsorted(k, levels)]
        boundaries[:, row] = np.where((at_levels >= 0) & (at_levels <= costs[-1]), at_levels, np.nan)
    verifier = measured_verifier(data, family, recall, false_positive_rate)
    best = verifier.optimal_tries(law, false_positive_cost, try_cost)
    right, wrong, used = (law.mean(part).item() for part in verifier.outcome(SUCCESS, min(best, 1e9)))
    here: dict[str, float | str] = {
        "best tries K*": said(best),
        "utility there": right - false_positive_cost * wrong - try_cost * used,
        "right answers there": right,
        "wrong answers there": wrong,
        "cost above which to abstain": min(verifier.cost_worth_trying(law, 0.0, try_cost).item(), 1e9),
    }
    return Stopping(costs, rates, log_tries, levels, boundaries, here)
