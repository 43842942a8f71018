r"""A mechanism simulated live: the plateau of SGD on a noisy quadratic under a budget of examples.

A budget of D examples buys T = floor(D/(B + B_0)) steps, where B_0 is what a step costs whatever its batch. The gradient
noise is that of regression with labels of unit noise, whose irreducible loss is 1/2; the plateau is that of the whole loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.models.quadratic_descent import best_step_size, loss_surface, mean_loss, power_law_spectrum, simulate
from compute.parameters import LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

N_MODES = 500
EDGE = 2.0  # of the step size: lam_1 = 1
RATES = np.geomspace(1e-3, 3.98, 84)
BATCHES = 2 ** np.arange(0, 12.01, 0.25)
PLATEAU = 0.01
IRREDUCIBLE = 0.5

Spectrum = Annotated[float, Real("spectrum exponent", "a", low=1.05, high=2.5, help="Eigenvalues of the Hessian fall as j^-a.")]
Budget = Annotated[
    float, LogReal("budget", "D", low=1e2, high=1e6, unit="examples", help="What B + B₀ examples a step are taken from.")
]
Overhead = Annotated[float, Real("overhead of a step", r"B_{0}", low=0.0, high=256.0, unit="examples")]
StepSize = Annotated[float, LogReal("step size", r"\eta", low=1e-3, high=3.98)]
Batch = Annotated[int, LogInteger("batch", "B", low=1, high=4096, unit="examples")]
Runs = Annotated[int, LogInteger("SGD runs", "R", low=4, high=400)]


def steps_of(budget: float, batch: Array, overhead: float) -> Array:
    """T = floor(D/(B + B_0))."""
    return np.floor(budget / (np.asarray(batch, dtype=float) + overhead) * (1 + 1e-12))


@dataclass(frozen=True)
class Plateau(Result):
    """Exact loss, 1/2 included, over step size and batch at a budget of examples."""

    step_size: Array  # (n_rates,)
    batch: Array  # (n_batches,)
    loss: Array  # (n_batches, n_rates), NaN where the run has diverged
    valley: Array  # (n_batches,) best step size, NaN where no step fits
    valley_loss: Array  # (n_batches,)
    best: tuple[float, float, float]  # step size, batch, loss
    plateau: tuple[Array, Array]  # the line loss = 1.01 least loss
    rate_octaves: float  # the plateau's width in step size at the best batch
    batch_octaves: float  # its width in batch along the valley
    reaches_smallest: bool
    here: float | None

    def table(self) -> pl.DataFrame:
        excess = self.loss / self.best[2] - 1
        surface = grid_table("step_size", self.step_size, "batch_examples", self.batch, loss=self.loss, excess=excess)
        with np.errstate(invalid="ignore"):
            surface = surface.with_columns(log10_excess=np.log10(np.maximum(excess, 1e-4)).ravel()).with_columns(
                pl.col("log10_excess").fill_nan(None)
            )
        valley = pl.DataFrame({"step_size": self.valley, "batch_examples": self.batch, "valley_loss": self.valley_loss})
        return pl.concat([surface, valley.drop_nans()], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        rate, batch, loss = self.best
        found: dict[str, float | str] = {
            "best step size": rate,
            "best batch": batch,
            "least loss": loss,
            "1% plateau in step size, octaves": self.rate_octaves,
            "1% plateau in batch, octaves": self.batch_octaves,
            "lower end of the plateau": "batch 1: no optimum above it" if self.reaches_smallest else "above batch 1",
        }
        found["your point over the least loss"] = "diverges or has no step" if self.here is None else self.here / loss
        return found


@experiment
def plateau(
    *,
    step_size: StepSize = 1.0,
    batch: Batch = 8,
    spectrum_exponent: Spectrum = 1.2,
    toy_budget: Budget = 1e4,
    step_overhead: Overhead = 32.0,
) -> Plateau:
    """Exact expected loss of SGD on a noisy quadratic over (step size, batch), each point spending the same budget.

    Raises
    ------
    ParameterError
        Where the budget does not pay for one step of batch 1.
    """
    if toy_budget < 1 + step_overhead:
        raise ParameterError(
            "toy_budget", f"pays for no step; with this overhead it must be at least {1 + step_overhead:g} examples."
        )
    eigenvalues = power_law_spectrum(spectrum_exponent, N_MODES)
    here = None
    at = steps_of(toy_budget, np.array([batch]), step_overhead)
    if at[0] >= 1 and abs(step_size - EDGE) > 1e-9:
        value = float(loss_surface(eigenvalues, np.array([step_size]), np.array([float(batch)]), at)[0, 0])
        here = value + IRREDUCIBLE if value <= 10 * 0.5 * eigenvalues.sum() else None
    return replace(_plateau(spectrum_exponent, toy_budget, step_overhead), here=here)


@lru_cache(maxsize=8)
def _plateau(spectrum_exponent: float, toy_budget: float, step_overhead: float) -> Plateau:
    """All but the reader's point, which changes nothing of the rest."""
    eigenvalues = power_law_spectrum(spectrum_exponent, N_MODES)
    steps = steps_of(toy_budget, BATCHES, step_overhead)
    loss = loss_surface(eigenvalues, RATES, BATCHES, steps)
    bound = 10 * 0.5 * eigenvalues.sum()
    loss = np.where(loss > bound, np.nan, loss) + IRREDUCIBLE
    valley, valley_loss = np.full(BATCHES.size, np.nan), np.full(BATCHES.size, np.nan)
    can = steps >= 1
    valley[can], valley_loss[can] = best_step_size(eigenvalues, BATCHES[can], steps[can], low=1e-4, high=1.99)
    valley_loss += IRREDUCIBLE
    k = int(np.nanargmin(valley_loss))
    best = (float(valley[k]), float(BATCHES[k]), float(valley_loss[k]))
    level = (1 + PLATEAU) * best[2]
    along = np.geomspace(RATES[0], 1.99, 400)
    inside = along[loss_surface(eigenvalues, along, BATCHES[k : k + 1], steps[k : k + 1])[0] + IRREDUCIBLE <= level]
    on = np.flatnonzero(valley_loss <= level)
    lines = level_lines(np.log(RATES), np.log(BATCHES), np.where(np.isnan(loss), bound, loss), level)
    for array in (loss, valley, valley_loss):
        array.flags.writeable = False
    return Plateau(
        RATES,
        BATCHES,
        loss,
        valley,
        valley_loss,
        best,
        (np.exp(lines[0]), np.exp(lines[1])),
        float(np.log2(inside[-1] / inside[0])) if inside.size else 0.0,
        float(np.log2(BATCHES[on[-1]] / BATCHES[on[0]])),
        bool(on[0] == 0),
        None,
    )


