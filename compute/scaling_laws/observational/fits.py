"""Capability from scores by principal components, a sigmoid of it for a task, and which models to evaluate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq
from scipy.special import expit, logit

from compute.kernel import kernel
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
    """E = h sigma(alpha + beta·x), with parameters (logit h, alpha, beta) in whitened regressors."""

    parameters: Array
    normal: Array  # their normal matrix at the fit
    variance: float  # of a residual
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

    @property
    def covariance(self) -> Array:
        """Of the parameters."""
        # A flat direction (a ceiling that no model nears) gets a wide error and not an infinite one.
        floor = max(1e-8 * float(np.trace(self.normal)), 1e-12)
        return np.asarray(np.linalg.inv(self.normal + floor * np.eye(len(self.normal))) * self.variance)

    def standard_error(self, x: Array) -> Array:
        """Of the mean prediction, by the delta method."""
        gradient = _jacobian(self.parameters, (x - self.mean) @ self.whiten)
        return np.asarray(np.sqrt(np.maximum(np.einsum("na,ab,nb->n", gradient, self.covariance, gradient), 0.0)))


@kernel
def _residual(p, x, y):  # type: ignore[no-untyped-def]
    """(n,) sigmoid less y; small loops, called by the thousand."""
    h = 1 / (1 + np.exp(-p[0]))
    out = np.empty(y.size)
    for i in range(y.size):
        index = p[1]
        for k in range(x.shape[1]):
            index += x[i, k] * p[2 + k]
        out[i] = h / (1 + np.exp(-index)) - y[i]
    return out


@kernel
def _jacobian(p, x):  # type: ignore[no-untyped-def]
    """(n, d + 2) derivative of the sigmoid in its parameters."""
    h = 1 / (1 + np.exp(-p[0]))
    out = np.empty((x.shape[0], p.size))
    for i in range(x.shape[0]):
        index = p[1]
        for k in range(x.shape[1]):
            index += x[i, k] * p[2 + k]
        value = 1 / (1 + np.exp(-index))
        out[i, 0] = h * (1 - h) * value
        out[i, 1] = h * value * (1 - value)
        for k in range(x.shape[1]):
            out[i, 2 + k] = out[i, 1] * x[i, k]
    return out


def fit_sigmoid(x: Array, y: Array) -> Sigmoid:
    """Least squares; regressors are whitened, so that any invertible linear map of them gives the same predictions.

    Parameters
    ----------
    x : (n, d) array
    y : (n,) array
        In [0, 1]; n at least d + 2.
    """
    y, mean = np.ascontiguousarray(y), x.mean(axis=0)
    whiten = np.linalg.pinv(np.linalg.qr(x - mean, mode="r")) * np.sqrt(len(x))
    z = (x - mean) @ whiten
    level = logit(np.clip(y / max(0.95, float(y.max())), 0.02, 0.98))
    design = np.column_stack([np.ones(len(z)), z])
    start = np.concatenate([[logit(0.9)], np.linalg.lstsq(design, level, rcond=None)[0]])
    # With its full output it says nothing where it stops at maxfev: a sigmoid far from its ceiling never settles.
    found = leastsq(
        lambda p: _residual(p, z, y),
        start,
        Dfun=lambda p: _jacobian(p, z),
        maxfev=150,
        xtol=1e-9,
        ftol=1e-9,
        full_output=True,
    )[0]
    jacobian = _jacobian(found, z)
    residual = _residual(found, z, y)
    free = max(len(y) - found.size, 1)
    return Sigmoid(found, jacobian.T @ jacobian, float(residual @ residual) / free, mean, whiten)


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


def foretell(
    observatory: Observatory, setting: Setting, *, by_families: bool = True, components: Capability | None = None
) -> Prediction:
    """Fit the task on the weak models by each set of regressors; that with a term for each family may be left out.

    ``components`` are those of the observatory, if they are known already.

    Raises
    ------
    ParameterError
        Where the models below the cutoff are fewer than the sigmoid's parameters, or none is above it.
    """
    q = setting.components_used
    if q > observatory.scores.shape[1]:
        raise ParameterError("components_used", f"takes at most the number of benchmarks, {observatory.scores.shape[1]}.")
    found = capability(observatory.scores, q) if components is None else components
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
        regressors = family_regressors(observatory, train) if by_families else None
        if regressors is not None and train.sum() >= regressors.shape[1] + 2:
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
