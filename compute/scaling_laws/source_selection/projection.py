r"""From a revealed sample to the accuracy of a purchase: transport distance, then size, then the best mix.

Stage 1 fits acc(p, N_i) = b0_i + b1_i OT(p) at two pilot sizes, where OT(p) is the transport distance between the weighted pool
sum_k p_k mu_k of what was revealed and the validation set. Stage 2 is a straight line in log N through both,

    acc(p, N) = [log(N1/N) acc(p, N0) + log(N/N0) acc(p, N1)]/log(N1/N0),

without a parameter of its own. The distance is convex in p, and its gradient is the mean dual potential on each source.

References
----------
Kang, Just, Sahu & Jia, "Performance Scaling via Optimal Transport" (2023), paper 423 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from compute.methods.optimal_transport import Transport, sinkhorn, squared_distance
from compute.scaling_laws.source_selection.market import (
    MOST_IN_POOL,
    N_VALIDATION,
    Labels,
    Market,
    accuracies,
    counts,
    judge,
)

Array = NDArray[np.float64]

TOLERANCE = 3e-3  # of a plan's marginal; its value is then good to about its square
MAX_SWEEPS = 600
PILOT_REPEATS = 4
PATH_STEPS = 20  # at most
PATIENCE, LEAST_GAIN = 5, 1e-4  # the path ends after so many steps that together gain less than this share


@dataclass(frozen=True, eq=False)
class Pool:
    """What the sources revealed, what the buyer validates on, and the cost of moving one to the other.

    Parameters
    ----------
    points, labels : (n, 2), (n,) arrays
    source : (n,) array
        Whose point it is; every source has equally many.
    targets, target_labels : (m, 2), (m,) arrays
    cost : (n, m) array
    epsilon : float
    """

    points: Array
    labels: Labels
    source: NDArray[np.int64]
    targets: Array
    target_labels: Labels
    cost: Array
    epsilon: float

    @property
    def sources(self) -> int:
        return int(self.source[-1]) + 1

    def transport(self, mix: Array, start: Array | None = None, tolerance: float = TOLERANCE) -> Transport:
        """From the pool weighted by a mix (K,) to the validation set."""
        each = self.source.size // self.sources
        m = self.targets.shape[0]
        weights = (mix / each)[self.source]
        target = np.full(m, 1 / m)
        return sinkhorn(weights, target, self.cost, self.epsilon, start=start, tolerance=tolerance, max_sweeps=MAX_SWEEPS)

    def gradient(self, found: Transport) -> Array:
        """(K,) derivative of the distance in the mix: mean potential on each source, centered."""
        by_source = found.first.reshape(self.sources, -1).mean(axis=1)
        return np.asarray(by_source - by_source.mean())

    def distances(self, mixes: Array) -> Array:
        """(n_mixes,) distances; neighbors in the list start from each other."""
        values, start = [], None
        for mix in mixes:
            found = self.transport(mix, start)
            start = found.second
            values.append(found.value)
        return np.array(values)


@dataclass(frozen=True, eq=False)
class Projection:
    """Both stages.

    Parameters
    ----------
    sizes : (float, float)
        N0 and N1.
    small, large : (2,) arrays
        Intercept and slope of accuracy in distance at N0 and N1.
    mixes : (m, K) array
        The pilots.
    distance : (m,) array
    accuracy : (2, m) array
        Measured at N0 and N1.
    """

    sizes: tuple[float, float]
    small: Array
    large: Array
    mixes: Array
    distance: Array
    accuracy: Array

    def share(self, n: Array | float) -> Array:
        """log(N/N0)/log(N1/N0): 0 at N0, 1 at N1, beyond it past N1."""
        return np.asarray(np.log(np.asarray(n) / self.sizes[0]) / np.log(self.sizes[1] / self.sizes[0]))

    def at(self, distance: Array | float, n: Array | float) -> Array:
        """Projected accuracy, not clipped."""
        t, distance = self.share(n), np.asarray(distance)
        return np.asarray((1 - t) * (self.small[0] + self.small[1] * distance) + t * (self.large[0] + self.large[1] * distance))

    def slope(self, n: float) -> float:
        """Derivative of the projected accuracy in the distance; stage 1 has failed where it is not negative."""
        t = float(self.share(n))
        return float((1 - t) * self.small[1] + t * self.large[1])

    @property
    def explained(self) -> float:
        """Share of the larger pilots' variance that the distance explains."""
        residual = self.accuracy[1] - self.large[0] - self.large[1] * self.distance
        total = float(np.sum((self.accuracy[1] - self.accuracy[1].mean()) ** 2))
        return 1 - float(np.sum(residual**2)) / total if total > 0 else 0.0


