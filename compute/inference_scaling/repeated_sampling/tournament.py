r"""Repeated sampling with nothing but comparisons: a knockout tournament, how to spend a budget on it, and against voting.

One problem, with p_gen the success of a sample and p_comp that of a comparison; ``compute.methods.knockout`` holds
the exact failure and the bound.

References
----------
Chen et al., "A simple and provable scaling law for the test-time compute of large language models" (2024), paper
132 of the catalogue. That the decay at fixed K is a power of N, with exponent -log2(2(1 - q_K)), is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import knockout, selectors
from compute.methods.grids import grid_table
from compute.models.sampled_problems import (
    MOST_COMPARISONS,
    Accuracy,
    Alternatives,
    Budget,
    Candidates,
    ComparisonAccuracy,
    Comparisons,
    Concentration,
    Problems,
)
from compute.parameters import Seed

Array = NDArray[np.float64]


def calls_of(candidates: Array | int, comparisons: Array | int) -> Array:
    """N(K + 1) calls as the paper counts them, an upper count of N + (N - 1)K; a single candidate needs one."""
    return np.where(np.asarray(candidates) == 1, 1, np.asarray(candidates) * (np.asarray(comparisons) + 1))


@dataclass(frozen=True)
class Bracket(Result):
    """One bracket as it is played, and failure against candidates: exact, bound, simulation."""

    node: Array  # (n_nodes, 5): round, place, correct or not, index of the match's winner (-1 for the champion), won it or not
    size: Array  # (n_sizes,) candidates of the curve
    calls: Array  # (n_sizes,)
    exact: Array  # (n_sizes,)
    bound: Array  # (n_sizes,), at most 1; empty below p_comp = 1/2
    simulated_size: Array  # (n_simulated,)
    simulation: Array  # (n_simulated,)
    standard_error: Array  # (n_simulated,)
    candidates: int
    comparisons: int
    accuracy: float
    comparison_accuracy: float

    @property
    def simulated_calls(self) -> Array:
        """Calls of the simulated brackets."""
        return calls_of(self.simulated_size, self.comparisons)

    def table(self) -> pl.DataFrame:
        bracket = pl.DataFrame(
            {"round": self.node[:, 0], "place": self.node[:, 1], "correct": self.node[:, 2], "won": self.node[:, 4]}
        )
        curve = {"candidates": self.size, "calls": self.calls, "failure": self.exact}
        if self.bound.size:
            curve["bound"] = self.bound
        simulated = {
            "candidates": self.simulated_size,
            "calls": self.simulated_calls,
            "simulated_failure": self.simulation,
            "standard_error": self.standard_error,
        }
        return pl.concat([bracket, pl.DataFrame(curve), pl.DataFrame(simulated)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        error = knockout.comparison_error(self.comparison_accuracy, self.comparisons)
        here = float(knockout.tournament_failure(np.asarray(self.accuracy), self.candidates, error))
        exact = np.interp(self.simulated_size, self.size, self.exact)
        sound = self.standard_error > 0
        said: float | str = "needs p_comp ≥ 1/2"
        if self.comparison_accuracy >= 0.5:
            said = float(
                knockout.tournament_bound(np.asarray(self.accuracy), self.candidates, self.comparison_accuracy, self.comparisons)
            )
        return {
            "failure, exact": here,
            "its bound": said,
            "calls": float(calls_of(self.candidates, self.comparisons)),
            "majority of K right, q": float(1 - error),
            "champion here": "correct" if self.node[-1, 2] else "wrong",
            "largest gap, theory to simulation (SE)": float(
                np.max(np.abs(self.simulation - exact)[sound] / self.standard_error[sound], initial=0.0)
            ),
        }


def play_bracket(rng: np.random.Generator, accuracy: float, candidates: int, comparison_accuracy: float, comparisons: int) -> Array:
    """Play one bracket of any size; rows as in ``Bracket.node``, children before parents.

    A bracket of n is one of ceil(n/2) against one of floor(n/2); entrants stand as late as their first match.
    """
    depth = int(np.ceil(np.log2(candidates)))
    rows: list[list[float]] = []

    def play(first: int, n: int, level: int) -> int:
        if n == 1:
            rows.append([level, first, float(rng.random() < accuracy), -1, 1])
            return len(rows) - 1
        left, right = play(first, n - n // 2, level - 1), play(first + n - n // 2, n // 2, level - 1)
        a, b = bool(rows[left][2]), bool(rows[right][2])
        votes = rng.binomial(comparisons, comparison_accuracy) + 0.5 * (rng.random() - 0.5)
        correct = a if a == b else bool(votes > comparisons / 2)
        left_won = a == correct and (a != b or rng.random() < 0.5)
        rows.append([level, 0.5 * (rows[left][1] + rows[right][1]), float(correct), -1, 1])
        rows[left][3:], rows[right][3:] = [len(rows) - 1, float(left_won)], [len(rows) - 1, float(not left_won)]
        return len(rows) - 1

    play(0, candidates, depth)
    return np.array(rows)


@experiment
def bracket(
    *,
    accuracy: Accuracy = 0.15,
    comparison_accuracy: ComparisonAccuracy = 0.7,
    candidates: Candidates = 32,
    comparisons: Comparisons = 3,
    problems: Problems = 1000,
    seed: Seed = 0,
) -> Bracket:
    """A knockout tournament of N samples of one problem, and its failure against N at this K.

    Exact: f = f_l f_r + (f_l (1-f_r) + f_r (1-f_l)) (1-q_K) up the bracket, q_K the majority of K comparisons. The bound
    (1-p_gen)^N + ceil(log2 N) exp(-2K (p_comp - 1/2)^2) is 132's theorem. Simulated: 256-brackets, whose rounds win
    brackets of every smaller power of two.
    """
    rng = np.random.default_rng(seed)
    node = play_bracket(np.random.default_rng((seed, 2)), accuracy, candidates, comparison_accuracy, comparisons)
    size = np.unique(np.concatenate([np.rint(np.geomspace(1, 256, 60)), np.exp2(np.arange(9)), [float(candidates)]]))
    error = knockout.comparison_error(comparison_accuracy, comparisons)
    p = np.asarray(accuracy)
    exact = np.array([float(knockout.tournament_failure(p, int(n), error)) for n in size])
    bound = np.empty(0)
    if comparison_accuracy >= 0.5:
        bound = np.minimum(knockout.tournament_bound(p, size, comparison_accuracy, comparisons), 1.0)
    rounds = knockout.play_tournaments(rng, np.full(problems, accuracy), 256, comparison_accuracy, comparisons)
    wins = np.array([float(r.mean()) for r in rounds])
    sd: Array = np.array([np.sqrt(w * (1 - w) / r.size) for w, r in zip(wins, rounds, strict=True)])
    simulated = np.ldexp(1.0, np.arange(len(rounds)))
    return Bracket(node, size, calls_of(size, comparisons), exact, bound, simulated, 1 - wins, sd, candidates, comparisons, accuracy,
                   comparison_accuracy)  # fmt: skip


@dataclass(frozen=True)
class Allocation(Result):
    """Failure over candidates and comparisons, and the best of both for a budget."""

    candidates: Array  # (n_candidates,)
    comparisons: Array  # (n_comparisons,), odd
    log_failure: Array  # (n_comparisons, n_candidates) log10
    calls: Array  # (n_comparisons, n_candidates)
    budgets: Array  # (n_budgets,)
    best_candidates: Array  # (n_budgets,)
    best_comparisons: Array  # (n_budgets,)
    best_log_failure: Array  # (n_budgets,)
    budget: int
    at: tuple[int, int, float]
    best: tuple[int, int, float]

    def table(self) -> pl.DataFrame:
        N, K = np.meshgrid(self.candidates, self.comparisons)
        field = {"candidates": N.ravel(), "comparisons": K.ravel(), "calls": self.calls.ravel()}
        best = {"budget": self.budgets, "candidates": self.best_candidates, "comparisons": self.best_comparisons}
        parts = [
            pl.DataFrame(field | {"log10_failure": self.log_failure.ravel()}),
            pl.DataFrame(best | {"best_log10_failure": self.best_log_failure}),
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"best (N, K) for {self.budget:,} calls": f"({self.best[0]}, {self.best[1]})",
            "its failure": self.best[2],
            f"failure at N = {self.at[0]}, K = {self.at[1]}": self.at[2],
            "its calls": float(calls_of(self.at[0], self.at[1])),
        }


@experiment
def allocation(
    *,
    accuracy: Accuracy = 0.15,
    comparison_accuracy: ComparisonAccuracy = 0.7,
    budget: Budget = 64,
    candidates: Candidates = 32,
    comparisons: Comparisons = 3,
) -> Allocation:
    """Failure of the tournament over candidates N and odd comparisons K, with the best split N(K + 1) <= C of each budget.

    Even K is not drawn: a fair toss at a tie makes K = 2m fail exactly as often as 2m - 1.
    """
    p = np.asarray(accuracy)
    n, k = np.unique(np.rint(np.geomspace(1, 256, 49))), np.arange(1.0, MOST_COMPARISONS + 1, 2)
    error = knockout.comparison_error(comparison_accuracy, k)
    failure = np.stack([knockout.tournament_failure(p, int(m), error) for m in n], axis=1)
    budgets = np.unique(np.append(np.exp2(np.arange(2, 14)), float(budget)))
    found = [knockout.best_allocation(accuracy, comparison_accuracy, int(c), MOST_COMPARISONS) for c in budgets]
    best_n, best_k, best = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    here = float(knockout.tournament_failure(p, candidates, knockout.comparison_error(comparison_accuracy, comparisons)))
    chosen = found[int(np.searchsorted(budgets, budget))]
    return Allocation(
        n, k, np.log10(failure), calls_of(n[None, :], k[:, None]).astype(float), budgets, best_n, best_k, np.log10(best),
        budget, (candidates, comparisons, here), chosen,
    )  # fmt: skip


@dataclass(frozen=True)
class Duel(Result):
    """Tournament against majority vote at equal calls, over p_gen and p_comp."""

    accuracy: Array  # (n_accuracies,)
    comparison_accuracy: Array  # (n_comparisons,)
    advantage: Array  # (n_comparisons, n_accuracies) success of the tournament minus that of the vote
    vote: Array  # (n_accuracies,) success of the vote
    vote_error: Array  # (n_accuracies,)
    boundary: Array  # (n_accuracies,) p_comp of equal success, NaN outside the bounds
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table(
            "accuracy",
            self.accuracy,
            "comparison_accuracy",
            self.comparison_accuracy,
            advantage_of_tournament=self.advantage,
            vote_success=self.vote,
            vote_standard_error=self.vote_error,
            boundary_comparison_accuracy=self.boundary,
        )

    def headline(self) -> dict[str, float | str]:
        return self.here


def best_success(accuracy: Array, comparison_accuracy: Array, calls: int) -> tuple[Array, Array]:
    """Success of the best tournament of at most ``calls`` calls, ``(n_comparisons, n_accuracies)``, and its K."""
    best = np.broadcast_to(accuracy, (comparison_accuracy.size, accuracy.size)).copy()
    chosen = np.zeros(best.shape)
    for k in range(1, MOST_COMPARISONS + 1, 2):
        if calls // (k + 1) < 2:
            break
        error = knockout.comparison_error(comparison_accuracy, k)[:, None]
        success = 1 - knockout.tournament_failure(accuracy[None, :], calls // (k + 1), error)
        chosen = np.where(success > best, k, chosen)
        best = np.maximum(best, success)
    return best, chosen


@experiment
def tournament_or_vote(
    *,
    accuracy: Accuracy = 0.15,
    comparison_accuracy: ComparisonAccuracy = 0.7,
    budget: Budget = 64,
    alternatives: Alternatives = 10,
    concentration: Concentration = 0.5,
    problems: Problems = 1000,
    seed: Seed = 0,
) -> Duel:
    """Success of the best tournament minus that of a majority vote with as many calls, over p_gen and p_comp.

    The tournament is exact. The vote is simulated over Dirichlet shares of the wrong answers, the same ones at every
    p_gen, and made monotone in p_gen, as it is. Given many calls it knows only whether the correct answer is the most
    frequent; the tournament needs p_comp > 1/2 and nothing of p_gen.
    """
    rng = np.random.default_rng(seed)
    p, c = np.linspace(0.01, 0.95, 33), np.linspace(0.4, 0.99, 60)
    shares = selectors.draw_shares(rng, problems, alternatives, concentration)
    k = np.array([budget])

    def votes(success: float) -> Array:
        counts = selectors.draw_counts(np.random.default_rng(seed + 1), np.full(problems, success), shares, k)
        return selectors.vote(counts)[0]

    outcomes = np.array([votes(float(s)) for s in p])
    vote, error = np.maximum.accumulate(outcomes.mean(axis=1)), outcomes.std(axis=1, ddof=1) / np.sqrt(problems)
    success, _ = best_success(p, c, budget)
    advantage = success - vote
    # p_comp where the advantage, which grows with it, passes zero.
    above = advantage > 0
    first = np.argmax(above, axis=0)
    before, columns = np.maximum(first - 1, 0), np.arange(p.size)
    low, high = advantage[before, columns], advantage[first, columns]
    share = np.clip(-low / np.where(high > low, high - low, 1.0), 0, 1)
    boundary = np.where(above.any(axis=0) & (first > 0), c[before] + share * (c[first] - c[before]), np.nan)
    ours, chosen = best_success(np.array([accuracy]), np.array([comparison_accuracy]), budget)
    theirs = votes(accuracy)
    comparisons = int(chosen[0, 0])
    here: dict[str, float | str] = {
        "tournament": float(ours[0, 0]),
        "majority vote": float(theirs.mean()),
        "its standard error": float(theirs.std(ddof=1) / np.sqrt(problems)),
        "best (N, K)": f"({budget // (comparisons + 1)}, {comparisons})" if comparisons else "one sample",
        "winner": "tournament" if ours[0, 0] > theirs.mean() else "vote",
    }
    return Duel(p, c, advantage, vote, error, boundary, here)
