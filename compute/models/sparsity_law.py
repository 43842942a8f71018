r"""A loss in total parameters N, tokens D and active share x = 1 - S of a mixture of experts, and what is best under a budget.

L = a N^-alpha + b D^-beta + c x^-lambda + d x^-delta N^-gamma + e. Every term is a power with a positive coefficient, so
under a budget of FLOPs the best (N, x) is a geometric program: L is convex in (log N, log x), and its stationary point is
found by bisection of slopes. The budget holds training, serving and a price of holding parameters in memory:

C = 6 N x D + 2 N x T + m N, hence D = (C - m N)/(6 N x) - T/3.

References
----------
Abnar et al., "Parameters vs FLOPs: Scaling Laws for Optimal Sparsity for Mixture-of-Experts Language Models" (2025),
paper 475 of the catalogue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernel import kernel
from compute.methods.power_law import PowerLawForm

Array = NDArray[np.float64]

LOG_SMALLEST_SIZE = np.log(1e4)
BISECTIONS = 48


class SparsityLaw(NamedTuple):
    """The ten constants; every field a float or an array that broadcasts."""

    a: Array | float
    b: Array | float
    c: Array | float
    d: Array | float
    e: Array | float
    alpha: Array | float
    beta: Array | float
    lambda_: Array | float
    delta: Array | float
    gamma: Array | float

    def array(self) -> Array:
        """(10,) or (n_laws, 10), contiguous: what the kernels take."""
        return np.ascontiguousarray(np.stack(np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in self)), axis=-1))


ABNAR = SparsityLaw(16612.50, 5455.67, 0.4598, 17.26, 0.94, 0.5962, 0.3954, -0.1666, 0.1603, 0.1595)  # their fit

# Terms e, a, b, c, d of the variables (N, D, x), for the log-Huber fit.
FORM = PowerLawForm(((0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3), (5, 0, 4)))


class Budget(NamedTuple):
    """What the FLOPs pay for besides training.

    Parameters
    ----------
    served_tokens : float
        T, at 2 FLOP per active parameter each.
    memory_price : float
        m, FLOP that one parameter held in memory costs over its life.
    """

    served_tokens: float = 0.0
    memory_price: float = 0.0


TRAINING_ONLY = Budget()


def law_from_parameters(parameters: Array) -> SparsityLaw:
    """Rows of fitted parameters of ``FORM``, (..., 10), as a ``SparsityLaw``."""
    log_e, log_a, log_b, log_c, log_d, alpha, beta, lambda_, delta, gamma = np.moveaxis(np.asarray(parameters, dtype=float), -1, 0)
    a, b, c, d, e = (np.exp(np.clip(v, -300.0, 300.0)) for v in (log_a, log_b, log_c, log_d, log_e))
    return SparsityLaw(a, b, c, d, e, alpha, beta, lambda_, delta, gamma)


def parameters_from_law(law: SparsityLaw) -> Array:
    """The inverse of ``law_from_parameters``; a coefficient of 0 is taken for 1e-12."""
    return np.stack([*(np.log(np.maximum(v, 1e-12)) for v in (law.e, law.a, law.b, law.c, law.d)), *law[5:]], axis=-1)


def loss(law: SparsityLaw, n_parameters: ArrayLike, n_tokens: ArrayLike, active_share: ArrayLike) -> Array:
    """The law, broadcast; N total parameters, x = 1 - S in (0, 1]."""
    log_n, log_d, log_x = np.log(n_parameters), np.log(n_tokens), np.log(active_share)
    terms = law.a * np.exp(-law.alpha * log_n) + law.b * np.exp(-law.beta * log_d) + law.c * np.exp(-law.lambda_ * log_x)
    return np.asarray(terms + law.d * np.exp(-law.delta * log_x - law.gamma * log_n) + law.e)


def tokens_within(compute: ArrayLike, n_parameters: ArrayLike, active_share: ArrayLike, budget: Budget = TRAINING_ONLY) -> Array:
    """Training tokens that are left of a budget; 0 or less where nothing is left to train with."""
    n, x = np.asarray(n_parameters, dtype=float), np.asarray(active_share, dtype=float)
    return (np.asarray(compute) - budget.memory_price * n) / (6 * n * x) - budget.served_tokens / 3


def best_share_at_fixed_tokens(law: SparsityLaw, n_parameters: ArrayLike) -> Array:
    """Active share of least loss at fixed (N, D): x* = min(1, (delta d N^-gamma/(-lambda c))^{1/(delta-lambda)}).

    It does not depend on D. Where the loss falls with x throughout (lambda >= 0), x* = 1.
    """
    mu = -np.asarray(law.lambda_, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_x = np.log(law.delta * law.d / (mu * law.c)) - law.gamma * np.log(n_parameters)
        x = np.exp(np.minimum(log_x / (law.delta + mu), 0.0))
    return np.where((mu > 0) & np.isfinite(x), x, 1.0)


@kernel
def _slopes(p, log_n, log_x, compute, served, memory):  # type: ignore[no-untyped-def]
    """dL/dlog N and dL/dlog x within a budget; infinite where no training is left."""
    a, b, c, d, alpha, beta, lam, delta, gamma = p[0], p[1], p[2], p[3], p[5], p[6], p[7], p[8], p[9]
    n, x = np.exp(log_n), np.exp(log_x)
    tokens = (compute - memory * n) / (6.0 * n * x) - served / 3.0
    if tokens <= 0.0:
        return np.inf, np.inf
    pressure = beta * b * np.exp(-(beta + 1.0) * np.log(tokens)) / (6.0 * n * x)  # beta b D^(-beta-1) per FLOP of 6 N x
    routed = d * np.exp(-delta * log_x - gamma * log_n)
    in_size = -alpha * a * np.exp(-alpha * log_n) - gamma * routed + pressure * compute
    in_share = -lam * c * np.exp(-lam * log_x) - delta * routed + pressure * (compute - memory * n)
    return in_size, in_share


@kernel
def _log_share(p, log_n, compute, served, memory, log_low):  # type: ignore[no-untyped-def]
    """log x of least loss at fixed N, between ``log_low`` and 0."""
    low, high = log_low, 0.0
    if _slopes(p, log_n, low, compute, served, memory)[1] >= 0.0:
        return low
    if _slopes(p, log_n, high, compute, served, memory)[1] <= 0.0:
        return high
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if _slopes(p, log_n, middle, compute, served, memory)[1] > 0.0:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


@kernel
def _shares(laws, log_n, compute, served, memory, log_low):  # type: ignore[no-untyped-def]
    out = np.empty((laws.shape[0], log_n.size))
    for i in range(laws.shape[0]):
        for j in range(log_n.size):
            out[i, j] = _log_share(laws[i], log_n[j], compute[j], served, memory, log_low)
    return out


@kernel
def _optima(laws, compute, served, memory, log_low, log_cap):  # type: ignore[no-untyped-def]
    """log N and log x of least loss for each law and budget: bisection on the slope in log N of the profile over x."""
    size, share = np.empty((laws.shape[0], compute.size)), np.empty((laws.shape[0], compute.size))
    for i in range(laws.shape[0]):
        for j in range(compute.size):
            low, high = LOG_SMALLEST_SIZE, log_cap
            # The slope of the profile is the partial one at the best x (envelope theorem).
            x = _log_share(laws[i], high, compute[j], served, memory, log_low)
            if _slopes(laws[i], high, x, compute[j], served, memory)[0] > 0.0:
                for _ in range(BISECTIONS):
                    middle = 0.5 * (low + high)
                    x = _log_share(laws[i], middle, compute[j], served, memory, log_low)
                    if _slopes(laws[i], middle, x, compute[j], served, memory)[0] > 0.0:
                        high = middle
                    else:
                        low = middle
                high = 0.5 * (low + high)
                x = _log_share(laws[i], high, compute[j], served, memory, log_low)
            size[i, j], share[i, j] = high, x
    return size, share


def best_share(
    law: SparsityLaw, n_parameters: ArrayLike, compute: ArrayLike, *, smallest_share: float, budget: Budget = TRAINING_ONLY
) -> Array:
    """Active share of least loss at fixed N within a budget of FLOPs.

    Parameters
    ----------
    law : SparsityLaw
        Of floats, or of (n_laws,) arrays.
    n_parameters, compute : arrays that broadcast to (n,)
    smallest_share : float
        1 - S_max.

    Returns
    -------
    (n,) or (n_laws, n) array
        ``smallest_share`` where even that leaves nothing to train with.
    """
    n, c = np.broadcast_arrays(np.atleast_1d(np.asarray(n_parameters, dtype=float)), np.asarray(compute, dtype=float))
    laws = law.array()
    out = np.exp(_shares(np.atleast_2d(laws), np.log(n), np.ascontiguousarray(c), *budget, np.log(smallest_share)))
    return out[0] if laws.ndim == 1 else out


def optimum(
    law: SparsityLaw, compute: ArrayLike, *, smallest_share: float, largest_size: float, budget: Budget = TRAINING_ONLY
) -> tuple[Array, Array]:
    """Total parameters and active share of least loss within a budget of FLOPs, N <= largest_size and x >= smallest_share.

    Parameters
    ----------
    law : SparsityLaw
        Of floats, or of (n_laws,) arrays.
    compute : (n,) array
    smallest_share : float
        1 - S_max; 1 gives the best dense model.
    largest_size : float
        Cap on total parameters.

    Returns
    -------
    n_parameters, active_share : (n,) or (n_laws, n) arrays
    """
    laws, c = law.array(), np.atleast_1d(np.asarray(compute, dtype=float))
    size, share = _optima(np.atleast_2d(laws), c, *budget, np.log(smallest_share), np.log(largest_size))
    return (np.exp(size[0]), np.exp(share[0])) if laws.ndim == 1 else (np.exp(size), np.exp(share))


def fixed_share_frontier(
    law: SparsityLaw, n_parameters: ArrayLike, active_share: float = 1.0, budget: Budget = TRAINING_ONLY
) -> tuple[Array, Array, Array]:
    """The compute-optimal models of one active share, followed by their size.

    At the optimum of 6 N x D + 2 N x T + m N = C, pull(N) = beta b D^{-beta-1} (D + T/3 + m/(6 x)) with
    pull = alpha a N^-alpha + gamma d x^-delta N^-gamma: each N has one D, by Newton's method on a convex function of log D.

    Returns
    -------
    compute, n_tokens, loss : (n,) arrays
        Compute rises and loss falls with N.
    """
    n, beta = np.asarray(n_parameters, dtype=float), float(law.beta)
    routed = law.d * active_share ** (-float(law.delta)) * n ** (-float(law.gamma))
    log_pull = np.log(law.alpha * law.a * n ** (-float(law.alpha)) + law.gamma * routed) - np.log(beta * law.b)
    fixed = budget.served_tokens / 3 + budget.memory_price / (6 * active_share)
    # From the left of the root, D = (pull/(beta b))^{-1/beta}, Newton's steps do not overshoot.
    log_d = -log_pull / beta
    for _ in range(40 if fixed > 0 else 0):
        total = np.logaddexp(log_d, np.log(fixed))
        step = (total - (beta + 1) * log_d - log_pull) / (np.exp(log_d - total) - (beta + 1))
        log_d = log_d - step
        if np.max(np.abs(step)) < 1e-12:
            break
    tokens = np.exp(log_d)
    compute = n * (6 * active_share * (tokens + budget.served_tokens / 3) + budget.memory_price)
    return compute, tokens, loss(law, n, tokens, active_share)


def dense_compute(law: SparsityLaw, level: ArrayLike, budget: Budget = TRAINING_ONLY) -> Array:
    """Budget at which the best dense model has a loss; NaN where no dense model of any size reaches it (L <= c + e).

    Interpolated on the dense frontier, whose log C is smooth in log(L - c - e).
    """
    floor = float(law.c + law.e)
    compute, _, frontier = fixed_share_frontier(law, np.geomspace(1e3, 1e40, 4000), 1.0, budget)
    above = np.asarray(level, dtype=float) - floor
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.interp(-np.log(above), -np.log(frontier - floor), np.log(compute), left=np.nan, right=np.nan)
    return np.where(above > 0, np.exp(found), np.nan)
