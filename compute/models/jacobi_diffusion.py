r"""The Jacobi diffusion on [0, 1], dv = (s/2)(a(1 - v) - b v) dt + sqrt(s v(1 - v)) dW, from one of its ends.

Its stationary law is Beta(a, b), its generator (s/2)(v(1-v) f'' + (a - (a+b) v) f') has Jacobi polynomials for eigenfunctions
with rates lambda_n = (s/2) n(n - 1 + a + b), and its transition density over the stationary one is (spectral sum)

    r_t(x, v) = sum_n e^{-lambda_n t} P_n(x) P_n(v)/h_n.

The sum alternates and loses its digits at short times. The same density is a mixture with positive terms over the number m of
lineages that a death process with rates mu_m = (s/2) m(m - 1 + a + b), started from infinity, has left at t:

    from 1: v ~ Beta(a + m, b),  r_t(1, v) = sum_m q_m(t) (a+b)_m/(a)_m v^m,
    from 0: v ~ Beta(a, b + m),  r_t(0, v) = sum_m q_m(t) (a+b)_m/(b)_m (1-v)^m.

The Laplace transform of q_m is a product, prod_{k>m} mu_k/(p + mu_k)/(p + mu_m), whose part beyond any M is a ratio of Gamma
functions; it is inverted by a damped Fourier series.

References
----------
Avdeyev, Shi, Tan, Dudnyk and Zhou, "Dirichlet diffusion score model" (2023), paper 221 of the catalogue: the spectral sum as an
exact score. Griffiths and Tavaré (1983) and Tavaré (1984): lineages. Abate and Whitt, "The Fourier-series method for
inverting transforms of probability distributions" (1992).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, loggamma
from scipy.stats import binom

Array = NDArray[np.float64]

DAMPING = 21.0  # of the Fourier series: an error of e^-21 q(3t), and rounding times e^10.5
ROUNDING = 1e-10  # below which a q_m is noise, which the weights of many lineages would blow up
N_EULER = 16
SHORTEST = 0.005  # s t below which lineages would be too many


def most_lineages(time: float) -> int:
    """Above which q_m is negligible at s t = ``time``: about 2/time are left, with a spread of sqrt(2/(3 time))."""
    return int(2 / time + 9 * np.sqrt(2 / (3 * time)) + 30)


def lineages(time: float, total: Array) -> Array:
    """q_m at s t = ``time`` for m = 0, …, M, for each theta = a + b in ``total``.

    Parameters
    ----------
    time : float
        s t, at least ``SHORTEST``.
    total : (n,) array
        theta, at least 1.

    Returns
    -------
    (n, M + 1) array
        To about 1e-9; nonnegative.
    """
    most = most_lineages(time)
    n_terms = int(10 / np.sqrt(time)) + 48
    p = DAMPING / (2 * time) + 1j * np.pi / time * np.arange(n_terms + N_EULER + 1)
    theta = np.asarray(total, dtype=float)[:, None]
    root = np.sqrt((theta - 1) ** 2 - 8 * p)  # (n, nodes)
    beyond = loggamma(most + (1 + theta + root) / 2) + loggamma(most + (1 + theta - root) / 2)
    beyond = np.exp(beyond - gammaln(most + 1) - gammaln(most + theta))
    m = np.arange(most, -1, -1)
    rate = 0.5 * m * (m - 1 + theta)  # (n, M + 1), from the top down
    factors = np.empty((*beyond.shape, most + 1), dtype=complex)
    factors[..., 0] = beyond
    # mu_k/(p + mu_k), then one division by mu_m turns the last factor into 1/(p + mu_m).
    np.divide(rate[:, None, :-1], p[:, None] + rate[:, None, :-1], out=factors[..., 1:])
    product = np.cumprod(factors, axis=-1)
    signs = np.where(np.arange(p.size) % 2, -1.0, 1.0)
    signs[0] = 0.5
    # Euler's summation: binomial means of the last partial sums, as weights on the terms.
    kept = np.concatenate([np.ones(n_terms + 1), binom.sf(np.arange(N_EULER), N_EULER, 0.5)])
    found = np.real(np.einsum("k,nkm,nkm->nm", signs * kept, product, 1 / (p[:, None] + rate[:, None])))
    found = found * np.exp(DAMPING / 2) / time
    found[found < ROUNDING] = 0.0
    return np.ascontiguousarray(found[:, ::-1])


def log_rising(x: float, m: Array) -> Array:
    """log of x(x+1)…(x+m-1)."""
    return np.asarray(gammaln(x + m) - gammaln(x))


class EndRatio:
    """Transition densities from 1 and from 0 over the stationary one, on a grid of v.

    Parameters
    ----------
    a, b : float
        Positive, a + b at least 1.
    v : (n,) array
        Within (0, 1).
    """

    def __init__(self, a: float, b: float, v: Array) -> None:
        self.a, self.b, self.v = a, b, v

    def at(self, time: float) -> tuple[Array, Array, Array, Array]:
        """At s t = ``time``: log r from 1, its derivative in v, and the same from 0."""
        q = lineages(time, np.array([self.a + self.b]))[0]
        m = np.arange(q.size, dtype=float)
        whole = log_rising(self.a + self.b, m)
        found = []
        for own, x, sign in ((self.a, self.v, 1.0), (self.b, 1 - self.v, -1.0)):
            terms = q * np.exp(whole - log_rising(own, m) + np.log(x)[:, None] * m)
            value = np.maximum(terms.sum(axis=1), 1e-290)
            found += [np.log(value), sign * (terms @ m) / (x * value)]
        return found[0], found[1], found[2], found[3]


def jacobi_polynomials(a: float, b: float, n_terms: int, v: Array) -> Array:
    """(n_terms, n) polynomials P_n^{(b-1, a-1)}(2v - 1), orthogonal under v^{a-1}(1-v)^{b-1}, by recursion."""
    al, be, x = b - 1, a - 1, 2 * np.asarray(v, dtype=float) - 1
    out = np.ones((n_terms, x.size))
    if n_terms > 1:
        out[1] = (al + 1) + (al + be + 2) * (x - 1) / 2
    for n in range(2, n_terms):
        c = 2 * n + al + be
        first = (c - 1) * (c * (c - 2) * x + al**2 - be**2) * out[n - 1]
        out[n] = (first - 2 * (n + al - 1) * (n + be - 1) * c * out[n - 2]) / (2 * n * (n + al + be) * (c - 2))
    return out


def spectral_ratio(a: float, b: float, start: float, v: Array, time: float, n_terms: int) -> Array:
    """r_t(start, v) at s t = ``time``, cut after ``n_terms`` terms: it rings below zero where they are too few."""
    n = np.arange(n_terms)
    al, be = b - 1, a - 1
    # h_n over Beta(a, b): 1 for n = 0.
    with np.errstate(invalid="ignore"):
        log_h = gammaln(n + al + 1) + gammaln(n + be + 1) - gammaln(n + 1) - gammaln(n + al + be + 1) - np.log(2 * n + al + be + 1)
    log_h[0] = betaln(a, b)
    decay = np.exp(-0.5 * n * (n - 1 + a + b) * time - log_h + betaln(a, b))
    here = jacobi_polynomials(a, b, n_terms, np.array([start]))[:, 0]
    return np.asarray((decay * here) @ jacobi_polynomials(a, b, n_terms, v))
