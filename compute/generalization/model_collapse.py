r"""What happens to a model that is trained on the output of its predecessors.

Iterated least squares: replacing the data each generation adds the same error every time, accumulating it bounds the total by
pi^2/6 times the first, and mixing in real rows is stable or explosive according to a gain c2 (071; c2 is derived here). A last
fit with a ridge shows how old labels flatten a learning curve (106). A memory of Zipf-distributed items shows a lost tail as a
plateau, and real data as a late recovery (234). Densities fitted to their own draws lose or gain spread (071).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models import iterated_density, zipf_memory
from compute.models.iterated_regression import (
    POLICIES,
    LastFit,
    accumulated_error,
    critical_real_fraction,
    critical_real_fraction_limit,
    mixed_error,
    mixing_gain,
    replaced_ridge_error,
    simulate_chains,
    simulate_last_fit,
)
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]
Integers = NDArray[np.int_]

NO_RIDGE = 1e-5  # up to here the ridge of a chain is taken as none

Dimension = Annotated[int, Integer("dimension", "d", low=2, high=100, help="Inputs of the regression.")]
SamplesPerDimension = Annotated[
    float, LogReal("samples per dimension", r"\tau=T/d", low=0.2, high=20, help="Rows a generation over the dimension.")
]
Noise = Annotated[
    float, Real("label noise", r"\sigma", low=0, high=3, help="Standard deviation, where the true weights have norm 1.")
]
Generations = Annotated[
    int, Integer("generations", "g", low=1, high=100, help="How often a model is trained on the last one's output.")
]
RealFraction = Annotated[
    float, Real("real fraction", "p", low=0, high=1, help="Share of each generation's data that is real, when mixing.")
]
RidgeStrength = Annotated[float, LogReal("ridge", r"\lambda", low=1e-6, high=10, help="On XᵀX/T. Up to 1e-5 it counts as none.")]
SpectrumExponent = Annotated[
    float, Real("spectrum exponent", r"\alpha", low=0, high=3, help="Input covariance eigenvalues fall as i^-α in the last fit.")
]
ZipfExponent = Annotated[
    float, Real("Zipf exponent", r"\beta", low=1.1, high=3, help="Item i has probability proportional to i^-β.")
]
Cutoff = Annotated[int, LogInteger("tail cutoff", "k", low=10, high=100_000, help="The generator has lost every item beyond k.")]
GeneratorSamples = Annotated[
    int, LogInteger("generator samples", "T_0", low=10, high=100_000, help="Items in each resampling of the chain.")
]
Estimator = Annotated[str, Choice("fit", options=("Gaussian", "kernel density"), help="What each generation fits to its points.")]
Points = Annotated[int, Integer("points", "n", low=4, high=200, help="Drawn and fitted each generation.")]
Bandwidth = Annotated[float, LogReal("bandwidth", "h", low=0.05, high=1, help="Of the kernel density.")]
ChainCount = Annotated[int, Integer("simulated chains", "R", low=10, high=500, help="Independent repetitions behind each mean.")]


# --- generations of least squares ----------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorByGeneration(Result):
    """Test error against generation under three policies."""

    generation: Integers  # (n_generations,) 0, 1, …
    exact: dict[str, Array]  # policy to (n_generations,); only what is known
    bound: Array | None  # pi^2/6 times the first error, where it holds
    simulated: dict[str, tuple[Array, Array]]  # policy to mean and standard error at generations 1, 2, …
    gain: float | None  # c2 of mixing
    policies: tuple[str, ...] = POLICIES

    @property
    def on_log_axis(self) -> bool:
        """Whether a curve leaves the others too far behind for a linear axis."""
        return self.gain is not None and ("accumulate" not in self.exact or self.gain > 1 + 1e-9)

    def table(self) -> pl.DataFrame:
        frames = []
        for policy in self.policies:
            mean, error = (np.concatenate([[0.0], v]) for v in self.simulated[policy])
            frame = pl.DataFrame({"generation": self.generation, "policy": [policy] * self.generation.size})
            frame = frame.with_columns(simulated_error=pl.Series(mean), standard_error=pl.Series(error))
            if policy in self.exact:
                frame = frame.with_columns(exact_error=pl.Series(self.exact[policy]))
            frames.append(frame)
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {}
        for policy in self.policies:
            known = policy in self.exact
            shown[f"{policy}, last generation"] = float((self.exact[policy] if known else self.simulated[policy][0])[-1])
        if self.gain is not None:
            shown["gain c₂ of mixing"] = self.gain
            shown["mixing"] = gain_words(self.gain)
        scores = [
            abs(self.simulated[p][0][-1] - self.exact[p][-1]) / self.simulated[p][1][-1]
            for p in self.policies
            if p in self.exact and self.simulated[p][1][-1] > 0
        ]
        return shown | {"largest gap at the last (SE)": float(max(scores)) if scores else "no theory here"}


def gain_words(gain: float) -> str:
    """What a gain means for the chain."""
    if abs(gain - 1) < 1e-9:
        return "grows linearly"
    return "explodes" if gain > 1 else "bounded"


def _rows(dimension: int, samples_per_dimension: float, *, has_mean: bool) -> int:
    rows = max(1, round(samples_per_dimension * dimension))
    if has_mean and abs(rows - dimension) <= 1:
        raise ParameterError(
            "samples_per_dimension",
            f"gives T = {rows} rows in d = {dimension} dimensions; the mean error exists only for T ≥ d + 2 or T ≤ d − 2.",
        )
    return rows


def _chain_seconds(*, dimension: int, generations: int, chains: int, **_: object) -> float:
    return 0.02 + 4 * generations * chains * (2e-6 + 1.4e-8 * dimension**2 + 3e-11 * dimension**3)


@experiment(seconds=_chain_seconds)
def error_by_generation(
    *,
    dimension: Dimension = 20,
    samples_per_dimension: SamplesPerDimension = 3.0,
    noise: Noise = 0.5,
    generations: Generations = 20,
    real_fraction: RealFraction = 0.2,
    ridge: RidgeStrength = 1e-6,
    chains: ChainCount = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorByGeneration]]:
    """Test error of iterated least squares against generation: replace, accumulate, or mix with real data.

    Exact without a ridge (071: replace g sigma^2 d/(T - d - 1), accumulate at most pi^2/6 times the first error; mix derived
    here), in the limit of many dimensions for replace with one. The mean exists for T >= d + 2 or T <= d - 2.
    """
    plain = ridge <= NO_RIDGE
    rows = _rows(dimension, samples_per_dimension, has_mean=plain)
    real = rows - _synthetic(rows, real_fraction)
    generation = np.arange(generations + 1)
    exact, bound, gain = {}, None, None
    if plain:
        exact = {
            "replace": mixed_error(dimension, rows, rows, noise, generation),
            "mix": mixed_error(dimension, rows, rows - real, noise, generation),
        }
        gain = float(mixing_gain(dimension, rows, rows - real))
        if rows > dimension:
            exact["accumulate"] = accumulated_error(dimension, rows, noise, generation)
            bound = np.full(generation.size, np.pi**2 / 6 * exact["replace"][1])
    else:
        exact["replace"] = replaced_ridge_error(rows / dimension, noise, ridge, generation)
    streams = [np.random.default_rng([seed, k]) for k in range(len(POLICIES))]
    parts = 5 if chains >= 50 else 1
    found: dict[str, list[Array]] = {policy: [] for policy in POLICIES}
    for part in range(parts):
        count = chains * (part + 1) // parts - chains * part // parts
        for policy, rng in zip(POLICIES, streams, strict=True):
            found[policy].append(simulate_chains(rng, policy, count, dimension, rows, real, noise, ridge, generations))
        simulated = {}
        for policy, values in found.items():
            errors = np.concatenate(values, axis=1)
            simulated[policy] = (errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1]))
        yield (part + 1) / parts, ErrorByGeneration(generation, exact, bound, simulated, gain)


def _synthetic(rows: int, real_fraction: float) -> int:
    """Synthetic rows of a mix; at least the share asked for is real."""
    return round((1 - real_fraction) * rows)


@dataclass(frozen=True)
class StabilityPlane(Result):
    """Error of mixing after some generations, over the real fraction and the rows per dimension."""

    real_fraction: Array  # (n_fractions,)
    samples_per_dimension: Array  # (n_ratios,)
    log10_error: Array  # (n_ratios, n_fractions); NaN where the mean does not exist
    gain: Array  # (n_ratios, n_fractions)
    exact: tuple[Array, Array]  # (n_line,) real fraction and rows per dimension where c2 = 1, NaN between pieces
    limit: tuple[Array, Array]  # the same as d -> infinity
    here: float | None  # c2 at the reader's point
    error_here: float | None

    def table(self) -> pl.DataFrame:
        fraction, ratio = np.meshgrid(self.real_fraction, self.samples_per_dimension)
        plane = pl.DataFrame(
            {
                "kind": ["map"] * fraction.size,
                "real_fraction": fraction.ravel(),
                "samples_per_dimension": ratio.ravel(),
                "log10_error": self.log10_error.ravel(),
                "gain_c2": self.gain.ravel(),
            }
        )
        lines = [
            pl.DataFrame({"kind": [kind] * x.size, "real_fraction": x, "samples_per_dimension": y})
            for kind, (x, y) in (("boundary, this d", self.exact), ("boundary, limit", self.limit))
        ]
        return pl.concat([plane, *lines], how="diagonal").fill_nan(None)

    def headline(self) -> dict[str, float | str]:
        if self.here is None or self.error_here is None:
            return {"gain c₂ here": "no mean error at |T − d| ≤ 1"}
        return {"gain c₂ here": self.here, "mixing": gain_words(self.here), "error after these generations": self.error_here}


def _boundary(ratio: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """One path over the plane: above T = d; a gap; down one branch below it and up the other."""
    above, below = ratio > 1, ratio < 1
    pieces = [
        (high[above], ratio[above]),
        (np.concatenate([high[below][::-1], low[below]]), np.concatenate([ratio[below][::-1], ratio[below]])),
    ]
    first, second = (np.stack(piece)[:, np.isfinite(piece[0])] for piece in pieces)
    fraction, rows = np.concatenate([first, [[np.nan], [np.nan]], second], axis=1)
    return fraction, rows


@experiment
def stability_plane(
    *,
    dimension: Dimension = 20,
    samples_per_dimension: SamplesPerDimension = 3.0,
    noise: Noise = 0.5,
    generations: Generations = 20,
    real_fraction: RealFraction = 0.2,
) -> StabilityPlane:
    """Error of least squares after some generations of mixed data, over the real fraction and the rows per dimension.

    Exact at this dimension, rows taken as real numbers: E_g = c2 E_{g-1} + b. Inside the boundary c2 > 1 and the error grows
    without bound, though part of the data is real; outside it settles at b/(1 - c2).
    """
    fraction, ratio = np.linspace(0, 1, 81), np.geomspace(0.2, 20, 161)
    rows = ratio[:, None] * dimension
    error = mixed_error(dimension, rows, (1 - fraction) * rows, noise, generations)
    gain = mixing_gain(dimension, rows, (1 - fraction) * rows)
    line = np.concatenate([np.linspace(0.7, 1, 150, endpoint=False), np.linspace(1, 1.6, 200)[1:]])
    here = error_here = None
    whole = _rows(dimension, samples_per_dimension, has_mean=False)
    if abs(whole - dimension) > 1:
        synthetic = _synthetic(whole, real_fraction)
        here = float(mixing_gain(dimension, whole, synthetic))
        error_here = float(mixed_error(dimension, whole, synthetic, noise, generations))
    return StabilityPlane(
        fraction,
        ratio,
        np.log10(np.maximum(error, 1e-12)),
        gain,
        _boundary(line, *critical_real_fraction(dimension, line * dimension)),
        _boundary(line, *critical_real_fraction_limit(line)),
        here,
        error_here,
    )


@dataclass(frozen=True)
class LastFitCurve(Result):
    """Test error of a last ridge regression against its rows, on labels of several generations."""

    rows: Array  # (n_rows,)
    generations: Integers  # (n_curves,) 0 among them
    error: Array  # (n_curves, n_rows) at the given ridge
    plateau: float  # of the last curve, as rows -> infinity
    best_ridge: Array  # (2, n_rows) for clean labels and for the last generation
    best_error: Array  # (n_rows,) of the last generation at its best ridge
    clean_ridge_error: Array  # (n_rows,) of the last generation at the ridge best for clean labels
    simulated_rows: Array  # (n_dots,)
    simulated: Array  # (n_curves, n_dots)
    simulated_error: Array
    exact_at_dots: Array

    def table(self) -> pl.DataFrame:
        curves = [
            pl.DataFrame({"generation": [int(g)] * self.rows.size, "rows": self.rows, "test_error": error})
            for g, error in zip(self.generations, self.error, strict=True)
        ]
        ridges = pl.DataFrame(
            {
                "rows": self.rows,
                "best_ridge_clean": self.best_ridge[0],
                "best_ridge_last_generation": self.best_ridge[1],
                "error_at_best_ridge": self.best_error,
                "error_at_clean_best_ridge": self.clean_ridge_error,
            }
        )
        dots = [
            pl.DataFrame(
                {
                    "generation": [int(g)] * self.simulated_rows.size,
                    "rows": self.simulated_rows,
                    "simulated_error": mean,
                    "standard_error": error,
                }
            )
            for g, mean, error in zip(self.generations, self.simulated, self.simulated_error, strict=True)
        ]
        return pl.concat([*curves, ridges, *dots], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        scores = (self.simulated - self.exact_at_dots)[-1] / self.simulated_error[-1]
        return {
            "collapse plateau (T → ∞)": self.plateau,
            "error at most rows, clean": float(self.error[0, -1]),
            f"after {int(self.generations[-1])} generations": float(self.error[-1, -1]),
            "best ridge, collapsed / clean (most rows)": float(self.best_ridge[1, -1] / self.best_ridge[0, -1]),
            "simulation − theory, mean gap (SE)": float(scores.mean()),
        }


def _last_fit_seconds(*, dimension: int, generations: int, chains: int, **_: object) -> float:
    return 0.03 + chains * (generations + 12) * (8e-6 + 7e-9 * dimension**2 + 5e-11 * dimension**3)


@experiment(seconds=_last_fit_seconds)
def last_fit_curve(
    *,
    dimension: Dimension = 20,
    samples_per_dimension: SamplesPerDimension = 3.0,
    noise: Noise = 0.5,
    generations: Generations = 20,
    ridge: RidgeStrength = 1e-6,
    spectrum_exponent: SpectrumExponent = 0.0,
    chains: ChainCount = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, LastFitCurve]]:
    """Test error of ridge regression against its rows, when its labels passed through g generations of least squares.

    Deterministic equivalents (106) over a simulation: labels that drifted leave a floor that no number of rows lowers, and
    the best ridge grows with it.
    """
    fake = _rows(dimension, samples_per_dimension, has_mean=False)
    if fake < dimension + 2:
        raise ParameterError("samples_per_dimension", f"gives T₀ = {fake} rows; the chain of fake labels needs T₀ ≥ d + 2.")
    fit = LastFit(np.arange(1.0, dimension + 1) ** -spectrum_exponent, fake, noise)
    rows = np.geomspace(0.2, 500, 61) * dimension
    shown = np.unique([0, min(1, generations), min(5, generations), generations])
    error = fit.error(rows, ridge, shown[:, None])
    clean, _ = fit.best_ridge(rows, 0)
    late, best = fit.best_ridge(rows, generations)
    dots = np.unique(np.rint(np.array([0.4, 0.7, 1.5, 4, 20, 150]) * dimension))
    dots = dots[(np.abs(dots - dimension) > 1) & (dots >= 1)]
    at_dots = fit.error(dots, ridge, shown[:, None])
    plateau = float(fit.error(1e12, ridge, generations))
    for done, mean, spread in simulate_last_fit(seed, chains, fit, dots, ridge, shown):
        yield (
            done,
            LastFitCurve(
                rows,
                shown,
                error,
                plateau,
                np.stack([clean, late]),
                best,
                fit.error(rows, clean, generations),
                dots,
                mean,
                spread,
                at_dots,
            ),
        )


# --- losing the tail -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TailCurve(Result):
    """Test error of a memory of Zipf items against training draws."""

    draws: Array  # (n_draws,)
    curves: dict[str, Array]  # name to (n_draws,)
    simulated_draws: Array  # (n_dots,)
    simulated: dict[str, tuple[Array, Array]]  # name to mean and standard error
    exact_at_dots: dict[str, Array]
    clean_slope: tuple[Array, Array]  # draws, guide
    plateau: float
    recovery: float | None
    clean_exponent: float
    late_exponent: float

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame({"training_draws": self.draws} | self.curves)
        dots = {"training_draws": self.simulated_draws}
        for name, (mean, error) in self.simulated.items():
            dots |= {f"{name}_simulated": mean, f"{name}_standard_error": error}
        return pl.concat([theory, pl.DataFrame(dots)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gaps = [
            abs(self.simulated[name][0] - exact) / np.maximum(self.simulated[name][1], 1e-12)
            for name, exact in self.exact_at_dots.items()
        ]
        return {
            "clean exponent 1 − 1/β": self.clean_exponent,
            "exponent of mixed data at the end": self.late_exponent,
            "plateau of the cut tail": self.plateau,
            "recovery from T ≈": self.recovery if self.recovery is not None else "never: no real data",
            "median gap to simulation (SE)": float(np.median(np.concatenate(gaps))),
        }


TAIL_DOTS = np.array([30.0, 300.0, 3000.0, 30_000.0])


def _tail_seconds(*, generations: int, generator_samples: int, chains: int, **_: object) -> float:
    return 0.03 + _replicates(chains) * (0.012 + 6e-8 * generations * generator_samples**0.9)


def _replicates(chains: int) -> int:
    """Repetitions of the memory: its error fluctuates little, and each costs 1e5 draws."""
    return max(4, chains // 20)


@experiment(seconds=_tail_seconds)
def tail_curve(
    *,
    zipf_exponent: ZipfExponent = 1.5,
    tail_cutoff: Cutoff = 300,
    generations: Generations = 20,
    generator_samples: GeneratorSamples = 1000,
    real_fraction: RealFraction = 0.2,
    chains: ChainCount = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, TailCurve]]:
    """Test error of a memory of Zipf-distributed items against training draws: clean, cut tail, resampled, mixed.

    Clean data give T^-(1 - 1/beta); a generator that lost its tail gives a plateau; g resamplings lose most of the tail too;
    a share of real data ends the plateau, late, from T ~ zeta(beta) k^beta/pi on (234). Sums are over all items.
    """
    zipf = zipf_memory.zipf_nodes(zipf_exponent, tail_cutoff)
    draws = np.geomspace(10, 1e8, 85)

    def curves(at: Array) -> dict[str, Array]:
        return {
            "clean": zipf_memory.memory_error(zipf, at),
            "cut_tail": zipf_memory.memory_error(zipf, at, 0.0),
            "resampled": zipf_memory.resampled_error(zipf, at, generator_samples, generations),
            "mixed": zipf_memory.memory_error(zipf, at, real_fraction),
        }

    theory, at_dots = curves(draws), curves(TAIL_DOTS)
    slope = 1 - 1 / zipf_exponent
    late = draws > 1e7
    late_exponent = -float(np.polyfit(np.log(draws[late]), np.log(np.maximum(theory["mixed"][late], 1e-300)), 1)[0])
    guide = (np.array([1e3, 1e7]), np.interp(3, np.log10(draws), theory["clean"]) * np.array([0.6, 0.6 * 1e4**-slope]))
    recovery = zipf_memory.recovery_draws(zipf_exponent, tail_cutoff, real_fraction) if real_fraction > 0 else None
    rng = np.random.default_rng(seed)
    found: dict[str, list[list[float]]] = {name: [] for name in theory}
    total = _replicates(chains)
    for done in range(1, total + 1):
        for name, errors in zipf_memory.simulate(
            rng, zipf_exponent, tail_cutoff, TAIL_DOTS.astype(int), generator_samples, generations, real_fraction
        ).items():
            found[name].append(errors)
        if done == total or (done >= 4 and done % 5 == 0):
            simulated = {name: (np.mean(v, axis=0), np.std(v, axis=0, ddof=1) / np.sqrt(done)) for name, v in found.items()}
            yield (
                done / total,
                TailCurve(draws, theory, TAIL_DOTS, simulated, at_dots, guide, zipf.tail, recovery, slope, late_exponent),
            )


# --- densities -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DensityChain(Result):
    """Fitted densities over generations, and their spread, under three policies."""

    x: Array  # (n_x,)
    shown: Integers  # (n_shown,) generations of the movie
    density: Array  # (n_policies, n_shown, n_x) of the chain of median spread at the end
    generation: Integers  # (generations + 1,)
    spread: Array  # (n_policies, generations + 1) geometric (Gaussian) or arithmetic (kernel density) mean variance
    spread_low: Array  # two standard errors below
    spread_high: Array
    theory: dict[str, Array]  # policy to (generations + 1,)
    estimator: str
    half_life: float | None  # generations in which the replaced Gaussian's typical variance halves
    policies: tuple[str, ...] = POLICIES

    def table(self) -> pl.DataFrame:
        frames = []
        for k, policy in enumerate(self.policies):
            frame = pl.DataFrame(
                {
                    "policy": [policy] * self.generation.size,
                    "generation": self.generation,
                    "variance": self.spread[k],
                    "variance_low": self.spread_low[k],
                    "variance_high": self.spread_high[k],
                }
            )
            if policy in self.theory:
                frame = frame.with_columns(variance_theory=pl.Series(self.theory[policy]))
            frames.append(frame)
            generation, x = np.meshgrid(self.shown, self.x, indexing="ij")
            frames.append(
                pl.DataFrame(
                    {
                        "policy": [policy] * x.size,
                        "generation": generation.ravel(),
                        "x": x.ravel(),
                        "density": self.density[k].ravel(),
                    }
                )
            )
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {f"variance, {p}": float(v[-1]) for p, v in zip(self.policies, self.spread, strict=True)}
        if self.half_life is not None:
            shown["half-life of the variance, replace"] = self.half_life
        else:
            shown["variance, replace, exact"] = float(self.theory["replace"][-1])
        return shown


def _density_seconds(*, estimator: str, points: int, generations: int, chains: int, **_: object) -> float:
    pool = points * generations * (0.5 if generations > 1 else 1)
    each = 1.0 if estimator == "Gaussian" else 2.0
    return 0.01 + generations * chains * (4e-6 + each * 4e-8 * points + 6e-9 * pool)


@experiment(seconds=_density_seconds)
def density_chain(
    *,
    estimator: Estimator = "Gaussian",
    points: Points = 10,
    generations: Generations = 20,
    real_fraction: RealFraction = 0.2,
    bandwidth: Bandwidth = 0.3,
    chains: ChainCount = 100,
    seed: Seed = 0,
) -> Iterator[tuple[float, DensityChain]]:
    """Densities fitted to draws from the last fit: replace, accumulate, mix; the movie shows a typical chain of each.

    Replaced Gaussian fits lose their typical variance at an exact rate, digamma((n-1)/2) - log((n-1)/2) a generation in log,
    though its mean stays 1; replaced kernel densities gain h^2 a generation, v' = (1 - 1/n) v + h^2 (071).
    """
    gaussian = estimator == "Gaussian"
    width = 0.0 if gaussian else bandwidth
    real = round(real_fraction * points)
    generation = np.arange(generations + 1)
    shown = np.unique(np.rint(np.linspace(0, generations, min(generations + 1, 51))).astype(int))
    x = np.linspace(-4, 4, 161)
    density = np.empty((len(POLICIES), shown.size, x.size))
    variance = np.empty((len(POLICIES), generations + 1, chains))
    for k, policy in enumerate(POLICIES):

        def chain(k: int = k, policy: str = policy) -> Iterator[iterated_density.Chains]:
            first = iterated_density.start(policy, points, real, width, chains)
            return iterated_density.run(np.random.default_rng([seed, k]), first, generations)

        for g, fitted in enumerate(chain()):
            variance[k, g] = fitted.variance
        # The movie shows a typical chain: the one of median spread at the end; the same draws again.
        typical = int(np.argsort(variance[k, -1])[chains // 2])
        for g, fitted in enumerate(chain()):
            place = np.searchsorted(shown, g)
            if shown[place] == g:
                density[k, place] = fitted.density(x, typical)
    values = np.log(np.maximum(variance, 1e-300)) if gaussian else variance
    mean, error = values.mean(axis=2), 2 * values.std(axis=2, ddof=1) / np.sqrt(chains)
    low, high = mean - error, mean + error
    theory, half_life = {}, None
    if gaussian:
        drift = iterated_density.log_variance_drift(points)
        theory["replace"] = np.exp(drift * generation)
        half_life = float(np.log(0.5) / drift)
        mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    else:
        theory = {p: iterated_density.mean_variance(p, points, real, width, generations, unbiased=False) for p in POLICIES}
    yield 1.0, DensityChain(x, shown, density, generation, mean, low, high, theory, estimator, half_life)
