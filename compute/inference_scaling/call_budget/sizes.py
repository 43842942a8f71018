r"""A small model many times or a large one once, at the same budget, with tests or with a ranker to choose.

logit p ~ N(theta, spread^2) over problems, theta = 0 for the large model and lower by the ability gap for each octave of size
below it. Tests find a right sample if there is one, E[1 - (1 - p)^k]; a ranker takes the best-scored sample.

References
----------
Hassid et al., "The Larger the Better? Improved LLM Code-Generation via Budget Reallocation" (2024), paper 174 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.methods.inference_stack import score_gap
from compute.methods.selectors import reward_per_sample
from compute.models.problem_difficulty import LOG_FAILURE, SUCCESS, draw_correlated, logit_normal_weight
from compute.parameters import LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

SizeRatio = Annotated[
    float, Real("size ratio", "R", low=1.5, high=16.0, help="Large over small, in size and in price; 70B over 13B is 5.4.")
]
Budget = Annotated[float, LogReal("budget", "B", unit="large calls", low=0.2, high=20.0, help="Spent on a problem.")]
AbilityGap = Annotated[
    float, Real("ability gap", r"\Delta", unit="logits an octave", low=0.0, high=3.0, help="What halving the size costs.")
]
Spread = Annotated[float, Real("difficulty spread", r"\sigma", low=0.4, high=4.0, help="Deviation of logit p over problems.")]
RankerAUC = Annotated[
    float, Real("ranker AUC", "A", low=0.5, high=0.99, help="P(a right sample scores above a wrong one); 0.5 knows nothing.")
]
Correlation = Annotated[
    float, Real("correlation of models", r"\rho", low=0.0, high=0.95, help="Of the logits of two models on the same question.")
]
Problems = Annotated[int, LogInteger("simulated problems", "n", low=100, high=20_000, help="Of each point.")]

WAYS = ("tests", "ranker")


def samples_bought(budget: Array, price: float) -> Array:
    """Whole samples at ``price`` each."""
    return np.floor(budget / price + 1e-9)


def accuracy_tables(samples: Array, auc: float) -> dict[str, Array]:
    """P(right) at each node of p: ``(n_counts, n_nodes)`` by tests and by the ranker; 0 where no sample is bought."""
    tests = -np.expm1(samples[:, None] * np.where(np.isfinite(LOG_FAILURE), LOG_FAILURE, -745.0))
    # The ranker's integral is per distinct count.
    distinct, place = np.unique(samples, return_inverse=True)
    chosen = np.zeros((distinct.size, SUCCESS.size))
    some = distinct > 0
    if some.any():
        chosen[some] = reward_per_sample(SUCCESS, distinct[some], float(score_gap(auc)), "gaussian")
    return {"tests": tests, "ranker": chosen[place]}


def small_center(size_ratio: float, ability_gap: Array | float) -> Array:
    """theta of the small model: the gap for each octave below the large one's 0."""
    return -np.asarray(ability_gap, dtype=float) * np.log2(size_ratio)


