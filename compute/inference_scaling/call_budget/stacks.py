"""Stacks of inference-time operators within a budget of calls: all of them, the best of them, and searches for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.call_budget.sizes import Correlation, RankerAUC, Spread
from compute.methods.discrete_search import SEARCHES, regret
from compute.methods.inference_stack import (
    MODELS,
    Draws,
    Qualities,
    Stack,
    all_stacks,
    draw_candidates,
    evaluate,
    verified_pick,
)
from compute.models.problem_difficulty import (
    LOG_FAILURE,
    SUCCESS,
    Difficulty,
    logit_normal_center,
    logit_normal_difficulty,
)
from compute.parameters import Choice, Integer, LogInteger, Real, Seed

Array = NDArray[np.float64]

BestAccuracy = Annotated[float, Real("best model's accuracy", r"\bar p", low=0.05, high=0.95, help="Of one sample.")]
ModelStep = Annotated[
    float, Real("step between models", r"\delta", low=0.0, high=1.5, help="In logits: each next model is so much worse.")
]
NModels = Annotated[int, Integer("models", "M", low=1, high=8, help="At hand, all at the same price a call.")]
Recall = Annotated[float, Real("verifier recall", "T", low=0.5, high=1.0, help="A right candidate passes.")]
FalsePositiveRate = Annotated[float, Real("verifier false-positive rate", "F", low=0.0, high=0.8, help="A wrong candidate passes.")]
FuseHit = Annotated[float, Real("fuser keeps a right answer", "f_1", low=0.0, high=1.0, help="If any candidate is right.")]
FuseLuck = Annotated[float, Real("fuser finds one alone", "f_0", low=0.0, high=0.5, help="If no candidate is right.")]
CallBudget = Annotated[int, LogInteger("call budget", "C", low=4, high=200, help="Most calls a question.")]
Questions = Annotated[int, LogInteger("questions", "n", low=100, high=5000, help="Simulated; all stacks see the same.")]
Search = Annotated[str, Choice("search", options=tuple(SEARCHES), help="How architectures are tried.")]
Searches = Annotated[int, LogInteger("searches", "m", low=5, high=100, help="Repetitions, each from its own seed.")]


def centers_of(accuracy: float, step: float, spread: float) -> Array:
    """theta of the eight models, best first."""
    return np.asarray(float(logit_normal_center(accuracy, spread)) - step * np.arange(MODELS[-1]), dtype=float)


def _draws(stacks: list[Stack], centers: Array, spread: float, correlation: float, questions: int, seed: int) -> Draws:
    """Shared candidates, as many samples of as many models as any stack of the list asks for."""
    models, samples = max(s.models for s in stacks), max(s.samples for s in stacks)
    rng = np.random.default_rng(seed)
    return draw_candidates(rng, centers[:models], spread, correlation, questions, samples)


# --- all stacks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StackCloud(Result):
    """Accuracy and calls of every stack, and of the best within each budget."""

    stacks: list[Stack]
    calls: Array  # (n_stacks,)
    accuracy: Array  # (n_stacks,)
    standard_error: Array  # (n_stacks,)
    front: NDArray[np.int64]  # (n_front,) stacks that no cheaper one matches
    verified_calls: Array  # (n_points,)
    verified: Array  # (n_points,) exact: one model, verified, then one picked
    coverage: Array  # (n_points,) exact, of one model at as many calls: what a perfect verifier for nothing would reach
    one_call: float
    call_budget: int
    best: int
    gap: float  # largest between theory and simulation, in SE

    def table(self) -> pl.DataFrame:
        cloud = {
            "stack": [s.label for s in self.stacks],
            "family": [s.family for s in self.stacks],
            "calls": self.calls,
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "on_front": np.isin(np.arange(len(self.stacks)), self.front),
        }
        theory = {"calls": self.verified_calls, "exact_verified_pick": self.verified, "exact_coverage": self.coverage}
        return pl.concat([pl.DataFrame(cloud), pl.DataFrame(theory)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"best within {self.call_budget} calls": self.stacks[self.best].label,
            "its accuracy": float(self.accuracy[self.best]),
            "its calls": float(self.calls[self.best]),
            "gain over one call of the best model": float(self.accuracy[self.best] - self.one_call),
            "largest gap, theory to simulation (SE)": self.gap,
        }


@experiment
def stack_cloud(
    *,
    call_budget: CallBudget = 20,
    best_accuracy: BestAccuracy = 0.4,
    model_step: ModelStep = 0.2,
    n_models: NModels = 8,
    spread: Spread = 2.0,
    correlation: Correlation = 0.6,
    recall: Recall = 0.9,
    false_positive_rate: FalsePositiveRate = 0.2,
    ranker_auc: RankerAUC = 0.65,
    fuse_hit: FuseHit = 0.7,
    fuse_luck: FuseLuck = 0.05,
    questions: Questions = 400,
    seed: Seed = 0,
) -> StackCloud:
    """Every stack of operators of at most 200 calls, simulated on the same questions and candidates.

    Exact lines: the best model alone, verified and then picked from, and its coverage E[1 - (1 - p)^K].
    """
    qualities = Qualities(recall, false_positive_rate, ranker_auc, fuse_hit, fuse_luck)
    centers = centers_of(best_accuracy, model_step, spread)
    stacks = all_stacks(200, n_models)
    found = evaluate(_draws(stacks, centers, spread, correlation, questions, seed), stacks, qualities)
    accuracy, error = found.mean(axis=1), found.std(axis=1, ddof=1) / np.sqrt(questions)
    calls = np.array([s.calls for s in stacks], dtype=float)
    order = np.lexsort((-accuracy, calls))
    record = np.maximum.accumulate(np.concatenate([[-1.0], accuracy[order][:-1]]))
    front = order[accuracy[order] > record + 1e-12]
    difficulty = logit_normal_difficulty(float(centers[0]), spread)
    at = np.unique(np.rint(np.geomspace(2, 200, 40)))
    verified = difficulty.mean(verified_pick(SUCCESS, qualities, np.floor(at / 2)))
    inside = np.flatnonzero(calls <= call_budget)
    best = int(inside[np.argmax(accuracy[inside])])
    gap = _largest_gap(stacks, accuracy, error, difficulty, qualities)
    coverage = difficulty.coverage(at)
    return StackCloud(stacks, calls, accuracy, error, front, at, verified, coverage, difficulty.accuracy, call_budget, best, gap)


def _largest_gap(stacks: list[Stack], accuracy: Array, error: Array, difficulty: Difficulty, qualities: Qualities) -> float:
    """Of the best model's single, verified and fused stacks from what is known of them exactly, in SE."""
    worst = 0.0
    for j, stack in enumerate(stacks):
        if stack.models > 1 or stack.keep or stack.finish == "vote":
            continue
        if stack.finish == "fuse":
            if stack.verify:
                continue
            none = float(np.exp(stack.candidates * np.maximum(LOG_FAILURE, -745.0)) @ difficulty.weight)
            exact = qualities.fuse_hit * (1 - none) + qualities.fuse_luck * none
        elif stack.verify:
            exact = float(difficulty.mean(verified_pick(SUCCESS, qualities, stack.candidates))[0])
        else:
            exact = difficulty.accuracy
        worst = max(worst, abs(float(accuracy[j]) - exact) / max(float(error[j]), 1e-9))
    return worst


