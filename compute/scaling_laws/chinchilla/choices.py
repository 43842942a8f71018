"""Which choices of an analysis change its answer: tokens per parameter with one choice changed at a time.

References
----------
"(Mis)Fitting: A Survey of Scaling Laws" (2025), paper 320; Besiroglu et al. (2024), paper 405 of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.compute_optimal import Estimate, NoAllocation, Study
from compute.methods.scaling_study import LEVEL, Refits, Setting, of_values, on_setting, quantity_of, true_frontier
from compute.parameters import ParameterError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Choices(Result):
    """Tokens per parameter at C when one choice of the analysis at a time departs from the reference."""

    group: list[str]  # (n_choices,) objective, form, data, method
    label: list[str]
    ratio: Array  # (n_choices,) NaN where there is no answer
    low: Array
    high: Array
    reference: float
    reference_low: float
    reference_high: float
    truth: float | None
    target_compute: float

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "group": ["reference", *self.group],
                "choice": ["as set", *self.label],
                "tokens_per_parameter": [self.reference, *_or_null(self.ratio)],
                "low_80": [self.reference_low, *_or_null(self.low)],
                "high_80": [self.reference_high, *_or_null(self.high)],
            },
            schema_overrides={name: pl.Float64 for name in ("tokens_per_parameter", "low_80", "high_80")},
        )

    def headline(self) -> dict[str, float | str]:
        known: dict[str, float | str] = {"truth": "not known: these are your runs"}
        if self.truth is not None:
            known = {"true tokens per parameter": self.truth, "reference over truth": self.reference / self.truth}
        found = np.isfinite(self.ratio)
        if not found.any():
            return {"reference": self.reference, **known}
        change = np.where(found, np.abs(np.log(np.where(found, self.ratio, 1.0) / self.reference)), -1.0)
        worst = int(np.argmax(change))
        return {
            "reference": self.reference,
            "its 80% interval": f"{self.reference_low:.3g} to {self.reference_high:.3g}",
            **known,
            "choice that moves it most": self.label[worst],
            "it moves to": float(self.ratio[worst]),
            "choices beyond the interval": f"{int(np.sum(found & ((self.ratio < self.reference_low) | (self.ratio > self.reference_high))))}"
            f" of {int(found.sum())}",
        }


def _or_null(values: Array) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _departures(setting: Setting) -> list[tuple[str, str, Setting]]:
    """Settings that differ from the given one in one choice."""
    found: list[tuple[str, str, Setting]] = []

    def add(group: str, label: str, **change: object) -> None:
        if any(getattr(setting, name) != value for name, value in change.items()):
            found.append((group, label, replace(setting, **change)))  # type: ignore[arg-type]

    add("objective", "square of log loss", huber_delta=1.0)
    add("objective", "Huber threshold 1e-4", huber_delta=1e-4)
    add("objective", "Huber threshold 1e-2", huber_delta=1e-2)
    add("objective", "mean loss, default tolerance", fit_method="mean_loss_default_tolerance")
    add("form", "without irreducible loss", fit_form="no_offset", fit_method="parametric")
    add("form", "equal exponents", fit_form="equal_exponents", fit_method="parametric")
    add("form", "Kaplan's form", fit_form="kaplan", fit_method="parametric")
    add("method", "isoFLOP parabolas", fit_method="isoflop")
    add("method", "convex hull", fit_method="hull")
    slips = {"count_embeddings": "embeddings counted"}
    if setting.runs is None:
        slips |= {"mid_training": "mid-training checkpoints", "fixed_rate": "one learning rate for all"}
    for name, label in slips.items():
        is_on = getattr(setting, name)
        add("data", f"not: {label}" if is_on else label, **{name: not is_on})
    for shapes in ("slim", "wide"):
        add("data", f"{shapes} shapes only", shapes=shapes)
    return found


def _subsets(study: Study) -> list[tuple[str, Study]]:
    """Studies of part of the rows."""
    runs = study.runs
    middle = np.median(runs.compute)
    found = [
        ("smaller half of compute", runs.compute <= middle),
        ("larger half of compute", runs.compute >= middle),
        ("five highest losses dropped", runs.loss < np.sort(runs.loss)[-5]),
    ]
    if not runs.is_synthetic and runs.cooled.size and not runs.cooled.all():
        found.append(("cooled-down runs only", runs.cooled))
    return [(label, replace(study, runs=runs.keep(mask))) for label, mask in found]


def _choices_seconds(setting: Setting, n_bootstrap: int) -> float:
    plain = replace(setting, fit_method="parametric").refit_seconds()
    early = replace(setting, fit_method="mean_loss_default_tolerance").refit_seconds()
    others = replace(setting, fit_method="hull").refit_seconds()
    return 400 * plain + n_bootstrap * (3 * plain + early / 10 + others / 2)


@experiment(seconds=of_values(_choices_seconds))
@on_setting
def analysis_choices(*, n_bootstrap: Refits = 100, setting: Setting) -> Iterator[tuple[float, Choices]]:
    """Change one choice of the analysis at a time and see where the tokens per parameter at C go.

    The reference is the analysis as set. Synthetic runs keep their noise while their slips are switched. Each choice gets
    a fifth of the refits, BFGS at its default tolerance a tenth.
    """
    estimate = setting.estimate()
    study, here = estimate.study, np.array([setting.target_compute])
    truth = setting.true_law

    def ratio_of(study: Study, parameters: Array) -> Array:
        return quantity_of(*study.frontier(parameters, here), here, "tokens_per_parameter")[:, 0]

    def spread(estimate: Estimate) -> tuple[float, float, float]:
        n = n_bootstrap // 10 if estimate.study.method == "mean_loss_default_tolerance" else n_bootstrap // 5
        n = max(10, n)
        *_, (_, refits) = bootstrap(estimate.refit, estimate.study.runs.n, n, np.random.default_rng([setting.seed, 2]))
        low, high = interval(ratio_of(estimate.study, refits), LEVEL)
        return point(estimate), float(low), float(high)

    def point(estimate: Estimate) -> float:
        return float(ratio_of(estimate.study, estimate.parameters)[0])

    middle, low, high = spread(estimate)
    if not np.isfinite(low):
        low, high = middle, middle
    of_truth = None if truth is None else float(quantity_of(*true_frontier(truth, here), here, "tokens_per_parameter")[0])
    rows: list[tuple[str, str, float, float, float]] = []

    def result() -> Choices:
        ratio, lows, highs = np.array([row[2:] for row in rows], dtype=float).T
        groups, labels = [row[0] for row in rows], [row[1] for row in rows]
        return Choices(groups, labels, ratio, lows, highs, middle, low, high, of_truth, setting.target_compute)

    todo: list[tuple[str, str, Callable[[], Estimate]]] = [(g, label, other.estimate) for g, label, other in _departures(setting)]
    todo += [("data", label, part.fit) for label, part in _subsets(study)]
    if study.method == "parametric":
        todo.insert(4, ("objective", "best of a grid of starts", study.fit_from_grid))
        todo.insert(4, ("objective", "sum, BFGS from one poor start", study.fit_from_poor_start))
    for k, (group, label, fit) in enumerate(todo):
        try:
            found = fit()
            fixed = group == "objective" and "start" in label
            rows.append((group, label, *((point(found), np.nan, np.nan) if fixed else spread(found))))
        except (NoAllocation, ParameterError):
            rows.append((group, label, np.nan, np.nan, np.nan))
        yield (k + 1) / len(todo), result()
