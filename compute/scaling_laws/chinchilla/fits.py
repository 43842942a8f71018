r"""How many tokens per parameter, and how sure: fit a scaling study, resample it, and change one choice at a time.

A study is a table of runs (N, D, loss), drawn from a known truth or brought by a user. It is read by the log-Huber fit of
L = E + A N^-alpha + B D^-beta, by isoFLOP parabolas or by the convex hull; each gives a compute-optimal size N*(C) under
C = 6 N D. Rows are resampled for intervals.

References
----------
Hoffmann et al. (2022); Besiroglu et al. (2024), paper 405; "(Mis)Fitting" (2025), paper 320; Su et al. (2024), paper 382;
McLeish et al. (2025), paper 408.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import compute_optimal
from compute.methods.bootstrap import bootstrap, interval, width_error
from compute.methods.compute_optimal import Estimate, Study
from compute.methods.scaling_study import (
    LEVEL,
    Refits,
    Setting,
    Summary,
    bands,
    of_values,
    on_setting,
    quantity_of,
    summarize,
    true_frontier,
)
from compute.models import scaling_form
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN, Law
from compute.models.scaling_runs import Runs
from compute.parameters import Choice, ParameterError

Array = NDArray[np.float64]

COMPUTE = np.geomspace(1e18, 1e26, 33)
PUBLISHED_RUNS, PUBLISHED_WIDTH = 240, 0.0513  # Besiroglu et al.: an 80% interval of a
LIVE_REFITS = 100
QUANTITIES = ("tokens_per_parameter", "parameters", "tokens", "loss")

Quantity = Annotated[str, Choice("quantity", options=QUANTITIES, help="What is optimal at each compute.")]


def _drawn_law(study: Study, setting: Setting) -> tuple[Law, str]:
    """The truth where it is a law of (N, D), or else a parametric fit, and which of the two."""
    if isinstance(setting.true_law, Law):
        return setting.true_law, "truth"
    plain = replace(study, form_name="chinchilla", method="parametric").fit()
    return compute_optimal.law_from_parameters("chinchilla", plain.parameters[0]), "fit"


# --- isoFLOP map ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossMap(Result):
    """Loss over (N, D), the runs, and the compute-optimal frontiers of truth and fit."""

    n_grid: Array  # (n_sizes,)
    d_grid: Array  # (n_tokens,)
    loss: Array  # (n_tokens, n_sizes)
    loss_of: str  # "truth" or "fit"
    runs: Runs
    compute: Array  # (n_compute,)
    fit_size: Array  # (n_compute,)
    fit_low: Array
    fit_high: Array
    true_size: Array | None
    target_compute: float
    summary: Summary

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {
                "kind": "run",
                "N": self.runs.n_parameters,
                "D": self.runs.n_tokens,
                "C_FLOP": self.runs.compute,
                "loss": self.runs.loss,
            }
        )
        curves = [("frontier of the fit", self.fit_size)]
        if self.true_size is not None:
            curves.append(("frontier of the truth", self.true_size))
        parts = [
            pl.DataFrame({"kind": name, "N": n, "D": self.compute / (6 * n), "C_FLOP": self.compute}).with_columns(
                pl.lit(None, dtype=pl.Float64).alias("loss")
            )
            for name, n in curves
        ]
        return pl.concat([runs, *parts])

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline()


@experiment(seconds=of_values(lambda setting: 0.03 + LIVE_REFITS * setting.refit_seconds()))
@on_setting
def loss_map(*, setting: Setting) -> Iterator[tuple[float, LossMap]]:
    """Loss over parameters and tokens, the runs of the study, and the frontier that the fit draws through them.

    The map is the truth's; of a user's runs, or where shapes matter, it is that of a parametric fit. Intervals are from
    100 bootstrap refits.
    """
    estimate = setting.estimate()
    study, truth = estimate.study, setting.true_law
    (_, refits), *_ = bootstrap(estimate.refit, study.runs.n, LIVE_REFITS, setting.bootstrap_rng())
    low, high = np.array([1e6, 1e8]), np.array([1e13, 1e14])
    for k, seen in enumerate((study.runs.n_parameters, study.runs.n_tokens)):
        low[k] = min(low[k], 10 ** np.floor(np.log10(seen.min())))
        high[k] = max(high[k], 10 ** np.ceil(np.log10(seen.max())))
    n_grid, d_grid = np.geomspace(low[0], high[0], 61), np.geomspace(low[1], high[1], 61)
    drawn, loss_of = _drawn_law(study, setting)
    n_star, _ = study.frontier(estimate.parameters, COMPUTE)
    band = bands(study.frontier(refits, COMPUTE)[0], n_star[0])
    result = LossMap(
        n_grid,
        d_grid,
        np.minimum(scaling_form.loss(drawn, n_grid[None, :], d_grid[:, None]), 1e6),
        loss_of,
        study.runs,
        COMPUTE,
        n_star[0],
        *band,
        None if truth is None else true_frontier(truth, COMPUTE)[0],
        setting.target_compute,
        summarize(setting, estimate, refits),
    )
    yield 1.0, result


# --- isoFLOP curves ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IsoFlop(Result):
    """Loss against size at each budget of the study."""

    compute: Array  # (n_budgets,)
    n_grid: Array  # (n_budgets, n_sizes)
    curve: Array  # (n_budgets, n_sizes) truth, or the parametric fit
    curve_of: str
    runs: Runs
    fit_size: Array  # (n_budgets,) by the chosen method
    fit_loss: Array  # (n_budgets,)
    true_size: Array | None  # (n_budgets,)
    summary: Summary

    def table(self) -> pl.DataFrame:
        budget = np.where(self.runs.budget >= 0, self.runs.budget, -1)
        runs = pl.DataFrame(
            {"kind": "run", "budget": budget, "C_FLOP": self.runs.compute, "N": self.runs.n_parameters, "loss": self.runs.loss}
        )
        index = np.arange(self.compute.size)
        n_sizes = self.n_grid.shape[1]
        curves = pl.DataFrame(
            {
                "kind": f"isoFLOP curve of the {self.curve_of}",
                "budget": np.repeat(index, n_sizes),
                "C_FLOP": np.repeat(self.compute, n_sizes),
                "N": self.n_grid.ravel(),
                "loss": self.curve.ravel(),
            }
        )
        best = pl.DataFrame(
            {"kind": "optimum of the fit", "budget": index, "C_FLOP": self.compute, "N": self.fit_size, "loss": self.fit_loss}
        )
        return pl.concat([runs, curves, best])

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline()


@experiment(seconds=of_values(lambda setting: 0.03 + LIVE_REFITS * setting.refit_seconds()))
@on_setting
def isoflop_curves(*, setting: Setting) -> Iterator[tuple[float, IsoFlop]]:
    """Loss against size at each compute budget, with the optimum that the chosen method finds there.

    Raises
    ------
    ParameterError
        Where a user's runs fall into no compute budgets.
    """
    estimate = setting.estimate()
    study, truth = estimate.study, setting.true_law
    runs = study.runs
    budgets = np.unique(runs.budget[runs.budget >= 0])
    if budgets.size == 0:
        raise ParameterError("runs", "hold no compute budget: two runs of nearly the same compute 6ND, or a column budget.")
    (_, refits), *_ = bootstrap(estimate.refit, runs.n, LIVE_REFITS, setting.bootstrap_rng())
    # Checkpoints and counted embeddings shift the compute of a row: the budget is what most of its rows have.
    compute = np.array([np.median(runs.compute[runs.budget == k]) for k in budgets])
    low = np.array([runs.n_parameters[runs.budget == k].min() for k in budgets]) / 2
    high = np.array([runs.n_parameters[runs.budget == k].max() for k in budgets]) * 2
    n_grid = np.geomspace(low, high, 40, axis=1)
    drawn, curve_of = _drawn_law(study, setting)
    n_star, level = study.frontier(estimate.parameters, compute)
    result = IsoFlop(
        compute,
        n_grid,
        scaling_form.loss(drawn, n_grid, compute[:, None] / (FLOP_PER_PARAMETER_TOKEN * n_grid)),
        curve_of,
        replace(runs, budget=np.where(runs.budget >= 0, np.searchsorted(budgets, runs.budget), -1)),
        n_star[0],
        level[0],
        None if truth is None else true_frontier(truth, compute)[0],
        summarize(setting, estimate, refits),
    )
    yield 1.0, result


# --- frontier ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frontier(Result):
    """A compute-optimal quantity against compute: published laws, the truth, and the fit with its band."""

    quantity: str
    compute: Array  # (n_compute,)
    published: dict[str, Array]  # each (n_compute,)
    truth: Array | None
    fit: Array  # (n_compute,)
    low: Array
    high: Array
    target_compute: float
    seen: tuple[float, float]  # smallest and largest compute of the runs
    summary: Summary

    def table(self) -> pl.DataFrame:
        columns = {"C_FLOP": self.compute, "fit": self.fit, "low_80": self.low, "high_80": self.high}
        if self.truth is not None:
            columns["truth"] = self.truth
        return pl.DataFrame(columns | self.published)

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline()


@experiment(seconds=of_values(lambda setting, n_bootstrap, quantity: 0.03 + 1.1 * n_bootstrap * setting.refit_seconds()))
@on_setting
def frontier(
    *, quantity: Quantity = "tokens_per_parameter", n_bootstrap: Refits = 100, setting: Setting
) -> Iterator[tuple[float, Frontier]]:
    """The compute-optimal allocation against compute, with an 80% bootstrap band, beside the published ones."""
    estimate = setting.estimate()
    study, truth = estimate.study, setting.true_law
    published = {
        name: quantity_of(*true_frontier(scaling_form.PUBLISHED[name], COMPUTE), COMPUTE, quantity)
        for name in ("hoffmann_rounded", "hoffmann_unrounded", "besiroglu")
    }
    of_truth = None if truth is None else quantity_of(*true_frontier(truth, COMPUTE), COMPUTE, quantity)
    fit = quantity_of(*study.frontier(estimate.parameters, COMPUTE), COMPUTE, quantity)[0]
    seen = (float(study.runs.compute.min()), float(study.runs.compute.max()))
    chunk = max(50, n_bootstrap // 10)
    for done, refits in bootstrap(estimate.refit, study.runs.n, n_bootstrap, setting.bootstrap_rng(), chunk=chunk):
        band = bands(quantity_of(*study.frontier(refits, COMPUTE), COMPUTE, quantity), fit)
        summary = summarize(setting, estimate, refits)
        yield done, Frontier(quantity, COMPUTE, published, of_truth, fit, *band, setting.target_compute, seen, summary)


# --- bootstrap cloud -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cloud(Result):
    """Refits of the exponents, and the width of the interval of a against the number of runs."""

    axes: tuple[str, str]  # what x and y are
    x: Array  # (n_refits,)
    y: Array  # (n_refits,)
    fit_point: tuple[float, float]
    true_point: tuple[float, float] | None
    n_drawn: Array  # (n_sizes,) rows in a resample
    width: Array  # (n_sizes,) of the 80% interval of a
    width_error: Array  # (n_sizes,)
    summary: Summary

    def table(self) -> pl.DataFrame:
        cloud = pl.DataFrame({"kind": "refit", self.axes[0]: self.x, self.axes[1]: self.y})
        sizes = pl.DataFrame(
            {
                "kind": "interval",
                "n_runs": self.n_drawn,
                "width_of_80%_interval": self.width,
                "its_standard_error": self.width_error,
            }
        )
        return pl.concat([cloud, sizes], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline()


@experiment(seconds=of_values(lambda setting, n_bootstrap: 0.03 + 4.2 * n_bootstrap * setting.refit_seconds()))
@on_setting
def exponent_cloud(*, n_bootstrap: Refits = 100, setting: Setting) -> Iterator[tuple[float, Cloud]]:
    """Bootstrap refits in the plane of the exponents, and the interval of a = beta/(alpha+beta) with fewer runs.

    The width at a smaller number m of runs is that of a bootstrap which draws m rows; it says nothing of larger studies, for
    with a small delta the fit sticks to the rows there are. Methods without exponents show a
    and the tokens per parameter at C instead.
    """
    estimate = setting.estimate()
    study = estimate.study
    # The study's own number of runs first: its cloud is on screen while the others are drawn.
    sizes = [study.runs.n] + [round(f * study.runs.n) for f in (0.5, 0.25, 0.125)]
    # A resample needs more rows than constants; twice as many is the least that says something.
    sizes = [m for k, m in enumerate(sizes) if k == 0 or m >= 2 * estimate.parameters.shape[1]]
    refits = estimate.parameters
    widths: dict[int, tuple[float, float]] = {}
    for step, m in enumerate(sizes):
        rng = np.random.default_rng([setting.seed, 2, step]) if step else setting.bootstrap_rng()
        for done, sample in bootstrap(estimate.refit, study.runs.n, n_bootstrap, rng, n_drawn=m, chunk=max(100, n_bootstrap // 5)):
            refits = sample if step == 0 else refits
            low, high = interval(study.exponent(sample, setting.target_compute), LEVEL)
            if high - low > 1e-9:  # a form may fix a
                widths[m] = (float(high - low), float(width_error(high - low, len(sample), LEVEL)))
            yield (step + done) / len(sizes), _cloud(setting, estimate, refits, widths)


def _cloud(setting: Setting, estimate: Estimate, refits: Array, widths: dict[int, tuple[float, float]]) -> Cloud:
    study, truth = estimate.study, setting.true_law
    has_exponents = study.is_parametric and study.form_name != "width_depth"

    def place(parameters: Array) -> Array:
        if has_exponents:
            law = compute_optimal.law_from_parameters(study.form_name, parameters)
            return np.column_stack([law.alpha * law.power, law.beta * law.power])
        here = np.array([setting.target_compute])
        ratio = quantity_of(*study.frontier(parameters, here), here, "tokens_per_parameter")[:, 0]
        return np.column_stack([study.exponent(parameters, here[0]), ratio])

    known = (float(truth.alpha * truth.power), float(truth.beta * truth.power)) if isinstance(truth, Law) else None
    shown = place(refits[study.has_optimum(refits)])
    n_drawn = np.array(sorted(widths))
    width, error = np.array([widths[m] for m in n_drawn]).reshape(-1, 2).T
    fit_x, fit_y = place(estimate.parameters)[0]
    return Cloud(
        ("alpha", "beta") if has_exponents else ("a", "tokens_per_parameter"),
        shown[:, 0],
        shown[:, 1],
        (float(fit_x), float(fit_y)),
        known if has_exponents else None,
        n_drawn.astype(float),
        width,
        error,
        summarize(setting, estimate, refits),
    )
