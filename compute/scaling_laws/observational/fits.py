"""Capability from scores by principal components, a sigmoid of it for a task, and which models to evaluate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq
from scipy.special import expit, logit

from compute.parameters import ParameterError
from compute.scaling_laws.observational.observatory import Observatory, Setting

Array = NDArray[np.float64]


def fill_missing(scores: Array, rank: int, iterations: int = 200) -> Array:
    """Standardized columns with missing cells filled by an iterated SVD of the given rank."""
    missing = ~np.isfinite(scores)
    mean, scale = np.nanmean(scores, axis=0), np.nanstd(scores, axis=0)
    filled = np.where(missing, 0.0, (scores - mean) / np.where(scale > 1e-12, scale, 1.0))
    for _ in range(iterations if missing.any() else 0):
        u, s, vt = np.linalg.svd(filled, full_matrices=False)
        guess = (u[:, :rank] * s[:rank]) @ vt[:rank]
        change = np.abs(guess - filled)[missing].max()
        filled = np.where(missing, guess, filled)
        if change < 1e-8:
            break
    return filled


@dataclass(frozen=True)
class Capability:
    """Principal components of the standardized scores."""

    scores: Array  # (n, n_components) of the models
    loadings: Array  # (n_benchmarks, n_components), orthonormal columns
    eigenvalues: Array  # (n_benchmarks,) of the correlation matrix, or its nonzero ones


def capability(scores: Array, components: int) -> Capability:
    """PCA of the scores; the first component rises with most benchmarks."""
    filled = fill_missing(scores, min(components, min(scores.shape) - 1))
    centered = filled - filled.mean(axis=0)
    scale = centered.std(axis=0)
    centered = centered / np.where(scale > 1e-12, scale, 1.0)
    u, s, vt = np.linalg.svd(centered, full_matrices=False)
    sign = np.where(vt.sum(axis=1) < 0, -1.0, 1.0)
    q = min(components, s.size)
    return Capability((u * s * sign)[:, :q], (vt * sign[:, None]).T[:, :q], s**2 / len(scores))


@dataclass(frozen=True)
class Sigmoid:
    """E = h sigma(alpha + beta·x), with the covariance of its parameters (logit h, alpha, beta) in whitened regressors."""

    parameters: Array
    covariance: Array
    mean: Array
    whiten: Array  # (d, d)

    def index(self, x: Array) -> Array:
        """alpha + beta·x."""
        return np.asarray(self.parameters[1] + ((x - self.mean) @ self.whiten) @ self.parameters[2:])

    def predict(self, x: Array) -> Array:
        return np.asarray(self.ceiling * expit(self.index(x)))

    @property
    def ceiling(self) -> float:
        return float(expit(self.parameters[0]))

    def standard_error(self, x: Array) -> Array:
        """Of the mean prediction, by the delta method."""
        gradient = _jacobian(self.parameters, (x - self.mean) @ self.whiten)
        return np.asarray(np.sqrt(np.maximum(np.einsum("na,ab,nb->n", gradient, self.covariance, gradient), 0.0)))


def _jacobian(p: Array, x: Array) -> Array:
    h, value = expit(p[0]), expit(p[1] + x @ p[2:])
    slope = h * value * (1 - value)
    return np.column_stack([h * (1 - h) * value, slope, slope[:, None] * x])


def fit_sigmoid(x: Array, y: Array) -> Sigmoid:
    """Least squares; regressors are whitened, so that any invertible linear map of them gives the same predictions.

    Parameters
    ----------
    x : (n, d) array
    y : (n,) array
        In [0, 1]; n at least d + 2.
    """
    mean = x.mean(axis=0)
    whiten = np.linalg.pinv(np.linalg.qr(x - mean, mode="r")) * np.sqrt(len(x))
    z = (x - mean) @ whiten
    level = logit(np.clip(y / max(0.95, float(y.max())), 0.02, 0.98))
    design = np.column_stack([np.ones(len(z)), z])
    start = np.concatenate([[logit(0.9)], np.linalg.lstsq(design, level, rcond=None)[0]])
    # With its full output it says nothing where it stops at maxfev: a sigmoid far from its ceiling never settles.
    found = leastsq(
        lambda p: expit(p[0]) * expit(p[1] + z @ p[2:]) - y,
        start,
        Dfun=lambda p: _jacobian(p, z),
        maxfev=150,
        xtol=1e-9,
        ftol=1e-9,
        full_output=True,
    )[0]
    jacobian = _jacobian(found, z)
    residual = expit(found[0]) * expit(found[1] + z @ found[2:]) - y
    free = max(len(y) - found.size, 1)
    normal = jacobian.T @ jacobian
    # A flat direction (a ceiling that no model nears) gets a wide error and not an infinite one.
    floor = max(1e-8 * float(np.trace(normal)), 1e-12)
    covariance = np.linalg.inv(normal + floor * np.eye(found.size)) * float(residual @ residual) / free
    return Sigmoid(found, covariance, mean, whiten)


def family_regressors(observatory: Observatory, train: NDArray[np.bool_]) -> Array:
    """Log compute and an indicator of each family, the first seen left out; families never trained on get the average."""
    assert observatory.log_compute is not None
    dummies = (observatory.family[:, None] == np.arange(len(observatory.family_names))).astype(float)
    seen = np.flatnonzero(dummies[train].any(axis=0))
    dummies = dummies[:, seen[1:]] if seen.size > 1 else dummies[:, :0]
    return np.column_stack([observatory.log_compute, dummies - dummies[train].mean(axis=0)])


@dataclass(frozen=True)
class Prediction:
    """A task foretold from capability and from compute."""

    train: NDArray[np.bool_]  # (n,)
    test: NDArray[np.bool_]  # (n,)
    capability: Capability
    by_capability: Sigmoid
    by_compute: Sigmoid | None
    by_family: tuple[Sigmoid, Array] | None  # with its regressors; None where there are too few models

    def error(self, predicted: Array, target: Array) -> float:
        """Root-mean-square error on the held-out models."""
        return float(np.sqrt(np.mean((predicted[self.test] - target[self.test]) ** 2)))


def split(observatory: Observatory, first: Array, cutoff: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Models below and above the cutoff in compute, or in the first component where compute is not known."""
    order = first if observatory.log_compute is None else observatory.log_compute
    known = np.isfinite(observatory.target)
    below = order <= np.percentile(order, cutoff)
    return below & known, ~below & known