# --- the best stack over verifier and correlation ------------------------------------------------------

N_GRID = 8


def _map_seconds(call_budget: int, questions: int, n_models: int, **_: object) -> float:
    stacks = all_stacks(call_budget, n_models)
    n = len(stacks)
    pools = sum({(s.models, s.samples, s.verify, s.keep): s.candidates for s in stacks if s.verify}.values())
    return N_GRID**2 * (1e-6 * n + questions * (1e-8 * pools + 5e-9 * n)) + 0.02


@dataclass(frozen=True)
class BestStacks(Result):
    """The best stack within the budget, over the verifier's false-positive rate and the models' correlation."""

    false_positive_rate: Array  # (n_rates,)
    correlation: Array  # (n_correlations,)
    accuracy: Array  # (n_correlations, n_rates), NaN where not yet computed
    winner: NDArray[np.str_]  # (n_correlations, n_rates) its operators
    models: Array  # (n_correlations, n_rates) it asks, NaN where not yet
    one_call: float

    def table(self) -> pl.DataFrame:
        x, y = np.meshgrid(self.false_positive_rate, self.correlation)
        columns = {"false_positive_rate": x.ravel(), "correlation": y.ravel(), "best_accuracy": self.accuracy.ravel()}
        return pl.DataFrame({**columns, "operators": self.winner.ravel(), "models": self.models.ravel()}).fill_nan(None)

    def headline(self) -> dict[str, float | str]:
        names, counts = np.unique(self.winner[self.winner != ""], return_counts=True)
        return {
            "most often best": str(names[np.argmax(counts)]) if names.size else "none yet",
            "largest gain over one call": float(np.nanmax(self.accuracy) - self.one_call),
            "smallest gain over one call": float(np.nanmin(self.accuracy) - self.one_call),
        }


