r"""Separating a sum: two normal numbers by exact recursion, and short signals by a joint mixture prior.

Sources x_1 … x_N in R^m are known through the score S of their noised joint law, and y = sum_n x_n is seen. Paper 282 samples with

    Dirac      x_N = y - sum of the others at every noise level; the others follow S_n - S_N           (its equation 13)
    Gaussian   every source follows S_n + (y - sum x)/gamma^2, gamma proportional to sigma              (its equation 9)

by Euler or Heun steps of the probability flow, with noise put back before each step ("churn": sigma grows by a factor
1 + min(churn/steps, sqrt(2) - 1)). Neither is posterior sampling. For two normal sources of variances c_1, c_2 and no churn the Dirac
flow ends at the mean y sqrt(c_1)/(sqrt(c_1) + sqrt(c_2)): it splits the sum by standard deviations, the posterior by variances.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.conditional_sampling.pair import Particles, Steps
from compute.experiment import Result, experiment
from compute.methods.log_sum_exp import softmax
from compute.models.conditioned_mixture import condition
from compute.models.noise_schedule import EDM
from compute.parameters import Integer, LogReal, Real, Seed

Array = NDArray[np.float64]

Churn = Annotated[float, Real("churn", r"S", low=0.0, high=200.0, help="Noise put back, in all steps together.")]
Variance = Annotated[float, LogReal("variance of source 2", r"c_2", low=0.1, high=10.0, help="That of source 1 is 1.")]
Total = Annotated[float, Real("observed sum", "y", low=0.0, high=5.0)]
Sources = Annotated[int, Integer("sources", "N", low=2, high=4)]
Length = Annotated[int, Integer("samples of a signal", "m", low=4, high=64)]
Context = Annotated[
    float, Real("shared context", r"\kappa", low=0.0, high=1.0, help="Chance that the sources' patterns are bound to one another.")
]
LikelihoodWidth = Annotated[
    float, LogReal("width of the Gaussian likelihood", r"\gamma/\sigma", low=0.3, high=3.0, help="Over the noise level.")
]

TOP = 20.0
DIVERGED = 1e9  # where a run whose steps are too long for its likelihood is stopped
MOST = np.sqrt(2) - 1  # of the factor of one step, as in Karras et al. (2022)


def grown(churn: Array | float, steps: int) -> Array:
    """gamma of each step."""
    return np.minimum(np.asarray(churn, dtype=float) / steps, MOST)


def levels_of(steps: int) -> Array:
    return EDM.levels(steps, TOP)


# --- two normal numbers --------------------------------------------------------------------------------------------


def _slope(c1: float, c2: float, total: float, sigma: Array) -> tuple[Array, Array]:
    """dx_1/d sigma = a x_1 + b of the Dirac flow."""
    first, second = 1 / (c1 + sigma**2), 1 / (c2 + sigma**2)
    return sigma * (first + second), -sigma * total * second


def _heun(c1: float, c2: float, total: float, high: Array, low: float) -> tuple[Array, Array]:
    """x -> p x + q of one Heun step from ``high`` to ``low``; an Euler step where it ends at 0."""
    h = low - high
    a, b = _slope(c1, c2, total, high)
    if low == 0:
        return 1 + h * a, h * b
    a2, b2 = _slope(c1, c2, total, np.full_like(high, low))
    return 1 + h / 2 * (a + a2 * (1 + h * a)), h / 2 * (b + b2 + a2 * h * b)


def dirac_moments(c1: float, c2: float, total: float, churn: Array, steps: int) -> tuple[Array, Array]:
    """Mean and variance of x_1 at the end of the Dirac sampler, for each churn: an affine recursion, exact."""
    churn = np.asarray(churn, dtype=float)
    mean, variance = np.zeros(churn.shape), np.full(churn.shape, TOP**2)
    grow = grown(churn, steps)
    for sigma, sigma_next in itertools.pairwise(levels_of(steps)):
        high = sigma * (1 + grow)
        p, q = _heun(c1, c2, total, high, float(sigma_next))
        mean, variance = p * mean + q, p**2 * (variance + high**2 - sigma**2)
    return mean, variance


def dirac_particles(c1: float, c2: float, total: float, churn: float, steps: int, n: int, rng: np.random.Generator) -> Array:
    """(n,) x_1 at the end of the Dirac sampler; x_2 is the rest of the sum at every step."""
    x = TOP * rng.standard_normal(n)
    grow = grown(churn, steps)
    for sigma, sigma_next in itertools.pairwise(levels_of(steps)):
        high = sigma * (1 + grow)
        if grow > 0:
            x = x + np.sqrt(high**2 - sigma**2) * rng.standard_normal(n)

        def slope(x: Array, s: float) -> Array:
            return np.asarray(s * (x / (c1 + s**2) - (total - x) / (c2 + s**2)))

        first = slope(x, float(high))
        ahead = x + (sigma_next - high) * first
        x = ahead if sigma_next == 0 else x + (sigma_next - high) / 2 * (first + slope(ahead, float(sigma_next)))
    return np.asarray(x)


@dataclass(frozen=True)
class Split(Result):
    """Mean and variance of source 1 against churn."""

    churn: Array  # (n_churn,)
    mean: Array  # (n_churn,) of the Dirac sampler, exact
    variance: Array
    fine_mean: Array  # (n_churn,) of the same sampler in 500 steps
    fine_variance: Array
    tried: Array  # (n_tried,)
    sampled_mean: Array
    mean_error: Array
    sampled_variance: Array
    variance_error: Array
    here: float
    mean_here: float
    variance_here: float
    true_mean: float
    true_variance: float
    split_by_sd: float  # mean of the flow without churn

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame(
            {
                "churn": self.churn,
                "mean": self.mean,
                "variance": self.variance,
                "mean_500_steps": self.fine_mean,
                "variance_500_steps": self.fine_variance,
            }
        )
        found = pl.DataFrame(
            {
                "churn": self.tried,
                "sampled_mean": self.sampled_mean,
                "mean_error": self.mean_error,
                "sampled_variance": self.sampled_variance,
                "variance_error": self.variance_error,
            }
        )
        return pl.concat([theory, found], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gap = np.abs(self.sampled_mean - np.interp(self.tried, self.churn, self.mean)) / np.maximum(self.mean_error, 1e-12)
        return {
            "mean of source 1 at this churn": self.mean_here,
            "of the posterior": self.true_mean,
            "split by standard deviations": self.split_by_sd,
            "variance ÷ posterior's": self.variance_here / self.true_variance,
            "largest gap, theory to simulation (SE)": float(gap.max()),
        }


CHURNS = np.concatenate([np.linspace(0, 10, 11), np.linspace(15, 60, 10), np.linspace(70, 200, 14)])
TRIED = np.array([0.0, 5.0, 20.0, 40.0, 80.0, 140.0, 200.0])


@lru_cache(maxsize=64)
def _fine_moments(c2: float, total: float) -> tuple[Array, Array]:
    return dirac_moments(1.0, c2, total, CHURNS, 500)


@experiment
def split_sum(
    *,
    second_variance: Variance = 4.0,
    total: Total = 3.0,
    churn: Churn = 40.0,
    steps: Steps = 30,
    particles: Particles = 500,
    seed: Seed = 0,
) -> Split:
    """The Dirac sampler on two independent normal numbers whose sum is known, against the posterior."""
    churns = np.unique(np.concatenate([CHURNS, TRIED, [churn]]))
    mean, variance = dirac_moments(1.0, second_variance, total, churns, steps)
    at = int(np.searchsorted(churns, churn))
    found = []
    for k, value in enumerate(TRIED):
        x = dirac_particles(1.0, second_variance, total, float(value), steps, particles, np.random.default_rng([seed, 4, k]))
        found.append((x.mean(), x.std(ddof=1) / np.sqrt(x.size), x.var(ddof=1), x.var(ddof=1) * np.sqrt(2 / (x.size - 1))))
    moments = np.array(found).T
    fine_mean, fine_variance = _fine_moments(second_variance, total)
    sd = float(np.sqrt(second_variance))
    return Split(
        churns,
        mean,
        variance,
        np.interp(churns, CHURNS, fine_mean),
        np.interp(churns, CHURNS, fine_variance),
        TRIED,
        moments[0],
        moments[1],
        moments[2],
        moments[3],
        churn,
        float(mean[at]),
        float(variance[at]),
        total / (1 + second_variance),
        second_variance / (1 + second_variance),
        total / (1 + sd),
    )


# --- short signals -------------------------------------------------------------------------------------------------

N_PATTERNS = 3
NOISE = (0.15, 0.45, 0.3, 0.2)  # standard deviation of each source around its pattern


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A joint prior of sources: patterns that may depend on one another, and normal deviations of each source's own size.

    Parameters
    ----------
    weights : (n_components,) array
        Of combinations of patterns.
    means : (n_components, n_sources, length) array
    sd : (n_sources,) array
    """

    weights: Array
    means: Array
    sd: Array

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, n_sources, length) draws."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        return self.means[chosen] + self.sd[:, None] * rng.standard_normal((n, *self.means.shape[1:]))

    def score(self, x: Array, sigma: Array) -> Array:
        """(n, n_sources, length) gradient of the log density of x + sigma z, sigma one for each point."""
        n = len(x)
        variance = self.sd**2 + sigma[:, None] ** 2  # (n, n_sources)
        scaled = x / variance[:, :, None]
        flat = self.means.reshape(self.weights.size, -1)
        size = np.sum(self.means**2, axis=2)  # (n_components, n_sources)
        logit = np.log(self.weights) + scaled.reshape(n, -1) @ flat.T - 0.5 * (1 / variance) @ size.T
        weight = softmax(logit)
        return (weight @ flat).reshape(x.shape) / variance[:, :, None] - scaled

    def posterior(self, seen: Array) -> tuple[Array, Array, Array]:
        """Weights, means and covariance (of all sources, one after the other) given each of (n, length) sums."""
        n_sources, length = self.means.shape[1:]
        flat = self.means.reshape(self.weights.size, -1)
        covariance = np.diag(np.repeat(self.sd**2, length))
        observe = np.tile(np.eye(length), n_sources)
        return condition(self.weights, flat, covariance, observe, np.zeros((length, length)), seen)