# --- curves --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BudgetCurves(Result):
    """Accuracy of both sizes against the budget, by tests and by a ranker."""

    budget: Array  # (n_budgets,)
    exact: dict[str, Array]  # "small, tests" and so on: (n_budgets,)
    points: Array  # (n_points,)
    simulated: dict[str, Array]  # (n_points,)
    standard_error: dict[str, Array]  # (n_points,)
    at_budget: float
    small_once: float
    large_once: float
    crossover: dict[str, float]  # budget from which the small model stays ahead; NaN where it never is

    def table(self) -> pl.DataFrame:
        parts = []
        for name, values in self.exact.items():
            model, way = name.split(", ")
            parts.append(pl.DataFrame({"model": model, "way": way, "budget_large_calls": self.budget, "accuracy": values}))
            simulated = {"simulated": self.simulated[name], "standard_error": self.standard_error[name]}
            parts.append(pl.DataFrame({"model": model, "way": way, "budget_large_calls": self.points, **simulated}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        def at(name: str) -> float:
            return float(self.exact[name][np.searchsorted(self.budget, self.at_budget * (1 + 1e-9)) - 1])

        found: dict[str, float | str] = {}
        for way in WAYS:
            margin = at(f"small, {way}") - at(f"large, {way}")
            found[f"small − large, {way}"] = margin
            cross = self.crossover[way]
            found[f"small ahead for good, {way}"] = (
                f"from {cross:.2g} large calls" if np.isfinite(cross) else "not by 20 large calls"
            )
        found["one sample: small, large"] = f"{self.small_once:.3f}, {self.large_once:.3f}"
        gaps = []
        for name, values in self.exact.items():
            theory = values[np.searchsorted(self.budget, self.points * (1 + 1e-9)) - 1]
            gaps.append(np.max(np.abs(self.simulated[name] - theory) / np.maximum(self.standard_error[name], 1e-9)))
        return found | {"largest gap, theory to simulation (SE)": float(max(gaps))}


@experiment
def budget_curves(
    *,
    size_ratio: SizeRatio = 5.4,
    budget: Budget = 1.0,
    ability_gap: AbilityGap = 0.4,
    spread: Spread = 2.0,
    ranker_auc: RankerAUC = 0.65,
    problems: Problems = 2000,
    seed: Seed = 0,
) -> BudgetCurves:
    """Accuracy against budget of a small and a large model, each sampled as often as the budget buys.

    Tests: E[1 - (1 - p)^k]. Ranker: scores of gap sqrt(2) Phi^-1(AUC) with unit Gaussian noise a sample, the best is handed in;
    at AUC 0.5 that is one sample's accuracy whatever k. Both are exact quadratures; points are simulated problems.
    """
    # Budgets at which either buys one more sample, so that steps stand where they are.
    edges = np.concatenate([np.arange(1, 20 * size_ratio + 1) / size_ratio, np.arange(1, 21), np.geomspace(0.2, 20, 25), [budget]])
    grid = np.unique(np.round(edges[(edges >= 0.2) & (edges <= 20)], 12))
    if grid.size > 140:
        grid = np.unique(np.concatenate([grid[grid < 5], np.geomspace(5, 20, 24), [budget, 20.0]]))
    points = np.array([0.3, 1.0, 2.0, 4.0, 8.0, 16.0])
    grid = np.unique(np.concatenate([grid, points]))
    center = float(small_center(size_ratio, ability_gap))
    rng = np.random.default_rng(seed)
    success = draw_correlated(rng, np.array([center, 0.0]), spread, 0.6, problems)
    exact, simulated, error = {}, {}, {}
    once = []
    for row, (model, price, theta) in enumerate((("small", 1 / size_ratio, center), ("large", 1.0, 0.0))):
        weight = logit_normal_weight(theta, spread)
        once.append(float(SUCCESS @ weight))
        for way, table in accuracy_tables(samples_bought(grid, price), ranker_auc).items():
            exact[f"{model}, {way}"] = table @ weight
        counts = samples_bought(points, price)
        for way in WAYS:
            found = np.array([_simulate(rng, success[row], int(k), way, ranker_auc) for k in counts])
            simulated[f"{model}, {way}"] = found.mean(axis=1)
            error[f"{model}, {way}"] = found.std(axis=1) / np.sqrt(problems)
    crossover = {}
    for way in WAYS:
        behind = np.flatnonzero(exact[f"small, {way}"] <= exact[f"large, {way}"])
        last = int(behind[-1]) + 1 if behind.size else 0
        crossover[way] = float(grid[last]) if last < grid.size else np.nan
    return BudgetCurves(grid, exact, points, simulated, error, budget, once[0], once[1], crossover)


def _simulate(rng: np.random.Generator, success: Array, k: int, way: str, auc: float) -> Array:
    """Whether the sample handed in is right, on each problem."""
    if k == 0:
        return np.zeros(success.size)
    right = rng.binomial(k, success)
    if way == "tests":
        return (right > 0).astype(float)
    # The best of n scores, by its quantile.
    best = [-ndtri(-np.expm1(-rng.standard_exponential(success.size) / np.maximum(n, 1))) for n in (right, k - right)]
    return np.where(right == 0, 0.0, np.where(right == k, 1.0, best[0] + float(score_gap(auc)) > best[1]))


# --- the map -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WinnerMap(Result):
    """Accuracy of the small model less the large one's, over budget and ability gap."""

    budget: Array  # (n_budgets,)
    ability_gap: Array  # (n_gaps,)
    advantage: dict[str, Array]  # tests, ranker: (n_gaps, n_budgets)
    break_even: dict[str, tuple[Array, Array]]  # broken lines
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        maps = {f"small_less_large_{way}": plane for way, plane in self.advantage.items()}
        return grid_table("budget_large_calls", self.budget, "ability_gap", self.ability_gap, **maps)

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def winner_map(
    *,
    size_ratio: SizeRatio = 5.4,
    budget: Budget = 1.0,
    ability_gap: AbilityGap = 0.4,
    spread: Spread = 2.0,
    ranker_auc: RankerAUC = 0.65,
) -> WinnerMap:
    """Which size is right more often at the same budget, with tests and with a ranker, by exact quadrature."""
    budgets, gaps = np.geomspace(0.2, 20.0, 41), np.linspace(0, 3, 41)
    weight = logit_normal_weight(small_center(size_ratio, gaps), spread)
    large = logit_normal_weight(0.0, spread)
    own_weight = logit_normal_weight(small_center(size_ratio, ability_gap), spread)
    at = np.append(budgets, budget)
    small_tables = accuracy_tables(samples_bought(at, 1 / size_ratio), ranker_auc)
    large_tables = accuracy_tables(samples_bought(at, 1.0), ranker_auc)
    advantage, lines = {}, {}
    here: dict[str, float | str] = {}
    for way in WAYS:
        against = large_tables[way] @ large
        plane = weight @ small_tables[way][:-1].T - against[:-1]
        advantage[way] = plane
        x, y = level_lines(np.log10(budgets), gaps, plane, 0.0)
        lines[way] = (10**x, y)
        margin = float(own_weight @ small_tables[way][-1] - against[-1])
        here[f"small − large here, {way}"] = margin
        here[f"small wins, {way} (share of the map)"] = float(np.mean(plane > 0))
    return WinnerMap(budgets, gaps, advantage, lines, here)


# --- crossover -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crossover(Result):
    """The ability gap at which both sizes are as good, against the quality of the ranker."""

    auc: Array  # (n_aucs,)
    gap: dict[str, Array]  # by size ratio: (n_aucs,), NaN where the small one never wins
    tests: dict[str, float]  # the same with tests, the limit of a perfect ranker
    here: float
    auc_here: float
    budget: float

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame(
                {"size_ratio": name, "ranker_auc": self.auc, "break_even_gap": gap, "break_even_gap_tests": self.tests[name]}
            )
            for name, gap in self.gap.items()
        ]
        return pl.concat(parts).fill_nan(None)

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            f"break-even gap at AUC {self.auc_here:.2f}": self.here if np.isfinite(self.here) else "none: the small one never wins"
        }
        return found | {f"with tests, {name}": gap if np.isfinite(gap) else "none" for name, gap in self.tests.items()}


