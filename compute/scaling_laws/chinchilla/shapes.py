"""Which shapes were trained changes what is prescribed: a law in width and depth, and fits to slim or wide models alone.

The synthetic suite is planted (L = eps + A w^-a + B d^-b + C p^-c + D T^-t with constants of our own): the checkpoints of the
Gemstones suite are not bundled.

References
----------
McLeish et al., "Gemstones: A Model Suite for Multi-Faceted Scaling Laws" (2025), paper 408 of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap
from compute.methods.compute_optimal import FORMS, NoAllocation, Study, shape_law_from_parameters, variables
from compute.methods.power_law import fit_log_huber
from compute.methods.scaling_study import (
    Decades,
    HuberDelta,
    Noise,
    Refits,
    RunCount,
    Setting,
    Shapes,
    Table,
    TargetCompute,
    bands,
    quantity_of,
    true_frontier,
)
from compute.models import scaling_form
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN, ShapeLaw
from compute.models.scaling_runs import SHAPES, SLIM, WIDE, Runs, keep_shapes
from compute.parameters import ParameterError, Seed

Array = NDArray[np.float64]

COMPUTE = np.geomspace(1e18, 1e26, 33)


@dataclass(frozen=True)
class ShapeMap(Result):
    """Loss over width and depth at one compute, and tokens per parameter as each subset of shapes prescribes them."""

    width: Array  # (n_widths,)
    depth: Array  # (n_depths,)
    loss: Array  # (n_depths, n_widths) at the target compute
    loss_of: str  # "truth" or "fit"
    runs: Runs
    kept: NDArray[np.bool_]  # (n_runs,)
    fit_shape: tuple[float, float] | None  # optimal width and depth by the width-depth fit to the shapes kept
    true_shape: tuple[float, float] | None
    path: tuple[Array, Array]  # optimal width and depth of the law drawn, along COMPUTE
    compute: Array  # (n_compute,)
    ratio: dict[str, Array]  # subset -> (n_compute,) tokens per parameter of a Chinchilla fit to it
    low: dict[str, Array]
    high: dict[str, Array]
    true_ratio: Array | None
    target_compute: float

    def table(self) -> pl.DataFrame:
        shapes = pl.DataFrame(
            {
                "kind": "run",
                "width": self.runs.width,
                "depth": self.runs.depth,
                "loss": self.runs.loss,
                "kept": self.kept,
            }
        )
        path = pl.DataFrame({"kind": "optimal shape", "width": self.path[0], "depth": self.path[1], "C_FLOP": self.compute})
        parts = [shapes, path]
        for name, ratio in self.ratio.items():
            parts.append(
                pl.DataFrame(
                    {
                        "kind": f"{name} shapes",
                        "C_FLOP": self.compute,
                        "tokens_per_parameter": ratio,
                        "low_80": self.low[name],
                        "high_80": self.high[name],
                    }
                )
            )
        if self.true_ratio is not None:
            parts.append(pl.DataFrame({"kind": "truth", "C_FLOP": self.compute, "tokens_per_parameter": self.true_ratio}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        k = int(np.argmin(np.abs(np.log(self.compute / self.target_compute))))
        found: dict[str, float | str] = {
            "optimal shape by the fit": _shape(self.fit_shape),
            "true optimal shape": _shape(self.true_shape) if self.true_shape else "not known: these are your runs",
        }
        for name, ratio in self.ratio.items():
            found[f"tokens per parameter, {name} shapes"] = float(ratio[k])
        if self.true_ratio is not None:
            found["true tokens per parameter"] = float(self.true_ratio[k])
        found["compute of these, FLOP"] = float(self.compute[k])
        return found


def _shape(shape: tuple[float, float] | None) -> str:
    return "not identified by these runs" if shape is None else f"width {shape[0]:.3g}, depth {shape[1]:.3g}"


@experiment(
    seconds=lambda n_bootstrap, n_runs, runs, **_: (
        0.1 + 1.2e-3 * n_bootstrap * max(1.0, (runs.height if runs is not None else n_runs) / 240)
    )
)
def shape_map(
    *,
    shapes: Shapes = "all",
    n_runs: RunCount = 240,
    noise_sigma: Noise = 6e-3,
    compute_decades: Decades = 3.0,
    huber_delta: HuberDelta = 1e-3,
    target_compute: TargetCompute = 5.76e23,
    n_bootstrap: Refits = 100,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, ShapeMap]]:
    """Loss over width and depth at a compute budget, and the allocation that slim, wide and all shapes prescribe.

    The five-term law in width, depth, parameters and tokens is fitted to the shapes kept and its optimum found by Newton's
    method (convex in the logs); the allocation of each subset is that of a Chinchilla fit, with its 80% bootstrap band.

    Raises
    ------
    ParameterError
        Where the runs have no shapes, or too few are kept.
    """
    setting = Setting(
        truth="width_depth",
        n_runs=n_runs,
        noise_sigma=noise_sigma,
        compute_decades=compute_decades,
        huber_delta=huber_delta,
        target_compute=target_compute,
        seed=seed,
        runs=runs,
    )
    everything = setting.draw_runs()
    if not everything.has_shapes:
        raise ParameterError("runs", "needs the columns width and depth, without gaps, for this view.")
    aspect = everything.width / everything.depth
    kept = {"all": aspect > 0, "slim": aspect <= SLIM, "wide": aspect >= WIDE}[shapes]
    form = FORMS["width_depth"]
    if np.sum(kept) < form.n_parameters:
        raise ParameterError(
            "shapes", f"leaves {int(np.sum(kept))} runs; the law in width and depth needs {form.n_parameters} or more."
        )
    study = Study(everything.keep(kept), "width_depth", "parametric", huber_delta)
    fitted = fit_log_huber(form, variables(study.runs, "width_depth"), study.runs.loss, huber_delta=huber_delta).parameters
    here = np.array([target_compute])
    fitted_law = shape_law_from_parameters(fitted) if study.has_optimum(fitted[None])[0] else None
    truth = setting.true_law
    drawn = truth if isinstance(truth, ShapeLaw) else fitted_law
    if drawn is None:
        raise ParameterError("runs", "do not identify a law in width and depth; vary the shape at each size.")
    width = np.geomspace(min(64.0, everything.width.min() / 2), max(32768.0, everything.width.max() * 2), 61)
    depth = np.geomspace(min(2.0, everything.depth.min() / 2), max(512.0, everything.depth.max() * 2), 61)
    n = scaling_form.shape_parameters(width[None, :], depth[:, None])
    level = scaling_form.shape_loss(drawn, width[None, :], depth[:, None], target_compute / (FLOP_PER_PARAMETER_TOKEN * n))
    true_ratio = None
    if truth is not None:
        true_ratio = quantity_of(*true_frontier(truth, COMPUTE), COMPUTE, "tokens_per_parameter")
    result = ShapeMap(
        width,
        depth,
        level,
        "truth" if drawn is truth else "fit",
        everything,
        kept,
        shape_of(fitted_law, here),
        shape_of(truth if isinstance(truth, ShapeLaw) else None, here),
        scaling_form.shape_optimum(drawn, COMPUTE),
        COMPUTE,
        {},
        {},
        {},
        true_ratio,
        target_compute,
    )
    for k, name in enumerate(SHAPES):
        curves = _prescription(
            Study(keep_shapes(everything, name), "chinchilla", "parametric", huber_delta), n_bootstrap, [seed, 5, k]
        )
        if curves is not None:
            ratio, low, high = curves
            result = replace(
                result, ratio={**result.ratio, name: ratio}, low={**result.low, name: low}, high={**result.high, name: high}
            )
        if k + 1 < len(SHAPES) and result.ratio:
            yield (k + 1) / len(SHAPES), result
    if not result.ratio:
        raise ParameterError("n_runs", "leaves too few runs of any shape for a fit with an optimum.")
    yield 1.0, result


def _prescription(study: Study, n_bootstrap: int, seed: list[int]) -> tuple[Array, Array, Array] | None:
    """Tokens per parameter along ``COMPUTE`` with its 80% band; None where the runs give none."""
    try:
        estimate = study.fit()
    except NoAllocation:
        return None
    if not study.has_optimum(estimate.parameters)[0]:
        return None
    *_, (_, refits) = bootstrap(estimate.refit, study.runs.n, n_bootstrap, np.random.default_rng(seed))
    ratio = quantity_of(*study.frontier(estimate.parameters, COMPUTE), COMPUTE, "tokens_per_parameter")[0]
    return ratio, *bands(quantity_of(*study.frontier(refits, COMPUTE), COMPUTE, "tokens_per_parameter"), ratio)


def shape_of(form: ShapeLaw | None, here: Array) -> tuple[float, float] | None:
    """Optimal width and depth at one compute."""
    if form is None:
        return None
    width, depth = scaling_form.shape_optimum(form, here)
    return float(width[0]), float(depth[0])