@experiment(seconds=_map_seconds)
def best_stacks(
    *,
    call_budget: CallBudget = 20,
    best_accuracy: BestAccuracy = 0.4,
    model_step: ModelStep = 0.2,
    n_models: NModels = 8,
    spread: Spread = 2.0,
    correlation: Correlation = 0.6,
    recall: Recall = 0.9,
    false_positive_rate: FalsePositiveRate = 0.2,
    ranker_auc: RankerAUC = 0.65,
    fuse_hit: FuseHit = 0.7,
    fuse_luck: FuseLuck = 0.05,
    questions: Questions = 400,
    seed: Seed = 0,
) -> Iterator[tuple[float, BestStacks]]:
    """The most accurate stack within the call budget at each verifier and correlation, on shared random numbers.

    The winner of many near-equal stacks on finitely many questions is chosen with noise, and its accuracy a little flattered.
    """
    rates, correlations = np.linspace(0, 0.8, N_GRID), np.linspace(0, 0.95, N_GRID)
    stacks = all_stacks(call_budget, n_models)
    centers = centers_of(best_accuracy, model_step, spread)
    accuracy, models = np.full((N_GRID, N_GRID), np.nan), np.full((N_GRID, N_GRID), np.nan)
    winner = np.full((N_GRID, N_GRID), "", dtype="<U40")
    # Only stacks that verify feel the rate; the others are asked once for each correlation.
    verifies = np.array([s.verify for s in stacks])
    checked, plain = [s for s in stacks if s.verify], [s for s in stacks if not s.verify]
    found = np.empty(len(stacks))
    for i, rho in enumerate(correlations):
        draws = _draws(stacks, centers, spread, float(rho), questions, seed)
        for j, rate in enumerate(rates):
            qualities = Qualities(recall, float(rate), ranker_auc, fuse_hit, fuse_luck)
            if j == 0:
                found[~verifies] = evaluate(draws, plain, qualities).mean(axis=1)
            if checked:
                found[verifies] = evaluate(draws, checked, qualities).mean(axis=1)
            best = int(np.argmax(found))
            accuracy[i, j], winner[i, j], models[i, j] = found[best], stacks[best].family, stacks[best].models
        share = (i + 1) / N_GRID
        yield share, BestStacks(rates, correlations, accuracy.copy(), winner.copy(), models.copy(), best_accuracy)


# --- search --------------------------------------------------------------------------------------------

N_LOOKS = 40


def _search_seconds(call_budget: int, questions: int, n_models: int, searches: int, **_: object) -> float:
    n = len(all_stacks(call_budget, n_models))
    looks = min(N_LOOKS, n)
    return searches * looks * (1e-4 + 1.6e-6 * n) + 0.02 + n * questions * 2e-7


