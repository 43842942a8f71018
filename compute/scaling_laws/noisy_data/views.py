"""What noisy samples are worth: error over both kinds, error against size, price against noise, and price by direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import Integer, LogInteger, Real, Seed
from compute.scaling_laws.noisy_data.information import Exchange, exchange, means_on_a_line
from compute.scaling_laws.noisy_data.mixture_em import squared_error

Array = NDArray[np.float64]

Clean = Annotated[int, LogInteger("clean samples", "n_1", low=1, high=10_000)]
Noisy = Annotated[int, LogInteger("noisy samples", "n_2", low=1, high=1_000_000)]
Corruption = Annotated[
    float,
    Real("corruption", r"\tau", low=0.0, high=5.0, help="Deviation of the noise added to a noisy sample; a component's own is 1."),
]
Components = Annotated[int, Integer("components", "k", low=1, high=6, help="Gaussians of unit variance and equal weight.")]
Separation = Annotated[float, Real("separation", "s", low=0.5, high=5.0, help="Between neighboring means, in deviations.")]
Dimension = Annotated[int, Integer("dimension", "d", low=1, high=5, help="The means lie on a line in it.")]
Repeats = Annotated[
    int, Integer("simulated data sets", "R", low=0, high=50, help="Fitted by expectation-maximization, at each dot.")
]

CLEAN = np.geomspace(1, 1e4, 41)
NOISY = np.geomspace(1, 1e6, 49)
CLEAN_SHARE = 0.1
CORRUPTIONS = np.geomspace(0.1, 10, 41)
LARGEST_DRAWN = 20_000  # samples of a simulated data set in more than one dimension, where they are not binned


def _root_error(square: Array, components: int) -> Array:
    """Root-mean-square error of a mean."""
    return np.sqrt(square / components)


def _prices(ex: Exchange, setting: tuple[int, float, float, int]) -> dict[str, float | str]:
    components, separation, corruption, dimension = setting
    variance = 1 + corruption**2
    alone = ex.price_alone
    step = 1.02
    around = [exchange(components, separation, float(np.sqrt(max(variance * f - 1, 0.0))), dimension) for f in (1 / step, step)]
    width = np.log(step * variance) - np.log(max(variance / step, 1.0))
    slope = np.log(around[0].price_alone / around[1].price_alone) / width
    return {
        "price without clean data": alone,
        "price with 10% clean": float(ex.price(CLEAN_SHARE, 1 - CLEAN_SHARE)),
        "price falls as variance to the −": float(slope),
    }


def _simulate(
    seed: int, places: list[tuple[int, int]], setting: tuple[int, float, float, int], repeats: int
) -> Iterator[tuple[float, Array, Array]]:
    """Mean squared error at each place with its standard error; NaN where not yet drawn."""
    mean, error = np.full(len(places), np.nan), np.full(len(places), np.nan)
    for at, (n_clean, n_noisy) in enumerate(places):
        drawn = np.array([squared_error(np.random.default_rng([seed, at, r]), n_clean, n_noisy, *setting) for r in range(repeats)])
        mean[at], error[at] = drawn.mean(), drawn.std(ddof=1) / np.sqrt(repeats)
        yield (at + 1) / len(places), mean.copy(), error.copy()


def _fit_seconds(components: int, separation: float, corruption: float, dimension: int, sizes: list[int]) -> float:
    """Warm seconds of one fit at each size; the flatter the likelihood, the more steps."""
    worst = float(exchange(components, separation, corruption).rate.min()) * min(separation / 2, 1.0) ** 4
    steps = min(250.0, 4 / max(worst, 1e-12) ** 0.33)
    points = [min(n, 120) if dimension == 1 else n for n in sizes]
    return float(sum(1.2e-4 + 1.2e-8 * steps * components * (0.5 + 0.5 * dimension) * n for n in points))


# --- the map -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorMap(Result):
    """Error over clean and noisy samples."""

    clean: Array  # (n_clean,)
    noisy: Array  # (n_noisy,)
    error: Array  # (n_noisy, n_clean) root-mean-square error of a mean, first order
    rate: Array  # (k d,) exchange rates, largest first
    unresolved: float  # half the separation: beyond, the means are not told apart
    dots: Array  # (n_dots, 2) clean and noisy
    simulated: Array  # (n_dots,) root-mean-square error of a mean
    simulated_error: Array
    theory_at_dots: Array
    summary: dict[str, float | str]

    @property
    def log10_error(self) -> Array:
        return np.log10(self.error)

    def table(self) -> pl.DataFrame:
        plane = grid_table("n_clean", self.clean, "n_noisy", self.noisy, error=self.error, log10_error=self.log10_error)
        dots = pl.DataFrame(
            {
                "n_clean": self.dots[:, 0],
                "n_noisy": self.dots[:, 1],
                "error": self.theory_at_dots,
                "simulated_error": self.simulated,
                "standard_error": self.simulated_error,
            }
        )
        return pl.concat([plane.with_columns(kind=pl.lit("theory")), dots.with_columns(kind=pl.lit("simulation"))], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _gap(mean: Array, ex: Exchange, at: Array, repeats: int, components: int, unresolved: float) -> dict[str, float | str]:
    """Largest distance of the mean squared error to theory, in theory's standard errors, where the means are well resolved."""
    theory = ex.error(at[:, 0], at[:, 1])
    sound = np.isfinite(mean) & (_root_error(theory, components) < unresolved / 6)
    if not sound.any():
        return {"simulation": "none where the means are resolved"}
    gap = (mean - theory)[sound] / (ex.spread(at[:, 0], at[:, 1])[sound] / np.sqrt(repeats))
    return {"largest gap to theory, standard errors": float(gap[np.argmax(np.abs(gap))])}


