r"""Do two groups of vectors have the same mean? By permuting labels, or coordinate by coordinate with p-values combined.

    permutation    T = |mean of group 1 - mean of group 2|^2 = a' K a,  a_i = 1/n1 or -1/n2,  K the Gram matrix
    Welch          two-sided, one for each coordinate
    Cauchy         p = 1/2 - arctan(mean tan((1/2 - p_i) pi))/pi
    harmonic mean  h = 1/mean(1/p_i); mean(1/p_i) of n independent uniform p_i is near a Landau law at log n + 1 - gamma

References
----------
Liu & Xie, "Cauchy combination test" (2020): valid at small levels whatever the dependence.
Wilson, "The harmonic mean p-value for combining dependent tests" (2019), with its Landau calibration.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import landau

Array = NDArray[np.float64]

TIE = 1e-9  # means that differ by rounding alone have p-values this near 1
ROUNDING = 1e-9  # relative: permutations that tie with the labels given must count as ties


def contrasts(n_first: int, n_second: int, n_permutations: int, rng: np.random.Generator) -> Array:
    """(n_permutations + 1, n1 + n2) weights a of permuted labels; row 0 has the labels given, the first n1 in group 1."""
    given = np.concatenate([np.full(n_first, 1 / n_first), np.full(n_second, -1 / n_second)])
    drawn = rng.permuted(np.broadcast_to(given, (n_permutations, given.size)), axis=1)
    return np.concatenate([given[None], drawn])


def permutation_p(gram: Array, weights: Array) -> float:
    """The share of labelings, the one given among them, whose squared distance of means is as large; any centering will do."""
    statistic = np.einsum("ij,ij->i", weights @ gram, weights)
    return float(np.mean(statistic >= statistic[0] - ROUNDING * max(abs(float(statistic[0])), float(np.abs(statistic).mean()))))


def welch_p(first: Array, second: Array) -> Array:
    """(D,) two-sided p-values of groups (n1, D) and (n2, D); coordinates without any variation are left out."""
    n1, n2 = len(first), len(second)
    size = np.maximum(np.abs(first).max(axis=0), np.abs(second).max(axis=0))
    # In units of their own, so that squares of the faintest coordinates do not vanish.
    unit = np.where(size > 0, size, 1.0)
    first, second = first / unit, second / unit
    share1, share2 = first.var(axis=0, ddof=1) / n1, second.var(axis=0, ddof=1) / n2
    gap = first.mean(axis=0) - second.mean(axis=0)
    varies = share1 + share2 > 1e-24
    share1, share2, gap = share1[varies], share2[varies], gap[varies]
    both = share1 + share2
    freedom = both**2 / (share1**2 / (n1 - 1) + share2**2 / (n2 - 1))
    return np.asarray(2 * stdtr(freedom, -np.abs(gap) / np.sqrt(both)))


def cauchy_combination(p: Array) -> float:
    """One p-value of p-values (D,), equal weights; a p-value of 1, of a tie, would outweigh all others and counts as 1 - 1/D."""
    if p.size == 0:
        return 1.0
    capped = np.where(p > 1 - TIE, 1 - 1 / max(p.size, 2), np.maximum(p, 1e-300))
    # cot(pi p), so that small p-values keep their digits.
    mean = float(np.mean(1 / np.tan(np.pi * capped)))
    return float(np.arctan2(1.0, mean) / np.pi)


def harmonic_mean(p: Array) -> float:
    """1/mean(1/p) of p-values (D,): not itself a p-value."""
    return float(1 / np.mean(1 / np.maximum(p, 1e-300))) if p.size else 1.0


def calibrated_harmonic(p: Array) -> float:
    """The p-value of the harmonic mean of p-values (D,) by Landau's law, as if they were independent."""
    if p.size == 0:
        return 1.0
    place = 1 / harmonic_mean(p) - np.log(p.size) - (1 - np.euler_gamma)
    # Far out its tail is that of 1/x, where scipy's runs out of digits.
    # scipy's Landau law is the stable one of scale 1; that of sums of 1/p has scale pi/2.
    return float(landau.sf(place, np.log(np.pi / 2), np.pi / 2)) if place < 1e5 else float(1 / place)
