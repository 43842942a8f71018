"""Windows of chaotic motion given a rare event: sampled, scored and counted, exactly and by paper 251."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.conditional_sampling.pair import Steps
from compute.experiment import Result, experiment
from compute.methods.reverse_samplers import Run, er_sde_1, sample
from compute.models.event_bank import COVARIANCES, EVENTS, EventBank
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import EDM
from compute.models.window_bank import SYSTEMS, cut, windows
from compute.parameters import Choice, Column, Dataset, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

SERIES = Dataset(
    "your data",
    columns=(Column("value", "equally spaced measurements, oldest first", low=-1e9, high=1e9),),
    template="value\n0.1\n0.4\n0.9\n0.7\n0.2\n-0.3\n",
    help="A CSV of one time series, at least 100 rows: its windows take the place of the system's.",
)
Series = Annotated[pl.DataFrame | None, SERIES]
SystemName = Annotated[str, Choice("system", options=tuple(SYSTEMS))]
Event = Annotated[str, Choice("event in the", options=EVENTS, help="What of a window must exceed the threshold.")]
Covariance = Annotated[
    str, Choice("covariance", options=COVARIANCES, help="Of x given the noisy window; none is a plug-in of the denoised window.")
]
EventQuantile = Annotated[
    float, Real("event quantile", "q", low=0.5, high=0.999, help="The event is a maximum above this quantile of the bank's.")
]
BankSize = Annotated[int, LogInteger("bank size", "B", low=200, high=10_000, help="Windows that stand for the law.")]
KernelWidth = Annotated[float, LogReal("kernel width", "h", low=0.03, high=0.5, help="Of each window, in standard deviations.")]

LENGTH = 24
TOP = 80.0
N_SAMPLES, N_EXACT, N_SHOWN = 64, 2000, 16
MOST_ROWS = 200_000


@lru_cache(maxsize=16)
def _system_bank(system: str, event: str, bank_size: int, width: float) -> EventBank:
    return EventBank(GaussianMixture(np.ones(bank_size), windows(system, bank_size, LENGTH), width), event)


def bank_of(system: str, event: str, bank_size: int, width: float, series: pl.DataFrame | None) -> EventBank:
    """The bank of a system, or of a series that a reader brings.

    Raises
    ------
    ParameterError
        For a series that is too short, too long or constant.
    """
    if series is None:
        return _system_bank(system, event, bank_size, width)
    values = series["value"].to_numpy()
    if not 100 <= values.size <= MOST_ROWS:
        raise ParameterError("series", f"takes from 100 to {MOST_ROWS} rows, not {values.size}.")
    if np.ptp(values) == 0:
        raise ParameterError("series", "is constant: it has no events.")
    means = cut(values, LENGTH, bank_size)
    return EventBank(GaussianMixture(np.ones(len(means)), means, width), event)


def threshold_of(bank: EventBank, quantile: float) -> float:
    return float(np.quantile(bank.measure(bank.law.means), quantile))


def sample_given_event(bank: EventBank, threshold: float, covariance: str, steps: int, n: int, rng: np.random.Generator) -> Array:
    """(n, length) windows by the reverse SDE on the approximate conditional denoiser."""

    def denoise(y: Array, sigma: float) -> Array:
        found = bank.approximate(y, sigma, threshold, covariance)
        return found.denoised + found.pull

    start = TOP * rng.standard_normal((n, bank.law.dimension))
    return sample(er_sde_1, Run(denoise, rng, eta=1.0), start, EDM.levels(steps, TOP))


def survival(peaks: Array, at: Array) -> tuple[Array, Array]:
    """Share of peaks above each level, and its standard error."""
    share = (peaks[:, None] > at).mean(axis=0)
    return share, np.sqrt(share * (1 - share) / peaks.size)


# --- windows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EventWindows(Result):
    """Windows given the event, exact and by the chosen covariance, and the law of their maxima by all."""

    time: NDArray[np.int64]  # (length,)
    exact: Array  # (n_shown, length)
    sampled: Array  # (n_shown, length)
    threshold: float
    covariance: str
    event: str
    level: Array  # (n_levels,) of C
    exact_above: Array  # (n_levels,) P(C > level | E)
    above: dict[str, Array]  # covariance to (n_levels,)
    above_error: dict[str, Array]
    inside: dict[str, float]  # share of samples in the event
    w1: dict[str, float]  # of C to the exact law
    off: dict[str, float]  # distance to the nearest window of the bank ÷ that of exact samples
    floor: float  # W1 of as many exact samples, on average
    probability: float

    def table(self) -> pl.DataFrame:
        n = self.time.size
        frames = [
            pl.DataFrame({"window": [k] * n, "time": self.time, "exact": self.exact[k], self.covariance: self.sampled[k]})
            for k in range(len(self.exact))
        ]
        frames.append(pl.DataFrame({"measure": self.level, "exact_share_above": self.exact_above}))
        for name, share in self.above.items():
            column = {"measure": self.level, "covariance": [name] * self.level.size}
            frames.append(pl.DataFrame({**column, "share_above": share, "standard_error": self.above_error[name]}))
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        name = self.covariance
        return {
            "P(E), exact": self.probability,
            f"share in the event, {name}": self.inside[name],
            "W₁ of C to its exact law": self.w1[name],
            "of exact samples": self.floor,
            "distance to the bank ÷ exact samples'": self.off[name],
            "W₁ of the others": ", ".join(f"{other} {self.w1[other]:.3f}" for other in self.w1 if other != name),
        }


def _nearest(bank: EventBank, x: Array) -> float:
    """Root mean square distance to the nearest window."""
    square = np.sum(x**2, axis=1)[:, None] - 2 * x @ bank.law.means.T + np.sum(bank.law.means**2, axis=1)
    return float(np.sqrt(np.maximum(square.min(axis=1), 0).mean()))


@experiment(seconds=lambda bank_size, steps, **_: 0.01 + steps * 3 * (1.5e-4 + 6e-7 * bank_size))
def event_windows(
    *,
    system: SystemName = "Lorenz-63",
    event: Event = "mean",
    event_quantile: EventQuantile = 0.95,
    covariance: Covariance = "Tweedie",
    bank_size: BankSize = 500,
    kernel_width: KernelWidth = 0.1,
    steps: Steps = 30,
    series: Series = None,
    seed: Seed = 0,
) -> Iterator[tuple[float, EventWindows]]:
    """Sample windows whose mean, or maximum, exceeds a quantile of the bank's, by each covariance, against exact draws."""
    bank = bank_of(system, event, bank_size, kernel_width, series)
    threshold = threshold_of(bank, event_quantile)
    exact = bank.sample_event(np.random.default_rng([seed, 6]), N_EXACT, threshold)
    peaks = np.sort(bank.measure(exact))
    far = max(float(peaks[-1]) - threshold, 0.02)
    level = np.linspace(threshold - 0.4 * far, threshold + 1.25 * far, 25)
    cells = np.quantile(peaks, (np.arange(N_SAMPLES) + 0.5) / N_SAMPLES)
    floor = np.abs(np.sort(bank.measure(exact[: 20 * N_SAMPLES]).reshape(20, -1), axis=1) - cells).mean()
    reference = _nearest(bank, exact[:N_SAMPLES])
    above, error, inside, w1, off, shown = {}, {}, {}, {}, {}, exact
    for name in COVARIANCES:
        x = sample_given_event(bank, threshold, name, steps, N_SAMPLES, np.random.default_rng([seed, 7]))
        top = bank.measure(x)
        above[name], error[name] = survival(top, level)
        inside[name] = float((top > threshold).mean())
        w1[name] = float(np.abs(np.sort(top) - cells).mean())
        off[name] = _nearest(bank, x) / reference
        shown = x if name == covariance else shown
    yield (
        1.0,
        EventWindows(
            np.arange(LENGTH),
            exact[:N_SHOWN],
            shown[:N_SHOWN],
            threshold,
            covariance,
            event,
            level,
            survival(peaks, level)[0],
            above,
            error,
            inside,
            w1,
            off,
            float(floor),
            bank.probability(threshold),
        ),
    )


