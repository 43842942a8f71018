r"""Learners whose exponents are known: the mean, the nearest neighbor, kernel regression, and least squares on k features.

mean : squared error sigma^2/n, exponent 1.
nearest neighbor of cos(2 pi x) on a circle : with m samples the distance r has density 2 m (1 - 2r)^{m-1}, and the squared error is
    int (1 - cos 2 pi r) 2 m (1 - 2r)^{m-1} dr -> pi^2/m^2; label noise adds sigma^2, which more data do not remove.
kernel regression : eigenvalues i^-p, squared coefficients i^-q, small ridge; exponent min(q - 1, 2p) without noise.
least squares on the first k of infinitely many Gaussian features with squared coefficients i^-q : excess error
    (tail_k + sigma^2) (n - 1)/(n - k - 1) - sigma^2, tail_k = sum_{i > k} i^-q/zeta(q), exact for k < n - 1.

References
----------
Hestness et al. (2017), paper 059 of the catalogue, for curves and best sizes; Simon et al. (2024) for kernel regression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import zeta

from compute.experiment import Result, experiment
from compute.methods.power_law import PowerLawFit
from compute.models.eigenframework import ridge_risk
from compute.models.ridge_simulation import simulate_risk, simulation_seconds
from compute.models.spectra import power_law_head, power_law_modes
from compute.parameters import Choice, LogInteger, Real, Seed
from compute.scaling_laws.small_runs.planted import PURE, WITH_FLOOR, curve, fit

Array = NDArray[np.float64]

RIDGE = 1e-6
LEARNERS = ("kernel_ridge", "nearest_neighbor", "mean")
GAUSS = np.polynomial.laguerre.laggauss(80)

Learner = Annotated[str, Choice("learner", options=LEARNERS, help="Each has a known exponent.")]
LabelNoise = Annotated[float, Real("label noise", r"\sigma", low=0.0, high=1.0, help="Standard deviation; the mean's is 1.")]
SpectrumExponent = Annotated[float, Real("kernel exponent", "p", low=1.2, high=3.0, help="Eigenvalues i^-p.")]
TargetExponent = Annotated[float, Real("target exponent", "q", low=1.2, high=4.0, help="Squared coefficients i^-q.")]
LargestSample = Annotated[int, LogInteger("largest sample", "n", low=64, high=1024, help="Sizes double from 8 up to it.")]
Trials = Annotated[int, LogInteger("data sets", low=4, high=200, help="Over which errors are averaged; bars are two SE.")]


def nearest_neighbor_error(m: Array, noise: float = 0.0) -> Array:
    """Mean squared error of 1-NN of cos(2 pi x) on the circle, with t = (1 - 2r)^m integrated by Gauss and Laguerre."""
    nodes, weights = GAUSS
    distance = -np.expm1(-nodes / np.asarray(m, dtype=float)[..., None]) / 2
    return (2 * np.sin(np.pi * distance) ** 2) @ weights + noise**2


@dataclass(frozen=True)
class LiveCurve(Result):
    """Error of a learner against sample size: simulated, exact, and the fit to the simulated."""

    n: Array  # (n_sizes,)
    simulated: Array
    standard_error: Array
    grid: Array  # (n_grid,)
    theory: Array
    fitted: Array
    exponent: float  # of the fit with a floor
    pure_exponent: float
    known_exponent: float
    floor: float
    distance: float  # root mean square of simulation - theory, in standard errors
    learner: str

    def table(self) -> pl.DataFrame:
        simulated = pl.DataFrame(
            {"kind": "simulation", "n": self.n, "error": self.simulated, "standard_error": self.standard_error}
        )
        curves = pl.DataFrame({"kind": "curve", "n": self.grid, "theory": self.theory, "fit": self.fitted})
        return pl.concat([simulated, curves], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "fitted exponent, with a floor": self.exponent,
            "fitted exponent, pure": self.pure_exponent,
            "known exponent": self.known_exponent,
            "error that no data removes": self.floor,
            "simulation − theory, rms in SE": self.distance,
        }


def _mean(rng: np.random.Generator, n: Array, trials: int) -> Array:
    """(trials, n_sizes) squared errors of a mean of n standard normals; leading parts of the same data."""
    sums = np.cumsum(rng.standard_normal((trials, int(n.max()))), axis=1)
    return (sums[:, n.astype(int) - 1] / n) ** 2


def _neighbor(rng: np.random.Generator, n: Array, trials: int, noise: float) -> Array:
    """(trials, n_sizes) squared errors of 1-NN at 64 fresh points for each data set."""
    out = np.empty((trials, n.size))
    for t in range(trials):
        x, label_noise, test = rng.random(int(n.max())), rng.standard_normal(int(n.max())), rng.random(64)
        for k, m in enumerate(n.astype(int)):
            order = np.argsort(x[:m])
            ring = x[:m][order]
            at = np.searchsorted(ring, test)
            pair = np.stack([(at - 1) % m, at % m])
            apart = np.abs(ring[pair] - test)
            apart = np.minimum(apart, 1 - apart)
            place = order[pair[np.argmin(apart, axis=0), np.arange(test.size)]]
            answer = np.cos(2 * np.pi * x[place]) + noise * label_noise[place]
            out[t, k] = np.mean((answer - np.cos(2 * np.pi * test)) ** 2)
    return out


def sample_sizes(largest: int) -> Array:
    """Doublings from 8."""
    return np.unique(np.append(2.0 ** np.arange(3, int(np.log2(largest)) + 1), largest))


def _live_seconds(learner: str, largest_samples: int, n_trials: int, **_: object) -> float:
    if learner == "kernel_ridge":
        n = sample_sizes(largest_samples)
        return 0.02 + simulation_seconds(n, np.full(n.size, np.inf), n_trials)
    return 0.01 + n_trials * (1e-3 if learner == "nearest_neighbor" else 2e-5)


@experiment(seconds=_live_seconds)
def live_learner(
    *,
    learner: Learner = "kernel_ridge",
    largest_samples: LargestSample = 128,
    label_noise: LabelNoise = 0.0,
    spectrum_exponent: SpectrumExponent = 1.5,
    target_exponent: TargetExponent = 2.0,
    n_trials: Trials = 24,
    seed: Seed = 0,
) -> Iterator[tuple[float, LiveCurve]]:
    """Learning curve of a learner whose exponent is known: simulated, exact, and as a power law is fitted to it.

    Errors are squared and over clean targets. Kernel regression has Gaussian eigenfunctions and ridge 1e-6; its theory is the
    eigenframework, nearly exact from a few samples on; the two others are exact.
    """
    n = sample_sizes(largest_samples)
    grid = np.geomspace(n[0], 16 * n[-1], 40)
    rng = np.random.default_rng([seed, 6])
    noise = label_noise**2
    if learner == "kernel_ridge":
        modes = power_law_modes(spectrum_exponent, target_exponent)
        head = power_law_head(spectrum_exponent, target_exponent, 3 * int(n[-1]) + 100)
        *_, (_, found) = simulate_risk(seed, head, n, np.full(n.size, np.inf), np.full(n.size, RIDGE), noise, n_trials)
        mean, error = found.test - noise, found.test_error
        theory = ridge_risk(modes, grid, np.inf, RIDGE, noise).test - noise
        exact = found.theory.test - noise
        known, floor = min(target_exponent - 1, 2 * spectrum_exponent), 0.0
        if label_noise > 0:  # a small ridge fits the noise, of which a share stays however many samples there are
            far = ridge_risk(modes, 1e9, np.inf, RIDGE, noise)
            floor = float(far.test) - noise
    else:
        errors = _mean(rng, n, n_trials) if learner == "mean" else _neighbor(rng, n, n_trials, label_noise)
        mean, error = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(n_trials)
        if learner == "mean":
            theory, exact, known, floor = 1 / grid, 1 / n, 1.0, 0.0
        else:
            theory, exact = nearest_neighbor_error(grid, label_noise), nearest_neighbor_error(n, label_noise)
            known, floor = 2.0, noise
    kept = mean > 1e-15
    best, pure = fit(WITH_FLOOR, n[kept], mean[kept]), fit(PURE, n[kept], mean[kept])
    z = (mean - exact) / np.maximum(error, 1e-15)
    yield (
        1.0,
        LiveCurve(
            n,
            mean,
            error,
            grid,
            theory,
            curve(best, best.parameters, grid)[0],
            _exponent(best),
            float(pure.exponents[0]),
            known,
            floor,
            float(np.sqrt(np.mean(z**2))),
            learner,
        ),
    )


def _exponent(best: PowerLawFit) -> float:
    return float(np.clip(best.exponents[0], -100, 100))


# --- best model size ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BestSize(Result):
    """Best number of features against the number of samples, and the error at every number."""

    n: Array  # (n_samples,)
    best: Array  # (n_samples,) features of least error
    best_error: Array
    slope: float
    known_slope: float
    shown_n: Array  # (n_shown,) samples whose curve over k is drawn
    k: Array  # (n_k,)
    excess: Array  # (n_shown, n_k) NaN for k >= n - 1
    simulated_n: float
    simulated_k: Array  # (n_points,)
    simulated: Array
    standard_error: Array
    distance: float

    def table(self) -> pl.DataFrame:
        best = pl.DataFrame({"kind": "best", "n": self.n, "features": self.best, "excess_error": self.best_error})
        parts = [best]
        for n, row in zip(self.shown_n, self.excess, strict=True):
            kept = np.isfinite(row)
            one = pl.DataFrame({"kind": "curve", "features": self.k[kept], "excess_error": row[kept]})
            parts.append(one.with_columns(pl.lit(float(n)).alias("n")))
        simulated = pl.DataFrame(
            {
                "kind": "simulation",
                "features": self.simulated_k,
                "excess_error": self.simulated,
                "standard_error": self.standard_error,
            }
        ).with_columns(pl.lit(self.simulated_n).alias("n"))
        return pl.concat([*parts, simulated], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "best size grows as n to the": self.slope,
            "as n → ∞": self.known_slope,
            f"best features at n = {self.simulated_n:g}": float(np.interp(self.simulated_n, self.n, self.best)),
            "simulation − theory, rms in SE": self.distance,
        }


def truncated_excess(n: Array, k: Array, target_exponent: float, noise: float) -> Array:
    """Excess error of least squares on k of infinitely many Gaussian features; infinite for k >= n - 1."""
    n, k = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(k, dtype=float))
    tail = zeta(target_exponent, k + 1) / zeta(target_exponent)
    spare = n - k - 1
    return np.where(spare > 0, (tail + noise**2) * (n - 1) / np.where(spare > 0, spare, 1.0) - noise**2, np.inf)


@experiment
def best_model_size(
    *,
    target_exponent: TargetExponent = 2.0,
    label_noise: LabelNoise = 0.0,
    n_trials: Trials = 24,
    seed: Seed = 0,
) -> BestSize:
    """Best number of features of a truncated regression against the number of samples: exact, with a simulation at n = 100.

    Without noise it is n (q - 1)/q as n grows, with noise it grows as n^{1/q}: bigger data, bigger model, but slower (059).
    """
    n = np.unique(np.rint(np.geomspace(10, 1e5, 41)))
    k_all = np.unique(np.rint(np.geomspace(1, 1e5, 900)))
    table = truncated_excess(n[:, None], k_all, target_exponent, label_noise)
    at = np.argmin(table, axis=1)
    shown = np.array([30.0, 100.0, 1000.0, 10000.0])
    k = np.unique(np.rint(np.geomspace(1, 1e4, 60)))
    excess = truncated_excess(shown[:, None], k, target_exponent, label_noise)
    size, kept = 100, np.unique(np.rint(np.geomspace(1, 80, 9))).astype(int)
    rng = np.random.default_rng([seed, 7])
    power = np.arange(1.0, kept[-1] + 1) ** -target_exponent / zeta(target_exponent)
    tail = zeta(target_exponent, kept[-1] + 1) / zeta(target_exponent)
    errors = np.empty((n_trials, kept.size))
    for t in range(n_trials):
        x = rng.standard_normal((size, kept[-1]))
        y = x @ np.sqrt(power) + np.sqrt(tail + label_noise**2) * rng.standard_normal(size)
        for i, m in enumerate(kept):
            found = np.linalg.lstsq(x[:, :m], y, rcond=None)[0]
            errors[t, i] = np.sum((found - np.sqrt(power[:m])) ** 2) + power[m:].sum() + tail
    mean, error = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(n_trials)
    z = (mean - truncated_excess(np.array(size), kept, target_exponent, label_noise)) / error
    late = n >= 1e3
    return BestSize(
        n,
        k_all[at],
        table[np.arange(n.size), at],
        float(np.polyfit(np.log(n[late]), np.log(k_all[at][late]), 1)[0]),
        1.0 if label_noise == 0 else 1 / target_exponent,
        shown,
        k,
        np.where(np.isfinite(excess), excess, np.nan),
        float(size),
        kept.astype(float),
        mean,
        error,
        float(np.sqrt(np.mean(z**2))),
    )
