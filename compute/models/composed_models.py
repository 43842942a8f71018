r"""Composed diffusion models that show what a composition does: powers, guidance, products and unions.

All are Gaussian mixtures of one width in the plane, built so that regions which look alike from afar differ up close:
that is where adding scores goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from compute.methods import feynman_kac as fk
from compute.methods.plane_density import PlaneDensity
from compute.models.gaussian_mixture import WIDTH, GaussianMixture
from compute.parameters import ParameterError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """A composed target, what the heuristic does instead, and the exact law."""

    target: fk.Powers | fk.Union
    heuristic: fk.Powers | fk.Union
    spread: float
    exact: PlaneDensity

    @property
    def marks(self) -> Array:
        """(n, 2) the modes of all experts."""
        return np.concatenate([q.means for q in self.target.experts])


def _ring(n: int, radius: float) -> Array:
    angle = 2 * np.pi * np.arange(n) / n + np.pi / 2
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def annealed_model(n_groups: int, separation: float) -> GaussianMixture:
    """Groups of equal mass on a ring, the k-th of 2k - 1 modes on a small circle: a power prefers the tightest.

    From afar the groups look alike; what tells them apart shows only at low noise.
    """
    weights, means = [], []
    for k, center in enumerate(_ring(n_groups, separation)):
        n_modes = 2 * k + 1
        weights.append(np.full(n_modes, 1 / n_modes))
        means.append(center + _ring(n_modes, 2.5 * WIDTH if k else 0.0))
    return GaussianMixture(np.concatenate(weights), np.concatenate(means), WIDTH)


def classes(n_classes: int, separation: float, overlap: float) -> list[GaussianMixture]:
    """The first class has a mode at each of K sites; class k shares, more or less exactly, the sites from the k-th on.

    Guidance toward the first class prefers sites that no other class shares, which only low noise shows.
    """
    sites, away = _ring(n_classes, separation), _ring(n_classes, 3 * WIDTH * (1 - overlap))
    found = [GaussianMixture(np.ones(n_classes), sites, WIDTH)]
    return found + [GaussianMixture(np.ones(n_classes - k), sites[k:] + away[k], WIDTH) for k in range(1, n_classes)]


def partners(n_experts: int, separation: float) -> list[GaussianMixture]:
    """Experts with a mode each at four sites: at the first they agree, at the next ones they stand ever farther apart.

    At site j expert k is off by 0.7 j s sqrt(2/K) in a direction of its own, so that a product of well separated sites
    gives site j a mass prop. exp(-0.49 j^2).
    """
    sites = _ring(4, separation)
    directions = _ring(n_experts, 0.7 * WIDTH * np.sqrt(2 / n_experts))
    return [GaussianMixture(np.ones(4), sites + np.arange(4)[:, None] * u, WIDTH) for u in directions]


def shards(n_shards: int, separation: float, overlap: float) -> list[GaussianMixture]:
    """Shards on a ring, each of three modes in a triangle."""
    centers = _ring(n_shards, separation * (1 - 0.7 * overlap))
    return [GaussianMixture(np.ones(3), center + _ring(3, 2.0 * WIDTH), WIDTH) for center in centers]


def pooled(parts: list[GaussianMixture], shares: Array) -> GaussianMixture:
    """The mixture of mixtures of one width."""
    weights = np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)])
    return GaussianMixture(weights, np.concatenate([part.means for part in parts]), parts[0].width)


@lru_cache(maxsize=24)
def problem(operation: str, beta: float, experts: int, separation: float, overlap: float, dropped_shard: int = 0) -> Problem:
    """The target of an operation, its heuristic and its exact law; cached, as the quadrature takes some 50 ms.

    Raises
    ------
    ParameterError
        Where the dropped shard is not one of the shards.
    """
    target: fk.Powers | fk.Union
    heuristic: fk.Powers | fk.Union
    sites: Array | None = None
    if operation == "union":
        if dropped_shard > experts:
            raise ParameterError("dropped_shard", f"takes 0 for none or one of the {experts} shards.")
        parts = shards(experts, separation, overlap)
        shares = np.where(np.arange(1, experts + 1) == dropped_shard, 0.0, 1.0)
        shares /= shares.sum()
        kept = shares > 0
        sites = np.array([p.mean for p in parts])[kept]
        target = fk.Union(tuple(parts), shares)
        # Constant weights: a geometric mean of what is kept.
        heuristic = fk.Powers(tuple(p for p, k in zip(parts, kept, strict=True) if k), shares[kept])
    elif operation == "anneal":
        parts, sites = [annealed_model(experts, separation)], _ring(experts, separation)
        target = heuristic = fk.Powers(tuple(parts), np.array([beta]))
    elif operation == "guidance":
        one_of, sites = classes(experts, separation, overlap), _ring(experts, separation)
        # Every mode of every class weighs the same among all.
        parts = [pooled(one_of, np.array([float(q.n_components) for q in one_of])), one_of[0]]
        target = heuristic = fk.Powers(tuple(parts), np.array([1 - beta, beta]))
    else:
        parts, sites = partners(experts, separation), _ring(4, separation)
        target = heuristic = fk.Powers(tuple(parts), np.ones(experts))
    spread = float(np.sqrt(np.mean([np.trace(p.covariance + np.outer(p.mean, p.mean)) / 2 for p in parts])))
    farthest = max(np.max(np.abs(p.means)) for p in parts)
    reach = float(farthest + 4.5 * WIDTH / np.sqrt(min(target.total, 1.0)))
    return Problem(target, heuristic, spread, PlaneDensity(target.log_target, reach, sites))
