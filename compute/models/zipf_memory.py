r"""A model that remembers what it has seen, of items whose frequencies follow Zipf's law.

p_i = i^-beta/zeta(beta). After T training draws the test error is the probability that a test item was never drawn,
sum_i p_i P(i unseen). Training draws are real with probability pi and otherwise come from a generator that has lost its tail.

References
----------
Dohmatob, Feng, Yang, Charton & Kempe, "A tale of tails: model collapse as a change of scaling laws" (2024), paper 234 of the
catalogue: its Hutter-type memory model, clean exponent 1 - 1/beta, the plateau of a cut tail, and mixing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import zeta

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Zipf:
    """Nodes over all items: the first one by one, the rest by quadrature in log i with an edge at the cut.

    Parameters
    ----------
    rank : (n_nodes,) array
        i; infinite for the last node, all items beyond 1e14.
    mass : (n_nodes,) array
        Probability that the node stands for; sums to 1.
    probability : (n_nodes,) array
        p_i of one item.
    """

    exponent: float
    cutoff: int
    rank: Array
    mass: Array
    probability: Array

    @property
    def tail(self) -> float:
        """Probability of the items beyond the cut."""
        return float(zeta(self.exponent, self.cutoff + 1) / zeta(self.exponent))


def zipf_nodes(exponent: float, cutoff: int, *, exact: int = 1000, last: float = 1e14) -> Zipf:
    """Items of exponent beta > 1 with a cut after item k."""
    i = np.arange(1.0, exact + 1)
    edges = [np.log(exact + 0.5)]
    if cutoff > exact:
        edges.append(np.log(cutoff + 0.5))
    edges.append(np.log(last))
    x, w = np.polynomial.legendre.leggauss(10)
    nodes, weights = [i], [np.ones(exact)]
    for low, high in pairwise(edges):
        panels = np.linspace(low, high, max(2, int(np.ceil((high - low) / 1.2))))
        half = np.diff(panels)[:, None] / 2
        node = np.exp(panels[:-1, None] + half * (x + 1)).ravel()
        nodes.append(node)
        weights.append((half * w).ravel() * node)
    rank, weight = np.concatenate(nodes), np.concatenate(weights)
    total = float(zeta(exponent))
    probability = rank**-exponent / total
    beyond = last ** (1 - exponent) / ((exponent - 1) * total)
    return Zipf(
        exponent,
        cutoff,
        np.append(rank, np.inf),
        np.append(weight * probability, beyond),
        np.append(probability, 0.0),
    )


def memory_error(zipf: Zipf, draws: ArrayLike, real_fraction: float = 1.0) -> Array:
    """Test error after T draws, a share pi of them real and the others from the law cut after item k.

    sum_i p_i (1 - pi p_i - (1 - pi) q_i)^T, q_i = p_i/P(i <= k) up to the cut and 0 beyond.
    """
    draws = np.asarray(draws, dtype=float)
    synthetic = np.where(zipf.rank <= zipf.cutoff, zipf.probability / (1 - zipf.tail), 0.0)
    seen = real_fraction * zipf.probability + (1 - real_fraction) * synthetic
    return np.exp(np.multiply.outer(draws, np.log1p(-np.minimum(seen, 1 - 1e-16)))) @ zipf.mass


def line_survival(draws: ArrayLike, generator_samples: int, generations: int) -> Array:
    """Probability that a copy in the first generator's sample leads to a training draw, g - 1 resamplings later.

    A copy has about Poisson(1) copies in the next sample, and T/T0 of its copies in the last sample are drawn:
    1 - u with u = exp(-T/T0), then u <- exp(u - 1) g - 1 times (a critical branching process: about 2/g).
    """
    u = np.exp(-np.asarray(draws, dtype=float) / generator_samples)
    for _ in range(generations - 1):
        u = np.exp(u - 1)
    return 1 - u


def resampled_error(zipf: Zipf, draws: ArrayLike, generator_samples: int, generations: int, real_fraction: float = 0.0) -> Array:
    """Test error after T draws, a share pi real and the others from the g-th resampling of T0 items; g = 0 is clean."""
    draws = np.asarray(draws, dtype=float)
    if generations == 0:
        return memory_error(zipf, draws, 1.0)
    lines = generator_samples * line_survival((1 - real_fraction) * draws, generator_samples, generations)
    return np.exp(-np.multiply.outer(lines + real_fraction * draws, zipf.probability)) @ zipf.mass


def recovery_draws(exponent: float, cutoff: int, real_fraction: float) -> float:
    """T at which mixed training has drawn item k from the real share about once: zeta(beta) k^beta/pi."""
    return float(zeta(exponent)) * cutoff**exponent / real_fraction


# --- simulation ----------------------------------------------------------------------------------------


def draw_items(rng: np.random.Generator, exponent: float, count: int, cutoff: float = np.inf) -> NDArray[np.int64]:
    """Items of Zipf's law, cut after item k by drawing again; above 2^62 they are all told apart."""
    items = rng.zipf(exponent, count)
    if np.isfinite(cutoff):
        beyond = np.flatnonzero(items > cutoff)
        while beyond.size:
            items[beyond] = rng.zipf(exponent, beyond.size)
            beyond = beyond[items[beyond] > cutoff]
    return items


def unseen_mass(exponent: float, items: NDArray[np.int64]) -> float:
    """Probability of everything that is not among some drawn items."""
    return 1 - float(np.sum(np.unique(items).astype(float) ** -exponent)) / float(zeta(exponent))


def simulate(
    rng: np.random.Generator,
    exponent: float,
    cutoff: int,
    draws: Array,
    generator_samples: int,
    generations: int,
    real_fraction: float,
) -> dict[str, list[float]]:
    """Test errors of one memory at each of a rising list of training draws, on the data of each curve of the lab."""
    most = int(draws[-1])
    clean = draw_items(rng, exponent, most)
    cut = draw_items(rng, exponent, most, cutoff)
    mixed = np.where(rng.random(most) < real_fraction, clean, cut)
    items, counts = np.unique(draw_items(rng, exponent, generator_samples), return_counts=True)
    for _ in range(generations - 1):
        counts = rng.multinomial(generator_samples, counts / generator_samples)
        items, counts = items[counts > 0], counts[counts > 0]
    resampled = rng.choice(items, most, p=counts / generator_samples)
    found = {"clean": clean, "cut_tail": cut, "resampled": resampled, "mixed": mixed}
    return {name: [unseen_mass(exponent, sample[:n]) for n in draws] for name, sample in found.items()}