@dataclass(frozen=True)
class SearchRegret(Result):
    """Regret of three searches against architectures tried."""

    tried: Array  # (n_looks,)
    median: dict[str, Array]  # (n_looks,)
    low: dict[str, Array]  # quartiles
    high: dict[str, Array]
    expected_random: Array  # (n_looks,) exact mean regret of random search
    mean_random: Array  # (n_looks,)
    n_stacks: int
    best: str
    best_accuracy: float
    chosen: str
    within: dict[str, float]  # architectures tried until the median regret is below 0.01; 0 where not reached

    def table(self) -> pl.DataFrame:
        parts = []
        for name in self.median:
            columns = {"median_regret": self.median[name], "lower_quartile": self.low[name], "upper_quartile": self.high[name]}
            parts.append(pl.DataFrame({"search": name, "tried": self.tried, **columns}))
        random = {
            "search": "random",
            "tried": self.tried,
            "mean_regret": self.mean_random,
            "exact_mean_regret": self.expected_random,
        }
        return pl.concat([*parts, pl.DataFrame(random)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            "architectures": float(self.n_stacks),
            "best": self.best,
            "its accuracy": self.best_accuracy,
        }
        for name, count in self.within.items():
            found[f"{name.replace('_', ' ')}: tried until within 0.01"] = count if count else f"more than {self.tried[-1]:.0f}"
        return found


@experiment(seconds=_search_seconds)
def search_regret(
    *,
    search: Search = "greedy",
    searches: Searches = 20,
    call_budget: CallBudget = 20,
    best_accuracy: BestAccuracy = 0.4,
    model_step: ModelStep = 0.2,
    n_models: NModels = 8,
    spread: Spread = 2.0,
    correlation: Correlation = 0.6,
    recall: Recall = 0.9,
    false_positive_rate: FalsePositiveRate = 0.2,
    ranker_auc: RankerAUC = 0.65,
    fuse_hit: FuseHit = 0.7,
    fuse_luck: FuseLuck = 0.05,
    questions: Questions = 400,
    seed: Seed = 0,
) -> Iterator[tuple[float, SearchRegret]]:
    """Best accuracy of all architectures within the budget less the best tried so far, over repeated searches.

    Random search has an exact mean: after t of n without replacement the best seen is the j-th best with probability
    C(n - j, t - 1)/C(n, t).
    """
    stacks = all_stacks(call_budget, n_models)
    qualities = Qualities(recall, false_positive_rate, ranker_auc, fuse_hit, fuse_luck)
    draws = _draws(stacks, centers_of(best_accuracy, model_step, spread), spread, correlation, questions, seed)
    values = evaluate(draws, stacks, qualities).mean(axis=1)
    features = np.array([s.features for s in stacks])
    looks = min(N_LOOKS, len(stacks))
    tried = np.arange(1.0, looks + 1)
    exact = expected_random_regret(values, looks)
    rng = np.random.default_rng([seed, 1])
    runs: dict[str, list[Array]] = {name: [] for name in SEARCHES}
    best = int(np.argmax(values))
    chunk = max(searches // 5, 1)
    for done in range(1, searches + 1):
        for name, method in SEARCHES.items():
            runs[name].append(regret(values, method(rng, features, values, looks)))
        if done % chunk and done != searches:
            continue
        quartiles = {name: np.quantile(np.array(rows), [0.25, 0.5, 0.75], axis=0) for name, rows in runs.items()}
        within = {name: float(np.argmax(q[1] < 0.01) + 1) if (q[1] < 0.01).any() else 0.0 for name, q in quartiles.items()}
        low, median, high = ({name: q[k] for name, q in quartiles.items()} for k in range(3))
        mean = np.mean(runs["random"], axis=0)
        label, top = stacks[best].label, float(values[best])
        yield done / searches, SearchRegret(tried, median, low, high, exact, mean, len(stacks), label, top, search, within)


def expected_random_regret(values: Array, looks: int) -> Array:
    """Mean regret of random search without replacement after 1..looks of the values."""
    ordered = np.sort(values)[::-1]
    n = ordered.size
    result = np.empty(looks)
    for t in range(1, looks + 1):
        # P(the best seen is the j-th best): it is seen and none of the better ones is.
        share, left = np.zeros(n), 1.0
        for j in range(n):
            chance = min(t / (n - j), 1.0)
            share[j] = left * chance
            left *= 1 - chance
        result[t - 1] = ordered[0] - share @ ordered
    return np.maximum(result, 0.0)
