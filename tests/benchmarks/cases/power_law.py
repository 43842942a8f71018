"""Fits of power laws by the log-Huber objective, and their bootstrap."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from compute.methods import power_law
from compute.methods.bootstrap import bootstrap, resample_counts
from compute.methods.scaling_study import Setting
from tests.benchmarks.kernels import Case

DELTA = 1e-3


def cases() -> Iterator[Case]:
    setting = Setting(n_runs=240)
    estimate = setting.estimate()
    fit, runs = estimate.fitted, estimate.study.runs
    assert fit is not None
    values = runs.loss
    sizes = np.column_stack([runs.n_parameters, runs.n_tokens])
    x, y = np.log(sizes), np.log(values)
    place = x.mean(axis=0)

    def objective(p: np.ndarray, weight: np.ndarray, center: np.ndarray, y: np.ndarray = y) -> tuple[float, np.ndarray]:
        """The objective and its gradient in the form L = e^E + e^A N^-alpha + e^B D^-beta, with NumPy."""
        moved = x - center
        u = np.stack([np.full(y.size, p[0]), p[1] - p[3] * moved[:, 0], p[2] - p[4] * moved[:, 1]])
        top = u.max(axis=0)
        share = np.exp(u - top)
        total = share.sum(axis=0)
        residual = top + np.log(total) - y
        share /= total
        pull = weight * np.clip(residual, -DELTA, DELTA)
        size = np.abs(residual)
        huber = np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
        gradient = np.concatenate([share @ pull, -(share[1:] * moved.T) @ pull])
        return float(weight @ huber), gradient

    ones, zero = np.ones(y.size), np.zeros(2)

    def both(found: tuple[float, np.ndarray]) -> np.ndarray:
        return np.append(found[1], found[0])

    away = fit.parameters + np.array([0.1, 0.2, -0.2, 0.01, -0.01])
    yield Case(
        "log-Huber objective and gradient, 240 runs",
        lambda: both(power_law.log_huber_objective(fit.form, away, sizes, values, huber_delta=DELTA)),
        "NumPy",
        lambda: both(objective(away, ones, zero)),
        (power_law._objective,),
        rtol=1e-7,
    )

    counts = resample_counts(np.random.default_rng(0), y.size, 20)
    begin = fit.parameters - np.concatenate([[0.0], fit.exponents * place, [0.0, 0.0]])

    def least(parameters: np.ndarray) -> np.ndarray:
        return np.array([objective(p, c, zero)[0] for p, c in zip(parameters, counts, strict=True)])

    def by_scipy() -> np.ndarray:
        # Centered variables and a tight tolerance: without them BFGS stops early and is fast for that.
        return np.array([minimize(objective, begin, (c, place), "BFGS", True, options={"gtol": 1e-8}).fun for c in counts])

    yield Case(
        "20 bootstrap refits of 240 runs: the least objective",
        lambda: least(power_law.refit_log_huber(fit, sizes, values, counts, huber_delta=DELTA)),
        "SciPy BFGS",
        by_scipy,
        (power_law._descend_all, power_law._descend, power_law._objective, power_law._slopes, power_law._solve),
        rtol=1e-3,
    )

    redrawn = values * np.exp(0.01 * np.random.default_rng(1).standard_normal((20, y.size)))
    yield Case(
        "20 fits of redrawn losses of 240 runs: the least objective",
        lambda: np.array(
            [
                objective(p, ones, zero, np.log(drawn))[0]
                for p, drawn in zip(power_law.fit_each_log_huber(fit, sizes, redrawn, huber_delta=DELTA), redrawn, strict=True)
            ]
        ),
        "SciPy BFGS",
        lambda: np.array(
            [minimize(objective, begin, (ones, place, np.log(d)), "BFGS", True, options={"gtol": 1e-8}).fun for d in redrawn]
        ),
        (power_law._descend_each, power_law._descend),
        rtol=1e-3,
    )

    def refits() -> np.ndarray:
        *_, (_, found) = bootstrap(estimate.refit, y.size, 4000, setting.bootstrap_rng())
        return found

    yield Case("4000 bootstrap refits of 240 runs (chinchilla)", refits, goal=60.0)
