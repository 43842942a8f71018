r"""Laws of the loss in parameters N and tokens D, and the allocation of compute they imply.

``Law``: L = (E + A N^-alpha + B D^-beta)^power; power 1 is the form of Hoffmann et al. 2022 (their equation 2), and
E = 0, beta = 1 with a free power is that of Kaplan et al. 2020 (their equation 1.5). Under C = 6 N D its optimum is
N* = G (C/6)^a, D* = (C/6)^{1-a}/G, a = beta/(alpha+beta), G = (alpha A/(beta B))^{1/(alpha+beta)}.

``ShapeLaw``: L = eps + A w^-a + B d^-b + C p^-c + D T^-t in width w, depth d, parameters p = 12 d w^2 and tokens T.
Any such sum of powers under a budget is convex in the logs (a geometric program), so Newton's method finds its optimum.

Coefficients are held as logarithms: refits of noisy data reach exponents at which they overflow.

References
----------
Hoffmann et al. (2022); Besiroglu et al. (2024), paper 405; Kaplan et al. (2020); McLeish et al. (2025), paper 408.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FLOP_PER_PARAMETER_TOKEN = 6.0
LARGEST_LOG = 200.0  # beyond e^200 a refit has left the data; it must not overflow
PARAMETERS_PER_SHAPE = 12.0  # p = 12 d w^2, embeddings left out


class Law(NamedTuple):
    """L = (E + A N^-alpha + B D^-beta)^power; every field a float or an array that broadcasts."""

    log_E: Array | float
    log_A: Array | float
    log_B: Array | float
    alpha: Array | float
    beta: Array | float
    power: Array | float = 1.0


def law(E: float, A: float, B: float, alpha: float, beta: float) -> Law:
    """A ``Law`` from its coefficients; E may be 0."""
    return Law(np.log(E) if E > 0 else -np.inf, np.log(A), np.log(B), alpha, beta)


def kaplan_law(parameter_scale: float, token_scale: float, alpha_parameters: float, alpha_tokens: float) -> Law:
    """Kaplan's L = [(Nc/N)^{alpha_N/alpha_D} + Dc/D]^{alpha_D} as a ``Law``."""
    ratio = alpha_parameters / alpha_tokens
    return Law(-np.inf, ratio * np.log(parameter_scale), np.log(token_scale), ratio, 1.0, alpha_tokens)


HOFFMANN_ROUNDED = law(1.69, 406.4, 410.7, 0.34, 0.28)
HOFFMANN_UNROUNDED = Law(0.5267228, 6.0073404, 6.0179186, 0.33917084, 0.2849083)
BESIROGLU = law(1.8172, 482.01, 2085.43, 0.3478, 0.3658)
KAPLAN = kaplan_law(6.4e13, 1.8e13, 0.076, 0.103)  # their table 2
PUBLISHED = {
    "hoffmann_rounded": HOFFMANN_ROUNDED,
    "hoffmann_unrounded": HOFFMANN_UNROUNDED,
    "besiroglu": BESIROGLU,
    "kaplan": KAPLAN,
}


def loss(form: Law, n_parameters: ArrayLike, n_tokens: ArrayLike) -> Array:
    """The law at N and D, broadcast."""
    terms = np.logaddexp(
        form.log_A - np.asarray(form.alpha) * np.log(n_parameters), form.log_B - np.asarray(form.beta) * np.log(n_tokens)
    )
    return np.asarray(np.exp(np.minimum(np.asarray(form.power) * np.logaddexp(form.log_E, terms), LARGEST_LOG)))


def has_optimum(form: Law) -> NDArray[np.bool_]:
    """Whether a compute-optimal size exists: both exponents and the power positive."""
    return (np.asarray(form.alpha) > 0) & (np.asarray(form.beta) > 0) & (np.asarray(form.power) > 0)


def allocation_exponent(form: Law) -> Array:
    """a = beta/(alpha+beta): N* grows as C^a."""
    return np.asarray(form.beta) / (np.asarray(form.alpha) + np.asarray(form.beta))


def optimum(form: Law, compute: ArrayLike) -> tuple[Array, Array]:
    """Compute-optimal size and tokens under C = 6 N D.

    Parameters
    ----------
    form : Law
        With an optimum; see ``has_optimum``.
    compute : array
        C in FLOP.

    Returns
    -------
    n_parameters, n_tokens : arrays
    """
    alpha, beta = np.asarray(form.alpha), np.asarray(form.beta)
    log_budget = np.log(compute) - np.log(FLOP_PER_PARAMETER_TOKEN)
    log_g = (np.log(alpha / beta) + form.log_A - form.log_B) / (alpha + beta)
    log_n = log_g + allocation_exponent(form) * log_budget
    log_n = np.clip(log_n, -LARGEST_LOG, LARGEST_LOG)
    return np.exp(log_n), np.exp(log_budget - log_n)


def iso_loss_tokens(form: Law, n_parameters: ArrayLike, level: ArrayLike) -> Array:
    """Tokens that bring a model of size N to a loss; infinite where it cannot get there."""
    left = np.asarray(level) ** (1 / np.asarray(form.power)) - np.exp(form.log_E)
    left = left - np.exp(form.log_A - np.asarray(form.alpha) * np.log(n_parameters))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_tokens = (form.log_B - np.log(left)) / np.asarray(form.beta)
    return np.where(left > 0, np.exp(np.minimum(log_tokens, 700.0)), np.inf)


