r"""Gradient flow of a linear student of a linear teacher, in the limit of many parameters.

y = w* . x + eps over P = a N samples, N parameters, inputs of variance 1/N, w* of variance 1, eps of variance
sigma^2 = 1/SNR, initial weights of variance INR. Under dw/dt = (y - w X) X^T each eigendirection of X X^T learns at its
own rate lambda, and lambda follows the Marchenko–Pastur law:

    E_g(t) = <(1 + INR) e^{-2 lambda t} + sigma^2 (1 - e^{-lambda t})^2/lambda> + (1 - a)_+ (1 + INR) + sigma^2
    E_t(t) = <(lambda (1 + INR) + sigma^2) e^{-2 lambda t}>/a + (1 - 1/a)_+ sigma^2

with <.> over the positive eigenvalues (of mass min(1, a)).

References
----------
Advani & Saxe, "High-dimensional dynamics of generalization error in neural networks" (2017), paper 052 of the
catalogue, its equations for the training and generalization error and for the best weight decay, lambda = 1/SNR.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.models.spectra import marchenko_pastur_nodes

Array = NDArray[np.float64]


LATEST = 1e6  # past every time that a lab shows


def generalization_error(aspect: float, time: ArrayLike, noise: float, init_ratio: float) -> Array:
    """E_g at each time, in units of the variance of a teacher weight, label noise included.

    Parameters
    ----------
    aspect : float
        a = samples over parameters, positive.
    time : array_like
        At least 0, up to ``LATEST``.
    noise : float
        sigma^2 = 1/SNR.
    init_ratio : float
        INR.
    """
    eigenvalue, weight = marchenko_pastur_nodes(aspect)
    left = np.exp(-np.multiply.outer(np.asarray(time, dtype=float), eigenvalue))
    frozen = max(1 - aspect, 0.0) * (1 + init_ratio)
    return (left**2) @ (weight * (1 + init_ratio)) + noise * ((1 - left) ** 2 @ (weight / eigenvalue)) + frozen + noise


def training_error(aspect: float, time: ArrayLike, noise: float, init_ratio: float) -> Array:
    """E_t at each time: the mean square residual on the training labels."""
    eigenvalue, weight = marchenko_pastur_nodes(aspect)
    left = np.exp(-np.multiply.outer(np.asarray(time, dtype=float), eigenvalue))
    return (left**2) @ (weight * (eigenvalue * (1 + init_ratio) + noise)) / aspect + max(1 - 1 / aspect, 0.0) * noise


def limiting_error(aspect: float, noise: float, init_ratio: float) -> float:
    """E_g as t -> infinity; infinite at a = 1 with noise."""
    frozen = max(1 - aspect, 0.0) * (1 + init_ratio)
    if noise == 0:
        return frozen
    return np.inf if aspect == 1 else frozen + noise * min(1, aspect) / abs(1 - aspect) + noise


def best_ridge_error(aspect: float, noise: float) -> float:
    """E_g of ridge regression at its best weight decay, lambda = sigma^2, from w = 0."""
    eigenvalue, weight = marchenko_pastur_nodes(aspect)
    return noise * float(weight @ (1 / (eigenvalue + noise))) + max(1 - aspect, 0.0) + noise


def optimal_stopping(aspect: float, noise: float, init_ratio: float) -> tuple[float, float]:
    """The time of least E_g, and E_g there; the time is infinite where stopping never helps."""
    time = np.geomspace(1e-2, LATEST, 49)
    for _ in range(4):
        error = generalization_error(aspect, time, noise, init_ratio)
        at = int(np.argmin(error))
        time = np.geomspace(time[max(at - 1, 0)], time[min(at + 1, time.size - 1)], 9)
    last = limiting_error(aspect, noise, init_ratio)
    best = float(error.min())
    return (np.inf, last) if last <= best else (float(time[4]), best)


@dataclass(frozen=True)
class Levels:
    """The errors that a training run is compared with."""

    stop_time: float  # infinite where stopping never helps
    stop_error: float
    limit: float  # t -> infinity; infinite where it diverges
    best_ridge: float

    def headline(self) -> dict[str, float | str]:
        """The same in short words."""
        return {
            "optimal stopping time": self.stop_time if np.isfinite(self.stop_time) else "never: train on",
            "at the optimal stop": self.stop_error,
            "at the best ridge": self.best_ridge,
            "as t → ∞": self.limit if np.isfinite(self.limit) else "diverges",
        }


def levels(aspect: float, noise: float, init_ratio: float) -> Levels:
    """``Levels`` of a student."""
    return Levels(
        *optimal_stopping(aspect, noise, init_ratio), limiting_error(aspect, noise, init_ratio), best_ridge_error(aspect, noise)
    )


def learned_mass(aspect: float, time: float) -> tuple[float, float, float]:
    """How the parameter directions divide at a time: learned, not yet learned, frozen (never learned); sum 1."""
    eigenvalue, weight = marchenko_pastur_nodes(aspect)
    learned = float(weight @ -np.expm1(-eigenvalue * time))
    return learned, min(1.0, aspect) - learned, max(1 - aspect, 0.0)


def simulate(
    rng: np.random.Generator, n_parameters: int, aspect: float, time: Array, noise: float, init_ratio: float
) -> tuple[Array, Array]:
    """E_g and E_t at each time of one student on drawn data, by the exact solution of its gradient flow.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_parameters : int
        N; the samples are P = round(a N), at least 1.
    aspect, noise, init_ratio : float
    time : (n_times,) array

    Returns
    -------
    test, train : (n_times,) arrays
    """
    n_samples = max(1, round(aspect * n_parameters))
    inputs = rng.standard_normal((n_parameters, n_samples)) / np.sqrt(n_parameters)
    teacher = rng.standard_normal(n_parameters)
    start = np.sqrt(init_ratio) * rng.standard_normal(n_parameters)
    labels = teacher @ inputs + np.sqrt(noise) * rng.standard_normal(n_samples)
    # In the eigenbasis of the smaller Gram matrix both errors are sums of exponentials; noise along a direction is
    # its label component.
    left, singular, right = np.linalg.svd(inputs, full_matrices=False)
    rate = singular**2
    residual = right @ (labels - start @ inputs)
    offset = left.T @ (teacher - start)
    unseen = float(np.sum((teacher - start) ** 2) - np.sum(offset**2))
    decay = np.exp(-np.multiply.outer(time, rate))
    gained = (1 - decay) * residual / np.maximum(singular, 1e-300)
    test = (np.sum((offset - gained) ** 2, axis=1) + unseen) / n_parameters + noise
    outside = float(np.sum((labels - start @ inputs) ** 2) - np.sum(residual**2))
    train = (np.sum((decay * residual) ** 2, axis=1) + max(outside, 0.0)) / n_samples
    return test, train


def simulate_many(
    seed: int, draws: int, n_parameters: int, aspect: float, time: Array, noise: float, init_ratio: float
) -> Iterator[tuple[float, Array, Array]]:
    """Mean and standard error over draws of ``simulate``, each (2, n_times): test, train; yields some ten times."""
    rng = np.random.default_rng(seed)
    values = np.empty((draws, 2, time.size))
    for done in range(1, draws + 1):
        values[done - 1] = simulate(rng, n_parameters, aspect, time, noise, init_ratio)
        if done == draws or (done > 2 and done * 10 // draws > (done - 1) * 10 // draws):
            yield done / draws, values[:done].mean(axis=0), values[:done].std(axis=0, ddof=1) / np.sqrt(done)
