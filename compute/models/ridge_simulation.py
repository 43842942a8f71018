"""Monte Carlo of ridge regression on random features with Gaussian eigenfunctions, against its eigenframework."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from compute.models.eigenframework import Risk, ridge_risk
from compute.models.spectra import Head

Array = NDArray[np.float64]

MAX_SIMULATED = 1000  # samples and features of a simulated point


@dataclass(frozen=True)
class Draw:
    """One data set and one set of random features at the largest sizes; smaller ones are its leading blocks.

    Eigenfunctions are Gaussian. Given the data, only the n projections of a feature's weights on the data's span and
    the norm of the rest matter, so k features cost n k normals and not (modes) k.
    """

    data: Array  # (n, n_modes) eigenfunctions at the samples
    gram: Array  # (n, n) the full kernel matrix, L L^T
    carried: Array  # (n, n_modes) L^-1 data Lambda
    weights: Array  # (n, k) feature weights, projected on the span of the data
    values: Array  # (n, k) features at the samples, L weights
    labels: Array  # (n,)
    unit_noise: Array  # (n,) what of the labels is noise, over its deviation
    head: Head
    noise: float

    def at_noise(self, noise: float) -> Draw:
        """The same draw with labels of another noise sigma^2."""
        head = self.head
        labels = self.data @ np.sqrt(head.power) + np.sqrt(head.tail_power + noise) * self.unit_noise
        return replace(self, labels=labels, noise=noise)

    def risk(self, n: int, k: float, ridges: ArrayLike) -> tuple[Array, Array]:
        """Test and training risk of one regression at several ridges.

        The test risk is exact over fresh data and over the part of the feature weights that the data do not see.
        """
        labels, values, weights = self.labels[:n], self.values[:n], self.weights[:n]
        if np.isinf(k):
            gram = self.gram[:n, :n]
        else:
            values, weights = values[:, : int(k)] / np.sqrt(k), weights[:, : int(k)] / np.sqrt(k)
            gram = values.T @ values if k < n else values @ values.T
            unseen = self.head.eigenvalue.sum() + self.head.tail_trace - float(np.sum(self.carried[:n] ** 2))
        ridges = np.atleast_1d(np.asarray(ridges, dtype=float))
        test, train = np.empty(ridges.size), np.empty(ridges.size)
        for r, ridge in enumerate(ridges):
            factor = cho_factor(gram + ridge * np.eye(len(gram)), lower=True, overwrite_a=True, check_finite=False)
            if k < n:
                primal = cho_solve(factor, values.T @ labels)
                dual = (labels - values @ primal) / ridge
            else:
                dual = cho_solve(factor, labels)
            if np.isinf(k):
                learned, outside = self.head.eigenvalue * (self.data[:n].T @ dual), 0.0
            else:
                if k >= n:
                    primal = values.T @ dual
                learned, outside = self.carried[:n].T @ (weights @ primal), float(primal @ primal) / k * unseen
            missed = float(np.sum((np.sqrt(self.head.power) - learned) ** 2)) + self.head.tail_power
            test[r], train[r] = missed + outside + self.noise, ridge**2 * float(dual @ dual) / n
        return test, train


def draw_features(rng: np.random.Generator, head: Head, n: int, k: int, noise: float) -> Draw:
    """Draw data and features: Gaussian eigenfunctions, Gaussian feature weights, labels with noise sigma^2.

    The modes beyond the head act on the kernel matrix as a multiple of the identity and on the labels as noise: what
    infinitely many small modes do. Compare with the theory of ``head.modes()``.
    """
    data = rng.standard_normal((n, head.eigenvalue.size))
    scaled = data * np.sqrt(head.eigenvalue)
    gram = scaled @ scaled.T
    # A spectrum of fewer modes than samples gives a singular kernel matrix; 1e-13 keeps its factor defined.
    gram[np.diag_indices(n)] += head.tail_trace + 1e-13 * head.eigenvalue[0]
    unit = rng.standard_normal(n)
    factor = np.linalg.cholesky(gram)
    carried = solve_triangular(factor, data * head.eigenvalue, lower=True, check_finite=False)
    weights = rng.standard_normal((n, k))
    return Draw(data, gram, carried, weights, factor @ weights, unit, unit, head, 0.0).at_noise(noise)


KEPT_NUMBERS = 3_000_000  # of draws kept between calls, 24 MB


def _draws(seed: int, head: Head, n: int, k: int, count: int) -> Iterable[Draw]:
    """The draws of a seed, without noise; few and small ones are kept, since most parameters do not move them."""
    if count * n * (2 * head.eigenvalue.size + 2 * k + n) <= KEPT_NUMBERS:
        return _kept_draws(seed, head, n, k, count)
    rng = np.random.default_rng(seed)
    return (draw_features(rng, head, n, k, 0.0) for _ in range(count))


@lru_cache(maxsize=2)
def _kept_draws(seed: int, head: Head, n: int, k: int, count: int) -> list[Draw]:
    rng = np.random.default_rng(seed)
    return [draw_features(rng, head, n, k, 0.0) for _ in range(count)]


@dataclass(frozen=True)
class SimulatedRisk:
    """Monte Carlo of ridge regression on random features, and the theory of exactly its modes."""

    n: Array  # (n_points,)
    k: Array  # (n_points,) infinite for the kernel itself
    ridge: Array  # (n_points,)
    test: Array  # (n_points,) mean over draws
    test_error: Array  # (n_points,) its standard error
    train: Array  # (n_points,)
    train_error: Array  # (n_points,)
    theory: Risk  # at the same points

    def table(self, kind: str) -> pl.DataFrame:
        """One row a point; an infinite number of features is left empty."""
        return pl.DataFrame(
            {
                "kind": [kind] * self.n.size,
                "n_samples": self.n,
                "n_features": pl.Series(self.k).replace(np.inf, None),
                "ridge": self.ridge,
                "simulated_test_risk": self.test,
                "simulated_test_standard_error": self.test_error,
                "simulated_train_risk": self.train,
                "simulated_train_standard_error": self.train_error,
                "theory_of_simulated_modes": self.theory.test,
            }
        )

    def halves(self) -> tuple[SimulatedRisk, SimulatedRisk]:
        """The first and the second half of the points."""
        half = self.n.size // 2
        return self._part(slice(0, half)), self._part(slice(half, None))

    def _part(self, at: slice) -> SimulatedRisk:
        own = {f.name: getattr(self, f.name)[at] for f in fields(self) if f.name != "theory"}
        theory = Risk(**{f.name: getattr(self.theory, f.name)[at] for f in fields(self.theory)})
        return SimulatedRisk(**own, theory=theory)

    def gap(self, n: float, k: float) -> float | str:
        """Simulation minus theory at (n, k), in standard errors; a sentence where it was not simulated."""
        at = np.flatnonzero((self.n == n) & (self.k == k))
        if not at.size:
            return f"not simulated (above {MAX_SIMULATED:,})"
        if n == k and self.theory.train[at[0]] < 1e-3 * self.theory.test[at[0]]:
            return "heavy-tailed at n = k"
        return float((self.test[at[0]] - self.theory.test[at[0]]) / self.test_error[at[0]])


def simulate_risk(
    seed: int, head: Head, n: Array, k: Array, ridge: Array, noise: float, draws: int
) -> Iterator[tuple[float, SimulatedRisk]]:
    """Simulate a list of (n, k, ridge) on shared draws; yields some ten times."""
    if not n.size:
        empty = np.empty(0)
        yield 1.0, SimulatedRisk(n, k, ridge, empty, empty, empty, empty, Risk(empty, empty, empty, empty, empty))
        return
    theory = ridge_risk(head.modes(), n, k, ridge, noise)
    finite = k[np.isfinite(k)]
    widest = int(finite.max()) if finite.size else 1
    groups = [(size, width, np.flatnonzero((n == size) & (k == width))) for size, width in dict.fromkeys(zip(n, k, strict=True))]
    values = np.empty((draws, 2, n.size))
    for done, clean in enumerate(_draws(seed, head, int(n.max()), widest, draws), start=1):
        draw = clean.at_noise(noise)
        for size, width, at in groups:
            values[done - 1, 0, at], values[done - 1, 1, at] = draw.risk(int(size), width, ridge[at])
        if done == draws or (done > 2 and done * 10 // draws > (done - 1) * 10 // draws):
            mean = values[:done].mean(axis=0)
            error = values[:done].std(axis=0, ddof=1) / np.sqrt(done)
            yield done / draws, SimulatedRisk(n, k, ridge, mean[0], error[0], mean[1], error[1], theory)


def simulation_seconds(n: Array, k: Array, draws: int) -> float:
    """An estimate of the run time of ``simulate_risk`` on a list of points."""
    if not n.size:
        return 0.0
    k = np.where(np.isinf(k), n, k)
    most, widest, modes = n.max(), k.max(), 3 * n.max() + 100
    draw = 5e-4 + 2e-8 * most * (modes + widest) + 6e-11 * most**2 * (modes + widest)
    return float(draws * (draw + np.sum(5e-5 + 1.5e-11 * np.minimum(n, k) ** 2 * (n + k))))
