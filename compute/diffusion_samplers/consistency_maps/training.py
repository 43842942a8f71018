r"""Continuous-time consistency training of a small linear model, raw and stabilized (paper 216).

In units of the data's standard deviation f(x, t) = cos t x - sin t F(x, t) with F linear in Gaussian bumps over (x, t).
With w = dx/dt along a path, the tangent is

    g = cos t df/dt = -cos^2 t (F - w) - r cos t sin t (x + dF/dt),      dF/dt = w dF/dx + partial F/partial t,

and a step moves F at the sampled points along g: theta += learning rate * mean(g phi). Where g = 0 for all (x, t), f is
constant along the flow and, as f(x, 0) = x is built in, exact. The target moves with F, as in temporal-difference learning:
nothing is descended, and the iteration may diverge. Stabilized: r grows from 0 to 1, and g becomes g/(|g| + c) with |g|
the root mean square over the batch. (In the paper it is the norm over an image's coordinates; here there is one, and
its own norm would turn means into medians.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from compute.diffusion_samplers.consistency_maps.setting import (
    Data,
    Iterations,
    LearningRate,
    NormalizeTangent,
    Separation,
    Teacher,
    Warmup,
    mixture_of,
)
from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.methods.flow_map import quantiles
from compute.methods.log_sum_exp import softmax
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Seed

Array = NDArray[np.float64]

BATCH = 64
N_X, N_T = 20, 9
CENTERS_X = np.linspace(-2.6, 2.6, N_X)
CENTERS_T = np.linspace(0, np.pi / 2, N_T)
WIDTH_X, WIDTH_T = 0.75 * (CENTERS_X[1] - CENTERS_X[0]), 0.9 * (CENTERS_T[1] - CENTERS_T[0])
LOG_TIME = (-0.4, 1.4)  # mean and standard deviation of log tan t of the sampled times
N_RECORDS = 40


@kernel
def _train(theta, x, t, w, rate, c, warm, first, cx, ct, width_x, width_t, out):  # type: ignore[no-untyped-def]
    """SGD in place over rows of batches; out[i] = (rms of g, norm of the step's direction), then NaN once it diverged."""
    n_x, n_t = cx.size, ct.size
    step = np.empty((n_x, n_t))
    px, dx = np.empty(n_x), np.empty(n_x)
    pt, dt = np.empty(n_t), np.empty(n_t)
    n_batch = x.shape[1]
    for i in range(x.shape[0]):
        r = min(1.0, (first + i + 1) / warm) if warm > 0 else 1.0
        step[:] = 0.0
        square = 0.0
        for b in range(n_batch):
            for k in range(n_x):
                u = (x[i, b] - cx[k]) / width_x
                px[k] = math.exp(-0.5 * u * u)
                dx[k] = -u / width_x * px[k]
            for k in range(n_t):
                u = (t[i, b] - ct[k]) / width_t
                pt[k] = math.exp(-0.5 * u * u)
                dt[k] = -u / width_t * pt[k]
            value, along = 0.0, 0.0
            for k in range(n_x):
                s0, s1 = 0.0, 0.0
                for m in range(n_t):
                    s0 += theta[k, m] * pt[m]
                    s1 += theta[k, m] * dt[m]
                value += px[k] * s0
                along += w[i, b] * dx[k] * s0 + px[k] * s1
            cos, sin = math.cos(t[i, b]), math.sin(t[i, b])
            g = -cos * cos * (value - w[i, b]) - r * cos * sin * (x[i, b] + along)
            square += g * g
            for k in range(n_x):
                for m in range(n_t):
                    step[k, m] += g * px[k] * pt[m] / n_batch
        size = math.sqrt(square / n_batch)
        if c > 0:
            step /= size + c
        out[i, 0] = size
        out[i, 1] = math.sqrt(np.sum(step * step))
        theta += rate * step
        if not np.abs(theta).max() < 1e6:
            out[i + 1 :] = np.nan
            return False
    return True


def bumps(x: Array, t: Array) -> tuple[Array, Array, Array]:
    """(n, N_X, N_T) features and their derivatives in x and in t."""
    u, v = (x[:, None] - CENTERS_X) / WIDTH_X, (t[:, None] - CENTERS_T) / WIDTH_T
    p, q = np.exp(-0.5 * u**2), np.exp(-0.5 * v**2)
    return (
        p[:, :, None] * q[:, None, :],
        (-u / WIDTH_X * p)[:, :, None] * q[:, None, :],
        p[:, :, None] * (-v / WIDTH_T * q)[:, None, :],
    )


def learned_map(theta: Array, x: Array, t: Array) -> Array:
    """f(x, t) = cos t x - sin t F of (n,) points and times."""
    return np.cos(t) * x - np.sin(t) * np.tensordot(bumps(x, t)[0], theta, 2)


def tangent(theta: Array, x: Array, t: Array, w: Array) -> Array:
    """g = cos t df/dt of (n,) points whose dx/dt is w, at r = 1."""
    phi, phi_x, phi_t = (np.tensordot(values, theta, 2) for values in bumps(x, t))
    return -(np.cos(t) ** 2) * (phi - w) - np.cos(t) * np.sin(t) * (x + w * phi_x + phi_t)


def batches(mixture: GaussianMixture, rng: np.random.Generator, n: int, *, exact_velocity: bool) -> tuple[Array, Array, Array]:
    """(n, BATCH) points, times and velocities of unit-scale data."""
    x0 = mixture.sample(rng, n * BATCH)[:, 0]
    z = rng.standard_normal(n * BATCH)
    t = np.arctan(np.exp(LOG_TIME[0] + LOG_TIME[1] * rng.standard_normal(n * BATCH)))
    x = np.cos(t) * x0 + np.sin(t) * z
    w = exact_velocity_of(mixture, x, t) if exact_velocity else np.cos(t) * z - np.sin(t) * x0
    return x.reshape(n, BATCH), t.reshape(n, BATCH), w.reshape(n, BATCH)


def exact_velocity_of(mixture: GaussianMixture, x: Array, t: Array) -> Array:
    """v of (n,) points, each at its own time."""
    c, s = np.cos(t)[:, None], np.sin(t)[:, None]
    variance = c**2 * mixture.width**2 + s**2
    gap = x[:, None] - c * mixture.means[:, 0]
    logits = np.log(mixture.weights) - 0.5 * gap**2 / variance - 0.5 * np.log(variance)
    w = softmax(logits)
    part = c * s * gap / variance - s * (mixture.means[:, 0] + c * mixture.width**2 * gap / variance)
    return np.asarray(np.sum(w * part, axis=1))


@lru_cache(maxsize=16)
def unit_scale_of(data: str, separation: float) -> GaussianMixture:
    """The data in units of its standard deviation."""
    mixture = mixture_of(data, separation)
    return GaussianMixture(mixture.weights, mixture.means / mixture.scale, mixture.width / mixture.scale)


@lru_cache(maxsize=16)
def mean_dynamics(mixture: GaussianMixture, n_t: int = 60, n_x: int = 200) -> Array:
    """(n, n) M of the raw update's mean, theta -> theta + learning rate (b - M theta), at r = 1, for unit-scale data.

    M = E[phi (cos^2 t phi + cos t sin t dphi/dt)^T], by the midpoint rule over quantiles of t and of x; given x_t the velocity
    of a pair enters only through its mean, which is the flow's.
    """
    t = np.arctan(np.exp(LOG_TIME[0] + LOG_TIME[1] * ndtri((np.arange(n_t) + 0.5) / n_t)))
    p = (np.arange(n_x) + 0.5) / n_x
    x = np.stack([quantiles(mixture, ndtri(p), s) for s in np.tan(t)]) * np.cos(t)[:, None]
    x, t = x.ravel(), np.repeat(t, n_x)
    phi, phi_x, phi_t = (values.reshape(x.size, -1) for values in bumps(x, t))
    c, s = np.cos(t)[:, None], np.sin(t)[:, None]
    along = exact_velocity_of(mixture, x, t)[:, None] * phi_x + phi_t
    return np.asarray(phi.T @ (c**2 * phi + c * s * along) / x.size)


@lru_cache(maxsize=16)
def largest_stable_rate(mixture: GaussianMixture) -> float:
    """The learning rate above which the mean of raw training grows: least 2 Re(l)/|l|^2 over eigenvalues l of M.

    Eigenvalues below 1e-4 of the largest belong to directions that the data hardly visit and are left out.
    """
    eigenvalues = np.linalg.eigvals(mean_dynamics(mixture))
    kept = eigenvalues[np.abs(eigenvalues) > 1e-4 * np.abs(eigenvalues).max()]
    return float(np.min(2 * kept.real / np.abs(kept) ** 2))


@dataclass(frozen=True)
class Trace:
    """One run of training, as far as it has come."""

    name: str
    error: Array  # (n,) root mean square of f - exact at t = pi/2
    tangent: Array  # (n,) root mean square of g, its mean since the last record
    step: Array  # (n,) norm of the update over the learning rate, likewise
    theta: Array
    diverged_at: int  # iteration; 0 if it did not


@dataclass(frozen=True)
class Training(Result):
    """Raw and stabilized training side by side, and the tangent of the stabilized model over (t, x)."""

    iteration: Array  # (n_records,)
    runs: tuple[Trace, Trace]
    noise: Array  # (n_labels,) at t = pi/2
    exact: Array
    learned: tuple[Array, Array]  # f(noise, pi/2) of both runs; empty where it diverged
    time: Array  # (n_t,)
    height: Array  # (n_x,)
    tangent: Array  # (n_x, n_t) g of the stabilized model along the exact flow
    flow_lines: Array  # (n_lines, n_t)
    stable_rate: float  # above it the mean of raw training grows

    def table(self) -> pl.DataFrame:
        n = self.iteration.size
        parts = []
        for run in self.runs:
            kept = run.error.size
            parts.append(
                pl.DataFrame(
                    {
                        "run": [run.name] * kept,
                        "iteration": self.iteration[:n][:kept],
                        "error": run.error,
                        "tangent_rms": run.tangent,
                        "update_norm": run.step,
                    }
                )
            )
        for run, learned in zip(self.runs, self.learned, strict=True):
            if learned.size:
                parts.append(
                    pl.DataFrame(
                        {"run": [run.name] * learned.size, "noise": self.noise, "exact_map": self.exact, "learned_map": learned}
                    )
                )
        if not any(learned.size for learned in self.learned):
            parts.append(pl.DataFrame({"noise": self.noise, "exact_map": self.exact}))
        t, x = np.meshgrid(self.time, self.height)
        parts.append(pl.DataFrame({"time": t.ravel(), "x": x.ravel(), "tangent": self.tangent.ravel()}))
        return pl.concat(parts, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        return {
            f"error of {run.name} (data s.d.)": f"diverged at iteration {run.diverged_at}"
            if run.diverged_at
            else float(run.error[-1])
            for run in self.runs
        } | {"mean of raw training is stable up to η": self.stable_rate}


def _seconds(*, iterations: int, teacher: str, **_: object) -> float:
    return 0.02 + iterations * (7e-5 if teacher == "exact" else 6.5e-5)


@experiment(seconds=_seconds)
def training(
    *,
    data: Data = "three_modes_1d",
    separation: Separation = 3.0,
    learning_rate: LearningRate = 6.0,
    normalize_tangent: NormalizeTangent = 0.1,
    warmup: Warmup = 0.3,
    teacher: Teacher = "from a pair",
    iterations: Iterations = 600,
    seed: Seed = 0,
) -> Iterator[tuple[float, Training]]:
    """Continuous consistency training by plain SGD from F = 0: raw (c = 0, no warm-up) and stabilized, on the same batches.

    A run stops where a coefficient passes 1e6.
    """
    mixture = unit_scale_of(data, separation)
    rng = np.random.default_rng(seed)
    labels = ndtri((np.arange(201) + 0.5) / 201)
    exact = quantiles(mixture, labels, 0.0)
    ends = np.unique(np.rint(np.linspace(0, iterations, N_RECORDS + 1)).astype(int))
    thetas = [np.zeros((N_X, N_T)), np.zeros((N_X, N_T))]
    settings = [(0.0, 0.0), (normalize_tangent, warmup * iterations)]
    records: list[list[tuple[float, float, float]]] = [[], []]
    diverged = [0, 0]
    end = np.full(labels.size, np.pi / 2)
    every = max(1, (ends.size - 1) // max(1, min(10, iterations // 1000)))
    features = bumps(labels, end)[0].reshape(labels.size, -1)  # f = -F at pi/2
    for k in range(ends.size - 1):
        first, n = int(ends[k]), int(ends[k + 1] - ends[k])
        x, t, w = batches(mixture, rng, n, exact_velocity=teacher == "exact")
        for i in (0, 1):
            if diverged[i]:
                continue
            out = np.empty((n, 2))
            c, warm = settings[i]
            rest = (CENTERS_X, CENTERS_T, WIDTH_X, WIDTH_T, out)
            if _train(thetas[i], x, t, w, learning_rate, c, warm, first, *rest):
                gap = -features @ thetas[i].ravel() - exact
                records[i].append((float(np.sqrt(np.mean(gap**2))), float(out[:, 0].mean()), float(out[:, 1].mean())))
            else:
                diverged[i] = first + int(np.isfinite(out[:, 0]).sum())
        if k % every == every - 1 or k == ends.size - 2:
            done = ends[1 : k + 2].astype(float)
            yield (k + 1) / (ends.size - 1), _result(mixture, labels, exact, done, thetas, records, diverged)


def _result(
    mixture: GaussianMixture,
    labels: Array,
    exact: Array,
    iteration: Array,
    thetas: list[Array],
    records: list[list[tuple[float, float, float]]],
    diverged: list[int],
) -> Training:
    end = np.full(labels.size, np.pi / 2)
    runs = []
    for name, theta, record, at in zip(("raw", "stabilized"), thetas, records, diverged, strict=True):
        error, size, step = np.array(record).reshape(-1, 3).T
        runs.append(Trace(name, error, size, step, theta.copy(), at))
    time, height = np.linspace(0, np.pi / 2, 46), np.linspace(-2.5, 2.5, 51)
    t, x = np.meshgrid(time, height)
    g = tangent(thetas[1], x.ravel(), t.ravel(), exact_velocity_of(mixture, x.ravel(), t.ravel())).reshape(t.shape)
    marks = ndtri((np.arange(11) + 0.5) / 11)
    levels = np.tan(np.minimum(time, np.pi / 2 - 1e-6))
    lines = np.stack([quantiles(mixture, marks, s) for s in levels], axis=1) * np.cos(np.arctan(levels))
    learned = tuple(np.empty(0) if run.diverged_at else learned_map(run.theta, labels, end) for run in runs)
    return Training(
        iteration,
        (runs[0], runs[1]),
        labels,
        exact,
        (learned[0], learned[1]),
        time,
        height,
        g,
        lines,
        largest_stable_rate(mixture),
    )
