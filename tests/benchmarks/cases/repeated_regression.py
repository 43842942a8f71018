"""Linear regression by SGD: expected error on fresh samples, and runs over the same samples again and again."""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh

from compute.models import repeated_regression
from compute.models.repeated_regression import TRAIN_ROWS, Regression, one_pass_curve, regression, repeat_sgd
from compute.scaling_laws.data_constrained.regression import EPOCHS, N_FEATURES
from tests.benchmarks.kernels import Case

UNIQUE = 100
MARKS = (EPOCHS * UNIQUE).astype(np.int64)


def cases() -> Iterator[Case]:
    problem, n_steps = regression(N_FEATURES, 1.3, 0.0), int(MARKS[-1])
    kernels = (repeated_regression._one_pass,)
    what = f"expected error after 0 to {n_steps:,} fresh samples, {N_FEATURES} features"
    yield Case(what, lambda: one_pass_curve(problem, n_steps), "SciPy eigh", lambda: by_modes(problem, n_steps), kernels)
    yield Case(
        f"{what}, weight decay",
        lambda: one_pass_curve(problem, n_steps, 1e-3),
        "NumPy, step by step",
        lambda: by_steps(problem, n_steps, 1e-3),
        kernels,
    )

    seeds = 6
    samples, orders = zip(*(draws(np.random.default_rng(k)) for k in range(seeds)), strict=True)
    yield Case(
        f"{seeds} runs of {n_steps:,} steps of SGD over {UNIQUE} samples, {N_FEATURES} features",
        lambda: np.stack([repeat_sgd(problem, UNIQUE, MARKS, np.random.default_rng(k))[:2] for k in range(seeds)]),
        "NumPy, all runs at once",
        lambda: runs(problem, np.array(samples), np.array(orders)),
        (repeated_regression._repeat,),
    )


def by_modes(problem: Regression, n_steps: int) -> np.ndarray:
    """Without noise and decay the energies move by a fixed matrix, symmetric once scaled."""
    x = problem.step_size * problem.eigenvalue
    value, vector = eigh(np.diag(1 - 2 * x + x**2 * 2) + np.outer(x, x))
    weight = (vector.T @ (problem.eigenvalue * problem.target**2 / x)) * (vector.T @ x)
    power = np.full((n_steps + 1, value.size), value)
    power[0] = 1.0
    return np.cumprod(power, axis=0) @ weight


def by_steps(problem: Regression, n_steps: int, decay: float) -> np.ndarray:
    """The recursion of energies and means."""
    lam, w, x = problem.eigenvalue, problem.target, problem.step_size * problem.eigenvalue
    keep, mean, energy = 1 - decay, w, lam * w**2
    own, fed = keep**2 - 2 * keep * x + 2 * x**2, x**2
    pulled, drawn = lam * (decay * w) ** 2, 2 * lam * decay * w * (keep - x)
    out = np.empty(n_steps + 1)
    for t in range(n_steps + 1):
        out[t] = energy.sum() + problem.noise**2
        energy = own * energy + fed * out[t] + pulled + drawn * mean
        mean = (keep - x) * mean + decay * w
    return out


def draws(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1 + d) normal numbers, and the sample of each step: what a run takes, drawn beforehand."""
    normal, order = rng.standard_normal((UNIQUE, 1 + N_FEATURES)), np.arange(UNIQUE)
    orders = [order.copy()]
    for _ in range(int(EPOCHS[-1])):
        for i, u in zip(range(UNIQUE - 1, 0, -1), rng.random(UNIQUE - 1), strict=True):
            k = int(u * (i + 1))
            order[[i, k]] = order[[k, i]]
        orders.append(order.copy())
    return normal, np.concatenate(orders)


def runs(problem: Regression, normal: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n_seeds, 2, n_marks) test and train errors."""
    x = np.sqrt(problem.eigenvalue) * normal[:, :, 1:]
    y = problem.noise * normal[:, :, 0] + x @ problem.target
    every, weight, found = np.arange(len(x)), np.zeros((len(x), x.shape[2])), []
    assert UNIQUE <= TRAIN_ROWS
    for seen in range(int(MARKS[-1]) + 1):
        if seen in MARKS:
            test = (weight - problem.target) ** 2 @ problem.eigenvalue + problem.noise**2
            miss = y - np.einsum("sij,sj->si", x, weight)
            found.append(np.stack([test, np.mean(miss**2, axis=1)], axis=1))
        row = x[every, order[:, seen]]
        step = problem.step_size * (y[every, order[:, seen]] - np.vecdot(row, weight))
        weight = weight + step[:, None] * row
    return np.stack(found, axis=2)