# --- score ---------------------------------------------------------------------------------------------------------

N_PROBES = 24
LEVELS = np.geomspace(0.05, 40, 9)


@dataclass(frozen=True)
class EventScore(Result):
    """What a noisy window tells of the event, exactly and by approximations, against the noise level."""

    sigma: Array  # (n_levels,)
    log_chance: dict[str, Array]  # "exact" and covariances to (n_levels,) mean log10 P(E | y)
    error: dict[str, Array]  # covariance to (n_levels,) relative root mean square error of the conditional score's extra term
    error_error: dict[str, Array]
    probability: float

    def table(self) -> pl.DataFrame:
        columns = {"noise_level": self.sigma}
        columns |= {f"mean_log10_chance_{name}": values for name, values in self.log_chance.items()}
        columns |= {f"score_error_{name}": values for name, values in self.error.items()}
        columns |= {f"standard_error_{name}": values for name, values in self.error_error.items()}
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        middle = int(np.argmin(np.abs(np.log(self.sigma))))
        found: dict[str, float | str] = {"log₁₀ P(E), exact": float(np.log10(self.probability))}
        for name, values in self.error.items():
            found[f"score error at σ = {self.sigma[middle]:.2g}, {name}"] = float(values[middle])
        return found


@experiment(seconds=lambda bank_size, **_: 0.01 + 1.3e-4 * bank_size)
def event_score(
    *,
    system: SystemName = "Lorenz-63",
    event: Event = "mean",
    event_quantile: EventQuantile = 0.95,
    bank_size: BankSize = 500,
    kernel_width: KernelWidth = 0.1,
    series: Series = None,
    seed: Seed = 0,
) -> Iterator[tuple[float, EventScore]]:
    """Noise exact event windows, and ask each approximation for log P(E | y) and its gradient."""
    bank = bank_of(system, event, bank_size, kernel_width, series)
    threshold = threshold_of(bank, event_quantile)
    rng = np.random.default_rng([seed, 8])
    clean = bank.sample_event(rng, N_PROBES, threshold)
    noise = rng.standard_normal(clean.shape)
    chance: dict[str, list[float]] = {name: [] for name in ("exact", *COVARIANCES)}
    error: dict[str, list[float]] = {name: [] for name in COVARIANCES}
    spread: dict[str, list[float]] = {name: [] for name in COVARIANCES}
    for sigma in LEVELS:
        y = clean + sigma * noise
        log_true, pull = bank.exact(y, float(sigma), threshold)
        size = float(np.sum(pull**2, axis=1).mean())
        chance["exact"].append(float(log_true.mean()) / np.log(10))
        for name in COVARIANCES:
            guess = bank.approximate(y, float(sigma), threshold, name)
            chance[name].append(float(guess.log_chance.mean()) / np.log(10))
            each = np.sum((guess.pull - pull) ** 2, axis=1) / max(size, 1e-300)
            root = float(np.sqrt(each.mean()))
            error[name].append(root)
            spread[name].append(float(each.std(ddof=1) / np.sqrt(N_PROBES) / (2 * max(root, 1e-300))))
    yield (
        1.0,
        EventScore(
            LEVELS,
            {name: np.array(values) for name, values in chance.items()},
            {name: np.array(values) for name, values in error.items()},
            {name: np.array(values) for name, values in spread.items()},
            bank.probability(threshold),
        ),
    )


