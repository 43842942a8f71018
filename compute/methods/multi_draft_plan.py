"""The optimal transport plan from sets of drafts to the output token, by linear programming.

What may be accepted depends on which tokens were drafted, not on how often: the plan lives on supports, at most
sum over j <= K of C(n, j), instead of on n^K tuples.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Which of the drafts to hand in."""

    supports: NDArray[np.bool_]  # (n_sets, n) the tokens drafted
    probability: Array  # (n_sets,) that exactly these are drafted
    choice: Array  # (n_sets, n) probability that each is handed in, given the set; the rest is rejected
    acceptance: float

    @property
    def accepted(self) -> Array:
        """The accepted law a(y)."""
        return self.probability @ self.choice


def count_supports(n_tokens: int, n_drafts: int) -> int:
    """How many sets of at most K of n tokens there are."""
    from math import comb

    return sum(comb(n_tokens, j) for j in range(1, min(n_drafts, n_tokens) + 1))


def support_probability(p: Array, supports: NDArray[np.bool_], n_drafts: int) -> Array:
    """P(exactly the tokens of each support are drafted), by inclusion and exclusion over all 2^n sets of tokens."""
    n = p.size
    codes = np.arange(1 << n)
    mass = ((codes[:, None] >> np.arange(n)) & 1) @ p
    inside = mass**n_drafts  # P(all drafts lie inside the set)
    for bit in range(n):
        with_bit = codes[(codes >> bit) & 1 == 1]
        inside[with_bit] -= inside[with_bit ^ (1 << bit)]
    return np.maximum(inside[supports @ (1 << np.arange(n))], 0.0)


def optimal_plan(p: Array, q: Array, n_drafts: int) -> Plan:
    """The plan that accepts most often, of the laws p and q ``(n,)``, n <= 12.

    maximize sum g(A, y) over supports A and y in A, with sum_y g(A, y) <= P(A) and sum_A g(A, y) <= q(y).
    """
    n = p.size
    sets = [s for size in range(1, min(n_drafts, n) + 1) for s in combinations(range(n), size)]
    supports = np.zeros((len(sets), n), dtype=bool)
    for i, members in enumerate(sets):
        supports[i, list(members)] = True
    probability = support_probability(p, supports, n_drafts)
    rows, tokens = np.nonzero(supports)
    edges = np.arange(rows.size)
    matrix = coo_matrix(
        (np.ones(2 * edges.size), (np.concatenate([rows, len(sets) + tokens]), np.concatenate([edges, edges]))),
        shape=(len(sets) + n, edges.size),
    ).tocsr()
    solved = linprog(-np.ones(edges.size), A_ub=matrix, b_ub=np.concatenate([probability, q]), method="highs")
    flow = np.zeros(supports.shape)
    flow[rows, tokens] = np.maximum(solved.x, 0.0)
    choice = flow / np.maximum(probability, 1e-300)[:, None]
    choice[probability < 1e-14] = 0.0
    choice /= np.maximum(choice.sum(axis=1, keepdims=True), 1.0)
    return Plan(supports, probability, choice, float(-solved.fun))


def draw_plan(
    rng: np.random.Generator, plan: Plan, p: Array, q: Array, drafts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Outputs of the plan and whether each is an accepted draft; ``drafts`` is ``(m, K)``."""
    n = p.size
    place = np.full(1 << n, -1)
    powers = 1 << np.arange(n)
    place[plan.supports @ powers] = np.arange(len(plan.supports))
    row = place[np.bitwise_or.reduce(powers[drafts], axis=1)]
    edges = np.cumsum(plan.choice[row], axis=1)
    output = np.sum(edges <= rng.random(len(drafts))[:, None], axis=1)
    accepted = output < n
    rest = np.cumsum(np.maximum(q - plan.accepted, 0.0))
    output[~accepted] = np.minimum(np.searchsorted(rest, rng.random(int((~accepted).sum())) * rest[-1], side="right"), n - 1)
    return output, accepted
