r"""Words of a reversible Markov chain, some letters hidden: every conditional law of a masked model, exactly.

The chain over V tokens has T(u, v) prop. w_v exp(c K(u, v)) with Zipf weights w_v prop. (v + 1)^-z and the affinity
K(u, v) = cos(2 pi (u - v)/V) of neighbors on a ring. K is symmetric, so the chain is reversible with the stationary
law m_u prop. w_u sum_v w_v exp(c K(u, v)), and words start from it. Given which letters are known, a hidden one
depends on the nearest known letters alone: u at a distance a to the left, v at b to the right,

    p(x | u, v) = T^a(u, x) T^b(x, v)/T^(a + b)(u, v),   T^a(u, .) replaced by m where nothing is known on the left.

``reveal`` uncovers words block by block, every letter of a block from its law given the blocks before it: one letter
a block is ancestral sampling in some order, exact by the chain rule; more letters a block is a product of marginals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@kernel
def _conditional(word, known, i, stationary, powers, out):  # type: ignore[no-untyped-def]
    """Law of letter i given the known ones, into out."""
    length = word.size
    left, right = i - 1, i + 1
    while left >= 0 and not known[left]:
        left -= 1
    while right < length and not known[right]:
        right += 1
    total = 0.0
    for x in range(stationary.size):
        p = stationary[x] if left < 0 else powers[i - left, word[left], x]
        if right < length:
            p *= powers[right - i, x, word[right]]
        out[x] = p
        total += p
    for x in range(stationary.size):
        out[x] /= total


@kernel
def _reveal(words, labels, uniforms, stationary, powers):  # type: ignore[no-untyped-def]
    """Uncover words in the order of their labels; draw the letters where there are uniforms, else only weigh them."""
    n_words, length = labels.shape
    law = np.empty(stationary.size)
    known = np.empty(length, dtype=np.bool_)
    log_drawn = np.zeros(n_words)
    for w in range(n_words):
        order = np.argsort(labels[w], kind="mergesort")
        known[:] = False
        start = 0
        while start < length:
            end = start
            while end < length and labels[w, order[end]] == labels[w, order[start]]:
                i = order[end]
                _conditional(words[w], known, i, stationary, powers, law)
                if uniforms.size:
                    x, mass = 0, law[0]
                    while mass < uniforms[w, i] and x < law.size - 1:
                        x += 1
                        mass += law[x]
                    words[w, i] = x
                log_drawn[w] += math.log(law[words[w, i]])
                end += 1
            for k in range(start, end):
                known[order[k]] = True
            start = end
    return log_drawn


@dataclass(frozen=True, eq=False)
class TokenChain:
    """Words of a given length.

    Parameters
    ----------
    n_tokens : int
        V, at least 2.
    length : int
        Letters in a word.
    correlation : float
        c >= 0; 0 makes the letters independent.
    zipf : float
        z, exponent of the weights.
    """

    n_tokens: int
    length: int
    correlation: float
    zipf: float

    def __post_init__(self) -> None:
        ring = np.arange(self.n_tokens)
        weights = (ring + 1.0) ** -self.zipf
        kernel_matrix = weights * np.exp(self.correlation * np.cos(2 * np.pi * (ring[:, None] - ring) / self.n_tokens))
        mass = kernel_matrix.sum(axis=1)
        transition = kernel_matrix / mass[:, None]
        powers = np.empty((self.length + 1, self.n_tokens, self.n_tokens))
        powers[0] = np.eye(self.n_tokens)
        for k in range(self.length):
            powers[k + 1] = powers[k] @ transition
        object.__setattr__(self, "transition", transition)
        object.__setattr__(self, "stationary", weights * mass / np.sum(weights * mass))
        object.__setattr__(self, "powers", powers)

    transition: Array = None  # type: ignore[assignment]  # (V, V)
    stationary: Array = None  # type: ignore[assignment]  # (V,)
    powers: Array = None  # type: ignore[assignment]  # (length + 1, V, V) powers of the transition

    @property
    def entropy(self) -> float:
        """Of a word, in nats."""
        m, t = self.stationary, self.transition
        return float(-np.sum(m * np.log(m)) - (self.length - 1) * np.sum(m[:, None] * t * np.log(t)))

    def log_probability(self, words: Integers) -> Array:
        """(n,) of (n, length) words."""
        steps = np.log(self.transition)[words[:, :-1], words[:, 1:]]
        return np.log(self.stationary)[words[:, 0]] + steps.sum(axis=1)

    def table(self) -> Array:
        """(V, ..., V) probability of every word."""
        law = self.stationary
        for _ in range(self.length - 1):
            law = law[..., None] * self.transition
        return law

    def draw(self, labels: Integers, rng: np.random.Generator) -> tuple[Integers, Array]:
        """Words uncovered in the order of labels, letters of one label at once.

        Parameters
        ----------
        labels : (n, length) array of int
        rng : numpy.random.Generator

        Returns
        -------
        words : (n, length) array of int
        log_drawn : (n,) array
            Log-probability with which the letters were drawn, given the blocks. Its mean excess over ``log_probability``
            is the total correlation that blocks ignore, which bounds the relative entropy of the words' law from the chain's.
        """
        words = np.zeros(labels.shape, dtype=np.int64)
        log_drawn = _reveal(words, labels, rng.random(labels.shape), self.stationary, self.powers)
        return words, log_drawn

    def weigh(self, words: Integers, labels: Integers) -> Array:
        """(n,) log-probability of given words uncovered in the order of labels."""
        return _reveal(words, labels, np.empty((0, 0)), self.stationary, self.powers)