def _map_places(dimension: int) -> list[tuple[int, int]]:
    places = [(a, b) for b in (100, 10_000, 300_000) for a in (10, 200, 3000)]
    return [p for p in places if dimension == 1 or sum(p) <= LARGEST_DRAWN]


@experiment(
    seconds=lambda components, separation, corruption, dimension, em_repeats, **_: (
        0.01 + em_repeats * _fit_seconds(components, separation, corruption, dimension, [sum(p) for p in _map_places(dimension)])
    )
)
def error_map(
    *,
    n_clean: Clean = 100,
    n_noisy: Noisy = 10_000,
    corruption: Corruption = 3.0,
    components: Components = 4,
    separation: Separation = 2.0,
    dimension: Dimension = 1,
    em_repeats: Repeats = 10,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorMap]]:
    """Error of the means over (clean, noisy) samples, tr J^{-1} to first order, with expectation-maximization at a few places."""
    setting = (components, separation, corruption, dimension)
    ex = exchange(*setting)
    error = _root_error(ex.error(CLEAN[None, :], NOISY[:, None]), components)
    here: dict[str, float | str] = {
        "error of a mean here": float(_root_error(ex.error(n_clean, n_noisy), components)),
        "clean samples the noisy ones are worth": ex.clean_equivalent(n_clean, n_noisy),
        "price of one more noisy sample": float(ex.price(n_clean, n_noisy)),
    }
    summary = here | _prices(ex, setting)
    places = _map_places(dimension) if em_repeats >= 2 else []
    at = np.array(places, dtype=float).reshape(-1, 2)
    theory = _root_error(ex.error(at[:, 0], at[:, 1]), components)
    stream = _simulate(seed, places, setting, em_repeats) if places else iter([(1.0, np.empty(0), np.empty(0))])
    for done, mean, spread in stream:
        seen = np.isfinite(mean)
        root = _root_error(mean[seen], components)
        half = spread[seen] / (2 * components * np.maximum(root, 1e-12))
        rate = np.sort(ex.rate)[::-1]
        found = summary | _gap(mean, ex, at, em_repeats, components, separation / 2)
        yield done, ErrorMap(CLEAN, NOISY, error, rate, separation / 2, at[seen], root, half, theory[seen], found)


# --- error against size --------------------------------------------------------------------------------

MIXES = {"clean only": 1.0, "10% clean": CLEAN_SHARE, "noisy only": 0.0}
TOTALS = np.geomspace(30, 1e6, 61)
DRAWN = (300, 3000, 30_000, 300_000)


@dataclass(frozen=True)
class ErrorCurves(Result):
    """Error against the number of samples, for three mixes of clean and noisy."""

    total: Array  # (n_totals,)
    theory: dict[str, Array]  # each (n_totals,) root-mean-square error of a mean
    drawn: Array  # (n_drawn,) totals simulated
    simulated: dict[str, Array]  # each (n_drawn,), NaN where not drawn
    simulated_error: dict[str, Array]
    unresolved: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for name, theory in self.theory.items():
            parts.append(pl.DataFrame({"mix": name, "kind": "theory", "n_samples": self.total, "error": theory}))
            seen = np.isfinite(self.simulated[name])
            parts.append(
                pl.DataFrame(
                    {
                        "mix": name,
                        "kind": "simulation",
                        "n_samples": self.drawn[seen],
                        "error": self.simulated[name][seen],
                        "standard_error": self.simulated_error[name][seen],
                    }
                )
            )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _mixed(total: Array, share: float) -> tuple[Array, Array]:
    return share * total, (1 - share) * total


def _curve_places(dimension: int) -> list[tuple[int, int]]:
    totals = [n for n in DRAWN if dimension == 1 or n <= LARGEST_DRAWN]
    return [(round(share * n), n - round(share * n)) for share in MIXES.values() for n in totals]


