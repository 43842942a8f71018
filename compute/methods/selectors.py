r"""Which of k samples to hand in: majority vote, a noisy reward, an imperfect verifier, a knockout tournament.

A problem is its probability p that a sample is correct; wrong samples fall on ``alternatives`` wrong answers with
shares (1 - p) Dirichlet(concentration). Exact laws come first, their simulation after them.

References
----------
Majority and reward: derived here, after paper 081 of the catalogue. Verifier: paper 041. Tournament: paper 132,
its theorem for the bound; the recursion is exact for a bracket of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, gammaln, ndtr, ndtri, stdtr

from compute.models.problem_difficulty import SUCCESS, Difficulty, beta_weight

Array = NDArray[np.float64]


# --- an imperfect verifier -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Verifier:
    """Passes a correct sample with probability ``recall``, a wrong one with ``false_positive_rate``.

    Resampling until one passes, at most K tries; nothing is handed in if none does.
    """

    recall: float
    false_positive_rate: float

    def rates(self, success: Array) -> tuple[Array, Array]:
        """Of one try: the probabilities that a correct sample passes, p T, and that a wrong one does, (1 - p) F."""
        return success * self.recall, (1 - success) * self.false_positive_rate

    def outcome(self, success: Array, tries: ArrayLike) -> tuple[Array, Array, Array]:
        """Probability that a right answer is handed in, that a wrong one is, and the mean of tries used.

        Parameters
        ----------
        success : (n,) array
        tries : (n_tries,) array_like
            K >= 0, infinity allowed where s = p T + (1 - p) F > 0.

        Returns
        -------
        right, wrong, used : (n_tries, n) arrays
            (p T/s)(1 - (1 - s)^K), ((1 - p) F/s)(1 - (1 - s)^K) and (1 - (1 - s)^K)/s.
        """
        right, wrong = self.rates(success)
        passes = np.minimum(right + wrong, 1.0)
        tries = np.atleast_1d(np.asarray(tries, dtype=float))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.where(tries == 0, 0.0, tries * np.log1p(-passes))
            used = np.where(passes > 0, -np.expm1(exponent) / passes, tries)
        return right * used, wrong * used, used

    def ceiling(self, difficulty: Difficulty) -> float:
        """Accuracy at K -> infinity: E[p T/(p T + (1 - p) F)]."""
        return float(difficulty.mean(self.precision(SUCCESS)))

    def precision(self, success: Array) -> Array:
        """p T/(p T + (1 - p) F), of a problem; 0 where p = 0."""
        right, wrong = self.rates(success)
        return np.where(right > 0, right / np.maximum(right + wrong, 1e-300), 0.0)

    def gain_of_a_try(self, difficulty: Difficulty, tries: ArrayLike, cost: float, try_cost: float) -> Array:
        """Utility that try K + 1 adds: E[(1 - s)^K (p T - cost (1 - p) F - try_cost)]."""
        right, wrong = self.rates(SUCCESS)
        return difficulty.mean(self._survival(tries) * (right - cost * wrong - try_cost))

    def cost_worth_trying(self, difficulty: Difficulty, tries: ArrayLike, try_cost: float) -> Array:
        """The cost of a wrong answer up to which try K + 1 pays, E[(1-s)^K (p T - try_cost)]/E[(1-s)^K (1-p) F].

        It falls with K where T > F, as the weight moves to harder problems.
        """
        right, wrong = self.rates(SUCCESS)
        survival = self._survival(tries)
        return difficulty.mean(survival * (right - try_cost)) / np.maximum(difficulty.mean(survival * wrong), 1e-300)

    def _survival(self, tries: ArrayLike) -> Array:
        passes = np.minimum(sum(self.rates(SUCCESS)), 1.0)
        tries = np.asarray(tries, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(np.where(tries[..., None] == 0, 0.0, tries[..., None] * np.log1p(-passes)))

    def optimal_tries(self, difficulty: Difficulty, cost: float, try_cost: float, most: float = 1e12) -> float:
        """K*: the first K whose next try does not pay; infinity where every one up to ``most`` does."""

        def pays(tries: float) -> bool:
            return float(self.gain_of_a_try(difficulty, tries, cost, try_cost)) > 0

        if not pays(0):
            return 0.0
        high = 1.0
        while pays(high):
            high *= 2
            if high > most:
                return np.inf
        low = high / 2 if high > 1 else 0.0
        while high - low > 1:
            middle = float(np.floor((low + high) / 2))
            low, high = (middle, high) if pays(middle) else (low, middle)
        return float(high)


# --- majority vote -------------------------------------------------------------------------------------


def majority_of_two(success: Array, k: ArrayLike) -> Array:
    """Exact majority of k samples where all wrong answers agree; ties are broken fairly. Shape ``(n_k, n)``."""
    k = np.atleast_1d(np.asarray(k)).astype(np.int64)[:, None]
    half = k // 2
    above = np.where(success < 1, bdtrc(half, k, np.minimum(success, 1.0)), 1.0)
    tie = np.where(k % 2 == 0, bdtr(half, k, success) - np.where(half > 0, bdtr(np.maximum(half - 1, 0), k, success), 0.0), 0.0)
    return above + 0.5 * np.maximum(tie, 0.0)


def draw_shares(rng: np.random.Generator, n: int, alternatives: int, concentration: float) -> Array:
    """(n, alternatives) shares of the wrong answers, Dirichlet."""
    if alternatives == 1:
        return np.ones((n, 1))
    return rng.dirichlet(np.full(alternatives, concentration), n)


def majority_plateau(difficulty: Difficulty, largest_share: Array) -> float:
    """Share of problems whose most frequent answer is correct, p > (1 - p) max share: the limit of voting.

    ``largest_share`` holds draws of the largest share of a wrong answer; given it the expectation is exact.
    """
    threshold = np.sort(largest_share / (1 + largest_share))
    return float(difficulty.mean(np.searchsorted(threshold, SUCCESS) / threshold.size))


# --- reward: the sample of highest score ---------------------------------------------------------------

NOISE_LAWS = ("gaussian", "student_t", "per_answer")
STUDENT_DOF = 3.0


def _tail(law: str, s: Array) -> Array:
    """P(noise > s), accurate far out."""
    return ndtr(-s) if law == "gaussian" else stdtr(STUDENT_DOF, -s)


def _density(law: str, s: Array) -> Array:
    if law == "gaussian":
        return np.exp(-0.5 * s**2) / np.sqrt(2 * np.pi)
    constant = np.exp(gammaln((STUDENT_DOF + 1) / 2) - gammaln(STUDENT_DOF / 2)) / np.sqrt(STUDENT_DOF * np.pi)
    return constant * (1 + s**2 / STUDENT_DOF) ** (-(STUDENT_DOF + 1) / 2)


def _scores(law: str, gap: float, n: int) -> tuple[Array, Array]:
    """Nodes of the score and their trapezoid steps: even for Gaussian noise, even in asinh for Student."""
    if law == "gaussian":
        s = np.linspace(-9.0, 11.0 + gap, n)
        return s, np.full(n, s[1] - s[0])
    x = np.linspace(-np.arcsinh(3e3), np.arcsinh(3e4), n)
    return np.sinh(x) + 0.5 * gap, np.cosh(x) * (x[1] - x[0])


def reward_per_sample(success: Array, k: ArrayLike, gap: float, law: str, n_scores: int = 161) -> Array:
    r"""P(the best-scored of k samples is correct), scores = gap if correct + independent noise a sample.

    k \int p f(s - gap) [1 - p S(s - gap) - (1 - p) S(s)]^{k-1} ds, S the noise's upper tail. Shape ``(n_k, n)``.
    """
    s, step = _scores(law, gap, n_scores)
    log_below = np.log1p(-np.minimum(np.outer(success, _tail(law, s - gap)) + np.outer(1 - success, _tail(law, s)), 1 - 1e-16))
    density = _density(law, s - gap) * step
    result = np.empty((np.size(k), success.size))
    for j, count in enumerate(np.atleast_1d(np.asarray(k, dtype=float))):
        result[j] = count * success * (np.exp((count - 1) * log_below) @ density)
    return np.minimum(result, 1.0)


def better_scored_law(alternatives: int, gap: float) -> Array:
    """Law of how many of the wrong answers score above the correct one, each with one Gaussian score for good."""
    s, step = _scores("gaussian", 0.0, 401)
    density = _density("gaussian", s) * step
    j = np.arange(alternatives + 1)[:, None]
    log_choose = gammaln(alternatives + 1) - gammaln(j + 1) - gammaln(alternatives - j + 1)
    above = np.clip(_tail("gaussian", s + gap), 1e-300, 1 - 1e-16)
    law = np.exp(log_choose + j * np.log(above) + (alternatives - j) * np.log1p(-above)) @ density
    return law / law.sum()


def reward_per_answer(success: Array, k: ArrayLike, gap: float, alternatives: int, concentration: float) -> Array:
    """P(correct answer is handed in) where each distinct answer has one score for all its samples; ``(n_k, n)``.

    It is where it has been seen and no better-scored wrong answer has: E[(1 - r)^k - (1 - r - p)^k], r = (1 - p) X,
    with X the share of the better-scored among the wrong, a mixture over their number j of Beta(jc, (A - j)c).
    """
    law = better_scored_law(alternatives, gap)
    j = np.arange(1, alternatives)
    share = np.zeros(SUCCESS.size)
    if j.size:
        weights = beta_weight(np.maximum(j * concentration, 1e-3), np.maximum((alternatives - j) * concentration, 1e-3))
        share = law[1:-1] @ weights
    share[0] += law[0]
    # Every other node is dropped by pairing: the mixture is smooth on the scale of two nodes.
    nodes, weight = _pair(SUCCESS, share)
    result = np.empty((np.size(k), success.size))
    other = np.outer(1 - success, 1 - nodes)  # 1 - r - p
    log_other = np.log(np.maximum(other, 1e-300))
    log_all = np.log(np.maximum(other + success[:, None], 1e-300))
    for i, count in enumerate(np.atleast_1d(np.asarray(k, dtype=float))):
        result[i] = (np.exp(count * log_all) - np.exp(count * log_other)) @ weight
        # All wrong answers score higher: correct is handed in only if nothing else was seen.
        result[i] += law[-1] * success**count
    return np.clip(result, 0.0, 1.0)


def _pair(nodes: Array, weight: Array) -> tuple[Array, Array]:
    """Merge nodes 1–2, 3–4, … into their weighted means; the first, p = 0, stays."""
    w = weight[1:].reshape(-1, 2)
    total = w.sum(axis=1)
    mean = (w * nodes[1:].reshape(-1, 2)).sum(axis=1) / np.maximum(total, 1e-300)
    keep = total > 1e-12
    return np.concatenate([nodes[:1], mean[keep]]), np.concatenate([weight[:1], total[keep]])


# --- simulation ----------------------------------------------------------------------------------------


def draw_counts(rng: np.random.Generator, success: Array, shares: Array, k: Array) -> Array:
    """How often each answer came up among the first k samples: ``(n_k, n_problems, 1 + alternatives)``, correct first."""
    law = np.concatenate([success[:, None], (1 - success)[:, None] * shares], axis=1)
    law /= law.sum(axis=1, keepdims=True)
    return np.cumsum([rng.multinomial(int(more), law) for more in np.diff(k, prepend=0)], axis=0)


def vote(counts: Array) -> Array:
    """Probability, over fair ties, that the most frequent answer is correct; shape of ``counts`` less its last axis."""
    most = counts.max(axis=-1)
    return (counts[..., 0] == most) / np.sum(counts == most[..., None], axis=-1)


def draw_reward_choice(rng: np.random.Generator, counts: Array, gap: float, law: str) -> NDArray[np.bool_]:
    """Whether the best-scored sample so far is correct; ``(n_k, n_problems)``.

    Scores a sample: the best of n fresh ones is drawn at once, by its quantile. Scores an answer: the best of those seen.
    """
    if law == "per_answer":
        score = rng.standard_normal(counts.shape[1:])
        score[:, 0] += gap
        return np.argmax(np.where(counts > 0, score, -np.inf), axis=-1) == 0
    right, wrong = counts[..., 0], counts[..., 1:].sum(axis=-1)
    best = [np.maximum.accumulate(_best_of(rng, np.diff(n, axis=0, prepend=0), law), axis=0) for n in (right, wrong)]
    return best[0] + gap > best[1]


def _best_of(rng: np.random.Generator, n: Array, law: str) -> Array:
    """The largest of n draws of the noise, -infinity for n = 0."""
    tail = -np.expm1(-rng.standard_exponential(n.shape) / np.maximum(n, 1))
    if law == "gaussian":
        best = -ndtri(tail)
    else:
        s = np.sinh(np.linspace(-np.arcsinh(1e5), np.arcsinh(1e5), 4001))
        best = np.interp(-np.log(tail), -np.log(_tail(law, s)), s)
    return np.where(n > 0, best, -np.inf)