def foretell(observatory: Observatory, setting: Setting, *, by_families: bool = True) -> Prediction:
    """Fit the task on the weak models by each set of regressors; that with a term for each family may be left out.

    Raises
    ------
    ParameterError
        Where the models below the cutoff are fewer than the sigmoid's parameters, or none is above it.
    """
    q = setting.components_used
    if q > observatory.scores.shape[1]:
        raise ParameterError("components_used", f"takes at most the number of benchmarks, {observatory.scores.shape[1]}.")
    found = capability(observatory.scores, q)
    train, test = split(observatory, found.scores[:, 0], setting.cutoff_percentile)
    if train.sum() < q + 2:
        raise ParameterError(
            "cutoff_percentile",
            f"leaves {train.sum()} models to fit a sigmoid of {q + 2} parameters; raise it or use fewer components.",
        )
    if not test.any():
        raise ParameterError("cutoff_percentile", "leaves no model to foretell; lower it.")
    y = observatory.target
    by_capability = fit_sigmoid(found.scores[train], y[train])
    by_compute = by_family = None
    if observatory.log_compute is not None:
        x = observatory.log_compute[:, None]
        by_compute = fit_sigmoid(x[train], y[train])
        regressors = family_regressors(observatory, train)
        if by_families and train.sum() >= regressors.shape[1] + 2:
            by_family = fit_sigmoid(regressors[train], y[train]), regressors
    return Prediction(train, test, found, by_capability, by_compute, by_family)


def d_optimal_order(x: Array) -> NDArray[np.int64]:
    """Rows in the order in which each adds most to log det of the information of a linear fit on (1, x)."""
    design = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)])
    inverse = np.eye(design.shape[1]) * 1e3  # a weak prior, until the design has full rank
    left, order = list(range(len(x))), []
    while left:
        gain = np.einsum("na,ab,nb->n", design[left], inverse, design[left])
        best = left.pop(int(np.argmax(gain)))
        row = inverse @ design[best]
        inverse = inverse - np.outer(row, row) / (1 + design[best] @ row)
        order.append(best)
    return np.array(order)
