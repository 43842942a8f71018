"""The law fitted to a reader's own evaluations, task by task, with a test of its curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from compute.experiment import Result, experiment
from compute.inference_scaling.pass_until.setting import bent_design, straight_design
from compute.methods.bootstrap import interval
from compute.methods.pass_until import fit_law, predict
from compute.parameters import Column, Dataset, LogInteger, LogReal, ParameterError, Seed, read_table

Array = NDArray[np.float64]

TEMPLATE = (
    "size,task,draws,passes\n"
    "30,easy,4100,20\n60,easy,980,20\n125,easy,402,20\n250,easy,201,20\n500,easy,108,20\n1000,easy,71,20\n"
    "30,late,36500,20\n60,late,14100,20\n125,late,6900,20\n250,late,2550,20\n500,late,322,20\n1000,late,63,20\n"
)
_PARAMETER = Dataset(
    "your evaluations",
    help="One row a model and task: how many samples were drawn and how many passed, however sampling stopped.",
    columns=(
        Column("size", "model size, in millions", low=1e-3, high=1e9),
        Column("task", "name, where there are several", required=False, is_text=True),
        Column("draws", "samples drawn", low=1, high=1e12),
        Column("passes", "of them passed", low=0, high=1e12),
    ),
    template=TEMPLATE,
)
Evaluations = Annotated[pl.DataFrame | None, _PARAMETER]
TargetSize = Annotated[
    float, LogReal("size to predict", "N", unit="millions", low=1.0, high=1e6, help="Model size at which success is foretold.")
]
Refits = Annotated[int, LogInteger("bootstrap refits", "R", low=100, high=2000, help="Of data redrawn from the fitted law.")]


@dataclass(frozen=True)
class TaskFit:
    """One task's evaluations and its law."""

    name: str
    size: Array  # (n_rows,)
    minus_log: Array  # (n_rows,) measured -log p, NaN where nothing or everything passed
    error: Array  # (n_rows,) relative standard error of it
    exponent: float
    exponent_error: float
    fitted: Array  # (n_curve,) -log p of the law
    predicted: float  # success at the target size
    predicted_interval: tuple[float, float]  # 90%, bootstrap
    curvature: float  # mean d2y/dx2, by a fit with a square
    curvature_interval: tuple[float, float]  # 90%, bootstrap
    p_value: float  # of that curvature if the law were straight


@dataclass(frozen=True)
class OwnLaw(Result):
    """Laws of a reader's tasks."""

    tasks: tuple[TaskFit, ...]
    curve_size: Array  # (n_curve,) millions
    target_size: float
    is_example: bool

    def table(self) -> pl.DataFrame:
        parts = []
        for t in self.tasks:
            measured = {"task": t.name, "size_millions": t.size, "minus_log_success": t.minus_log, "relative_error": t.error}
            parts.append(pl.DataFrame(measured).fill_nan(None))
            parts.append(pl.DataFrame({"task": t.name, "size_millions": self.curve_size, "minus_log_fitted": t.fitted}))
            summary = {
                "exponent": t.exponent,
                "exponent_standard_error": t.exponent_error,
                "predicted_success": t.predicted,
                "predicted_low": t.predicted_interval[0],
                "predicted_high": t.predicted_interval[1],
                "curvature": t.curvature,
                "curvature_low": t.curvature_interval[0],
                "curvature_high": t.curvature_interval[1],
                "straight_p_value": t.p_value,
            }
            parts.append(pl.DataFrame([{"task": t.name, "size_millions": self.target_size, **summary}]))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {"table": "the example" if self.is_example else "yours"}
        for t in self.tasks[:3]:
            low, high = t.predicted_interval
            found[f"{t.name}: success at {self.target_size:g}M"] = f"{t.predicted:.3g} [{low:.2g}, {high:.2g}]"
            found[f"{t.name}: exponent"] = t.exponent
            verdict = "straight" if t.p_value > 0.05 else "accelerates" if t.curvature < 0 else "slows down"
            found[f"{t.name}: curvature"] = f"{t.curvature:+.2f} (p = {t.p_value:.2g}): {verdict}".replace("-", "−")
        return found


@experiment
def own_law(*, data: Evaluations = None, target_size: TargetSize = 2400.0, refits: Refits = 200, seed: Seed = 0) -> OwnLaw:
    """The task scaling law of each task in a table, by maximum likelihood, its prediction and the test of its curvature.

    The likelihood p^s (1 - p)^(n - s) is the same for draws until r passes and for a fixed number. Intervals are 90%, from a
    parametric bootstrap that redraws the passes at the draws spent; the curvature is tested by the likelihood's Wald ratio.
    """
    frame = read_table("data", TEMPLATE.encode(), _PARAMETER)[0] if data is None else data
    if (frame["passes"] > frame["draws"]).any():
        raise ParameterError("data", "has a row with more passes than draws; passes are at most draws.")
    groups = [("your task", frame)]
    if "task" in frame.columns:
        frame = frame.with_columns(pl.col("task").fill_null("unnamed"))
        groups = [(str(name), part) for (name,), part in frame.group_by("task", maintain_order=True)]
    ends = np.array([frame["size"].min(), frame["size"].max(), target_size], dtype=float)
    curve = np.geomspace(ends.min() / 1.2, ends.max() * 1.2, 61)
    rng = np.random.default_rng(seed)
    tasks = tuple(_fit_task(name, part, curve, target_size, refits, rng) for name, part in groups[:7])
    return OwnLaw(tasks, curve, target_size, data is None)


def _fit_task(name: str, frame: pl.DataFrame, curve: Array, target: float, refits: int, rng: np.random.Generator) -> TaskFit:
    size, draws, seen = (frame[c].to_numpy().astype(float) for c in ("size", "draws", "passes"))
    if np.unique(size).size < 3 or np.unique(size[seen > 0]).size < 2:
        raise ParameterError("data", f"has too little of {name}: a task needs three sizes, and passes at two of them.")
    design, bent = straight_design(size), bent_design(size)
    row = straight_design(np.array([target]))[0]
    b, covariance = fit_law(design, seen, draws)
    square, square_covariance = fit_law(bent, seen, draws)
    curvature, curvature_error = 2 * float(square[2]), 2 * float(np.sqrt(square_covariance[2, 2]))
    redrawn = rng.binomial(draws.astype(np.int64), _success(bent @ square), (refits, size.size)).astype(float)
    spread = fit_law(bent, redrawn, draws)[0][:, 2] * 2
    straight = rng.binomial(draws.astype(np.int64), _success(design @ b), (refits, size.size)).astype(float)
    ahead = _success(predict(*fit_law(design, straight, draws), row)[0])
    share = seen / draws
    known = (seen > 0) & (seen < draws)
    minus_log = np.where(known, -np.log(np.where(known, share, 0.5)), np.nan)
    # The error of log p over log p is that of log(-log p).
    error = np.where(known, np.sqrt((1 - share) / np.maximum(seen, 1)), np.nan) / np.where(known, minus_log, 1.0)
    low, high = interval(ahead, 0.9)
    bend_low, bend_high = interval(spread, 0.9)
    return TaskFit(
        name,
        size,
        minus_log,
        error,
        float(-b[1]),
        float(np.sqrt(covariance[1, 1])),
        np.exp(np.clip(straight_design(curve) @ b, -30, 7)),
        float(_success(np.array(row @ b))),
        (float(low), float(high)),
        curvature,
        (float(bend_low), float(bend_high)),
        float(2 * norm.sf(abs(curvature) / curvature_error)),
    )


def _success(eta: Array) -> Array:
    return np.exp(-np.exp(np.clip(eta, -30, 6.5)))