# --- width and depth -----------------------------------------------------------------------------------


class ShapeLaw(NamedTuple):
    """eps + A w^-a + B d^-b + C p^-c + D T^-t; every field a float or an (n_laws,) array."""

    log_eps: Array | float
    log_A: Array | float
    log_B: Array | float
    log_C: Array | float
    log_D: Array | float
    a: Array | float
    b: Array | float
    c: Array | float
    t: Array | float


# Planted, not published: near Besiroglu's losses at 1e8 parameters, with a width term that falls slowly.
PLANTED_SHAPE = ShapeLaw(np.log(1.8172), np.log(20.0), np.log(7.0), np.log(100.0), np.log(2085.43), 0.6, 1.3, 0.34, 0.3658)


def shape_parameters(width: ArrayLike, depth: ArrayLike) -> Array:
    """p = 12 d w^2."""
    return PARAMETERS_PER_SHAPE * np.asarray(depth, dtype=float) * np.asarray(width, dtype=float) ** 2


def shape_loss(form: ShapeLaw, width: ArrayLike, depth: ArrayLike, n_tokens: ArrayLike) -> Array:
    """The width-depth law, broadcast."""
    log_w, log_d, log_t = np.log(width), np.log(depth), np.log(n_tokens)
    log_p = np.log(PARAMETERS_PER_SHAPE) + log_d + 2 * log_w
    total = np.logaddexp(form.log_eps, form.log_A - form.a * log_w)
    total = np.logaddexp(total, np.logaddexp(form.log_B - form.b * log_d, form.log_C - form.c * log_p))
    return np.exp(np.logaddexp(total, form.log_D - form.t * log_t))


def shape_optimum(form: ShapeLaw, compute: ArrayLike) -> tuple[Array, Array]:
    """Compute-optimal width and depth under C = 6 p T, by Newton's method on the convex log of the reducible loss.

    Parameters
    ----------
    form : ShapeLaw
        Fields of shape (n_laws, 1) or floats, exponents a, b, t positive.
    compute : (n_compute,) array

    Returns
    -------
    width, depth : (n_laws, n_compute) arrays (or (n_compute,) for a single law), not rounded to integers
    """
    log_budget = np.log(compute) - np.log(FLOP_PER_PARAMETER_TOKEN) - np.log(PARAMETERS_PER_SHAPE)
    a, b, c, t = (np.asarray(v, dtype=float) for v in (form.a, form.b, form.c, form.t))
    log_12 = np.log(PARAMETERS_PER_SHAPE)
    # Slopes of the four log terms in (log w, log d): p = 12 d w^2 and T = C/(6 p) put in.
    slopes = [(-a, 0 * a), (0 * b, -b), (-2 * c, -c), (2 * t, t)]
    levels = [form.log_A, form.log_B, form.log_C - c * log_12, form.log_D - t * log_budget]
    log_w = (log_budget / 2 + np.log(64.0) - 8.0) / 3 + 0 * (a + b + c + t)
    log_d = log_w - np.log(64.0)
    for _ in range(100):
        terms = np.stack(np.broadcast_arrays(*[h + p * log_w + q * log_d for h, (p, q) in zip(levels, slopes, strict=True)]))
        share = np.exp(terms - terms.max(axis=0))
        share = share / share.sum(axis=0)
        p = np.stack([np.broadcast_to(s, share.shape[1:]) for s, _ in slopes])
        q = np.stack([np.broadcast_to(s, share.shape[1:]) for _, s in slopes])
        g_w, g_d = np.sum(share * p, axis=0), np.sum(share * q, axis=0)
        h_ww = np.sum(share * p * p, axis=0) - g_w**2 + 1e-12
        h_dd = np.sum(share * q * q, axis=0) - g_d**2 + 1e-12
        h_wd = np.sum(share * p * q, axis=0) - g_w * g_d
        determinant = np.maximum(h_ww * h_dd - h_wd**2, 1e-20)
        step_w = (h_dd * g_w - h_wd * g_d) / determinant
        step_d = (h_ww * g_d - h_wd * g_w) / determinant
        # Log-sum-exp is nearly linear far from its minimum: cap the step in log size.
        cap = 1.0 / np.maximum(1.0, np.maximum(np.abs(step_w), np.abs(step_d)))
        log_w, log_d = log_w - cap * step_w, log_d - cap * step_d
        if max(np.max(np.abs(step_w)), np.max(np.abs(step_d))) < 1e-11:
            break
    return np.exp(log_w), np.exp(log_d)


def best_shape(form: ShapeLaw, n_parameters: ArrayLike) -> tuple[Array, Array]:
    """Width and depth of least loss at given p = 12 d w^2: a A/w^a = 2 b B/d^b, in closed form."""
    # A w^-a with d = p/(12 w^2): (a A) w^-a = (2 b B) (12/p)^b w^{2b}.
    log_p = np.log(n_parameters)
    right = np.log(2 * np.asarray(form.b)) + form.log_B + np.asarray(form.b) * (np.log(PARAMETERS_PER_SHAPE) - log_p)
    log_w = (np.log(form.a) + form.log_A - right) / (np.asarray(form.a) + 2 * np.asarray(form.b))
    return np.exp(log_w), np.exp(log_p - np.log(PARAMETERS_PER_SHAPE) - 2 * log_w)