@experiment(
    seconds=lambda components, separation, corruption, dimension, em_repeats, **_: (
        0.01 + em_repeats * _fit_seconds(components, separation, corruption, dimension, [sum(p) for p in _curve_places(dimension)])
    )
)
def error_curves(
    *,
    corruption: Corruption = 3.0,
    components: Components = 4,
    separation: Separation = 2.0,
    dimension: Dimension = 1,
    em_repeats: Repeats = 10,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorCurves]]:
    """Error of the means against the number of samples: clean only, noisy only, one clean in ten."""
    setting = (components, separation, corruption, dimension)
    ex = exchange(*setting)
    theory = {name: _root_error(ex.error(*_mixed(TOTALS, share)), components) for name, share in MIXES.items()}
    places = _curve_places(dimension)
    drawn = np.array(sorted({sum(p) for p in places}), dtype=float)
    unresolved = separation / 2
    one = ex.error(1.0, 0.0)
    prices = _prices(ex, setting) | {
        "noisy samples per clean one, noisy only": float(1 / ex.price_alone),
        "samples per clean one, 10% clean": float(ex.error(CLEAN_SHARE, 1 - CLEAN_SHARE) / one),
    }

    def result(mean: Array, spread: Array) -> ErrorCurves:
        root = _root_error(mean, components)
        half = spread / (2 * components * np.maximum(root, 1e-12))
        split = {name: slice(k * drawn.size, (k + 1) * drawn.size) for k, name in enumerate(MIXES)}
        gap = _gap(mean, ex, np.array(places, dtype=float), em_repeats, components, unresolved)
        simulated = {name: root[part] for name, part in split.items()}
        errors = {name: half[part] for name, part in split.items()}
        return ErrorCurves(TOTALS, theory, drawn, simulated, errors, unresolved, prices | gap)

    nothing = np.full(len(places), np.nan)
    if em_repeats < 2:
        yield 1.0, result(nothing, nothing)
        return
    for done, mean, spread in _simulate(seed, places, setting, em_repeats):
        yield done, result(mean, spread)


# --- price against noise -------------------------------------------------------------------------------


@dataclass(frozen=True)
class PriceCurves(Result):
    """Price of a noisy sample against its noise, for one to six components."""

    corruption: Array  # (n_corruptions,)
    alone: Array  # (6, n_corruptions) without clean data
    helped: Array  # (n_corruptions,) with one clean sample in ten, at the chosen number of components
    components: int
    here: float  # the chosen corruption
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"components": k + 1, "clean_share": 0.0, "corruption": self.corruption, "price": row})
            for k, row in enumerate(self.alone)
        ]
        parts.append(
            pl.DataFrame(
                {"components": self.components, "clean_share": CLEAN_SHARE, "corruption": self.corruption, "price": self.helped}
            )
        )
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def price_curves(
    *, corruption: Corruption = 3.0, components: Components = 4, separation: Separation = 2.0, dimension: Dimension = 1
) -> PriceCurves:
    """Clean samples that a noisy one is worth, against its noise: 1/(1 + tau^2) for one Gaussian, tau^{-2k} far out for k."""
    alone = np.array([[exchange(k, separation, t, dimension).price_alone for t in CORRUPTIONS] for k in range(1, 7)])
    helped = [float(exchange(components, separation, t, dimension).price(CLEAN_SHARE, 1 - CLEAN_SHARE)) for t in CORRUPTIONS]
    setting = (components, separation, corruption, dimension)
    return PriceCurves(CORRUPTIONS, alone, np.array(helped), components, corruption, _prices(exchange(*setting), setting))


# --- densities and directions --------------------------------------------------------------------------


@dataclass(frozen=True)
class Directions(Result):
    """Clean and noisy densities along the line, and the exchange rate of each direction."""

    x: Array  # (n_x,)
    clean: Array  # (n_x,)
    noisy: Array  # (n_x,)
    means: Array  # (k,)
    rate: Array  # (k,) along the line, largest first
    variance: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        index = np.arange(1.0, self.rate.size + 1)
        return pl.concat(
            [
                pl.DataFrame({"kind": "density", "x": self.x, "clean_density": self.clean, "noisy_density": self.noisy}),
                pl.DataFrame({"kind": "direction", "direction": index, "exchange_rate": self.rate}),
            ],
            how="diagonal",
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def directions(*, corruption: Corruption = 3.0, components: Components = 4, separation: Separation = 2.0) -> Directions:
    """What noise does to the mixture, and what a noisy sample is worth in each direction of its means (along the line)."""
    means = means_on_a_line(components, separation)
    ex = exchange(components, separation, corruption)
    variance = 1 + corruption**2
    half = abs(means[0]) + 3.5 * np.sqrt(variance)
    x = np.linspace(-half, half, 241)
    clean, noisy = (
        np.exp(-0.5 * (x[:, None] - means) ** 2 / v).sum(axis=1) / (components * np.sqrt(2 * np.pi * v)) for v in (1.0, variance)
    )
    rate = np.sort(ex.rate)[::-1]
    summary: dict[str, float | str] = {
        "rate of the best direction": float(rate[0]),
        "rate of the worst direction": float(rate[-1]),
        "variance of a noisy sample, 1+τ²": variance,
    }
    return Directions(x, clean, noisy, means, rate, variance, summary | _prices(ex, (components, separation, corruption, 1)))
