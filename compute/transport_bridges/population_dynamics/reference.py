r"""Reference processes dX = b(X; w) dt + sqrt(g) dW whose drift is linear in its coefficients w: b = sum_p w_p F_p(x).

Between two snapshots a start x gives a Gaussian transition by linearizing the drift along the path m of its noiseless flow,

    m' = b(m),   F = the flow of Jb(m),   S' = Jb S + S Jb^T + g I,

exact where b is linear, first order in g elsewhere. Sinkhorn's plan between the snapshots' particles with this kernel is the
bridge; pinned paths follow from free ones by Matheron's rule, X(t) + S(t) F(T,t)^T S(T)^{-1} (y - X(T)).

The refit is the maximum of the likelihood of the bridge's paths (Girsanov): E int F F^T dt w = E int F dX, with the Ito
integral taken as a trapezoidal sum less (g/2) E int div F dt.

References
----------
Shen, Berlinghieri & Broderick, "Multi-marginal Schrodinger bridges with iterative reference refinement" (2025), paper 100.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compute.methods.optimal_transport import sinkhorn
from compute.transport_bridges.population_dynamics.setting import Array

SUBSTEPS = 10  # of a piece between two snapshots
LARGEST = 5.0  # of a logarithm of a population, where a poor fit would run away
MOST = 12.0  # of a coefficient
MOST_SWEEPS = 400
TOLERANCE = 2e-3  # of a plan's first marginal; particles differ by more among themselves


@dataclass(frozen=True)
class DriftClass:
    """Drifts b(x) = features(x) @ w.

    Parameters
    ----------
    name : str
        "Brownian", "constant", "OU", "linear" or "Lotka-Volterra".
    dimension : int
    """

    name: str
    dimension: int

    @property
    def n_coefficients(self) -> int:
        d = self.dimension
        return {"Brownian": 0, "constant": d, "OU": 1, "linear": d * (d + 1), "Lotka-Volterra": 4}[self.name]

    def features(self, x: Array) -> Array:
        """(n, d, p) at points (n, d)."""
        n, d = x.shape
        out = np.zeros((n, d, self.n_coefficients))
        if self.name == "constant":
            out[:, np.arange(d), np.arange(d)] = 1.0
        elif self.name == "OU":
            out[:, :, 0] = -x
        elif self.name == "linear":
            for c in range(d):
                out[:, c, c * (d + 1)] = 1.0
                out[:, c, c * (d + 1) + 1 : (c + 1) * (d + 1)] = x
        elif self.name == "Lotka-Volterra":
            size = np.exp(np.clip(x, -LARGEST, LARGEST))
            out[:, 0, 0], out[:, 0, 1] = 1.0, -size[:, 1]
            out[:, 1, 2], out[:, 1, 3] = -1.0, size[:, 0]
        return out

    def drift(self, x: Array, w: Array) -> Array:
        """(n, d)."""
        if self.name == "Lotka-Volterra":  # the same, without making its features: this is called the most
            prey, predators = np.exp(np.clip(x, -LARGEST, LARGEST)).T
            return np.stack([w[0] - w[1] * predators, w[3] * prey - w[2]], axis=1)
        return np.asarray(self.features(x) @ w) if self.n_coefficients else np.zeros_like(x)

    def jacobian(self, x: Array, w: Array) -> Array:
        """(n, d, d) derivatives of the drift."""
        n, d = x.shape
        out = np.zeros((n, d, d))
        if self.name == "OU":
            out[:] = -w[0] * np.eye(d)
        elif self.name == "linear":
            out[:] = w.reshape(d, d + 1)[:, 1:]
        elif self.name == "Lotka-Volterra":
            size = np.exp(np.clip(x, -LARGEST, LARGEST))
            out[:, 0, 1], out[:, 1, 0] = -w[1] * size[:, 1], w[3] * size[:, 0]
        return out

    def divergence(self) -> Array:
        """(p,) sum over coordinates of each feature's own derivative, constant for all classes here."""
        d = self.dimension
        out = np.zeros(self.n_coefficients)
        if self.name == "OU":
            out[0] = -d
        elif self.name == "linear":
            out[[c * (d + 1) + 1 + c for c in range(d)]] = 1.0
        return out