@lru_cache(maxsize=32)
def ensemble(sources: int, length: int, context: float) -> Ensemble:
    """Waves in bands of their own; with probability ``context`` all sources play the pattern of the same number."""
    time = np.arange(length) / length
    rng = np.random.default_rng(7)
    patterns = np.empty((sources, N_PATTERNS, length))
    for n in range(sources):
        for k in range(N_PATTERNS):
            patterns[n, k] = np.sin(2 * np.pi * ((0.5 + n + 0.5 * k) * time + rng.random())) * (1.2 - 0.15 * n)
    combinations = np.array(list(itertools.product(range(N_PATTERNS), repeat=sources)))
    bound = np.all(combinations == combinations[:, :1], axis=1)
    weights = context * bound / N_PATTERNS + (1 - context) / len(combinations)
    kept = weights > 0
    means = np.stack([patterns[n][combinations[kept, n]] for n in range(sources)], axis=1)
    return Ensemble(weights[kept], means, np.array(NOISE[:sources]))


def separate(prior: Ensemble, seen: Array, rule: str, churn: Array, steps: int, width: float, rng: np.random.Generator) -> Array:
    """(n, n_sources, length) sources from (n, length) sums, with a churn for each, by ``"Dirac"`` or ``"Gaussian"``."""
    shape = (len(seen), *prior.means.shape[1:])
    x = TOP * rng.standard_normal(shape)
    grow = grown(churn, steps)
    is_dirac = rule == "Dirac"
    if is_dirac:
        x[:, -1] = seen - x[:, :-1].sum(axis=1)
    for sigma, sigma_next in itertools.pairwise(levels_of(steps)):
        high = sigma * (1 + grow)
        x = x + (sigma * np.sqrt(grow * (2 + grow)))[:, None, None] * rng.standard_normal(shape)
        if is_dirac:
            x[:, -1] = seen - x[:, :-1].sum(axis=1)
        pull = prior.score(x, high)
        h = (high * (high - sigma_next))[:, None, None]
        if is_dirac:
            x[:, :-1] += h * (pull[:, :-1] - pull[:, -1:])
            x[:, -1] = seen - x[:, :-1].sum(axis=1)
        else:
            miss = (seen - x.sum(axis=1)) / (width * high[:, None]) ** 2
            x = np.clip(x + h * (pull + miss[:, None]), -DIVERGED, DIVERGED)
    return x


