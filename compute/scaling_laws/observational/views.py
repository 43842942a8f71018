"""Capability from public scores: a task foretold, efficiencies of families, dimensions of the table, models to evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import LogInteger, ParameterError, Seed
from compute.scaling_laws.observational.fits import (
    Capability,
    Prediction,
    capability,
    d_optimal_order,
    fit_sigmoid,
    foretell,
    split,
)
from compute.scaling_laws.observational.observatory import (
    Benchmarks,
    Ceiling,
    Components,
    Families,
    LatentDimensions,
    ModelsPerFamily,
    Observatory,
    ScoreNoise,
    ScoreTable,
    Setting,
    observe,
    simulate,
    with_setting,
)

Array = NDArray[np.float64]

Studies = Annotated[int, LogInteger("simulated studies", "R", low=2, high=100, help="Observatories behind each cell or point.")]

LEAST_ERROR = 1e-6  # without noise the errors are those of the fit's tolerance
REFERENCE = 22.0  # log10 FLOP at which families are compared


def _errors(found: Prediction, observatory: Observatory) -> dict[str, float | str]:
    y = observatory.target
    shown: dict[str, float | str] = {
        "held-out error by capability": found.error(found.by_capability.predict(found.capability.scores), y)
    }
    if found.by_compute is None or observatory.log_compute is None:
        return shown | {"by compute": "not known: the table has no FLOP"}
    shown["by compute"] = found.error(found.by_compute.predict(observatory.log_compute[:, None]), y)
    if found.by_family is None:
        return shown | {"by compute and family": "more families than the weak models allow"}
    sigmoid, regressors = found.by_family
    return shown | {"by compute and family": found.error(sigmoid.predict(regressors), y)}


# --- a task foretold -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extrapolation(Result):
    """A task against fitted capability and against compute, fitted below the cutoff."""

    index: Array  # (n,) fitted capability alpha + beta·PC
    log_compute: Array  # (n,) empty where not known
    target: Array  # (n,)
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    family: NDArray[np.int64]
    index_curve: Array  # (n_curve,)
    capability_curve: Array
    compute_curve_at: Array  # (n_curve,) log10 FLOP, empty where not known
    compute_curve: Array
    predicted: Array  # (n,) from capability
    standard_error: Array  # (n,) of it
    cutoff: float  # log10 FLOP
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        known = self.log_compute if self.log_compute.size else np.full(self.target.size, np.nan)
        models = pl.DataFrame(
            {
                "kind": np.where(self.train, "fitted", np.where(self.test, "foretold", "no target")),
                "family": self.family,
                "log10_FLOP": known,
                "capability_index": self.index,
                "task": self.target,
                "predicted": self.predicted,
                "standard_error": self.standard_error,
            }
        ).with_columns(pl.col("log10_FLOP", "task").fill_nan(None))
        left = pl.DataFrame({"kind": "capability curve", "capability_index": self.index_curve, "predicted": self.capability_curve})
        right = pl.DataFrame({"kind": "compute curve", "log10_FLOP": self.compute_curve_at, "predicted": self.compute_curve})
        return pl.concat([models, left, right], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
@with_setting
def extrapolation(
    *,
    setting: Setting,
    scores: ScoreTable = None,
) -> Extrapolation:
    """Fit a task on the weaker models, against principal components of public scores and against compute; foretell the stronger.

    Raises
    ------
    ParameterError
        Where the models below the cutoff are fewer than the sigmoid's parameters.
    """
    observatory = observe(setting, scores)
    found = foretell(observatory, setting)
    pcs = found.capability.scores
    index = found.by_capability.index(pcs)
    index_curve = np.linspace(index.min() - 0.5, index.max() + 0.5, 81)
    from_compute = found.by_compute is not None and observatory.log_compute is not None
    log_c = observatory.log_compute if observatory.log_compute is not None else np.empty(0)
    at = np.linspace(log_c.min() - 0.2, log_c.max() + 0.2, 81) if from_compute else np.empty(0)
    first = float(np.sum(found.capability.eigenvalues[: pcs.shape[1]]) / np.sum(found.capability.eigenvalues))
    return Extrapolation(
        index,
        log_c,
        observatory.target,
        found.train,
        found.test,
        observatory.family,
        index_curve,
        found.by_capability.ceiling / (1 + np.exp(-index_curve)),
        at,
        found.by_compute.predict(at[:, None]) if found.by_compute is not None else np.empty(0),
        found.by_capability.predict(pcs),
        found.by_capability.standard_error(pcs),
        float(np.percentile(log_c, setting.cutoff_percentile)) if log_c.size else 0.0,
        _errors(found, observatory)
        | {"variance in the components used": first, "models fitted": int(found.train.sum()), "foretold": int(found.test.sum())},
    )


# --- efficiencies --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Efficiencies(Result):
    """First component against compute, with a line for each family."""

    log_compute: Array  # (n,)
    first: Array  # (n,)
    family: NDArray[np.int64]
    names: list[str]
    slope: Array  # (n_families,) NaN where a family has one size
    intercept: Array  # (n_families,) at 1e22 FLOP
    r_squared: Array

    def table(self) -> pl.DataFrame:
        models = pl.DataFrame(
            {"kind": "model", "family": [self.names[f] for f in self.family], "log10_FLOP": self.log_compute, "PC_1": self.first}
        )
        lines = pl.DataFrame(
            {
                "kind": "line",
                "family": self.names,
                "slope_per_decade": self.slope,
                "PC_1_at_1e22_FLOP": self.intercept,
                "R2": self.r_squared,
            }
        ).with_columns(pl.col("slope_per_decade", "PC_1_at_1e22_FLOP", "R2").fill_nan(None))
        return pl.concat([models, lines], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        seen = np.isfinite(self.slope)
        if not seen.any():
            return {"families": "none has models of two sizes"}
        common = float(np.median(self.slope[seen]))
        shown: dict[str, float | str] = {
            "PC-1 per decade of compute, median": common,
            "from": float(self.slope[seen].min()),
            "to": float(self.slope[seen].max()),
            "least R² of a family's line": float(self.r_squared[seen].min()),
        }
        if common > 0:
            spread = (self.intercept[seen].max() - self.intercept[seen].min()) / common
            shown["compute that the best family saves at 1e22 FLOP"] = f"a factor {10**spread:.3g}"
        return shown


@experiment
def efficiencies(
    *,
    families: Families = 8,
    models_per_family: ModelsPerFamily = 5,
    latent_dimensions: LatentDimensions = 2,
    benchmarks: Benchmarks = 8,
    benchmark_noise: ScoreNoise = 0.03,
    ceiling: Ceiling = "clipped",
    seed: Seed = 0,
    scores: ScoreTable = None,
) -> Efficiencies:
    """The first principal component against log compute: one line a family, whose slope is its efficiency.

    Raises
    ------
    ParameterError
        Where a reader's models have no compute.
    """
    setting = Setting(families, models_per_family, latent_dimensions, benchmarks, benchmark_noise, ceiling=ceiling, seed=seed)
    observatory = observe(setting, scores)
    if observatory.log_compute is None:
        raise ParameterError("scores", "needs the compute of every model here: a column FLOP.")
    first = capability(observatory.scores, 1).scores[:, 0]
    n_families = len(observatory.family_names)
    slope, intercept, fit = (np.full(n_families, np.nan) for _ in range(3))
    for f in range(n_families):
        mine = observatory.family == f
        x = observatory.log_compute[mine] - REFERENCE
        if np.ptp(x) < 1e-9:
            continue
        slope[f], intercept[f] = np.polyfit(x, first[mine], 1)
        total = np.sum((first[mine] - first[mine].mean()) ** 2)
        fit[f] = 1 - np.sum((first[mine] - slope[f] * x - intercept[f]) ** 2) / max(total, 1e-300)
    return Efficiencies(observatory.log_compute, first, observatory.family, observatory.family_names, slope, intercept, fit)


# --- dimensions ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dimensions(Result):
    """Eigenvalues of the correlation of scores, with the edge of noise, and loadings."""

    eigenvalues: Array  # (p,)
    edge: float  # the largest that noise alone would give
    loadings: Array  # (p, up to 2)
    names: list[str]
    found: Capability

    def table(self) -> pl.DataFrame:
        order = np.arange(1.0, self.eigenvalues.size + 1)
        share = self.eigenvalues / self.eigenvalues.sum()
        values = pl.DataFrame({"component": order, "eigenvalue": self.eigenvalues, "share": share})
        columns = {f"loading_{j + 1}": self.loadings[:, j] for j in range(self.loadings.shape[1])}
        return pl.concat([values, pl.DataFrame({"benchmark": self.names, **columns})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        share = self.eigenvalues / self.eigenvalues.sum()
        return {
            "variance in the first component": float(share[0]),
            "in the first two": float(share[:2].sum()),
            "components above the edge of noise": int(np.sum(self.eigenvalues > self.edge)),
            "edge of noise": self.edge,
        }


@experiment
def dimensions(
    *,
    families: Families = 8,
    models_per_family: ModelsPerFamily = 5,
    latent_dimensions: LatentDimensions = 2,
    benchmarks: Benchmarks = 8,
    benchmark_noise: ScoreNoise = 0.03,
    components_used: Components = 2,
    ceiling: Ceiling = "clipped",
    seed: Seed = 0,
    scores: ScoreTable = None,
) -> Dimensions:
    """Variance of each principal component beside the Marchenko–Pastur edge of noise alone.

    The noise variance is that left beyond the components used, spread over all directions.
    """
    setting = Setting(families, models_per_family, latent_dimensions, benchmarks, benchmark_noise, ceiling=ceiling, seed=seed)
    observatory = observe(setting, scores)
    n, p = observatory.scores.shape
    if components_used >= min(n, p):
        raise ParameterError("components_used", f"takes fewer than the {min(n, p)} dimensions that the table can have here.")
    found = capability(observatory.scores, max(2, components_used))
    left = float(found.eigenvalues[components_used:].sum()) / (p - components_used)
    edge = left * (1 + np.sqrt(p / n)) ** 2
    return Dimensions(found.eigenvalues, float(edge), found.loadings[:, :2], observatory.benchmark_names, found)


# --- when it pays --------------------------------------------------------------------------------------

CUTOFFS = np.array([25.0, 40.0, 55.0, 70.0, 85.0, 95.0])
NOISES = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2])


@dataclass(frozen=True)
class Payoff(Result):
    """Held-out error by capability over that by compute, over cutoff and noise."""

    cutoff: Array
    noise: Array
    log2_ratio: Array  # (n_noise, n_cutoffs) NaN where not yet computed or not fitted
    by_capability: Array
    by_compute: Array

    def table(self) -> pl.DataFrame:
        return grid_table(
            "cutoff_percentile",
            self.cutoff,
            "benchmark_noise",
            self.noise,
            log2_error_ratio=self.log2_ratio,
            error_by_capability=self.by_capability,
            error_by_compute=self.by_compute,
        )

    def headline(self) -> dict[str, float | str]:
        seen = np.isfinite(self.log2_ratio)
        if not seen.any():
            return {"cells": "none could be fitted"}
        return {
            "share of cells where capability errs less": float(np.mean(self.log2_ratio[seen] < 0)),
            "best ratio of errors": float(2 ** self.log2_ratio[seen].min()),
            "worst": float(2 ** self.log2_ratio[seen].max()),
        }


@experiment(
    seconds=lambda n_studies, families, models_per_family, **_: 36 * n_studies * (5e-4 + 2e-6 * families * models_per_family)
)
@with_setting
def payoff(
    *,
    setting: Setting,
    n_studies: Studies = 5,
) -> Iterator[tuple[float, Payoff]]:
    """Median held-out error by capability over that by compute; the same observatories in every cell."""
    shape = (NOISES.size, CUTOFFS.size)
    ours, theirs = np.full(shape, np.nan), np.full(shape, np.nan)

    def result() -> Payoff:
        return Payoff(CUTOFFS, NOISES, np.log2(np.maximum(ours, 1e-6) / np.maximum(theirs, 1e-6)), ours, theirs)

    for i, noise in enumerate(NOISES):
        errors = np.full((n_studies, CUTOFFS.size, 2), np.nan)
        for r in range(n_studies):
            observatory = simulate(replace(setting, benchmark_noise=float(noise)), np.random.default_rng([setting.seed, r]))
            components = None  # the same at every cutoff
            for j, cutoff in enumerate(CUTOFFS):
                try:
                    here = replace(setting, cutoff_percentile=float(cutoff))
                    found = foretell(observatory, here, by_families=False, components=components)
                except ParameterError as error:
                    if error.name == "components_used":
                        raise
                    continue
                components, shown = found.capability, _errors(found, observatory)
                errors[r, j] = shown["held-out error by capability"], shown["by compute"]
        fitted = np.isfinite(errors).all(axis=(0, 2))
        ours[i, fitted], theirs[i, fitted] = np.median(errors[:, fitted], axis=0).T
        yield (i + 1) / NOISES.size, result()


# --- which models --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection(Result):
    """Held-out error against the number of models evaluated on the task: chosen by D-optimality, or at random."""

    count: Array  # (n_counts,)
    chosen: Array  # (n_counts,)
    random: Array  # (n_counts,) median over draws
    random_low: Array  # quartiles
    random_high: Array
    everything: float
    order: list[str]

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {
                "models_evaluated": self.count,
                "error_D_optimal": self.chosen,
                "error_random_median": self.random,
                "error_random_quartile_1": self.random_low,
                "error_random_quartile_3": self.random_high,
            }
        )
        return pl.concat([curves, pl.DataFrame({"rank": np.arange(1.0, len(self.order) + 1), "model": self.order})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        enough = np.flatnonzero(self.chosen <= 1.1 * self.everything)
        needed: float | str = float(self.count[enough[0]]) if enough.size else "more than there are"
        return {
            "held-out error with all weak models": self.everything,
            "models needed to come within 10%": needed,
            "evaluate first": ", ".join(self.order[:4]),
        }


@experiment
@with_setting
def selection(
    *,
    setting: Setting,
    scores: ScoreTable = None,
) -> Selection:
    """Evaluate only some of the weak models on the task: in the order of D-optimality over their components, or at random."""
    observatory = observe(setting, scores)
    found = foretell(observatory, setting)
    pcs, y = found.capability.scores, observatory.target
    train, test = split(observatory, pcs[:, 0], setting.cutoff_percentile)
    weak = np.flatnonzero(train)
    order = weak[d_optimal_order(pcs[weak])]
    least = setting.components_used + 2
    counts = np.unique(np.rint(np.geomspace(least, weak.size, 7)).astype(int))

    def error(rows: NDArray[np.int64]) -> float:
        predicted = fit_sigmoid(pcs[rows], y[rows]).predict(pcs[test])
        return max(float(np.sqrt(np.mean((predicted - y[test]) ** 2))), LEAST_ERROR)

    rng = np.random.default_rng([setting.seed, 1])
    drawn = np.array([[error(rng.permutation(weak)[:m]) for _ in range(9)] for m in counts])
    low, middle, high = np.quantile(drawn, [0.25, 0.5, 0.75], axis=1)
    names = observatory.family_names
    sizes = np.zeros(observatory.n, dtype=int)
    for f in range(len(names)):
        mine = np.flatnonzero(observatory.family == f)
        rank = observatory.log_compute[mine] if observatory.log_compute is not None else pcs[mine, 0]
        sizes[mine[np.argsort(rank, kind="stable")]] = np.arange(1, mine.size + 1)
    labels = [f"{names[observatory.family[i]]}, size {sizes[i]}" for i in order]
    return Selection(counts.astype(float), np.array([error(order[:m]) for m in counts]), middle, low, high, error(weak), labels)
