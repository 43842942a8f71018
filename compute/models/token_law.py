r"""Short strings of tokens with a known law: each token copies the one before it with some probability, else it is drawn anew.

The chain's transition is c delta_{ab} + (1 - c) p_b, so that every token has the law p, and messages along the string cost O(K).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from compute.kernel import kernel

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@kernel
def _forward_backward(log_likelihood, p, copying):  # type: ignore[no-untyped-def]
    """(n, L, K) law of each token given all positions; messages go forward, then back, string by string."""
    n, length, n_categories = log_likelihood.shape
    out = np.empty_like(log_likelihood)
    seen = np.empty((length, n_categories))
    back = np.empty(n_categories)
    for i in range(n):
        for l in range(length):
            top = log_likelihood[i, l].max()
            total = out[i, l - 1].sum() if l else 1.0
            for k in range(n_categories):
                seen[l, k] = np.exp(log_likelihood[i, l, k] - top)
                kept = copying * out[i, l - 1, k] if l else copying * p[k]
                out[i, l, k] = (kept + (1 - copying) * p[k] * total) * seen[l, k]
        back[:] = 1.0
        for l in range(length - 1, -1, -1):
            # Each law is normed after its forward message has been read: the next position back needs its own only.
            total = 0.0
            for k in range(n_categories):
                out[i, l, k] *= back[k]
                total += out[i, l, k]
            mean = 0.0
            for k in range(n_categories):
                out[i, l, k] /= total
                back[k] *= seen[l, k]
                mean += back[k] * p[k]
            for k in range(n_categories):
                back[k] = copying * back[k] + (1 - copying) * mean
    return out


@dataclass(frozen=True, eq=False)
class TokenLaw:
    """A law of strings.

    Parameters
    ----------
    p : (K,) array
        Of one token.
    length : int
        L.
    copying : float
        c, from 0 (independent tokens) to 1.
    """

    p: Array
    length: int
    copying: float

    @property
    def n_categories(self) -> int:
        return self.p.size

    def sample(self, rng: np.random.Generator, n: int) -> Integers:
        """(n, L) tokens."""
        tokens = rng.choice(self.p.size, (n, self.length), p=self.p)
        copies = rng.random((n, self.length)) < self.copying
        for l in range(1, self.length):
            tokens[:, l] = np.where(copies[:, l], tokens[:, l - 1], tokens[:, l])
        return np.asarray(tokens, dtype=np.int64)

    def posterior(self, log_likelihood: Array) -> Array:
        """Law of each token given all positions.

        Parameters
        ----------
        log_likelihood : (n, L, K) array
            Of what was seen at each position, by the token there, up to a constant.

        Returns
        -------
        (n, L, K) array
        """
        return np.asarray(_forward_backward(np.ascontiguousarray(log_likelihood, dtype=float), self.p, float(self.copying)))

    def table(self) -> Array:
        """(K^L,) probabilities of all strings, the last token fastest."""
        law = self.p
        for _ in range(1, self.length):
            step = self.copying * np.eye(self.p.size) + (1 - self.copying) * self.p
            law = (law.reshape(-1, self.p.size)[:, :, None] * step).ravel()
        return law

    @property
    def entropy(self) -> float:
        """Of a string, in nats: that of a token, and of a step for each further one."""
        step = self.copying * np.eye(self.p.size) + (1 - self.copying) * self.p
        per_step = -float(self.p @ np.sum(np.where(step > 0, step * np.log(np.where(step > 0, step, 1)), 0), axis=1))
        return self.token_entropy + float(self.length - 1) * per_step

    @property
    def token_entropy(self) -> float:
        """Of one token by itself, in nats."""
        return -float(self.p @ np.log(self.p))

    def index(self, tokens: Integers) -> Integers:
        """(n,) places in ``table`` of (n, L) tokens."""
        place = np.zeros(len(tokens), dtype=np.int64)
        for l in range(self.length):
            place = place * self.p.size + tokens[:, l]
        return place

    def total_variation(self, tokens: Integers) -> tuple[float, float]:
        """Of the law of (n, L) strings to this one, and its standard error by the delta method."""
        table, n = self.table(), len(tokens)
        gap = np.bincount(self.index(tokens), minlength=table.size) / n - table
        mean = float(np.sum(np.sign(gap) * (gap + table)))
        return float(0.5 * np.abs(gap).sum()), float(0.5 * np.sqrt(max(1 - mean**2, 0.0) / n))

    def noise_floor(self, n: int) -> float:
        """Mean of ``total_variation`` over n exact strings, by de Moivre's formula for a binomial's mean deviation."""
        p = self.table()
        p = p[p > 0]
        v = np.floor(n * p) + 1
        inner = v <= n
        p, v = p[inner], v[inner]
        choose = gammaln(n + 1) - gammaln(v + 1) - gammaln(n - v + 1)
        deviation = 2 * v * np.exp(choose + v * np.log(p) + (n - v + 1) * np.log1p(-np.minimum(p, 1 - 1e-15)))
        return float(0.5 * np.sum(deviation) / n)


def parallel_unmasking(law: TokenLaw, n_steps: int) -> float:
    """Total variation of masked diffusion's output after n steps of a linear schedule, with the exact posterior.

    Each token is unmasked in a step drawn uniformly; tokens of one step are drawn independently given those of earlier steps.
    """
    L, K = law.length, law.n_categories
    table = law.table().reshape((K,) * L)
    found = np.zeros_like(table)
    patterns = {}
    # Only which tokens share a step, and in what order the groups come, matters.
    for ranks in product(range(L), repeat=L):
        groups = tuple(np.unique(ranks, return_inverse=True)[1].tolist())
        patterns[groups] = max(groups) + 1
    for groups, size in patterns.items():
        if size > n_steps:
            continue
        weight = float(np.prod([(n_steps - j) / (j + 1) for j in range(size)])) / n_steps**L
        output = np.ones_like(table)
        known: list[int] = []
        for g in range(size):
            fresh = [l for l in range(L) if groups[l] == g]
            before = _marginal(table, known)
            for l in fresh:
                with np.errstate(invalid="ignore", divide="ignore"):
                    output = output * np.nan_to_num(_marginal(table, [*known, l]) / before)
            known += fresh
        found += weight * output
    return float(0.5 * np.abs(found - table).sum())


def _marginal(table: Array, kept: list[int]) -> Array:
    """Summed over the other axes, which stay with size 1."""
    return np.asarray(table.sum(axis=tuple(l for l in range(table.ndim) if l not in kept), keepdims=True))
