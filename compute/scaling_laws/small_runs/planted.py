r"""Small runs of one model: a planted learning curve, its fits with and without a floor, and the runs that went wrong.

The planted error at size m is c + (m/100)^-b, and never above the best guess c + 1: plateau, power law, floor (059). A mistuned
run's log error is raised by 0.1 |z|, z standard normal.

References
----------
Hestness et al., "Deep Learning Scaling is Predictable, Empirically" (2017), paper 059 of the catalogue; Ivgi et al., "Scaling Laws
Under the Microscope" (2022), paper 354.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval, standard_error
from compute.methods.power_law import PowerLawFit, PowerLawForm, fit_log_huber, refit_log_huber
from compute.parameters import Column, Dataset, Integer, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

WITH_FLOOR, PURE = PowerLawForm(((0,), (1,))), PowerLawForm(((1,),))
HUBER_DELTA = 1e-2
PLATEAU_END = 100.0
N_SIZES = 7
SPAN = 1e3  # largest size fitted over the smallest
LAG = 0.1
FLAGGED = 3.5  # of the modified z-score: Iglewicz & Hoaglin (1993)
LEVEL = 0.95

Exponent = Annotated[float, Real("exponent", "b", low=0.01, high=0.5, help="Of the power law that is planted.")]
Floor = Annotated[float, Real("irreducible error", "c", low=0.0, high=1.0, help="Where the curve ends; the best guess has c + 1.")]
SeedNoise = Annotated[float, LogReal("noise of log error", r"\sigma", low=1e-3, high=0.1, help="Between runs of different seeds.")]
SeedsPerSize = Annotated[int, Integer("runs per size", low=1, high=10, help="At each of seven sizes over three decades.")]
LargestFitted = Annotated[float, LogReal("largest size fitted", low=1e3, high=1e8, help="The smallest is a thousandth of it.")]
Factor = Annotated[float, LogReal("extrapolation factor", low=1.0, high=1e4, help="Size predicted over the largest fitted.")]
Mistuned = Annotated[float, Real("share of mistuned runs", low=0.0, high=0.5, help="Their log error is raised by 0.1|z|.")]
Refits = Annotated[int, LogInteger("bootstrap refits", low=50, high=2000, help="Resamples of the runs, each refitted.")]

TEMPLATE = """size,error,seed,model
1e4,0.709,1,small-a
1e4,0.716,2,small-a
3e4,0.637,1,small-a
3e4,0.631,2,small-a
1e5,0.561,1,small-a
1e5,0.566,2,small-a
3e5,0.505,1,small-a
3e5,0.561,2,small-a
1e6,0.451,1,small-a
1e6,0.449,2,small-a
"""
RUNS = Dataset(
    "your runs",
    columns=(
        Column("size", "parameters or samples", low=1.0, high=1e18),
        Column("error", "final error or loss", low=1e-9, high=1e6),
        Column("seed", "label of the seed", required=False, is_text=True),
        Column("model", "only rows of the most frequent model are fitted", required=False, is_text=True),
    ),
    template=TEMPLATE,
    help="A CSV of runs to fit in place of the planted ones: size, error, and if you like seed and model.",
)
Table = Annotated[pl.DataFrame | None, RUNS]


def planted_error(size: Array, exponent: float, floor: float) -> Array:
    """c + min(1, (m/100)^-b)."""
    return np.asarray(floor + np.minimum(1.0, (np.asarray(size) / PLATEAU_END) ** -exponent))


def draw_runs(
    sizes: Array, exponent: float, floor: float, noise: float, mistuned: float, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """Errors of one run at each size, and which were mistuned."""
    z, lag, u = rng.standard_normal(sizes.size), rng.standard_normal(sizes.size), rng.random(sizes.size)
    wrong = u < mistuned
    return planted_error(sizes, exponent, floor) * np.exp(noise * z + LAG * np.abs(lag) * wrong), wrong


def fit(form: PowerLawForm, size: Array, error: Array, start: Array | None = None) -> PowerLawFit:
    """The log-Huber fit of A m^-b, or c + A m^-b."""
    return fit_log_huber(form, size, error, huber_delta=HUBER_DELTA, starts=start)


def curve(fitted: PowerLawFit, parameters: Array, size: Array) -> Array:
    """(n_refits, n_sizes) laws of rows of parameters."""
    laws = [PowerLawFit(fitted.form, p, 0.0, 0, True) for p in np.atleast_2d(parameters)]
    return np.exp(np.clip([law.log_prediction(size[:, None]) for law in laws], -50.0, 50.0))


def robust_z(residual: Array, n_fitted: int) -> Array:
    """Residuals less their median, over 1.4826 times their median absolute deviation, which the fit has made too small."""
    off = residual - np.median(residual)
    lost = np.sqrt(residual.size / max(residual.size - n_fitted, 1))
    return off / max(1.4826 * lost * float(np.median(np.abs(off))), 1e-12)


@dataclass(frozen=True)
class Extrapolated(Result):
    """Runs, two fits with bands, the truth, and the residual of each run."""

    size: Array  # (n_runs,)
    error: Array
    mistuned: NDArray[np.bool_] | None
    z: Array  # (n_runs,) robust z of the residual from the fit with a floor
    grid: Array  # (n_grid,)
    fitted: Array
    low: Array
    high: Array
    pure: Array
    truth: Array | None
    regions: tuple[float, float] | None  # true ends of plateau and of the power law
    target: float
    largest: float
    exponent: tuple[float, float, float]  # fitted, low, high
    true_exponent: float | None
    floor: float
    predicted: tuple[float, float, float]
    predicted_error: float  # standard error of log
    predicted_pure: float
    true_error: float | None

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {
                "kind": "run",
                "size": self.size,
                "error": self.error,
                "residual_z": self.z,
                "flagged": self.z > FLAGGED,
            }
        )
        curves = {"size": self.grid, "fit": self.fitted, "low_95": self.low, "high_95": self.high, "pure_power_law": self.pure}
        if self.truth is not None:
            curves["truth"] = self.truth
        return pl.concat([runs, pl.DataFrame({"kind": "curve", **curves})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        b, low, high = self.exponent
        p, p_low, p_high = self.predicted
        found: dict[str, float | str] = {
            "exponent b": b,
            "its 95% interval": f"{low:.3g} to {high:.3g}",
            "predicted error": p,
            "95% interval": f"{p_low:.4g} to {p_high:.4g}",
            "pure power law predicts": self.predicted_pure,
        }
        if self.true_error is not None and self.true_exponent is not None:
            found["true error"] = self.true_error
            found["(fit − truth)/SE"] = (
                float(np.log(p / self.true_error) / self.predicted_error) if self.predicted_error > 1e-9 else "no noise"
            )
        found["runs flagged"] = f"{int(np.sum(self.z > FLAGGED))} of {self.size.size}"
        if self.mistuned is not None and self.mistuned.any():
            right = int(np.sum(self.mistuned & (self.z > FLAGGED)))
            found["of them truly mistuned"] = f"{right} (there are {int(self.mistuned.sum())})"
        return found


@experiment(seconds=lambda n_bootstrap, **_: 0.01 + 2.5e-4 * n_bootstrap)
def extrapolate_runs(
    *,
    exponent: Exponent = 0.15,
    floor: Floor = 0.2,
    seed_noise: SeedNoise = 0.01,
    seeds_per_size: SeedsPerSize = 3,
    largest_fitted_size: LargestFitted = 1e7,
    extrapolation_factor: Factor = 100.0,
    mistuned_share: Mistuned = 0.0,
    n_bootstrap: Refits = 100,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, Extrapolated]]:
    """Fit c + A m^-b and A m^-b to small runs, extrapolate, and flag the runs whose residual is too high.

    Runs at seven sizes over three decades are drawn from c + (m/100)^-b with noise on the log error (059, 354); the fits are
    log-Huber, the 95% band resamples runs.

    Raises
    ------
    ParameterError
        Where your runs have fewer than three sizes or four rows.
    """
    if runs is None:
        size = np.repeat(np.geomspace(largest_fitted_size / SPAN, largest_fitted_size, N_SIZES), seeds_per_size)
        error, wrong = draw_runs(size, exponent, floor, seed_noise, mistuned_share, np.random.default_rng([seed, 1]))
    else:
        table, wrong = runs, None
        if "model" in table.columns and table["model"].drop_nulls().len():
            table = table.filter(pl.col("model") == table["model"].drop_nulls().mode().sort()[0])
        size, error = table["size"].to_numpy(), table["error"].to_numpy()
        if size.size < 4 or np.unique(size).size < 3:
            raise ParameterError("runs", "needs four rows of one model at three sizes or more.")
    best, pure = fit(WITH_FLOOR, size, error), fit(PURE, size, error)
    largest = float(size.max())
    target = largest * extrapolation_factor
    grid = np.append(np.geomspace(size.min() / 10, max(largest * 1e4, target), 80), target)
    *_, (_, refits) = bootstrap(
        lambda counts: refit_log_huber(best, size, error, counts, huber_delta=HUBER_DELTA),
        size.size,
        n_bootstrap,
        np.random.default_rng([seed, 2]),
    )
    curves = curve(best, refits, grid)
    low, high = interval(curves, LEVEL)
    center, straight = curve(best, best.parameters, grid)[0], curve(pure, pure.parameters, grid)[0]
    b_low, b_high = interval(refits[:, 2], LEVEL)
    z = robust_z(np.log(error) - best.log_prediction(size[:, None]), WITH_FLOOR.n_parameters)
    known = runs is None
    ends = None
    if known:
        end = PLATEAU_END * max(floor, 1e-12) ** (-1 / exponent)
        ends = PLATEAU_END, float(min(end, 1e30))
    yield (
        1.0,
        Extrapolated(
            size,
            error,
            wrong,
            z,
            grid[:-1],
            center[:-1],
            low[:-1],
            high[:-1],
            straight[:-1],
            planted_error(grid[:-1], exponent, floor) if known else None,
            ends,
            target,
            largest,
            (float(best.exponents[0]), float(b_low), float(b_high)),
            exponent if known else None,
            float(np.exp(best.log_coefficients[0])),
            (float(center[-1]), float(low[-1]), float(high[-1])),
            float(standard_error(np.log(curves[:, -1]))),
            float(straight[-1]),
            float(planted_error(np.array(target), exponent, floor)) if known else None,
        ),
    )