@dataclass(frozen=True)
class ToyRun(Result):
    """Loss over the irreducible one along training at one step size and batch: exact, its two parts, and SGD."""

    examples: Array  # (n_points,) spent
    loss: Array  # (n_points,) exact
    start: Array  # (n_points,) what is left of the start
    noise: Array  # (n_points,)
    simulated_examples: Array  # (n_records,)
    simulation: Array  # (n_records,) mean over runs
    standard_error: Array  # (n_records,)
    exact_there: Array  # (n_records,)
    n_runs: int

    def table(self) -> pl.DataFrame:
        exact = pl.DataFrame(
            {"examples": self.examples, "exact_loss": self.loss, "left_of_the_start": self.start, "noise": self.noise}
        )
        runs = pl.DataFrame(
            {"examples": self.simulated_examples, "sgd_loss": self.simulation, "standard_error": self.standard_error}
        )
        return pl.concat([exact, runs], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        last = {"final excess loss": float(self.loss[-1]), "noise in it": float(self.noise[-1] / self.loss[-1])}
        scores = (self.simulation - self.exact_there) / self.standard_error
        return {**last, "largest gap to SGD, SE": float(np.max(np.abs(scores))), "SGD at the end": float(self.simulation[-1])}


def _run_seconds(*, batch: int, toy_budget: float, step_overhead: float, n_sgd: int, **_: object) -> float:
    steps = float(steps_of(toy_budget, np.array([batch]), step_overhead)[0])
    return 0.01 + steps * (1e-5 + 1.8e-8 * N_MODES * n_sgd)


@experiment(seconds=_run_seconds)
def toy_run(
    *,
    step_size: StepSize = 1.0,
    batch: Batch = 8,
    spectrum_exponent: Spectrum = 1.2,
    toy_budget: Budget = 1e4,
    step_overhead: Overhead = 32.0,
    n_sgd: Runs = 16,
    seed: Seed = 0,
) -> Iterator[tuple[float, ToyRun]]:
    """Loss along training at one (step size, batch): exact with its two parts, and the mean of independent SGD runs.

    Raises
    ------
    ParameterError
        At or beyond the stability edge, or where the budget pays for no step.
    """
    if step_size >= 1.999:
        raise ParameterError("step_size", "is at or beyond the stability edge; below 2 (λ₁ = 1) a run does not diverge.")
    last = int(steps_of(toy_budget, np.array([batch]), step_overhead)[0])
    if last < 1:
        raise ParameterError("toy_budget", f"pays for no step; it must be at least {batch + step_overhead:g} examples.")
    eigenvalues = power_law_spectrum(spectrum_exponent, N_MODES)
    cost = batch + step_overhead
    every = np.unique(np.rint(np.geomspace(1, last, 100)))
    start, noise = mean_loss(eigenvalues, step_size, float(batch), every)
    record = np.unique(np.rint(np.geomspace(1, last, 14)).astype(np.int64))
    spent: Array = record.astype(np.float64) * cost
    exact = np.add(*mean_loss(eigenvalues, step_size, float(batch), record.astype(float)))
    means: Array = np.empty(0)
    errors: Array = np.empty(0)
    for step, losses in simulate(eigenvalues, step_size, float(batch), record, n_sgd, np.random.default_rng(seed)):
        means = np.append(means, losses.mean())
        errors = np.append(errors, float(losses.std(ddof=1)) / n_sgd**0.5)
        done = means.size
        yield (
            step / last,
            ToyRun(every * cost, start + noise, start, noise, spent[:done], means, errors, exact[:done], n_sgd),
        )
