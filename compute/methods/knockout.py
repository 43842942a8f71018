r"""A knockout tournament among candidates, of which a comparison tells the correct from the wrong more often than not.

References
----------
Chen et al., "A simple and provable scaling law for the test-time compute of large language models" (2024), paper
132 of the catalogue: the algorithm and its bound. The recursion is exact for a bracket of any size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, gammaln

Array = NDArray[np.float64]


def comparison_error(comparison_accuracy: ArrayLike, comparisons: ArrayLike) -> Array:
    """1 - q_K: the majority of K comparisons names the wrong one of a correct and a wrong candidate; fair ties."""
    wrong, k = np.asarray(1 - np.asarray(comparison_accuracy, dtype=float)), np.asarray(comparisons).astype(np.int64)
    half = k // 2
    above = bdtrc(half, k, wrong)
    tie = np.where(k % 2 == 0, np.exp(gammaln(k + 1) - 2 * gammaln(half + 1)) * (wrong * (1 - wrong)) ** half, 0.0)
    return above + 0.5 * tie


def _match(left: Array, right: Array, error: Array) -> Array:
    """Failure of the winner of two brackets."""
    return left * right + (left * (1 - right) + right * (1 - left)) * error


def tournament_failure(success: Array, candidates: int, error: ArrayLike) -> Array:
    """Exact failure of a knockout among N candidates; a bracket of N is one of ceil(N/2) against one of floor(N/2).

    Parameters
    ----------
    success : array
        p_gen.
    candidates : int
        N >= 1, any.
    error : array_like
        1 - q_K, broadcast against ``success``.
    """
    error = np.asarray(error, dtype=float)

    def pair(n: int) -> tuple[Array, Array]:
        """Failures at n and n + 1: all that the bracket of twice as many needs."""
        if n == 1:
            one = np.broadcast_to(1 - np.asarray(success, dtype=float), np.broadcast(success, error).shape)
            return one, _match(one, one, error)
        low, high = pair(n // 2)
        mixed = _match(low, high, error)
        return (_match(low, low, error), mixed) if n % 2 == 0 else (mixed, _match(high, high, error))

    return pair(candidates)[0]


def tournament_bound(success: Array, candidates: ArrayLike, comparison_accuracy: float, comparisons: ArrayLike) -> Array:
    """(1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2), for p_comp >= 1/2; may pass 1 (132, its theorem)."""
    n = np.asarray(candidates)
    rounds = np.ceil(np.log2(n))
    return (1 - np.asarray(success)) ** n + rounds * np.exp(-2 * np.asarray(comparisons) * (comparison_accuracy - 0.5) ** 2)


def best_allocation(success: float, comparison_accuracy: float, calls: int, most_comparisons: int) -> tuple[int, int, float]:
    """The N and odd K of least failure with N (K + 1) <= calls; N = 1 needs one call.

    Even K is left out: it fails as often as K - 1.
    """
    best = (1, 1, 1 - success)
    for k in range(1, most_comparisons + 1, 2):
        n = calls // (k + 1)
        if n < 2:
            break
        failure = float(tournament_failure(np.asarray(success), n, comparison_error(comparison_accuracy, k)))
        if failure < best[2] * (1 - 1e-12):
            best = (n, k, failure)
    return best


def play_tournaments(
    rng: np.random.Generator, success: Array, candidates: int, comparison_accuracy: float, comparisons: int
) -> list[NDArray[np.bool_]]:
    """Play brackets of a power of two candidates, a row a problem; winners are correct or not.

    Returns
    -------
    rounds : list of (n_problems, candidates / 2^r) bool arrays
        The candidates, then the winners of each round; those of round r win independent brackets of size 2^r.
    """
    rounds = [rng.random((success.size, candidates)) < success[:, None]]
    while rounds[-1].shape[1] > 1:
        left, right = rounds[-1][:, ::2], rounds[-1][:, 1::2]
        votes = rng.binomial(comparisons, comparison_accuracy, left.shape) + 0.5 * (rng.random(left.shape) - 0.5)
        rounds.append(np.where(left == right, left, votes > comparisons / 2))
    return rounds
