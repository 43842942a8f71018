r"""The loss of a model trained for several epochs: repeated tokens and excess parameters are worth less than new ones.

U unique tokens seen D times in all, R_D = D/U - 1 repeats of each, are worth

    D' = U (1 + R*_D (1 - exp(-R_D/R*_D)))

unique ones, never more than (1 + R*_D) U; likewise N parameters, of which U_N = min(N, N_opt(U)) is what U unique tokens
deserve, are worth N' with R*_N. The loss is E + A N'^-alpha + B D'^-beta. Where D < U all data is unique: U stands for min(U, D).

The optimum under 6 N D = C is Chinchilla's while that asks for no more than U tokens. Beyond, it is the root of

    alpha A N'^{-alpha-1} N exp(-R_N/R*_N) = beta B D'^{-beta-1} D exp(-R_D/R*_D),

whose left side falls and whose right side rises in N between N_opt(U) and C/(6U), so that it is unique.

References
----------
Muennighoff et al., "Scaling Data-Constrained Language Models" (2023), paper 480 of the catalogue: equations 5 and 6, and the
constants of their appendix A.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.models import scaling_form
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN, Law

Array = NDArray[np.float64]


class RepeatedLaw(NamedTuple):
    """A law of (N, D) and how fast repeats and excess parameters lose their worth; every field broadcasts."""

    law: Law
    decay_tokens: Array | float  # R*_D
    decay_parameters: Array | float  # R*_N


# Fitted by Muennighoff et al. on C4 runs of up to 9e9 parameters, 9e11 tokens and 1,500 epochs.
PUBLISHED = RepeatedLaw(Law(0.6254804, 6.255414, 7.3049974, 0.3526596, 0.3526596), 15.387756, 5.309743)


def effective(amount: ArrayLike, unique: ArrayLike, decay: ArrayLike) -> Array:
    """unique (1 + decay (1 - exp(-R/decay))), R = amount/unique - 1 >= 0."""
    amount, unique, decay = (np.asarray(v, dtype=float) for v in (amount, unique, decay))
    return unique * (1 - decay * np.expm1(-(amount / unique - 1) / decay))


def deserved_parameters(law: Law, tokens: ArrayLike) -> Array:
    """N_opt: the size for which so many unique tokens are compute-optimal, G (U G)^{beta/alpha}."""
    alpha, beta = np.asarray(law.alpha), np.asarray(law.beta)
    log_g = (np.log(alpha / beta) + law.log_A - law.log_B) / (alpha + beta)
    return np.exp(log_g + beta / alpha * (log_g + np.log(tokens)))


def effective_amounts(model: RepeatedLaw, parameters: ArrayLike, tokens: ArrayLike, unique: ArrayLike) -> tuple[Array, Array]:
    """N' and D' of N parameters trained on D tokens of which U are unique."""
    used = np.minimum(unique, tokens)
    deserved = np.minimum(parameters, deserved_parameters(model.law, used))
    return effective(parameters, deserved, model.decay_parameters), effective(tokens, used, model.decay_tokens)


def loss(model: RepeatedLaw, parameters: ArrayLike, tokens: ArrayLike, unique: ArrayLike) -> Array:
    """Loss of N parameters trained on D tokens of which U are unique; all broadcast."""
    return scaling_form.loss(model.law, *effective_amounts(model, parameters, tokens, unique))


def least_loss(model: RepeatedLaw, unique: ArrayLike) -> Array:
    """What no compute can beat on U unique tokens: N' and D' at their ceilings."""
    deserved = deserved_parameters(model.law, unique)
    return scaling_form.loss(
        model.law, deserved * (1 + np.asarray(model.decay_parameters)), np.asarray(unique) * (1 + np.asarray(model.decay_tokens))
    )


def optimum(model: RepeatedLaw, compute: ArrayLike, unique: ArrayLike) -> tuple[Array, Array]:
    """Parameters and tokens of least loss under 6 N D = C with U unique tokens.

    Parameters
    ----------
    model : RepeatedLaw
    compute : array_like
        C in FLOP.
    unique : array_like
        U; broadcasts against ``compute``.

    Returns
    -------
    parameters, tokens : arrays
    """
    law = model.law
    compute, unique = np.broadcast_arrays(np.asarray(compute, dtype=float), np.asarray(unique, dtype=float))
    budget = compute / FLOP_PER_PARAMETER_TOKEN
    deserved = deserved_parameters(law, unique)
    enough = budget <= deserved * unique  # Chinchilla asks for no more than U tokens
    low, high = np.log(deserved), np.maximum(np.log(budget / unique), np.log(deserved))
    for _ in range(60):
        log_n = (low + high) / 2
        repeats = np.maximum(budget / np.exp(log_n), unique)  # below U only where the answer is not used
        grow = _pull(model, np.exp(log_n), repeats, deserved, unique) > 0
        low, high = np.where(grow, log_n, low), np.where(grow, high, log_n)
    free_n, _ = scaling_form.optimum(law, compute)
    parameters = np.where(enough, free_n, np.exp((low + high) / 2))
    return parameters, budget / parameters


def _pull(model: RepeatedLaw, n: Array, d: Array, deserved: Array, unique: Array) -> Array:
    """Log of the gain of a larger model over that of more tokens, d L/d log N = 0 at the optimum."""
    law = model.law
    alpha, beta = np.asarray(law.alpha), np.asarray(law.beta)
    n_worth = effective(n, deserved, model.decay_parameters)
    d_worth = effective(d, unique, model.decay_tokens)
    of_n = np.log(alpha) + law.log_A + np.log(n) - (alpha + 1) * np.log(n_worth) - (n / deserved - 1) / model.decay_parameters
    of_d = np.log(beta) + law.log_B + np.log(d) - (beta + 1) * np.log(d_worth) - (d / unique - 1) / model.decay_tokens
    return of_n - of_d
