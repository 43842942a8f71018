r"""Linear regression by stochastic gradient descent, on fresh samples or on the same ones again and again.

Features are x_j = sqrt(lambda_j) z_j with lambda_j = j^-a and z standard normal, the target is y = <w, x> + noise with
w_j ~ j^-0.2, scaled to sum_j lambda_j w_j^2 = 1. Batch 1, fixed step eta = 1/(2 sum_j lambda_j), from zero.

On fresh samples the energies s_j = lambda_j E(w_j - what_j)^2 obey, exactly for Gaussian features,

    s_j <- (1 - 2 eta lambda_j + 2 eta^2 lambda_j^2) s_j + eta^2 lambda_j^2 (sum_i s_i + c),

which is the rank-one recursion of ``noisy_quadratic``. Features that the model leaves out act as noise: c is the noise
variance and sum_{k > N} lambda_k w_k^2. With weight decay kappa, what <- (1 - kappa) what + ..., the mean of the error
enters as well, and the recursion is stepped through.

References
----------
Komatsuzaki, "One Epoch Is All You Need" (2019), paper 089 of the catalogue: this is its miniature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel
from compute.models.noisy_quadratic import rank_one_curve

Array = NDArray[np.float64]

TARGET_EXPONENT = 0.2
STEP = 0.5  # of 1/sum lambda
TRAIN_ROWS = 256  # samples on which the training error is read, all where there are fewer


@dataclass(frozen=True)
class Regression:
    """The problem.

    Parameters
    ----------
    eigenvalue : (d,) array
        Variances of the features, falling.
    target : (d,) array
        Weights w, with sum lambda w^2 = 1.
    noise : float
        Standard deviation of the label noise.
    """

    eigenvalue: Array
    target: Array
    noise: float

    @property
    def step_size(self) -> float:
        return STEP / float(self.eigenvalue.sum())


def regression(n_features: int, spectrum_exponent: float, noise: float) -> Regression:
    """The problem with lambda_j = j^-a, w_j ~ j^-0.2."""
    index = np.arange(1, n_features + 1, dtype=float)
    eigenvalue, target = index**-spectrum_exponent, index**-TARGET_EXPONENT
    return Regression(eigenvalue, target / np.sqrt(np.sum(eigenvalue * target**2)), float(noise))


def truncated_curve(problem: Regression, n_kept: int, steps: Array) -> Array:
    """Mean squared error, noise included, after ``steps`` fresh samples of a model of the first ``n_kept`` features."""
    lam, signal = problem.eigenvalue[:n_kept], problem.eigenvalue * problem.target**2
    eta = STEP / lam.sum()
    floor = problem.noise**2 + float(signal[n_kept:].sum())
    return rank_one_curve(2 * eta * lam * (1 - eta * lam), (eta * lam) ** 2, signal[:n_kept], floor, steps)


@kernel
def _one_pass(lam, w, eta, noise, decay, n_steps):  # type: ignore[no-untyped-def]
    """Expected mean squared error after 0..n_steps fresh samples, with weight decay."""
    d = lam.size
    mean, energy = w.copy(), lam * w * w
    out = np.empty(n_steps + 1)
    total = energy.sum()
    keep = 1.0 - decay
    for t in range(n_steps + 1):
        out[t] = total + noise * noise
        fed, total = out[t], 0.0
        for j in range(d):
            x = eta * lam[j]
            # E (keep - eta x_j^2)^2 less the share of mode j in fed; then the pull towards 0, whose error is w.
            grown = (keep * keep - 2 * keep * x + 2 * x * x) * energy[j] + x * x * fed
            if decay > 0.0:
                grown += lam[j] * decay * w[j] * (decay * w[j] + 2 * (keep - x) * mean[j])
                mean[j] = (keep - x) * mean[j] + decay * w[j]
            energy[j] = grown
            total += grown
    return out


def one_pass_curve(problem: Regression, n_steps: int, weight_decay: float = 0.0) -> Array:
    """Expected mean squared error, noise included, after 0, 1, …, n_steps fresh samples, (n_steps + 1,)."""
    return _one_pass(problem.eigenvalue, problem.target, problem.step_size, problem.noise, weight_decay, n_steps)


@kernel
def _repeat(lam, w, eta, noise, decay, n_unique, marks, test, train, rng):  # type: ignore[no-untyped-def]
    """One run over reshuffled epochs of ``n_unique`` samples; fills test and train error at the step counts ``marks``.

    Returns the sum and the sum of squares of (squared error on the next sample before its update - test error then),
    over the first epoch.
    """
    d = lam.size
    x, y = np.empty((n_unique, d)), np.empty(n_unique)
    root = np.sqrt(lam)
    for i in range(n_unique):
        y[i] = noise * rng.standard_normal()
        for j in range(d):
            x[i, j] = root[j] * rng.standard_normal()
            y[i] += w[j] * x[i, j]
    order = np.arange(n_unique)
    weight = np.zeros(d)
    gap = gap_square = 0.0
    seen, at = 0, 0
    while True:
        place = seen % n_unique
        if place == 0 and seen > 0:
            for i in range(n_unique - 1, 0, -1):
                k = min(int(rng.random() * (i + 1)), i)
                order[i], order[k] = order[k], order[i]
        is_marked = at < marks.size and seen == marks[at]
        row = order[place]
        miss = y[row]
        for j in range(d):
            miss -= weight[j] * x[row, j]
        if is_marked:
            error = noise * noise
            for j in range(d):
                error += lam[j] * (w[j] - weight[j]) ** 2
            test[at] = error
            # Evenly spread over the samples, so that those seen early and late are alike in it.
            n_read = min(n_unique, TRAIN_ROWS)
            total = 0.0
            for k in range(n_read):
                i = k * n_unique // n_read
                r = y[i]
                for j in range(d):
                    r -= weight[j] * x[i, j]
                total += r * r
            train[at] = total / n_read
            if seen < n_unique:
                gap += miss * miss - error
                gap_square += (miss * miss - error) ** 2
            at += 1
            if at == marks.size:
                return gap, gap_square
        for j in range(d):
            weight[j] = (1.0 - decay) * weight[j] + eta * miss * x[row, j]
        seen += 1


def repeat_sgd(
    problem: Regression, n_unique: int, marks: NDArray[np.int64], rng: np.random.Generator, weight_decay: float = 0.0
) -> tuple[Array, Array, float, float]:
    """One run of stochastic gradient descent over reshuffled epochs of the same samples.

    Parameters
    ----------
    problem : Regression
    n_unique : int
        Samples drawn; each epoch passes through all of them in a new order.
    marks : (n_marks,) array of int
        Rising step counts at which errors are recorded; the run ends at the last.
    rng : numpy.random.Generator
    weight_decay : float
        Share of the weights lost a step.

    Returns
    -------
    test, train : (n_marks,) arrays
        Mean squared error: exact over the population, noise included; over the samples (256 of them at most).
    gap, gap_square : float
        Sums over the marks within the first epoch of the squared error on the next sample, before its update, less the test
        error; and of its square.
    """
    test, train = np.empty(marks.size), np.empty(marks.size)
    gap, square = _repeat(
        problem.eigenvalue, problem.target, problem.step_size, problem.noise, weight_decay, n_unique, marks, test, train, rng
    )
    return test, train, gap, square
