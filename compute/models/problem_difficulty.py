r"""How hard problems are: the law over problems of the probability p that one sample solves it.

Every law is a vector of weights on one fixed quadrature of p, composite Gauss–Legendre in logit p, so that an
expectation over problems is a dot product, over many laws a matrix product, and functions of p as steep as
(1 - p)^k are resolved up to k of some 10^10. Beta(a, b), Beta with an atom at p = 0 (problems never solved),
logit-normal, and tables of counts (s correct of n) with the Beta law fitted to them.

References
----------
Coverage c(k) = E[1 - (1 - p)^k] and its unbiased estimator: Chen et al. 2021, paper 081 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import betainc, betaln, digamma, expit, gammaln, ndtr

Array = NDArray[np.float64]

LOGIT_LOW, LOGIT_HIGH, PANEL, ORDER = -30.0, 36.0, 1.0, 6


def _grid() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(ORDER)
    edges = np.arange(LOGIT_LOW, LOGIT_HIGH, PANEL)
    logit = (edges[:, None] + 0.5 * PANEL * (nodes + 1)).ravel()
    return logit, np.tile(0.5 * PANEL * weights, edges.size)


# The first node is p = 0; the second and the last stand for what lies beyond the ends of the grid.
_INNER, _STEP = _grid()
LOGIT: Array = np.concatenate([[-np.inf, LOGIT_LOW], _INNER, [LOGIT_HIGH]])
SUCCESS: Array = expit(LOGIT)
LOG_FAILURE: Array = -np.logaddexp(0.0, LOGIT)
_LOG_SUCCESS: Array = -np.logaddexp(0.0, -_INNER)


@dataclass(frozen=True)
class Difficulty:
    """A law of p over problems.

    Parameters
    ----------
    weight : (n_nodes,) array
        Probability at each node ``SUCCESS``; sums to 1.
    """

    weight: Array

    @property
    def tail_exponent(self) -> float | None:
        """Exponent a of the lower tail, P(p < x) ~ x^a, where it is a power."""
        return None

    @property
    def label(self) -> str:
        """The law in words."""
        raise NotImplementedError

    def density(self, p: Array) -> Array:
        """Density of log10 p at p in (0, 1), without what is never solved."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """p of n problems."""
        raise NotImplementedError

    def mean(self, values: Array) -> Array:
        """Expectation over problems of ``values[..., node]``."""
        return values @ self.weight

    @property
    def accuracy(self) -> float:
        """Mean success of one sample."""
        return float(SUCCESS @ self.weight)

    def failure(self, k: ArrayLike) -> Array:
        """E(1 - p)^k: the share of problems that k samples leave unsolved."""
        return np.exp(np.multiply.outer(np.asarray(k, dtype=float), LOG_FAILURE)) @ self.weight

    def coverage(self, k: ArrayLike) -> Array:
        """E[1 - (1 - p)^k]: the share of problems that at least one of k samples solves."""
        return -np.expm1(np.multiply.outer(np.asarray(k, dtype=float), LOG_FAILURE)) @ self.weight


def beta_weight(a: ArrayLike, b: ArrayLike, atom: ArrayLike = 0.0) -> Array:
    """Weights of (1 - atom) Beta(a, b) + atom at p = 0; shape ``(..., n_nodes)``.

    Parameters
    ----------
    a, b : array_like
        Shapes, a from 0.02 to 50, b from 1e-3 to 1e4.
    atom : array_like
        Share of problems that are never solved, in [0, 1).
    """
    a, b, atom = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float), np.asarray(atom, float))
    exponent = a[..., None] * _LOG_SUCCESS + b[..., None] * LOG_FAILURE[2:-1] - betaln(a, b)[..., None]
    low = betainc(a, b, expit(LOGIT_LOW))
    high = betainc(b, a, expit(-LOGIT_HIGH))  # 1 - p is what can be told from 0 up there
    parts = np.concatenate([np.zeros((*a.shape, 1)), low[..., None], _STEP * np.exp(exponent), high[..., None]], axis=-1)
    parts *= ((1 - atom) / parts.sum(axis=-1))[..., None]
    parts[..., 0] = atom
    return parts


def beta_shape(accuracy: ArrayLike, a: ArrayLike, atom: ArrayLike = 0.0) -> Array:
    """The shape b for which (1 - atom) Beta(a, b) has the mean ``accuracy`` < 1 - atom."""
    return np.asarray(a) * ((1 - np.asarray(atom)) / np.asarray(accuracy) - 1)


@dataclass(frozen=True)
class BetaDifficulty(Difficulty):
    """Beta(a, b), with a share ``atom`` of problems that are never solved."""

    a: float
    b: float
    atom: float

    @property
    def tail_exponent(self) -> float | None:
        return self.a

    @property
    def label(self) -> str:
        return f"Beta({self.a:.3g}, {self.b:.3g})" + (f", {self.atom:.0%} never solved" if self.atom else "")

    def density(self, p: Array) -> Array:
        log_norm = np.log(np.log(10.0)) - betaln(self.a, self.b)
        return (1 - self.atom) * np.exp(self.a * np.log(p) + (self.b - 1) * np.log1p(-p) + log_norm)

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        return np.where(rng.random(n) < self.atom, 0.0, rng.beta(self.a, self.b, n))


def beta_difficulty(a: float, b: float, atom: float = 0.0) -> BetaDifficulty:
    """The law on the quadrature; see ``beta_weight``."""
    return BetaDifficulty(beta_weight(a, b, atom), a, b, atom)


def beta_failure(a: float, b: float, k: ArrayLike) -> Array:
    """E(1 - p)^k = B(a, b + k)/B(a, b), which falls as Gamma(a + b)/Gamma(b) k^-a."""
    return np.exp(betaln(a, b + np.asarray(k, dtype=float)) - betaln(a, b))


def beta_through(accuracy: float, k: float, coverage: float) -> tuple[float, float]:
    """The Beta law through c(1) = ``accuracy`` and c(k) = ``coverage``.

    Raises
    ------
    ValueError
        Where no Beta law passes: the coverage must lie between c(1) and 1 - (1 - c(1))^k.
    """
    if not accuracy < coverage < 1 - (1 - accuracy) ** k:
        raise ValueError("coverage must lie between c(1) and 1 - (1 - c(1))^k")

    def excess(log_a: float) -> float:
        a = np.exp(log_a)
        return 1 - float(beta_failure(a, float(beta_shape(accuracy, a)), k)) - coverage

    a = float(np.exp(brentq(excess, np.log(1e-6), np.log(1e6), xtol=1e-14)))
    return a, float(beta_shape(accuracy, a))


_HERMITE, _HERMITE_WEIGHT = np.polynomial.hermite_e.hermegauss(80)
_HERMITE_WEIGHT = _HERMITE_WEIGHT / _HERMITE_WEIGHT.sum()


def logit_normal_center(accuracy: ArrayLike, spread: float) -> Array:
    """The center theta for which logit p ~ N(theta, spread^2) has mean success ``accuracy``, by bisection."""
    accuracy = np.asarray(accuracy, dtype=float)
    low, high = np.full(accuracy.shape, -200.0), np.full(accuracy.shape, 200.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = expit(middle[..., None] + spread * _HERMITE) @ _HERMITE_WEIGHT > accuracy
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


def logit_normal_weight(center: ArrayLike, spread: float) -> Array:
    """Weights of logit p ~ N(center, spread^2), spread >= 0.4; shape ``(..., n_nodes)``."""
    center = np.asarray(center, dtype=float)
    z = (_INNER - center[..., None]) / spread
    low, high = ndtr((LOGIT_LOW - center) / spread), ndtr((center - LOGIT_HIGH) / spread)
    inner = _STEP * np.exp(-0.5 * z**2) / (spread * np.sqrt(2 * np.pi))
    parts = np.concatenate([np.zeros((*center.shape, 1)), low[..., None], inner, high[..., None]], axis=-1)
    return parts / parts.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class LogitNormalDifficulty(Difficulty):
    """logit p ~ N(center, spread^2); its lower tail is no power, so coverage has no fixed exponent."""

    center: float
    spread: float

    @property
    def label(self) -> str:
        return f"logit p ~ N({self.center:.3g}, {self.spread:.3g}²)"

    def density(self, p: Array) -> Array:
        z = (np.log(p) - np.log1p(-p) - self.center) / self.spread
        return np.log(10.0) / (1 - p) * np.exp(-0.5 * z**2) / (self.spread * np.sqrt(2 * np.pi))

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        return expit(self.center + self.spread * rng.standard_normal(n))


def logit_normal_difficulty(center: float, spread: float) -> LogitNormalDifficulty:
    """The law on the quadrature; see ``logit_normal_weight``."""
    return LogitNormalDifficulty(logit_normal_weight(center, spread), center, spread)


def draw_correlated(rng: np.random.Generator, center: Array, spread: float, correlation: float, n_problems: int) -> Array:
    """p of several models on the same problems: logit p_mi = theta_m + spread (sqrt(rho) z_i + sqrt(1 - rho) z_mi).

    Parameters
    ----------
    center : (n_models,) array
        theta_m.
    correlation : float
        rho in [0, 1], of the logits of two models.

    Returns
    -------
    success : (n_models, n_problems) array
    """
    center = np.asarray(center, dtype=float)
    shared = rng.standard_normal(n_problems)
    own = rng.standard_normal((center.size, n_problems))
    return expit(center[:, None] + spread * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own))


MOST_TRIES = 1e8
REACH_TRIES = np.geomspace(1, MOST_TRIES, 65)


def tries_to_reach(right: Array, target: float) -> Array:
    """log10 of the least K with accuracy ``target``, from ``right[..., K]`` at ``REACH_TRIES``; NaN where out of reach."""
    log_k = np.log10(REACH_TRIES)
    first = np.argmax(right >= target, axis=-1)
    before = np.maximum(first - 1, 0)
    low = np.take_along_axis(right, before[..., None], -1)[..., 0]
    high = np.take_along_axis(right, first[..., None], -1)[..., 0]
    share = np.clip((target - low) / np.maximum(high - low, 1e-300), 0, 1)
    found = np.where(first == 0, 0.0, log_k[before] + share * (log_k[first] - log_k[before]))
    return np.where(right[..., -1] >= target, found, np.nan)


def coverage_estimator(correct: ArrayLike, samples: ArrayLike, k: ArrayLike) -> Array:
    """The unbiased estimate 1 - C(n - s, k)/C(n, k) of 1 - (1 - p)^k from s correct of n >= k samples.

    Parameters
    ----------
    correct, samples : (n_problems,) array_like
        Counts s <= n.
    k : (n_k,) array_like
        At most the least n.

    Returns
    -------
    coverage : (n_problems, n_k) array
    """
    s, n = np.asarray(correct, float)[:, None], np.asarray(samples, float)[:, None]
    k = np.atleast_1d(np.asarray(k, dtype=float))[None, :]
    missed = np.maximum(n - s - k, 0.0)
    log_ratio = gammaln(n - s + 1) - gammaln(missed + 1) + gammaln(n - k + 1) - gammaln(n + 1)
    return np.where(n - s < k, 1.0, -np.expm1(np.minimum(log_ratio, 0.0)))


def fit_beta(correct: ArrayLike, samples: ArrayLike, repeats: ArrayLike | None = None) -> tuple[float, float]:
    """Beta law by maximum likelihood of beta-binomial counts; shapes are kept within [0.02, 50] and [0.01, 1000].

    Parameters
    ----------
    correct, samples : (n_problems,) array_like
    repeats : (n_problems,) array_like, optional
        How often each problem counts: the weights of a bootstrap draw.
    """
    s, n = np.asarray(correct, float), np.asarray(samples, float)
    counts = np.ones(s.size) if repeats is None else np.asarray(repeats, float)
    # Problems with equal counts are one term.
    pairs, inverse = np.unique(np.stack([s, n]), axis=1, return_inverse=True)
    counts = np.bincount(inverse.ravel(), weights=counts)
    (s, n), total = pairs, counts.sum()

    def loss(log_shape: Array) -> tuple[float, Array]:
        a, b = np.exp(log_shape)
        value = counts @ (betaln(s + a, n - s + b) - betaln(a, b)) / total
        shared = digamma(a + b) - digamma(n + a + b)
        slope_a = a * (counts @ (digamma(s + a) - digamma(a) + shared)) / total
        slope_b = b * (counts @ (digamma(n - s + b) - digamma(b) + shared)) / total
        return -float(value), -np.array([slope_a, slope_b])

    bounds = [(np.log(0.02), np.log(50.0)), (np.log(0.01), np.log(1000.0))]
    share = np.clip((counts @ s) / (counts @ n), 0.01, 0.99)
    start = np.clip(np.log([0.5, 0.5 * (1 - share) / share]), *np.array(bounds).T)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 1e-14}).x
    return float(np.exp(best[0])), float(np.exp(best[1]))
