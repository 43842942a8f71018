r"""Conditional flow matching for any number of observations: the exact velocity, and one really fitted.

theta_t = (1-t) theta_0 + t theta_1 with theta_0 ~ N(0, 1), theta_1 ~ N(m, S) the posterior given n observations, has the velocity

    v = m + (t S - (1-t))/((1-t)^2 + t^2 S) (theta_t - t m).

The learned velocity is ridge regression on simulated pairs: products of {1, theta_t, mean of the observations} with Chebyshev
polynomials in t and in log n, n drawn log-uniformly up to n_max. It stands for the transformer of paper 445, whose pooling over
observations is the mean here, sufficient for this model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from compute.diffusion_samplers.posterior_from_observations.composed import NoiseScale, PriorScale
from compute.experiment import Result, experiment
from compute.models.composed_posterior import Array
from compute.parameters import LogInteger, Seed

Pairs = Annotated[int, LogInteger("simulated pairs", low=500, high=20_000, help="Of parameters and observations, to fit the flow.")]
LargestN = Annotated[int, LogInteger("largest n trained on", r"n_{\max}", low=2, high=100)]
FlowSteps = Annotated[int, LogInteger("flow steps", low=1, high=64, help="Of Heun's method.")]

TIME_ORDER, SIZE_ORDER, RIDGE = 7, 3, 1e-6
N_DATASETS = 200
SIZES = np.unique(np.rint(np.geomspace(1, 100, 16)).astype(int))
STEPS = np.array([1, 2, 4, 8, 16, 32])


def posterior(mean_seen: Array, n: Array | float, prior_scale: float, noise_scale: float) -> tuple[Array, Array]:
    """Mean and variance of theta given n observations of that mean."""
    precision = 1 / prior_scale**2 + np.asarray(n, dtype=float) / noise_scale**2
    return np.asarray(n * mean_seen / noise_scale**2 / precision), np.asarray(1 / precision)


def exact_velocity(theta: Array, t: float, m: Array, s: Array) -> Array:
    """v at theta_t for the posterior N(m, S)."""
    return np.asarray(m + (t * s - (1 - t)) / ((1 - t) ** 2 + t**2 * s) * (theta - t * m))


def features(theta: Array, t: Array, mean_seen: Array, n: Array) -> Array:
    """(k, 84) regressors."""
    in_time = chebvander(2 * t - 1, TIME_ORDER - 1)
    in_size = chebvander(np.log(n) / np.log(10) - 1, SIZE_ORDER)
    linear = np.stack([np.ones_like(theta), theta, mean_seen], axis=1)
    return np.asarray(np.einsum("ki,kj,kl->kijl", linear, in_time, in_size).reshape(theta.size, -1))


def fit(n_pairs: int, largest_n: int, prior_scale: float, noise_scale: float, rng: np.random.Generator) -> Array:
    """Ridge coefficients of the velocity from simulated pairs."""
    theta_1 = prior_scale * rng.standard_normal(n_pairs)
    n = np.floor(np.exp(rng.random(n_pairs) * np.log(largest_n + 1)))
    mean_seen = theta_1 + noise_scale / np.sqrt(n) * rng.standard_normal(n_pairs)
    theta_0, t = rng.standard_normal(n_pairs), rng.random(n_pairs)
    x = features((1 - t) * theta_0 + t * theta_1, t, mean_seen, n)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += RIDGE * n_pairs
    return np.asarray(np.linalg.solve(gram, x.T @ (theta_1 - theta_0)))


def learned_moments(coefficients: Array, mean_seen: Array, n: int, n_steps: int) -> tuple[Array, Array]:
    """Mean and standard deviation that the learned flow gives each data set.

    The velocity is affine in theta, so that two starts, 0 and 1, tell all: their images are the mean, and mean plus spread.
    """
    theta = np.stack([np.zeros_like(mean_seen), np.ones_like(mean_seen)])
    seen, size = np.tile(mean_seen, 2), np.full(2 * mean_seen.size, float(n))

    def velocity(theta: Array, t: float) -> Array:
        return np.asarray((features(theta.ravel(), np.full(theta.size, t), seen, size) @ coefficients).reshape(theta.shape))

    for k in range(n_steps):
        theta = _heun(velocity, theta, k / n_steps, 1 / n_steps)
    return theta[0], theta[1] - theta[0]


def _heun(velocity, theta: Array, t: float, h: float) -> Array:  # type: ignore[no-untyped-def]
    first = velocity(theta, t)
    return np.asarray(theta + h / 2 * (first + velocity(theta + h * first, t + h)))


def _distance(square: Array, ratio: float) -> float:
    """W_2 between normals in posterior sds, root mean square over data sets."""
    return float(np.sqrt(np.mean(square) + (ratio - 1) ** 2))


@dataclass(frozen=True)
class FlowErrors(Result):
    """Errors of the learned flow against n, and of both flows against steps."""

    n: NDArray[np.int64]  # (n_n,)
    mean_error: Array  # (n_n,) root mean square over data sets, in posterior sds
    mean_error_error: Array  # its standard error
    sd_ratio: Array  # (n_n,) learned over true
    width: Array  # (n_n,) posterior sd
    learned_width: Array  # (n_n,)
    steps: NDArray[np.int64]  # (n_steps,)
    learned_by_steps: Array
    exact_by_steps: Array
    largest_n: int

    def table(self) -> pl.DataFrame:
        sizes = pl.DataFrame(
            {
                "observations": self.n,
                "mean_error_over_sd": self.mean_error,
                "standard_error": self.mean_error_error,
                "sd_ratio": self.sd_ratio,
                "posterior_sd": self.width,
                "learned_sd": self.learned_width,
            }
        )
        steps = pl.DataFrame(
            {
                "steps": self.steps,
                "w2_over_sd_learned": self.learned_by_steps,
                "w2_over_sd_exact": self.exact_by_steps,
            }
        )
        return pl.concat([sizes, steps], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        inside = self.n <= self.largest_n
        found: dict[str, float | str] = {"worst error of the mean within training, ÷ sd": float(self.mean_error[inside].max())}
        if not inside.all():
            found["at n = 100, beyond it"] = float(self.mean_error[-1])
        found["order of the exact flow in steps"] = float(
            -np.polyfit(np.log(self.steps[-3:]), np.log(np.maximum(self.exact_by_steps[-3:], 1e-16)), 1)[0]
        )
        return found


@experiment(seconds=lambda n_pairs, flow_steps, **_: 0.03 + 3e-6 * n_pairs + 1.6e-3 * flow_steps)
def flow_errors(
    *,
    prior_scale: PriorScale = 1.0,
    noise_scale: NoiseScale = 1.0,
    n_pairs: Pairs = 4000,
    largest_n: LargestN = 30,
    flow_steps: FlowSteps = 8,
    seed: Seed = 0,
) -> Iterator[tuple[float, FlowErrors]]:
    """Fit the velocity once, then ask it for posteriors given any number of observations, in training's range and beyond."""
    coefficients = fit(n_pairs, largest_n, prior_scale, noise_scale, np.random.default_rng([seed, 6]))
    rng = np.random.default_rng([seed, 7])
    theta = prior_scale * rng.standard_normal(N_DATASETS)
    unit = rng.standard_normal(N_DATASETS)

    def errors_at(n: int, steps: int) -> tuple[Array, float]:
        """Squared errors of the mean over the posterior variance, and the ratio of sds."""
        seen = theta + noise_scale / np.sqrt(n) * unit
        m, s = posterior(seen, float(n), prior_scale, noise_scale)
        mean, spread = learned_moments(coefficients, seen, n, steps)
        return (mean - m) ** 2 / s, float(np.mean(np.abs(spread)) / np.sqrt(s))

    square, ratio = zip(*(errors_at(int(n), flow_steps) for n in SIZES), strict=True)
    mean_square = np.array([q.mean() for q in square])
    error = np.array([q.std(ddof=1) for q in square]) / np.sqrt(N_DATASETS)
    _, variance = posterior(np.zeros(SIZES.size), SIZES, prior_scale, noise_scale)
    reference = min(5, largest_n)
    m, s = posterior(theta + noise_scale / np.sqrt(reference) * unit, float(reference), prior_scale, noise_scale)
    exact, learned = [], []
    for steps in STEPS:
        x = np.stack([np.zeros_like(m), np.ones_like(m)])
        for k in range(steps):
            x = _heun(lambda y, t: exact_velocity(y, t, m, s), x, k / steps, 1 / steps)
        exact.append(_distance((x[0] - m) ** 2 / s, float(np.mean(np.abs(x[1] - x[0])) / np.sqrt(s))))
        learned.append(_distance(*errors_at(reference, int(steps))))
    yield (
        1.0,
        FlowErrors(
            SIZES,
            np.sqrt(mean_square),
            error / (2 * np.sqrt(mean_square)),
            np.array(ratio),
            np.sqrt(variance),
            np.array(ratio) * np.sqrt(variance),
            STEPS,
            np.array(learned),
            np.array(exact),
            largest_n,
        ),
    )
