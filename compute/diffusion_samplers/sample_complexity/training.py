r"""The denoising loss as regression with noisy labels, by gradient descent: a kernel's path, and a network's beside it.

Inputs u = (x_t, tau, 1), labels x_0, with x_t = e^{-t} x_0 + sqrt(1 - e^{-2t}) z and tau = log t: E[x_0 | x_t] minimizes the
denoising loss, and the score is (e^{-t} E[x_0 | x_t] - x_t)/(1 - e^{-2t}) (Tweedie). A two-layer network
f(u) = m^{-1/2} sum_r a_r relu(w_r u), a_r = +-1 fixed, w_r ~ N(0, I) trained, moves for large m like kernel regression with

    K(u, v) = <u, v> (pi - angle(u, v))/(2 pi),    f_k = K_* K^{-1} (I - (I - eta K/n)^k) y

(Han, Razaviyayn and Xu, paper 498, carry this to a score with unbounded inputs and time). Given inputs, the labels' mean is
exact and so is their variance: the risk is an exact squared bias plus an exact variance, U-shaped in the time of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.log_sum_exp import softmax
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.tiny_network import Descent, Network
from compute.parameters import LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

RATE = 1.0  # eta: K/n has trace about 2 and eigenvalues below 2
WIDTH = 0.3
SHORTEST, LONGEST = 0.1, 1.5
TIMES = np.geomspace(1.0, 1e6, 49)
N_TEST = 400
N_DRAWS = 6

NPairs = Annotated[
    int, LogInteger("training pairs", "n", low=20, high=500, help="Of a noisy point with its time, and the point it came from.")
]
TrainingTime = Annotated[float, LogReal("training time", "k", low=1.0, high=1e6, help="Steps of gradient descent with rate 1.")]
ModeDistance = Annotated[
    float, Real("separation", r"\Delta", low=0.5, high=4.0, help="Distance between the two modes of the data.")
]
NetworkWidth = Annotated[
    int, LogInteger("largest width", "m", low=20, high=2000, help="Hidden units of the widest network trained.")
]
NetworkTime = Annotated[
    int, LogInteger("steps of training", "k", low=10, high=10_000, help="Of the networks, by gradient descent with rate 1.")
]


def data_law(separation: float) -> GaussianMixture:
    return GaussianMixture(np.ones(2), separation * np.array([[-0.5], [0.5]]), WIDTH)


def _signal(t: Array) -> tuple[Array, Array]:
    """(alpha, sigma) of x_t = alpha x_0 + sigma z."""
    return np.exp(-t), np.sqrt(-np.expm1(-2 * t))


def posterior(law: GaussianMixture, x: Array, t: Array) -> tuple[Array, Array]:
    """Mean and variance of x_0 given x_t = x, each at its own time."""
    alpha, sigma = _signal(t)
    level = sigma / alpha
    y = x / alpha
    total = law.width**2 + level**2
    logits = np.log(law.weights) - 0.5 * (y[:, None] - law.means[:, 0]) ** 2 / total[:, None]
    weight = softmax(logits)
    keep = law.width**2 / total
    mean = weight @ law.means[:, 0]
    among = weight @ law.means[:, 0] ** 2 - mean**2
    return keep * y + (1 - keep) * mean, (1 - keep) ** 2 * among + keep * level**2


def features(x: Array, t: Array) -> Array:
    """(n, 3) inputs u, scaled to be of order 1."""
    middle, half = 0.5 * np.log(SHORTEST * LONGEST), 0.5 * np.log(LONGEST / SHORTEST)
    return np.stack([x, (np.log(t) - middle) / half, np.ones_like(x)], axis=1)


def draw(law: GaussianMixture, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """(n,) states x_t, times, even in their logarithm, and points x_0."""
    t = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), n))
    origin = law.sample(rng, n)[:, 0]
    alpha, sigma = _signal(t)
    return alpha * origin + sigma * rng.standard_normal(n), t, origin


def tangent_kernel(u: Array, v: Array) -> Array:
    """(n, m) K(u, v) of a two-layer ReLU network of which the first layer is trained."""
    inner = u @ v.T
    cosine = inner / (np.linalg.norm(u, axis=1)[:, None] * np.linalg.norm(v, axis=1))
    return inner * (np.pi - np.arccos(np.clip(cosine, -1.0, 1.0))) / (2 * np.pi)


@dataclass(frozen=True, eq=False)
class Descender:
    """Kernel gradient descent on n inputs, diagonalized."""

    inputs: Array  # (n, 3)
    values: Array = field(init=False)  # (n,) eigenvalues of K, rising
    vectors: Array = field(init=False)  # (n, n)

    def __post_init__(self) -> None:
        kernel = tangent_kernel(self.inputs, self.inputs)
        values, vectors = np.linalg.eigh(kernel)
        object.__setattr__(self, "values", np.maximum(values, 0.0))
        object.__setattr__(self, "vectors", vectors)

    def learned(self, time: Array) -> Array:
        """(n_times, n) 1 - (1 - eta lambda_i/n)^k: the share of each mode that is learned after k steps."""
        decay = np.log1p(-np.minimum(RATE * self.values / self.values.size, 1 - 1e-15))
        return -np.expm1(np.asarray(time)[:, None] * decay)

    def readout(self, at: Array) -> Array:
        """(n_at, n) what turns modes of the labels, once learned, into values at other inputs: K_* V lambda^{-1}."""
        values = self.values
        inverse = np.where(values > 1e-13 * values[-1], 1 / np.maximum(values, 1e-300), 0.0)
        return tangent_kernel(at, self.inputs) @ self.vectors * inverse


@lru_cache(maxsize=8)
def _prepared(separation: float, n: int, seed: int) -> tuple[Descender, Array, Array, Array, Array, Array]:
    """Descender; mean and variance of the labels; readout at test inputs, their truth; labels of several draws."""
    law, rng = data_law(separation), np.random.default_rng(seed)
    x, t, _ = draw(law, n, rng)
    mean, variance = posterior(law, x, t)
    test_x, test_t, _ = draw(law, N_TEST, rng)
    truth, _ = posterior(law, test_x, test_t)
    descender = Descender(features(x, t))
    labels = np.stack([posterior_draw(law, x, t, rng) for _ in range(N_DRAWS)])
    return descender, mean, variance, descender.readout(features(test_x, test_t)), truth, labels


def posterior_draw(law: GaussianMixture, x: Array, t: Array, rng: np.random.Generator) -> Array:
    """(n,) draws of x_0 given x_t: labels of the same inputs, drawn anew."""
    alpha, sigma = _signal(t)
    level, y = sigma / alpha, x / alpha
    total = law.width**2 + level**2
    logits = np.log(law.weights) - 0.5 * (y[:, None] - law.means[:, 0]) ** 2 / total[:, None]
    odds = 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -500, 500)))
    center = law.means[(rng.random(x.size) < odds).astype(int), 0]
    keep = law.width**2 / total
    return center + keep * (y - center) + np.sqrt(keep) * level * rng.standard_normal(x.size)


# --- the risk along training ----------------------------------------------------------------------------------------

SHOWN_TIME = 0.3  # of the curves of E[x_0 | x_t]
SHOWN_X = np.linspace(-3.0, 3.0, 121)


@dataclass(frozen=True)
class RiskCurve(Result):
    """Risk of the kernel's denoiser along training, and what it has learned by then."""

    time: Array  # (n_times,)
    bias: Array  # (n_times,) squared, mean over test inputs
    variance: Array
    simulated_time: Array
    simulated: Array  # (n_simulated,) mean over draws of the labels
    standard_error: Array
    x: Array  # (n_x,)
    exact: Array  # (n_x,) E[x_0 | x_t] at t = 0.3
    learned: dict[str, Array]
    chosen: float
    risk_chosen: float
    label_noise: float

    @property
    def total(self) -> Array:
        return self.bias + self.variance

    def table(self) -> pl.DataFrame:
        risk = {"training_time": self.time, "squared_bias": self.bias, "variance": self.variance, "risk": self.total}
        runs = {"training_time": self.simulated_time, "simulated_risk": self.simulated, "standard_error": self.standard_error}
        curves = {"x": self.x, "exact_denoiser": self.exact} | {f"denoiser {name}": y for name, y in self.learned.items()}
        return pl.concat([pl.DataFrame(risk), pl.DataFrame(runs), pl.DataFrame(curves)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        best = int(self.total.argmin())
        gap = np.interp(np.log(self.simulated_time), np.log(self.time), self.total) - self.simulated
        return {
            "risk at this time": self.risk_chosen,
            "least risk": float(self.total[best]),
            "best training time": float(self.time[best]),
            "variance of the labels": self.label_noise,
            "largest gap of theory and simulation (SE)": float(np.abs(gap / self.standard_error).max()),
        }


@experiment
def risk_curve(
    *, separation: ModeDistance = 2.0, n_pairs: NPairs = 100, training_time: TrainingTime = 1e5, seed: Seed = 0
) -> RiskCurve:
    """Excess risk of a denoiser trained by kernel gradient descent, against the time of training."""
    descender, mean, variance, readout, truth, labels = _prepared(separation, n_pairs, seed)
    learned = descender.learned(TIMES)
    in_modes = descender.vectors.T @ mean
    bias = np.mean((learned * in_modes @ readout.T - truth) ** 2, axis=1)
    # Variance of sum_i R_ai g_i (V' xi)_i over the labels' noise xi: its weights at the test inputs, times the noise.
    spread = np.array([np.mean(((readout * g) @ descender.vectors.T) ** 2 @ variance) for g in learned])
    picked = slice(0, None, 6)
    fits = (learned[picked, None] * (labels @ descender.vectors)) @ readout.T
    risks = np.mean((fits - truth) ** 2, axis=2)

    law = data_law(separation)
    shown = np.full(SHOWN_X.size, SHOWN_TIME)
    at = descender.readout(features(SHOWN_X, shown))
    best = float(TIMES[(bias + spread).argmin()])
    coefficients = labels[0] @ descender.vectors
    curves = {
        name: at @ (descender.learned(np.array([k]))[0] * coefficients)
        for name, k in (("best time", best), ("chosen time", training_time))
    }
    chosen = descender.learned(np.array([training_time]))
    at_chosen = np.mean((chosen * in_modes @ readout.T - truth) ** 2) + np.mean(
        ((readout * chosen[0]) @ descender.vectors.T) ** 2 @ variance
    )
    return RiskCurve(
        TIMES,
        bias,
        spread,
        TIMES[picked],
        risks.mean(axis=1),
        risks.std(axis=1, ddof=1) / np.sqrt(N_DRAWS),
        SHOWN_X,
        posterior(law, SHOWN_X, shown)[0],
        curves,
        training_time,
        float(at_chosen),
        float(variance.mean()),
    )


# --- the network beside the kernel -------------------------------------------------------------------------------------

N_REPLICAS = 3


@dataclass(frozen=True)
class WidthCurve(Result):
    """Distance between trained networks and the kernel's path, against the width."""

    step: Array  # (n_steps,)
    kernel_risk: Array  # (n_steps,) excess risk on test inputs
    network_risk: dict[int, Array]  # width: (n_steps,) mean over replicas
    width: Array  # (n_done,)
    gap: Array  # (n_done,) root mean square over test inputs at the last step, mean over replicas
    gap_error: Array
    n_widths: int

    def table(self) -> pl.DataFrame:
        parts = [pl.DataFrame({"step": self.step, "kernel_risk": self.kernel_risk})]
        parts += [
            pl.DataFrame({"width": [m] * self.step.size, "step": self.step, "network_risk": r})
            for m, r in self.network_risk.items()
        ]
        gaps = {"width": self.width.astype(int), "gap": self.gap, "gap_standard_error": self.gap_error}
        return pl.concat([*parts, pl.DataFrame(gaps)], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"gap at width {int(self.width[-1])}": float(self.gap[-1])}
        if self.width.size > 2:
            found["slope of the gap on the width"] = float(np.polyfit(np.log(self.width), np.log(self.gap), 1)[0])
        return found | {"risk of the kernel at the end": float(self.kernel_risk[-1])}


def widths(largest: int) -> NDArray[np.int64]:
    """Even widths up to the largest."""
    return np.unique(2 * np.rint(np.geomspace(10, largest, 6) / 2).astype(int))


def _network_seconds(network_width: int, network_time: int, n_pairs: int, **_: object) -> float:
    work = N_REPLICAS * n_pairs * widths(network_width)
    return float(network_time * np.sum(5e-5 + 6.5e-9 * work))


def network(width: int, n_replicas: int, rng: np.random.Generator) -> Network:
    """Replicas of the two-layer network, each unit twice with opposite a, so that it starts at 0."""
    half = width // 2
    w = rng.standard_normal((n_replicas, half, 3))
    a = rng.choice([-1.0, 1.0], (n_replicas, 1, half)) / np.sqrt(width)
    return Network([np.concatenate([w, w], axis=1), np.concatenate([a, -a], axis=2)])


@experiment(seconds=_network_seconds)
def width_curve(
    *,
    separation: ModeDistance = 2.0,
    n_pairs: NPairs = 100,
    network_width: NetworkWidth = 200,
    network_time: NetworkTime = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, WidthCurve]]:
    """Networks of growing width trained on the same pairs as the kernel."""
    law, rng = data_law(separation), np.random.default_rng(seed)
    x, t, labels = draw(law, n_pairs, rng)
    test_x, test_t, _ = draw(law, N_TEST, rng)
    truth, _ = posterior(law, test_x, test_t)
    inputs, at = features(x, t), features(test_x, test_t)
    steps = np.unique(np.rint(np.geomspace(1, network_time, 16)).astype(int))
    descender = Descender(inputs)
    path = descender.learned(steps.astype(float)) * (labels @ descender.vectors) @ descender.readout(at).T
    risks: dict[int, Array] = {}
    done: list[tuple[int, float, float]] = []
    sizes = widths(network_width)
    for k, m in enumerate(sizes):
        replicas = network(int(m), N_REPLICAS, rng)
        # The loss is a mean of squares: half the rate makes a step eta/n times K times the residual. Outer weights stay.
        descent = Descent(replicas.parameters, [0.5 * RATE, 0.0])
        found = []
        for step in range(1, network_time + 1):
            descent.step(replicas.gradient(inputs.T, labels[None])[1])
            if step in steps:
                found.append(replicas(at.T)[:, 0])
        outputs = np.array(found)
        risks[int(m)] = np.mean((outputs - truth) ** 2, axis=(1, 2))
        gaps = np.sqrt(np.mean((outputs[-1] - path[-1]) ** 2, axis=1))
        done.append((int(m), float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(N_REPLICAS))))
        width, gap, error = (np.array(column, dtype=float) for column in zip(*done, strict=True))
        result = WidthCurve(steps.astype(float), np.mean((path - truth) ** 2, axis=1), dict(risks), width, gap, error, sizes.size)
        yield float(_network_share(sizes[: k + 1], n_pairs) / _network_share(sizes, n_pairs)), result


def _network_share(sizes: NDArray[np.int64], n_pairs: int) -> float:
    return float(np.sum(5e-5 + 6.5e-9 * N_REPLICAS * n_pairs * sizes))