def si_sdr(truth: Array, guess: Array) -> Array:
    """(…,) scale-invariant signal-to-distortion ratio in dB over the last axis (Le Roux et al. 2019)."""
    scale = np.sum(truth * guess, axis=-1, keepdims=True) / np.maximum(np.sum(truth**2, axis=-1, keepdims=True), 1e-300)
    target = scale * truth
    return np.asarray(10 * np.log10(np.sum(target**2, axis=-1) / np.maximum(np.sum((guess - target) ** 2, axis=-1), 1e-300)))


@dataclass(frozen=True)
class Separation(Result):
    """One sum taken apart, and the mean gain over many against churn."""

    time: NDArray[np.int64]  # (length,)
    truth: Array  # (n_sources, length) of the sum shown
    seen: Array  # (length,)
    shown: dict[str, Array]  # rule to (n_sources, length), at the reader's churn
    churn: Array  # (n_churn,)
    gain: dict[str, Array]  # rule to (n_churn,) dB over the sum itself
    gain_error: dict[str, Array]
    spread: dict[str, Array]  # rule to (n_churn,) mean square distance to the posterior mean ÷ the posterior's
    spread_error: dict[str, Array]
    best: tuple[float, float]  # the posterior mean's gain and its standard error
    drawn: tuple[float, float]  # a posterior sample's
    here: int  # the reader's place in churn
    worst_sum: float  # largest |sum of the Dirac sources - y|

    def table(self) -> pl.DataFrame:
        n_sources = len(self.truth)
        frames = [pl.DataFrame({"time": self.time, "sum": self.seen})]
        for n in range(n_sources):
            shown = {f"{rule}_source": values[n] for rule, values in self.shown.items()}
            frames.append(pl.DataFrame({"time": self.time, "source": [n + 1] * self.time.size, "truth": self.truth[n], **shown}))
        for rule, values in self.gain.items():
            column = {"rule": [rule] * self.churn.size, "churn": self.churn}
            column |= {"si_sdr_gain_dB": values, "standard_error_dB": self.gain_error[rule]}
            spread = {"spread_ratio": self.spread[rule], "spread_error": self.spread_error[rule]}
            frames.append(pl.DataFrame({**column, **spread}))
        for rule, (value, error) in (("posterior mean", self.best), ("posterior sample", self.drawn)):
            frames.append(pl.DataFrame({"rule": [rule], "si_sdr_gain_dB": [value], "standard_error_dB": [error]}))
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"gain, {rule} (dB)": float(values[self.here]) for rule, values in self.gain.items()}
        found |= {f"spread ÷ posterior's, {rule}": float(values[self.here]) for rule, values in self.spread.items()}
        return found | {
            "posterior sample (dB)": self.drawn[0],
            "posterior mean (dB)": self.best[0],
            "largest error of the Dirac sum": self.worst_sum,
        }


