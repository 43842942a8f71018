r"""Least squares trained, generation after generation, on labels of its own predecessor.

Real labels are y = x . w0 + sigma eps with |w0| = 1. Generation g fits labels x . w_{g-1} + sigma eps (w_0 = w0) on T rows a
generation of Gaussian inputs in d dimensions, by minimum-norm least squares (or with a ridge on X^T X/T):

- replace: T fresh rows, labels all of the last model;
- accumulate: the rows and labels of all generations so far;
- mix: T fresh rows, of which T - s have real labels and s those of the last model.

E_g = E|w_g - w0|^2 is known exactly. Replace is mix with s = T, and mix obeys E_g = c2 E_{g-1} + b with c2 and b below.

References
----------
Gerstgrasser et al., "Is model collapse inevitable?" (2024), paper 071 of the catalogue: replace grows linearly, accumulate
stays below pi^2/6 times the first error.
Dohmatob, Feng & Kempe, "Model collapse demystified: the case of regression" (2024), paper 106: the last fit with a ridge.
The gain c2 of mixing, exact on both sides of T = d, is derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dtrtrs

from compute.models.eigenframework import df2, effective_ridge
from compute.models.spectra import marchenko_pastur_nodes

Array = NDArray[np.float64]


# --- exact errors of isotropic chains ------------------------------------------------------------------


def mixing_gain(d: ArrayLike, T: ArrayLike, s: ArrayLike) -> Array:
    r"""c2 = E|(X^T X)^+ X_s^T X_s e|^2/|e|^2: how much of the old error a generation keeps when s of T rows are synthetic.

    T >= d + 2: with A, B the moments E[P_ab P_cd] = A d_ab d_cd + B (d_ac d_bd + d_ad d_bc) of a random projection of rank d
    in T dimensions, b2 = A s + B (s^2 + s), t2 = A s^2 + 2 B s: c2 = ((T - 1) b2 - t2)/(d (T - d - 1)).
    T <= d - 2: the s x s blocks of a Wishart matrix and of its inverse give c2 = s (d - 1 - s)/(d (d - 1 - T)).

    Parameters
    ----------
    d, T, s : array_like
        Dimension, rows, synthetic rows (0 to T); broadcast. Real values interpolate.

    Returns
    -------
    array
        NaN where |T - d| <= 1: the mean does not exist.
    """
    d, T, s = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (d, T, s)))
    with np.errstate(divide="ignore", invalid="ignore"):
        square, linear = _gain_polynomial(d, T)
        over = square * s**2 + linear * s
        under = s * (d - 1 - s) / (d * (d - 1 - T))
    return np.where(T - d > 1, over, np.where(d - T > 1, under, np.nan))


def _gain_polynomial(d: Array, T: Array) -> tuple[Array, Array]:
    """c2 = square s^2 + linear s for T > d + 1."""
    scale = T * (T - 1) * (T + 2)
    a, b = (d**2 * (T + 1) - 2 * d) / scale, d * (T - d) / scale
    u, v = (T - 1) / (T - d - 1), -1 / (T - d - 1)
    return (u * b + v * a) / d, (u * (a + b) + 2 * v * b) / d


def critical_real_fraction(d: ArrayLike, T: ArrayLike) -> tuple[Array, Array]:
    """The real fractions between which mixing explodes (c2 > 1), exact at this d; NaN where it never does.

    For T > d the lower one is 0: any real data below the upper one makes the chain worse than none.
    """
    d, T = np.broadcast_arrays(np.asarray(d, dtype=float), np.asarray(T, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        square, _ = _gain_polynomial(d, T)
        # c2(T) = 1 always: the other root follows from the product of the two.
        other = 1 + 1 / (square * T**2)
        root = np.sqrt((d - 1) ** 2 - 4 * d * (d - 1 - T))
        most, least = (d - 1 + root) / 2, (d - 1 - root) / 2
        low = np.where(T - d > 1, 0.0, np.where(d - T > 1, 1 - most / T, np.nan))
        high = np.where(T - d > 1, other, np.where(d - T > 1, 1 - least / T, np.nan))
    exists = (high > low) & (high > 0) & (high < 1)
    return np.where(exists, np.maximum(low, 0.0), np.nan), np.where(exists, high, np.nan)


def critical_real_fraction_limit(samples_per_dimension: ArrayLike) -> tuple[Array, Array]:
    """``critical_real_fraction`` as d -> infinity: p = (3r - 2)/(2r - 1), r = d/T, above T = d."""
    tau = np.asarray(samples_per_dimension, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = 1 / tau
        root = np.sqrt(1 - 4 * (1 - tau))
        high = np.where(tau > 1, (3 * r - 2) / (2 * r - 1), 1 - (1 - root) / (2 * tau))
        low = np.where(tau > 1, 0.0, 1 - (1 + root) / (2 * tau))
    exists = (high > low) & (high > 0) & (high <= 1)
    return np.where(exists, np.maximum(low, 0.0), np.nan), np.where(exists, high, np.nan)


def fresh_error(d: ArrayLike, T: ArrayLike, noise: float) -> Array:
    """b: the error that one generation adds, noise and (below T = d) what T rows cannot see; NaN where |T - d| <= 1."""
    d, T = np.broadcast_arrays(np.asarray(d, dtype=float), np.asarray(T, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        over, under = noise**2 * d / (T - d - 1), 1 - T / d + noise**2 * T / (d - T - 1)
    return np.where(T - d > 1, over, np.where(d - T > 1, under, np.nan))


def mixed_error(d: ArrayLike, T: ArrayLike, s: ArrayLike, noise: float, generation: ArrayLike) -> Array:
    """E_g = b (1 + c2 + … + c2^{g-1}) of mixing; of replacing at s = T. At most 1e300."""
    gain, added = mixing_gain(d, T, s), fresh_error(d, T, noise)
    generation = np.asarray(generation, dtype=float)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        near = np.abs(gain - 1) < 1e-9
        total = np.where(near, generation, np.expm1(generation * np.log(gain)) / (gain - 1))
        total = np.where(gain == 0, np.minimum(generation, 1.0), total)
        return np.minimum(added * total, 1e300)


def accumulated_error(d: int, T: int, noise: float, generation: ArrayLike) -> Array:
    """E_g = sigma^2 d sum_{i <= g} 1/(i (i T - d - 1)) of accumulating fresh rows; T >= d + 2."""
    i = np.arange(1, int(np.max(generation)) + 1)
    sums = np.concatenate([[0.0], np.cumsum(1 / (i * (i * T - d - 1.0)))])
    return noise**2 * d * sums[np.asarray(generation, dtype=int)]


def replaced_ridge_error(samples_per_dimension: float, noise: float, ridge: float, generation: ArrayLike) -> Array:
    """E_g of replacing with a ridge, as d -> infinity: both w_g . w0 and |w_g|^2 obey linear recursions."""
    eigenvalue, weight = marchenko_pastur_nodes(samples_per_dimension)
    kept = eigenvalue / (eigenvalue + samples_per_dimension * ridge)
    first, second = weight @ kept, weight @ kept**2
    added = noise**2 * float(weight @ (kept / (eigenvalue + samples_per_dimension * ridge)))
    norm = np.empty(int(np.max(generation)) + 1)
    norm[0] = 1.0
    for g in range(1, norm.size):
        norm[g] = second * norm[g - 1] + added
    last = np.asarray(generation, dtype=int)
    return 1 - 2 * first**last + norm[last]


# --- simulated chains ----------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _below_diagonal(d: int) -> Array:
    """(d, d) ones below the diagonal."""
    return np.tri(d, k=-1)


def wishart_factor(rng: np.random.Generator, count: int, d: int, rows: int) -> Array:
    """(count, d, ·) L with L L^T = X^T X, the Gram matrix of ``rows`` Gaussian rows.

    From d rows on by Bartlett's decomposition, at a cost that does not depend on the rows.
    """
    if rows < d:
        return rng.standard_normal((count, d, rows))
    factor = rng.standard_normal((count, d, d))
    factor *= _below_diagonal(d)
    places = np.arange(d)
    factor[:, places, places] = np.sqrt(rng.chisquare(rows - places, (count, d)))
    return factor


def draw_wishart(rng: np.random.Generator, count: int, d: int, rows: int) -> tuple[Array, Array]:
    """``count`` Gram matrices X^T X of ``rows`` Gaussian rows, (count, d, d), and their ``wishart_factor``."""
    factor = wishart_factor(rng, count, d, rows)
    return factor @ factor.transpose(0, 2, 1), factor


POLICIES = ("replace", "accumulate", "mix")


def simulate_chains(
    rng: np.random.Generator, policy: str, count: int, d: int, T: int, real: int, noise: float, ridge: float, generations: int
) -> Array:
    """(generations, count) squared errors |w_g - w0|^2 of independent chains; ``real`` rows of T are real in a mix."""

    def labels(weights: NDArray[np.floating], rows: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """A Gram matrix and X^T y of rows labeled by given weights: X^T eps is N(0, X^T X)."""
        gram, factor = draw_wishart(rng, count, d, rows)
        eps = rng.standard_normal((count, factor.shape[2], 1))
        return gram, gram @ weights + noise * (factor @ eps)

    truth = np.zeros((count, d, 1))
    truth[:, 0] = 1.0
    weights: NDArray[np.floating] = truth
    out = np.empty((generations, count))
    identity = np.eye(d)
    gram: NDArray[np.floating] = np.zeros((count, d, d))
    moment: NDArray[np.floating] = np.zeros((count, d, 1))
    for g in range(generations):
        if policy != "accumulate":
            gram, moment = np.zeros_like(gram), np.zeros_like(moment)
        for source, rows in ((weights, T - real), (truth, real)) if policy == "mix" else ((weights, T),):
            if rows:
                more_gram, more_moment = labels(source, rows)
                gram, moment = gram + more_gram, moment + more_moment
        held = T * (g + 1 if policy == "accumulate" else 1)
        weights = np.linalg.solve(gram + ridge * held * identity, moment)
        out[g] = np.sum((weights - truth) ** 2, axis=(1, 2))
    return out


# --- the last fit (106) --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LastFit:
    """Ridge regression on T real inputs with labels that went through g generations of T0 rows each.

    Inputs have covariance eigenvalues lambda_i = i^-alpha, weights w_i are equal with sum lambda_i w_i^2 = 1.
    """

    eigenvalue: Array  # (d,)
    fake_rows: int  # T0, at least d + 2
    noise: float

    @property
    def signal(self) -> float:
        """w_i^2."""
        return 1 / float(self.eigenvalue.sum())

    def drift(self, generation: ArrayLike) -> Array:
        """g sigma^2/(T0 - d - 1): the covariance of the labels' weights is this times the inverse of that of the inputs."""
        return np.asarray(generation, dtype=float) * self.noise**2 / (self.fake_rows - self.eigenvalue.size - 1)

    def error(self, rows: ArrayLike, ridge: ArrayLike, generation: ArrayLike) -> Array:
        """Test error E|w - w0|^2 in the inputs' norm, by deterministic equivalents; arguments broadcast.

        With kappa = ridge + kappa df1/T and f = df2/T: bias kappa^2 sum lambda w^2/(lambda + kappa)^2/(1 - f), variance
        sigma^2 f/(1 - f), and drift times df2 + kappa^2 sum (lambda + kappa)^-2 f/(1 - f).
        """
        rows, ridge, generation = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (rows, ridge, generation)))
        kappa = effective_ridge(self.eigenvalue, rows, ridge)
        inverse = (kappa[..., None] / (self.eigenvalue + kappa[..., None])) ** 2
        seen = df2(self.eigenvalue, kappa)
        share = seen / rows
        bias = self.signal * (inverse @ self.eigenvalue) / (1 - share)
        spread = seen + inverse.sum(axis=-1) * share / (1 - share)
        return bias + self.noise**2 * share / (1 - share) + self.drift(generation) * spread

    def best_ridge(self, rows: Array, generation: ArrayLike) -> tuple[Array, Array]:
        """The ridge of least error for each number of rows, within [1e-8, 1e4], and that error."""
        rows = np.asarray(rows, dtype=float)
        low, high = np.full(rows.shape, np.log(1e-8)), np.full(rows.shape, np.log(1e4))
        share = np.linspace(0, 1, 25)
        at = np.arange(rows.size)
        for _ in range(4):
            x = low[:, None] + share * (high - low)[:, None]
            error = self.error(rows[:, None], np.exp(x), generation)
            best = np.argmin(error, axis=1)
            low, high = x[at, np.maximum(best - 1, 0)], x[at, np.minimum(best + 1, share.size - 1)]
            share = np.linspace(0, 1, 9)
        return np.exp(x[at, best]), error[at, best]

    def simulate(self, rng: np.random.Generator, rows: Array, ridge: float, generations: NDArray[np.int_]) -> Array:
        """(n_generations, n_rows) errors of one chain: its labels at each generation, refitted on each number of rows."""
        d = self.eigenvalue.size
        root = np.sqrt(self.eigenvalue)
        drift = np.zeros((int(np.max(generations)) + 1, d))
        for g in range(1, len(drift)):
            factor = wishart_factor(rng, 1, d, self.fake_rows)
            # LAPACK itself: SciPy's solve_triangular takes ten times as long to look at so small a problem.
            step = dtrtrs(factor[0], rng.standard_normal(d), lower=1, trans=1)[0]
            drift[g] = drift[g - 1] + self.noise * step / root
        truth = np.full(d, np.sqrt(self.signal))
        labeled = truth + drift[generations]
        scale, identity = np.outer(root, root), np.eye(d)
        out = np.empty((generations.size, rows.size))
        for column, n in enumerate(rows.astype(int)):
            gram, factor = draw_wishart(rng, 1, d, n)
            gram, factor = gram[0] * scale, factor[0] * root[:, None]
            noise = self.noise * (factor @ rng.standard_normal(factor.shape[1]))
            fit = np.linalg.solve(gram + n * ridge * identity, gram @ labeled.T + noise[:, None])
            out[:, column] = self.eigenvalue @ (fit - truth[:, None]) ** 2
        return out


def simulate_last_fit(
    seed: int, draws: int, fit: LastFit, rows: Array, ridge: float, generations: NDArray[np.int_]
) -> Iterator[tuple[float, Array, Array]]:
    """Mean and standard error over draws of ``LastFit.simulate``; yields some ten times."""
    rng = np.random.default_rng(seed)
    values = np.empty((draws, generations.size, rows.size))
    for done in range(1, draws + 1):
        values[done - 1] = fit.simulate(rng, rows, ridge, generations)
        if done == draws or (done > 2 and done * 10 // draws > (done - 1) * 10 // draws):
            yield done / draws, values[:done].mean(axis=0), values[:done].std(axis=0, ddof=1) / np.sqrt(done)
