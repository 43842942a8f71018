r"""The loss of a run in its compute C and its tokens per parameter M, and what over-training and serving cost.

With one exponent alpha for parameters and tokens, E + A N^-alpha + B D^-alpha is under C = 6 N D, M = D/N

    L = E + (a M^eta + b M^-eta) C^-eta,   eta = alpha/2,  a = A 6^eta,  b = B 6^eta:

at every M the same power of C, from another height. The compute-optimal M* = (b/a)^{1/(2 eta)} does not depend on C, and

    (a M^eta + b M^-eta)/(2 sqrt(ab)) = cosh(eta log(M/M*))

is what over-training costs in reducible loss. A model that serves T tokens costs 6 N D + 2 N T in its life; at fixed loss
d log D/d log N = -(M/M*)^{2 eta}, so that the least cost is where (M/M*)^{2 eta} = 1 + T/(3 D).

References
----------
Gadre et al., "Language models scale reliably with over-training and on downstream tasks" (2024), paper 080 of the catalogue:
equations 4 and 5 and the constants of its fits. Sardana et al., "Beyond Chinchilla-Optimal" (2023), for the cost of serving.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.models import scaling_form
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN, Law

Array = NDArray[np.float64]

FLOP_PER_SERVED_TOKEN = 2.0  # of each parameter


class OverTraining(NamedTuple):
    """L = E + (a M^eta + b M^-eta) C^-eta; every field a float or an array that broadcasts."""

    E: Array | float
    a: Array | float
    b: Array | float
    eta: Array | float


class ErrorLaw(NamedTuple):
    """Downstream error = eps - k exp(-gamma L)."""

    eps: float
    k: float
    gamma: float


# As printed, rounded; fitted to five runs of up to 2e19 FLOP each (error: to more runs), on three training sets.
PUBLISHED = {
    "c4": OverTraining(1.508, 141.3, 189.5, 0.1212),
    "redpajama": OverTraining(1.837, 212.2, 366.7, 0.1364),
    "refinedweb": OverTraining(1.734, 157.1, 246.2, 0.1272),
}
PUBLISHED_ERRORS = {
    "c4": ErrorLaw(0.850, 2.079, 0.756),
    "redpajama": ErrorLaw(0.857, 2.206, 0.715),
    "refinedweb": ErrorLaw(0.865, 2.215, 0.707),
}


def loss(law: OverTraining, compute: ArrayLike, multiplier: ArrayLike) -> Array:
    """L at compute C in FLOP and M tokens per parameter, broadcast."""
    log_m = law.eta * np.log(multiplier)
    return np.asarray(law.E + (law.a * np.exp(log_m) + law.b * np.exp(-log_m)) * np.asarray(compute, dtype=float) ** -law.eta)


def error(law: ErrorLaw, level: ArrayLike) -> Array:
    """Downstream error at a loss."""
    return np.asarray(law.eps - law.k * np.exp(-law.gamma * np.asarray(level)))


def sizes(compute: ArrayLike, multiplier: ArrayLike) -> tuple[Array, Array]:
    """Parameters sqrt(C/(6M)) and tokens sqrt(CM/6)."""
    compute, multiplier = np.asarray(compute, dtype=float), np.asarray(multiplier, dtype=float)
    tokens = np.sqrt(compute / FLOP_PER_PARAMETER_TOKEN) * np.sqrt(multiplier)  # the product itself may overflow
    return np.sqrt(compute / (FLOP_PER_PARAMETER_TOKEN * multiplier)), tokens


def as_law(form: OverTraining) -> Law:
    """The same law in (N, D): A = a 6^-eta, B = b 6^-eta, alpha = beta = 2 eta."""
    scale = form.eta * np.log(FLOP_PER_PARAMETER_TOKEN)
    with np.errstate(divide="ignore"):
        return Law(np.log(form.E), np.log(form.a) - scale, np.log(form.b) - scale, 2 * form.eta, 2 * form.eta)


def optimal_multiplier(law: OverTraining) -> Array:
    """M* = (b/a)^{1/(2 eta)}, compute-optimal tokens per parameter at every C."""
    return np.asarray((law.b / law.a) ** (0.5 / law.eta))


def excess(law: OverTraining, multiplier: ArrayLike) -> Array:
    """Reducible loss over that of M* at the same compute, cosh(eta log(M/M*))."""
    return np.asarray(np.cosh(law.eta * np.log(np.asarray(multiplier) / optimal_multiplier(law))))


def compute_at(law: OverTraining, multiplier: ArrayLike, level: ArrayLike) -> Array:
    """Training compute at which M tokens per parameter reach a loss above E."""
    log_m = law.eta * np.log(multiplier)
    height = law.a * np.exp(log_m) + law.b * np.exp(-log_m)
    return np.asarray((height / (np.asarray(level) - law.E)) ** (1 / law.eta))


def lifetime(law: OverTraining, multiplier: ArrayLike, level: ArrayLike, served: ArrayLike) -> Array:
    """FLOP of training to a loss at M tokens per parameter and of serving T tokens, 6 N D + 2 N T."""
    compute = compute_at(law, multiplier, level)
    return compute + FLOP_PER_SERVED_TOKEN * sizes(compute, multiplier)[0] * np.asarray(served)


def serving_multiplier(law: OverTraining, level: ArrayLike, served: ArrayLike) -> Array:
    """M of least lifetime cost at a loss: the root of (M/M*)^{2 eta} = 1 + T/(3 D(M)), by bisection in log M.

    At fixed loss D rises with M, so that the left side rises and the right side falls: there is one root, at M* or above.
    """
    level, served = np.broadcast_arrays(np.asarray(level, dtype=float), np.asarray(served, dtype=float))
    start = float(np.log(optimal_multiplier(law)))
    low, high = np.full(level.shape, start), np.full(level.shape, start + 60 / law.eta)
    for _ in range(100):
        middle = (low + high) / 2
        m = np.exp(np.minimum(middle, 600.0))
        tokens = sizes(compute_at(law, m, level), m)[1]
        rises = 2 * law.eta * (middle - start) < np.log1p(served / (3 * tokens))
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return np.exp((low + high) / 2)


def iso_loss_tokens(law: OverTraining, n_parameters: ArrayLike, level: ArrayLike) -> Array:
    """Tokens that bring N parameters to a loss; infinite where they cannot get there."""
    return scaling_form.iso_loss_tokens(as_law(law), n_parameters, level)