# --- probability ---------------------------------------------------------------------------------------------------

QUANTILES = np.array([0.5, 0.75, 0.9, 0.95, 0.98, 0.995])
N_STARTS, N_HUTCHINSON, BOTTOM = 16, 4, 0.05


def log_density_given_event(
    bank: EventBank, x: Array, threshold: float, covariance: str, steps: int, rng: np.random.Generator
) -> Array:
    """(n,) log density of clean windows under the flow of the approximate conditional score.

    The windows climb dy/d(log sigma) = y - D - pull from ``BOTTOM``, by RK4. The divergence of D is exact, tr Cov/sigma^2, and
    so is what the pull owes to its own direction; the rest is Hutchinson's, by central differences along random signs, the same
    on all levels.
    """
    n, d = x.shape
    signs = np.sign(rng.standard_normal((N_HUTCHINSON, n, d)))
    levels = np.geomspace(BOTTOM, TOP, max(steps // 2, 3) + 1)

    def slope(y: Array, sigma: float) -> tuple[Array, Array]:
        small = 1e-4 * np.hypot(sigma, bank.law.width)
        found = bank.approximate(y, sigma, threshold, covariance)
        stack = np.concatenate([y + small * signs, y - small * signs]).reshape(-1, d)
        # As automatic differentiation sees it: the place of the maximum does not move.
        held = np.tile(found.gradient, (2 * N_HUTCHINSON, 1))
        up, down = bank.approximate(stack, sigma, threshold, covariance, held).pull.reshape(2, N_HUTCHINSON, n, d)
        guess = np.sum(signs * (up - down), axis=2) / (2 * small)
        along = found.bend * np.sum(signs * found.pull, axis=2) ** 2
        own = found.bend * np.sum(found.pull**2, axis=1)
        trace = bank.law.posterior_variance(y, sigma).sum(axis=1) / sigma**2
        return y - found.denoised - found.pull, d - trace - own - np.mean(guess - along, axis=0)

    y, total = x, np.zeros(n)
    h = np.log(levels[1] / levels[0])
    for low, high in itertools.pairwise(levels):
        middle = float(np.sqrt(low * high))
        k1, t1 = slope(y, float(low))
        k2, t2 = slope(y + h / 2 * k1, middle)
        k3, t3 = slope(y + h / 2 * k2, middle)
        k4, t4 = slope(y + h * k3, float(high))
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (t1 + 2 * t2 + 2 * t3 + t4)
    variance = TOP**2 + 1
    return np.asarray(total - 0.5 * np.sum(y**2, axis=1) / variance - 0.5 * d * np.log(2 * np.pi * variance))


@dataclass(frozen=True)
class EventChance(Result):
    """Log probability of events of several rarities: exact, by counting the bank, and by two densities."""

    quantile: Array  # (n_quantiles,)
    exact: Array  # (n_quantiles,) log10 P(E)
    counted: Array  # (n_quantiles,) log10 of the bank's own share
    estimate: dict[str, Array]  # covariance to (n_done,) log10
    error: dict[str, Array]

    def table(self) -> pl.DataFrame:
        frames = [pl.DataFrame({"event_quantile": self.quantile, "log10_exact": self.exact, "log10_bank_share": self.counted})]
        for name, values in self.estimate.items():
            done = {"covariance": [name] * values.size, "event_quantile": self.quantile[: values.size]}
            done |= {"log10_exact": self.exact[: values.size]}
            frames.append(pl.DataFrame({**done, "log10_estimate": values, "standard_error": self.error[name]}))
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"worst error of log₁₀ P(E), {name}": float(np.abs(values - self.exact[: values.size]).max())
            for name, values in self.estimate.items()
        }


@experiment(seconds=lambda bank_size, steps, **_: 0.02 + QUANTILES.size * 3 * steps * 2 * (1e-4 + 1.6e-6 * bank_size))
def event_chance(
    *,
    system: SystemName = "Lorenz-63",
    event: Event = "mean",
    bank_size: BankSize = 500,
    kernel_width: KernelWidth = 0.1,
    steps: Steps = 30,
    series: Series = None,
    seed: Seed = 0,
) -> Iterator[tuple[float, EventChance]]:
    """P(E) = p(x)/p(x | E) at windows in the event, the second density by the flow of the approximate conditional score."""
    bank = bank_of(system, event, bank_size, kernel_width, series)
    thresholds = [threshold_of(bank, float(q)) for q in QUANTILES]
    exact = np.log10([bank.probability(c) for c in thresholds])
    counted = np.log10([float((bank.measure(bank.law.means) >= c).mean()) for c in thresholds])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COVARIANCES}
    for k, threshold in enumerate(thresholds):
        rng = np.random.default_rng([seed, 9, k])
        x = bank.sample_event(rng, N_STARTS, threshold)
        # Climbing starts at a low noise level, not at 0: the windows are given that noise.
        x = x + BOTTOM * rng.standard_normal(x.shape)
        prior = bank.law.log_density(x, BOTTOM)
        inside = bank.exact(x, BOTTOM, threshold)[0]
        for name in COVARIANCES:
            given = log_density_given_event(bank, x, threshold, name, steps, np.random.default_rng([seed, 10, k]))
            # p(y | E) = p(y) P(E | y)/P(E): the middle factor is 1 but for windows that graze the threshold.
            each = (prior + inside - given) / np.log(10)
            found[name].append((float(each.mean()), float(each.std(ddof=1) / np.sqrt(N_STARTS))))
        estimate = {name: np.array([value for value, _ in rows]) for name, rows in found.items()}
        error = {name: np.array([value for _, value in rows]) for name, rows in found.items()}
        yield (k + 1) / QUANTILES.size, EventChance(QUANTILES, exact, counted, estimate, error)
