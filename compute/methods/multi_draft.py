r"""Multi-draft speculative sampling of one token: K drafts i.i.d. from p, one output of law q, how often it is a draft.

A scheme is described by its *accepted law* a(y) = P(output is y and y was among the drafts), which satisfies a <= q
and, for every set S of tokens, a(S) <= 1 - (1 - p(S))^K. By max-flow min-cut these are all the accepted laws there
are, so the best acceptance is min over S of q(S) + 1 - p(S)^K; x -> -x^K is concave, hence the minimum stands on a
prefix of the tokens sorted by q/p and costs one sort, at any vocabulary and any K.

All functions take laws of shape ``(..., n)`` unless they say otherwise.

References
----------
Optimal acceptance of two identical drafts, its canonical decomposition and weighted importance selection: Khisti et
al., "Multi-Draft Speculative Sampling: Canonical Decomposition and Theoretical Limits" (2024), paper 143 of the
catalogue. k_seq: Sun et al., SpecTr (2023). Recursive rejection: Miao et al., SpecInfer (2023). The prefix rule for
any K and the greedy law of ``best_accepted`` are derived here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PRACTICAL = ("importance", "k_seq", "recursive", "naive")
SCHEMES = ("optimal", *PRACTICAL)
_WIDEST = 1e13  # ratios q/p beyond it either way belong to tokens that weigh less than 1e-13


def _ratio(p: Array, q: Array) -> Array:
    """q/p, 0 where no draft can be."""
    return np.where(p > 0, q / np.where(p > 0, p, 1.0), 0.0)


def optimal_acceptance(p: Array, q: Array, n_drafts: ArrayLike) -> Array:
    """min over sets S of q(S) + 1 - p(S)^K, over prefixes of q/p; shape ``(..., *n_drafts.shape)``."""
    by_ratio = np.argsort(np.where(p > 0, _ratio(p, q), np.inf), axis=-1)
    mass_p = np.minimum(np.cumsum(np.take_along_axis(p, by_ratio, -1), axis=-1), 1.0)
    mass_q = np.cumsum(np.take_along_axis(q, by_ratio, -1), axis=-1)
    power = np.asarray(n_drafts, dtype=float)
    cut = np.empty((*p.shape[:-1], *power.shape))
    for index in np.ndindex(power.shape):
        # The empty set gives 1.
        cut[(..., *index)] = np.minimum(np.min(mass_q + 1 - mass_p ** power[index], axis=-1), 1.0)
    return cut


def minimizing_set(p: Array, q: Array, n_drafts: int) -> NDArray[np.int64]:
    """The tokens of the cut S, of one pair of laws ``(n,)``: empty where every token can be accepted."""
    by_ratio = np.argsort(np.where(p > 0, _ratio(p, q), np.inf), kind="stable")
    cut = np.cumsum(q[by_ratio]) + 1 - np.minimum(np.cumsum(p[by_ratio]), 1.0) ** n_drafts
    best = int(np.argmin(cut))
    return np.sort(by_ratio[: best + 1]) if cut[best] < 1 - 1e-12 else np.empty(0, dtype=np.int64)


def best_accepted(p: Array, q: Array, n_drafts: int, worth: Array) -> Array:
    """The accepted law that maximizes sum a(y) worth(y) for positive worths; it also accepts most often.

    The accepted laws are a polymatroid of rank f(S) = min over U in S of q(S) - q(U) + 1 - (1 - p(U))^K, so the greedy
    one, best worth first, with a(y_i) = f(y_1..y_i) - f(y_1..y_{i-1}), is optimal.

    Parameters
    ----------
    p, q, worth : (n,) arrays
    n_drafts : int

    Returns
    -------
    accepted : (n,) array
    """
    order = np.argsort(-worth, kind="stable")
    by_ratio = np.argsort(-_ratio(p, q), kind="stable")
    rank = np.empty(order.size + 1)
    rank[0] = 0.0
    inside = np.zeros(order.size, dtype=bool)
    for i, token in enumerate(order):
        inside[token] = True
        members = by_ratio[inside[by_ratio]]
        gain = -np.cumsum(q[members]) + 1 - (1 - np.minimum(np.cumsum(p[members]), 1.0)) ** n_drafts
        rank[i + 1] = q[members].sum() + min(float(gain.min()), 0.0)
    accepted = np.empty(order.size)
    accepted[order] = np.maximum(np.diff(rank), 0.0)
    return np.minimum(accepted, q)


def importance_law(p: Array, q: Array, n_drafts: ArrayLike) -> Array:
    r"""Law of the draft chosen with weights w = q/p among K; shape ``(*n_drafts.shape, ..., n)``.

    p_I(y) = K p(y) E[w_y/(w_y + W_2 + ... + W_K)] = K p(y) \int w_y e^{-t w_y} (E e^{-tW})^{K-1} dt: one integral,
    by the trapezoid rule in log t, where it converges geometrically, instead of a sum over n^K tuples.
    """
    weight = np.clip(_ratio(p, q), 1 / _WIDEST, _WIDEST)
    step = 0.4
    # Below the first node the integrand is t w; its geometric sum is added to that node.
    log_t = np.arange(-np.log(weight.max()) - 14.0, -np.log(weight.min()) + 4.0, step)
    power = np.asarray(n_drafts, dtype=float)
    law = np.zeros((*power.shape, *p.shape))
    for i, t in enumerate(np.exp(log_t)):
        s = t * weight
        decay = np.exp(-s)
        others = np.sum(p * decay, axis=-1, keepdims=True)
        kernel = s * decay * (step / -np.expm1(-step) if i == 0 else step)
        for index in np.ndindex(power.shape):
            law[index] += kernel * others ** (power[index] - 1)
    return law * p * power.reshape((*power.shape, *(1,) * p.ndim))


def sequential_ratio(p: Array, q: Array, n_drafts: ArrayLike) -> Array:
    """rho of k_seq: the root in [1, K] of 1 - (1 - beta)^K = rho beta, beta = sum min(p, q/rho); ``(*n_drafts.shape, ...)``."""
    power = np.asarray(n_drafts, dtype=float)
    power = power.reshape((*power.shape, *(1,) * (p.ndim - 1)))
    low = np.ones(np.broadcast_shapes(power.shape, p.shape[:-1]))
    high = low * power
    for _ in range(46):
        middle = 0.5 * (low + high)
        beta = np.minimum(p, q / middle[..., None]).sum(axis=-1)
        short = middle * beta < -np.expm1(power * np.log1p(-np.minimum(beta, 1 - 1e-16)))
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high


def accepted_law(scheme: str, p: Array, q: Array, n_drafts: ArrayLike) -> Array:
    """a(y) of a practical scheme; shape ``(*n_drafts.shape, ..., n)``.

    importance: choose a draft with weights q/p, then accept it as a single draft of law p_I: min(p_I, q).
    k_seq: try drafts in turn, each accepted with min(1, q/(rho p)).
    recursive: try drafts in turn, each against the residual law that the rejections before it leave.
    naive: draw the output from q and hope that it is among the drafts.
    """
    power = np.asarray(n_drafts, dtype=float)
    column = power.reshape((*power.shape, *(1,) * p.ndim))
    if scheme == "importance":
        return np.minimum(importance_law(p, q, n_drafts), q)
    if scheme == "naive":
        return q * -np.expm1(column * np.log1p(-np.minimum(p, 1 - 1e-16)))
    if scheme == "k_seq":
        one = np.minimum(p, q / sequential_ratio(p, q, n_drafts)[..., None])
        beta = np.minimum(one.sum(axis=-1, keepdims=True), 1 - 1e-16)
        return one * -np.expm1(column * np.log1p(-beta)) / np.maximum(beta, 1e-300)
    laws = recursive_laws(p, q, int(power.max()))
    accepted = np.zeros((*power.shape, *p.shape))
    total, reached = np.zeros(p.shape), np.ones((*p.shape[:-1], 1))
    for k in range(int(power.max())):
        one = np.minimum(p, laws[k])
        total = total + reached * one
        reached = reached * np.maximum(1 - one.sum(axis=-1, keepdims=True), 0.0)
        for index in np.argwhere(power == k + 1):
            accepted[tuple(index)] = total
    return np.minimum(accepted, q)


def recursive_laws(p: Array, q: Array, n_drafts: int) -> Array:
    """Target of each trial of recursive rejection, r_1 = q, r_{k+1} ~ max(r_k - p, 0); ``(n_drafts, ..., n)``."""
    laws = np.empty((n_drafts, *p.shape))
    law = q
    for k in range(n_drafts):
        laws[k] = law
        rest = np.maximum(law - p, 0.0)
        mass = rest.sum(axis=-1, keepdims=True)
        # Nothing is left where the law is p itself, and then nothing is ever rejected.
        law = np.where(mass > 1e-15, rest / np.maximum(mass, 1e-300), law)
    return laws


def acceptance(scheme: str, p: Array, q: Array, n_drafts: ArrayLike) -> Array:
    """P(output is one of the K drafts); shape ``(*n_drafts.shape, ...)``."""
    if scheme == "optimal":
        best = optimal_acceptance(p, q, n_drafts)
        return np.moveaxis(best, -1, 0) if np.ndim(n_drafts) else best
    return np.minimum(accepted_law(scheme, p, q, n_drafts).sum(axis=-1), 1.0)


# --- simulation ----------------------------------------------------------------------------------------


def draw_tokens(rng: np.random.Generator, law: Array, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Tokens of one law ``(n,)``, not necessarily normalized."""
    edges = np.cumsum(law)
    return np.minimum(np.searchsorted(edges, rng.random(shape) * edges[-1], side="right"), law.size - 1)