@experiment
def crossover(
    *,
    size_ratio: SizeRatio = 5.4,
    budget: Budget = 1.0,
    spread: Spread = 2.0,
    ranker_auc: RankerAUC = 0.65,
) -> Crossover:
    """The gap in logits an octave at which small and large are equally accurate at the budget, by exact quadrature.

    The correlation of the two models' difficulties does not enter, as only their marginal laws do; the spread hardly does.
    """
    if budget < 1:
        raise ParameterError("budget", "is at least 1 for a break-even gap: below it no large call can be bought.")
    aucs, gaps = np.linspace(0.5, 0.99, 15), np.linspace(0, 6, 97)
    ratios = {f"R = {r:g}": float(r) for r in dict.fromkeys((2.0, size_ratio, 16.0))}
    counts = np.array([samples_bought(np.array(budget), 1 / r) for r in ratios.values()])
    large = samples_bought(np.array([budget]), 1.0)
    against = logit_normal_weight(0.0, spread)
    weights = {name: logit_normal_weight(small_center(r, gaps), spread) for name, r in ratios.items()}

    def break_even(by_small: Array, by_large: Array, name: str) -> float:
        margin = weights[name] @ by_small - against @ by_large
        # Equal already at no gap: as many samples of equal models, or a ranker that knows nothing.
        if margin[0] <= 1e-9:
            return 0.0 if margin[0] > -1e-9 else np.nan
        return float(np.interp(0.0, margin[::-1], gaps[::-1]))

    found = {name: np.empty(aucs.size) for name in ratios}
    tests: dict[str, float] = {}
    here = np.nan
    for j, auc in enumerate(np.append(aucs, ranker_auc)):
        small_tables, large_tables = accuracy_tables(counts, float(auc)), accuracy_tables(large, float(auc))
        for k, name in enumerate(ratios):
            value = break_even(small_tables["ranker"][k], large_tables["ranker"][0], name)
            tests[name] = break_even(small_tables["tests"][k], large_tables["tests"][0], name)
            if j < aucs.size:
                found[name][j] = value
            elif ratios[name] == size_ratio:
                here = value
    return Crossover(aucs, found, tests, here, ranker_auc, budget)