@lru_cache(maxsize=16)
def look(market: Market, seed: int) -> tuple[Pool, Array, Labels]:
    """What the sources reveal: the pool for transport, and all revealed points (K, N1, 2) and labels (K, N1)."""
    rng = np.random.default_rng([seed, 1])
    k, n = market.sources, market.revealed_large
    points, labels = market.draw(rng, np.repeat(np.arange(k)[:, None], n, axis=1))
    targets, target_labels = judge(rng, N_VALIDATION)
    each = min(market.revealed_small, MOST_IN_POOL)
    x, y = points[:, :each].reshape(-1, 2), labels[:, :each].ravel()
    cost = squared_distance(x, targets) + market.label_cost * (y[:, None] != target_labels)
    return Pool(x, y, np.repeat(np.arange(k), each), targets, target_labels, cost, market.sinkhorn_epsilon), points, labels


@lru_cache(maxsize=16)
def reveal(market: Market, seed: int) -> tuple[Pool, Projection]:
    """Look at what the sources reveal, train the pilots on it, and fit both stages."""
    pool, points, labels = look(market, seed)
    rng = np.random.default_rng([seed, 2])
    mixes = pilot_mixes(rng, market.sources, market.pilot_mixes, market.pilot_purity)
    measured = np.stack(
        [
            [pilot(market, points, labels, mix, size, rng) for mix in mixes]
            for size in (market.revealed_small, market.revealed_large)
        ]
    )
    return pool, project(pool, market, mixes, measured)


def pilot_mixes(rng: np.random.Generator, sources: int, n: int, purity: float) -> Array:
    """(n, K) mixes: each source in turn, then shares at random, all drawn towards equal shares by 1 - purity."""
    wide = np.concatenate([np.eye(sources), rng.dirichlet(np.ones(sources), size=n)])[:n]
    return np.asarray(purity * wide + (1 - purity) / sources)


def pilot(market: Market, points: Array, labels: Labels, mix: Array, size: int, rng: np.random.Generator) -> float:
    """Mean accuracy of a few trainings on ``size`` of the revealed points, in the proportions of a mix."""
    wanted = counts(mix, size)
    sets_x, sets_y = [], []
    for _ in range(PILOT_REPEATS):
        chosen = [rng.permutation(points.shape[1])[:w] for w in wanted]
        sets_x.append(np.concatenate([points[k, c] for k, c in enumerate(chosen)]))
        sets_y.append(np.concatenate([labels[k, c] for k, c in enumerate(chosen)]))
    return float(accuracies(market.learner, np.stack(sets_x), np.stack(sets_y)).mean())


def project(pool: Pool, market: Market, mixes: Array, measured: Array) -> Projection:
    """Stage 1: least squares of measured accuracy on distance, at each of the two sizes."""
    distance = pool.distances(mixes)
    design = np.stack([np.ones_like(distance), distance], axis=1)
    small, large = np.linalg.lstsq(design, measured.T, rcond=None)[0].T
    return Projection((market.revealed_small, market.revealed_large), small, large, mixes, distance, measured)


def onto_simplex(v: Array) -> Array:
    """The nearest point of the simplex to (K,) v."""
    descending = np.sort(v)[::-1]
    excess = (np.cumsum(descending) - 1) / np.arange(1, v.size + 1)
    return np.asarray(np.maximum(v - excess[np.count_nonzero(descending > excess) - 1], 0.0))


@dataclass(frozen=True, eq=False)
class Path:
    """Projected gradient steps."""

    mixes: Array  # (n_steps, K)
    distances: Array  # (n_steps,)
    plans: list[Transport]


def along(share: Array, sources: int) -> Array:
    """(n, K) mixes: the last source has the share, the others the rest in equal parts."""
    rest = np.repeat(((1 - share) / (sources - 1))[:, None], sources - 1, axis=1)
    return np.asarray(np.concatenate([rest, share[:, None]], axis=1))


def follow(pool: Pool, share: float, upward: bool = False) -> Path:
    """Descend the distance in the mix, from a share of the last source; ``upward`` where stage 1 says that accuracy grows with distance.

    A step that does not improve is more than halved, one that does lets the next be larger, until nothing is gained.
    """
    sign = -1.0 if upward else 1.0
    mix = along(np.array([share]), pool.sources)[0]
    here = pool.transport(mix)
    mixes, values, plans = [mix], [here.value], [here]
    steepest = float(np.abs(pool.gradient(here)).max())
    size = 0.1 / steepest if steepest > 1e-9 else 0.0
    for _ in range(PATH_STEPS):
        trial = onto_simplex(mix - sign * size * pool.gradient(here))
        there = pool.transport(trial, here.second)
        if sign * (there.value - here.value) <= 0:
            mix, here, size = trial, there, 1.4 * size
        else:
            size *= 0.4
        mixes.append(mix)
        values.append(here.value)
        plans.append(here)
        if len(values) > PATIENCE and abs(values[-1 - PATIENCE] - here.value) < LEAST_GAIN * abs(here.value):
            break
    return Path(np.array(mixes), np.array(values), plans)


def transport_seconds(market: Market, mixes: int) -> float:
    """Warm seconds of so many transports that start from each other, about."""
    n = market.sources * min(market.revealed_small, MOST_IN_POOL)
    sweeps = min(MAX_SWEEPS, 0.6 * market.sinkhorn_epsilon**-1.5)
    return mixes * (5e-4 + n * N_VALIDATION * (6e-8 + 1.3e-9 * sweeps))
