"""A language of n tokens with a target model and a draft model of it: Zipf-like logits, a temperature each, a mismatch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Array = NDArray[np.float64]


def draft_and_target(
    n_tokens: int, n_contexts: int, target_temperature: float, draft_temperature: float, mismatch: float, seed: int
) -> tuple[Array, Array]:
    """Laws of the next token in each context.

    Logits are those of Zipf's law in an order of its own in each context, log(1/rank), and unit Gaussian noise. The target
    is their softmax at its temperature; the draft's logits are (1 - mismatch) of the same and mismatch of others.

    Parameters
    ----------
    n_tokens, n_contexts : int
    target_temperature, draft_temperature : float
        Above 0.
    mismatch : float
        In [0, 1]; 0 and equal temperatures make the draft the target.
    seed : int

    Returns
    -------
    p, q : (n_contexts, n_tokens) arrays
        Draft and target. With n_contexts = n_tokens they are transition matrices of Markov chains.
    """
    rng = np.random.default_rng(seed)

    def logits() -> Array:
        zipf = np.tile(-np.log(np.arange(1, n_tokens + 1)), (n_contexts, 1))
        return rng.permuted(zipf, axis=1) + rng.standard_normal((n_contexts, n_tokens))

    shared, other = logits(), logits()
    target = softmax(shared / target_temperature, axis=1)
    draft = softmax(((1 - mismatch) * shared + mismatch * other) / draft_temperature, axis=1)
    return draft, target


def stationary_law(chain: Array) -> Array:
    """The stationary law of a chain ``(n, n)`` of positive entries, whose rows sum to 1."""
    n = len(chain)
    system = np.vstack([chain.T - np.eye(n), np.ones(n)])
    law = np.maximum(np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)[0], 0.0)
    return law / law.sum()