@dataclass(frozen=True)
class Transition:
    """Gaussian transitions of n starts, each over its own duration, linearized along their flows.

    Parameters
    ----------
    mean : (M + 1, n, d) array
    step : (M, n, d, d) array
        F of each substep.
    noise : (M, n, d, d) array
        Covariance that a substep adds.
    covariance : (M + 1, n, d, d) array
        S.
    """

    mean: Array
    step: Array
    noise: Array
    covariance: Array

    @cached_property
    def _root(self) -> Array:
        """Cholesky factors of the noise, for all draws of paths."""
        return np.asarray(np.linalg.cholesky(self.noise))

    def cost(self, starts: slice, ends: Array) -> Array:
        """(n, m) -log density of ends (m, d) from some of the starts, up to a constant of each start."""
        gap = ends[None] - self.mean[-1, starts][:, None]
        solved = np.linalg.solve(self.covariance[-1, starts], gap.transpose(0, 2, 1))
        return np.asarray(0.5 * np.einsum("nmd,ndm->nm", gap, solved))

    def pinned(self, rng: np.random.Generator, chosen: NDArray[np.int64], ends: Array) -> Array:
        """(M + 1, r, d) paths from the starts of indices (r,) to ends (r, d)."""
        steps, _, d, _ = self.step.shape
        z = rng.standard_normal((steps, chosen.size, d, 1))
        kicks = (self._root[:, chosen] @ z)[..., 0]
        step, mean, covariance = self.step[:, chosen], self.mean[:, chosen], self.covariance[:, chosen]
        away = np.zeros((steps + 1, chosen.size, d))
        for k in range(steps):
            away[k + 1] = np.einsum("nij,nj->ni", step[k], away[k]) + kicks[k]
        free = mean + away
        pull = np.linalg.solve(covariance[-1], (ends - free[-1])[..., None])
        paths = np.empty_like(free)
        paths[-1] = ends
        for k in range(steps - 1, -1, -1):
            pull = step[k].transpose(0, 2, 1) @ pull
            paths[k] = free[k] + (covariance[k] @ pull)[..., 0]
        return paths


def transition(drift: DriftClass, w: Array, starts: Array, duration: Array, g: float) -> Transition:
    """Transitions from starts (n, d) over durations (n,)."""
    n, d = starts.shape
    h = (duration / SUBSTEPS)[:, None]
    mean = np.empty((SUBSTEPS + 1, n, d))
    step, noise = np.empty((SUBSTEPS, n, d, d)), np.empty((SUBSTEPS, n, d, d))
    covariance = np.zeros((SUBSTEPS + 1, n, d, d))
    mean[0] = starts
    identity = np.eye(d)
    for k in range(SUBSTEPS):
        m = mean[k]
        half = np.clip(m + 0.5 * h * drift.drift(m, w), -4 * LARGEST, 4 * LARGEST)
        # The midpoint's drift and Jacobian: second order.
        mean[k + 1] = np.clip(m + h * drift.drift(half, w), -4 * LARGEST, 4 * LARGEST)
        slope = h[:, :, None] * drift.jacobian(half, w)
        step[k] = identity + slope + 0.5 * slope @ slope
        back = step[k].transpose(0, 2, 1)
        half_way = identity + 0.5 * slope + 0.125 * slope @ slope
        # Simpson's rule for int F F^T over the substep.
        noise[k] = g * h[:, :, None] / 6 * (identity + 4 * half_way @ half_way.transpose(0, 2, 1) + step[k] @ back)
        covariance[k + 1] = step[k] @ covariance[k] @ back + noise[k]
    return Transition(mean, step, noise, covariance)


@dataclass(frozen=True)
class Snapshots:
    """Particles seen at ascending times, those of all but the last also stacked as starts of pieces.

    Parameters
    ----------
    times : (T,) array
    particles : list of (n_i, d) arrays
    """

    times: Array
    particles: list[Array]

    @property
    def starts(self) -> Array:
        """(N, d) particles of all snapshots but the last."""
        return np.concatenate(self.particles[:-1])

    @property
    def piece(self) -> NDArray[np.int64]:
        """(N,) number of the piece that each start begins."""
        return np.repeat(np.arange(len(self.particles) - 1), [len(p) for p in self.particles[:-1]])

    @property
    def first(self) -> NDArray[np.int64]:
        """(T,) index among the starts at which each snapshot begins, and their number."""
        return np.append(0, np.cumsum([len(p) for p in self.particles[:-1]]))