N_CASES = 64
SEPARATION_CHURNS = np.array([0.0, 5.0, 15.0, 40.0, 100.0, 200.0])


def _separation_seconds(sources: int, length: int, steps: int, **_: object) -> float:
    components, size = N_PATTERNS**sources, sources * length
    rows = (SEPARATION_CHURNS.size + 1) * N_CASES
    return 0.01 + 2 * steps * (1e-4 + rows * (1e-8 * components + 1.2e-8 * size + 6e-10 * size * components))


@experiment(seconds=_separation_seconds)
def separation(
    *,
    sources: Sources = 2,
    length: Length = 24,
    context: Context = 0.5,
    churn: Churn = 40.0,
    likelihood_width: LikelihoodWidth = 1.0,
    steps: Steps = 30,
    seed: Seed = 0,
) -> Iterator[tuple[float, Separation]]:
    """Gain of SI-SDR over the sum itself, on sums drawn from the prior: Dirac, Gaussian likelihood, exact posterior."""
    prior = ensemble(sources, length, context)
    rng = np.random.default_rng([seed, 5])
    truth = prior.sample(rng, N_CASES)
    seen = truth.sum(axis=1)
    before = si_sdr(truth, seen[:, None])

    def gain(guess: Array) -> tuple[float, float]:
        each = (si_sdr(truth, guess) - before).mean(axis=1)
        return float(each.mean()), float(each.std(ddof=1) / np.sqrt(N_CASES))

    weights, means, covariance = prior.posterior(seen)
    middle = np.einsum("nk,nkd->nd", weights, means).reshape(truth.shape)
    chosen = (weights.cumsum(axis=1) < rng.random((N_CASES, 1))).sum(axis=1).clip(max=weights.shape[1] - 1)
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.standard_normal((N_CASES, values.size)) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    draw = (means[np.arange(N_CASES), chosen] + noise).reshape(truth.shape)

    churns = np.unique(np.append(SEPARATION_CHURNS, churn))
    here = int(np.searchsorted(churns, churn))
    center = means - middle.reshape(N_CASES, 1, -1)
    uncertainty = np.einsum("nk,nkd->n", weights, center**2) + np.trace(covariance)  # tr Cov(x | y) of each sum
    gains, errors, spread, spread_error, shown, worst = {}, {}, {}, {}, {}, 0.0
    for rule in ("Dirac", "Gaussian"):
        all_seen, all_churn = np.tile(seen, (churns.size, 1)), np.repeat(churns, N_CASES)
        found = separate(prior, all_seen, rule, all_churn, steps, likelihood_width, rng).reshape(churns.size, *truth.shape)
        rows = [gain(guess) for guess in found]
        gains[rule], errors[rule] = (np.array(column) for column in zip(*rows, strict=True))
        shown[rule] = found[here, 0]
        away = np.sum((found - middle) ** 2, axis=(2, 3)) / uncertainty.mean()
        spread[rule], spread_error[rule] = away.mean(axis=1), away.std(axis=1, ddof=1) / np.sqrt(N_CASES)
        if rule == "Dirac":
            worst = float(np.abs(found.sum(axis=2) - seen).max())
    shown["posterior"] = draw[0]
    yield (
        1.0,
        Separation(
            np.arange(length),
            truth[0],
            seen[0],
            shown,
            churns,
            gains,
            errors,
            spread,
            spread_error,
            gain(middle),
            gain(draw),
            here,
            worst,
        ),
    )
