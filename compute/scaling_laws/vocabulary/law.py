r"""What a vocabulary costs and buys: its compression, the unigram-normalized loss, and three predictors of its best size.

Compression: f(V) = 0.00639222 ln^2 V - 0.15811069 ln V + 1.20470122 tokens per character, constant from V = 200,000 on.
Loss: L_u = -E + A1 N_nv^-alpha1 + A2 N_v^-alpha2 + B D^-beta, with N_v = V d, N in millions and D in billions, along
F = 6 (N_nv + N_v) D. Training FLOPs for H characters are 6 (N_nv + V d) f(V) H.

References
----------
Tao et al., "Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies" (2024), paper 481 of the catalogue:
their equations 3 to 7 and the constants of their fits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

COMPRESSION = (0.00639222, -0.15811069, 1.20470122)
LARGEST_COMPRESSING = 2e5
ISOFLOP_SIZE = (-2.484651, 0.5)  # log N_nv = -2.484651 + 0.5 log F
ISOFLOP_VOCABULARY = (-1.589031, 0.416362)  # log N_v = -1.589031 + 0.416362 log F
ANCHOR = (3.3e7, 3145728.0)  # N_nv and N_v = 6,144 x 512 of their smallest model
DERIVATIVE_EXPONENT = 0.835397
TRAINED_SIZES = (33e6, 85e6, 151e6, 302e6, 631e6, 1.13e9, 2.87e9)
# Width by non-vocabulary parameters: the first row whose limit is not below N_nv.
WIDTHS = (
    (5e7, 512),
    (2e8, 768),
    (5e8, 1024),
    (1e9, 1536),
    (2e9, 2048),
    (5e9, 3200),
    (1e10, 4096),
    (2e10, 5120),
    (5e10, 6048),
    (1e11, 8192),
    (2e11, 12288),
    (5e11, 16384),
)
MILLION, BILLION = 1e6, 1e9
FLOP_PER_PARAMETER_TOKEN = 6.0
BISECTIONS = 52


class VocabularyLaw(NamedTuple):
    """Constants of the parametric loss; N in millions, D in billions. Floats, or (n_laws, 1) arrays."""

    E: Array | float
    A1: Array | float
    A2: Array | float
    B: Array | float
    alpha1: Array | float
    alpha2: Array | float
    beta: Array | float


BETA, ALPHA2 = 0.446606, 0.670737
TAO = VocabularyLaw(5.532785, 1.831385, 0.195842, 2.124112, BETA, ALPHA2, BETA)  # alpha1 = beta is imposed


def compression(vocabulary: ArrayLike) -> Array:
    """f(V), tokens per character."""
    log_v = np.log(np.minimum(vocabulary, LARGEST_COMPRESSING))
    return np.asarray(COMPRESSION[0] * log_v**2 + COMPRESSION[1] * log_v + COMPRESSION[2])


def width_rule(size: ArrayLike) -> Array:
    """The published width of a model of N_nv non-vocabulary parameters."""
    limits, widths = np.array(WIDTHS, dtype=float).T
    return widths[np.minimum(np.searchsorted(limits, np.asarray(size, dtype=float) * (1 - 1e-12)), limits.size - 1)]


def balanced_compute(size: ArrayLike) -> Array:
    """F at which N_nv is compute-optimal, by the isoFLOP fit: N_nv = exp(-2.484651) F^0.5."""
    return np.asarray(np.exp((np.log(size) - ISOFLOP_SIZE[0]) / ISOFLOP_SIZE[1]))


def isoflop_vocabulary(size: ArrayLike) -> Array:
    """N_v of the isoFLOP fit, at the budget for which N_nv is compute-optimal."""
    return np.exp(ISOFLOP_VOCABULARY[0] + ISOFLOP_VOCABULARY[1] * np.log(balanced_compute(size)))


def derivative_vocabulary(size: ArrayLike) -> Array:
    """N_v of the derivative predictor: the exponent of the fixed-characters minimizer, the level of the smallest model."""
    return ANCHOR[1] * (np.asarray(size, dtype=float) / ANCHOR[0]) ** DERIVATIVE_EXPONENT


def fixed_characters_vocabulary(size: ArrayLike, width: ArrayLike) -> Array:
    """V of fewest FLOPs at fixed characters: the minimum of (N_nv + V d) f(V), at most 200,000.

    d V f + (N_nv + V d) f' V = 0 with f' V = 2 a ln V + b; the left side is negative below the root, and above it positive.
    """
    n, d = np.broadcast_arrays(np.asarray(size, dtype=float), np.asarray(width, dtype=float))
    a, b, _ = COMPRESSION
    low, high = np.full(n.shape, np.log(100.0)), np.full(n.shape, np.log(LARGEST_COMPRESSING))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        v = np.exp(middle)
        rises = d * v * compression(v) + (n + v * d) * (2 * a * middle + b) > 0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    return np.exp(0.5 * (low + high))


def loss(law: VocabularyLaw, size: ArrayLike, vocabulary_parameters: ArrayLike, compute: ArrayLike) -> Array:
    """L_u at N_nv, N_v = V d and F FLOPs, broadcast."""
    n, n_v = np.asarray(size, dtype=float) / MILLION, np.asarray(vocabulary_parameters, dtype=float) / MILLION
    return np.asarray(-law.E + law.A1 * n ** (-np.asarray(law.alpha1)) + _variable_part(law, n, n_v, _billions(compute)))


def _billions(compute: ArrayLike) -> Array:
    """F/6 in units of a million parameters times a billion tokens."""
    return np.asarray(compute, dtype=float) / (FLOP_PER_PARAMETER_TOKEN * MILLION * BILLION)


def _variable_part(law: VocabularyLaw, n: Array, n_v: Array, work: Array) -> Array:
    """The two terms that the vocabulary moves: A2 N_v^-alpha2 + B D^-beta."""
    return law.A2 * n_v ** (-np.asarray(law.alpha2)) + law.B * (work / (n + n_v)) ** (-np.asarray(law.beta))


def best_vocabulary(law: VocabularyLaw, size: ArrayLike, compute: ArrayLike) -> Array:
    """N_v of least loss at fixed N_nv and F: alpha2 A2 N_v^{-alpha2-1} = beta B (6/F)^beta (N_nv + N_v)^{beta-1}.

    The ratio of the sides is monotone in N_v (its log-slope is alpha2 + 1 - (1 - beta) N_v/(N_nv + N_v) > 0), so bisection
    in log N_v finds the one root. The width does not enter.
    """
    n, work = np.asarray(size, dtype=float) / MILLION, _billions(compute)
    alpha2, beta = np.asarray(law.alpha2, dtype=float), np.asarray(law.beta, dtype=float)
    target = np.log(alpha2 * law.A2 / (beta * law.B)) + beta * np.log(work)
    shape = np.broadcast_shapes(n.shape, target.shape)
    low, high = np.full(shape, np.log(1e-6)), np.full(shape, np.log(1e9))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        above = (alpha2 + 1) * middle + (beta - 1) * np.log(n + np.exp(middle)) > target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.exp(0.5 * (low + high)) * MILLION


def wasted_compute(law: VocabularyLaw, size: ArrayLike, vocabulary_parameters: ArrayLike, compute: ArrayLike) -> Array:
    """Share of the FLOPs that the best vocabulary would not need for the same loss, at the same N_nv.

    Along the best vocabularies of all budgets the stationarity gives (6/F)^beta, and the two terms become
    A2 N_v^-alpha2 [1 + (alpha2/beta)(N_nv + N_v)/N_v], decreasing in N_v: bisection finds the budget of equal loss.
    """
    n, n_v = np.asarray(size, dtype=float) / MILLION, np.asarray(vocabulary_parameters, dtype=float) / MILLION
    work = _billions(compute)
    target = np.log(_variable_part(law, n, n_v, work))
    log_a2 = np.log(law.A2)
    low, high = np.full(target.shape, np.log(1e-8)), np.full(target.shape, np.log(1e10))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        value = log_a2 - law.alpha2 * middle + np.log1p((law.alpha2 / law.beta) * (1 + n * np.exp(-middle)))
        above = value < target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    best = 0.5 * (low + high)
    log_inverse = np.log(law.alpha2 * law.A2 / (law.beta * law.B)) - (law.alpha2 + 1) * best
    log_inverse = (log_inverse + (1 - law.beta) * np.log(n + np.exp(best))) / law.beta  # log of 1/work
    return np.asarray(np.clip(-np.expm1(-log_inverse - np.log(work)), 0.0, 1.0))