@dataclass(frozen=True)
class Bridge:
    """A bridge through all snapshots under one reference.

    Parameters
    ----------
    coefficients : (p,) array
        Of the reference.
    seen : Snapshots
    plans : list of (n_i, n_{i+1}) arrays
        Each conditional on its start: rows sum to one.
    move : Transition
        Of all starts.
    """

    coefficients: Array
    seen: Snapshots
    plans: list[Array]
    move: Transition

    def pieces(self, rng: np.random.Generator) -> Array:
        """(M + 1, N, d) a pinned path from every start to a particle drawn by its plan."""
        ends = [after[_choose(rng, plan)] for plan, after in zip(self.plans, self.seen.particles[1:], strict=True)]
        return self.move.pinned(rng, np.arange(len(self.seen.starts)), np.concatenate(ends))

    def chains(self, rng: np.random.Generator, count: int) -> Array:
        """(1 + M (T - 1), count, d) whole paths: a start, then each next particle by the plan, filled in by pinned paths."""
        at = rng.permutation(np.arange(count) % len(self.seen.particles[0]))
        first, begins, ends = self.seen.first, [], []
        for i, (plan, after) in enumerate(zip(self.plans, self.seen.particles[1:], strict=True)):
            begins.append(first[i] + at)
            at = _choose(rng, plan[at])
            ends.append(after[at])
        paths = self.move.pinned(rng, np.concatenate(begins), np.concatenate(ends))
        apart = paths.reshape(SUBSTEPS + 1, len(self.plans), count, -1)
        return np.concatenate([apart[:1, 0], apart[1:].transpose(1, 0, 2, 3).reshape(-1, count, apart.shape[-1])])


def _choose(rng: np.random.Generator, rows: Array) -> NDArray[np.int64]:
    """One index a row, by its probabilities."""
    total = np.cumsum(rows, axis=1)
    return np.asarray(np.minimum((rng.random((rows.shape[0], 1)) * total[:, -1:] > total).sum(axis=1), rows.shape[1] - 1))


def refine(rng: np.random.Generator, drift: DriftClass, seen: Snapshots, g: float, iterations: int) -> Iterator[Bridge]:
    """The bridge of a Brownian reference, then of each refit: ``iterations`` + 1 bridges (one for a class without coefficients)."""
    w = np.zeros(drift.n_coefficients)
    potentials: list[Array | None] = [None] * (len(seen.particles) - 1)
    starts, first, duration = seen.starts, seen.first, np.diff(seen.times)[seen.piece]
    for k in range(iterations + 1 if drift.n_coefficients else 1):
        move = transition(drift, w, starts, duration, g)
        plans = []
        for i, (before, after) in enumerate(pairwise(seen.particles)):
            a, b = (np.full(len(p), 1 / len(p)) for p in (before, after))
            cost = move.cost(slice(first[i], first[i + 1]), after)
            solved = sinkhorn(a, b, cost, 1.0, start=potentials[i], tolerance=TOLERANCE, max_sweeps=MOST_SWEEPS)
            potentials[i] = solved.second
            plans.append(solved.plan / solved.plan.sum(axis=1, keepdims=True))
        bridge = Bridge(w, seen, plans, move)
        yield bridge
        if k < iterations and drift.n_coefficients:
            w = refit(drift, bridge.pieces(rng), seen, g)


def refit(drift: DriftClass, paths: Array, seen: Snapshots, g: float) -> Array:
    """(p,) coefficients of largest likelihood on a path (M + 1, N, d) from every start."""
    p = drift.n_coefficients
    steps, n, d = paths.shape
    piece = seen.piece
    share = 1 / np.bincount(piece)[piece]  # each piece counts as one population
    duration = np.diff(seen.times)[piece]
    f = drift.features(paths.reshape(-1, d)).reshape(steps, n, d, p)
    weight = np.full((steps, n), share * duration / (steps - 1))
    weight[[0, -1]] /= 2
    flat = f.reshape(steps * n, d, p)
    gram = np.tensordot(flat * weight.reshape(-1, 1, 1), flat, axes=((0, 1), (0, 1)))
    middle = 0.5 * (f[1:] + f[:-1]) * share[None, :, None, None]
    moment = np.tensordot(np.diff(paths, axis=0), middle, axes=((0, 1, 2), (0, 1, 2)))
    moment = moment - 0.5 * g * (seen.times[-1] - seen.times[0]) * drift.divergence()
    ridge = 1e-9 * np.trace(gram) / p * np.eye(p)
    return np.asarray(np.clip(np.linalg.solve(gram + ridge, moment), -MOST, MOST))