class Sampler:
    """A practical scheme at one context, with what it needs computed once.

    Parameters
    ----------
    scheme : str
        One of ``PRACTICAL``.
    p, q : (n,) arrays
    n_drafts : int
    """

    def __init__(self, scheme: str, p: Array, q: Array, n_drafts: int) -> None:
        self.scheme, self.p, self.q, self.n_drafts = scheme, p, q, n_drafts
        self.rest = np.maximum(q - accepted_law(scheme, p, q, n_drafts), 0.0)
        if scheme == "importance":
            self.weight = np.maximum(_ratio(p, q), 1e-300)
            self.chance = np.minimum(_ratio(importance_law(p, q, n_drafts), q), 1.0)
        elif scheme == "k_seq":
            self.chance = np.minimum(_ratio(p, q) / sequential_ratio(p, q, n_drafts), 1.0)
        elif scheme == "recursive":
            self.chances = [np.minimum(_ratio(p, law), 1.0) for law in recursive_laws(p, q, n_drafts)]

    def choose(self, rng: np.random.Generator, drafts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Outputs and whether each is an accepted draft; ``drafts`` is ``(m, n_drafts)``.

        After a rejection every valid scheme draws from the residual, q less its accepted law.
        """
        m = len(drafts)
        if self.scheme == "naive":
            output = draw_tokens(rng, self.q, m)
            return output, np.any(drafts == output[:, None], axis=1)
        if self.scheme == "importance":
            edges = np.cumsum(self.weight[drafts], axis=1)
            chosen = np.sum(edges <= (rng.random(m) * edges[:, -1])[:, None], axis=1)
            output = drafts[np.arange(m), np.minimum(chosen, self.n_drafts - 1)]
            accepted = rng.random(m) < self.chance[output]
        else:
            chances = [self.chance] * self.n_drafts if self.scheme == "k_seq" else self.chances
            tries = rng.random((m, self.n_drafts)) < np.stack([c[drafts[:, k]] for k, c in enumerate(chances)], axis=1)
            accepted = tries.any(axis=1)
            output = drafts[np.arange(m), tries.argmax(axis=1)]
        if not accepted.all():
            output = output.copy()
            output[~accepted] = draw_tokens(rng, self.rest if self.rest.sum() > 0 else self.q, int((~accepted).sum()))
        return output, accepted
