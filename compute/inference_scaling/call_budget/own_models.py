"""A reader's own models at the same spending: coverage from counts, with a bootstrap over problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval, resample_counts
from compute.models.problem_difficulty import coverage_estimator
from compute.parameters import Column, Dataset, LogInteger, LogReal, ParameterError, Seed, read_table

Array = NDArray[np.float64]

TEMPLATE = (
    "problem,model,samples,correct,price\n"
    + "".join(f"p{i},small,50,{c},1\n" for i, c in enumerate([48, 31, 22, 14, 9, 6, 4, 2, 1, 1, 0, 0, 0, 3, 17, 40]))
    + "".join(f"p{i},large,20,{c},5.4\n" for i, c in enumerate([20, 19, 17, 14, 11, 8, 7, 4, 2, 1, 1, 0, 0, 5, 15, 20]))
)
_PARAMETER = Dataset(
    "your models",
    help="One row a problem and model: how many samples were drawn and how many were right.",
    columns=(
        Column("problem", "name", is_text=True),
        Column("model", "name", is_text=True),
        Column("samples", "number drawn", low=1, high=1e6),
        Column("correct", "number right", low=0, high=1e6),
        Column("price", "of one sample, in any unit", low=1e-9, high=1e9),
    ),
    template=TEMPLATE,
)
Models = Annotated[pl.DataFrame | None, _PARAMETER]
Spending = Annotated[float, LogReal("spending", "b", low=1e-3, high=1e4, help="On a problem, in the unit of your prices.")]
Refits = Annotated[int, LogInteger("resamples", "R", low=100, high=5000, help="Of the bootstrap over problems.")]


@dataclass(frozen=True)
class ModelCurve:
    """One model."""

    name: str
    price: float
    spent: Array  # (n_k,)
    coverage: Array  # (n_k,)
    low: Array  # (n_k,) 90%
    high: Array  # (n_k,)


@dataclass(frozen=True)
class OwnModels(Result):
    """Coverage against spending of each model, and the winner at one spending."""

    models: tuple[ModelCurve, ...]
    spending: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for m in self.models:
            columns = {"spent": m.spent, "coverage": m.coverage, "low": m.low, "high": m.high}
            parts.append(pl.DataFrame({"model": m.name, "price": m.price, **columns}))
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def your_models(*, data: Models = None, spending: Spending = 5.4, refits: Refits = 400, seed: Seed = 0) -> OwnModels:
    """Coverage of each model's k samples, 1 - C(n - s, k)/C(n, k), against what they cost; the winner at your spending.

    Only k up to the fewest samples of a model is shown: nothing is extrapolated. Intervals are 90%, resampling problems;
    the difference of two models resamples the problems they share together.
    """
    frame = read_table("data", TEMPLATE.encode(), _PARAMETER)[0] if data is None else data
    if (frame["correct"] > frame["samples"]).any():
        raise ParameterError("data", "has a row with more correct than samples; correct is at most samples.")
    groups = {str(name): part for (name,), part in frame.group_by("model", maintain_order=True)}
    names = frame["problem"].unique(maintain_order=True).to_list()
    counts = resample_counts(np.random.default_rng(seed), len(names), refits)
    curves, at_spending = [], {}
    for name, part in list(groups.items())[:7]:
        place = np.array([names.index(problem) for problem in part["problem"]])
        samples, correct = part["samples"].to_numpy(), part["correct"].to_numpy()
        price = float(np.mean(part["price"].to_numpy()))
        most = int(samples.min())
        k = np.unique(np.append(np.rint(np.geomspace(1, most, 25)), np.clip(np.floor(spending / price + 1e-9), 1, most)))
        each = coverage_estimator(correct, samples, k)
        weight = counts[:, place]
        redrawn = (weight @ each) / np.maximum(weight.sum(axis=1, keepdims=True), 1)
        low, high = interval(redrawn, 0.9)
        curves.append(ModelCurve(name, price, k * price, each.mean(axis=0), low, high))
        bought = np.floor(spending / price + 1e-9)
        if bought >= 1:
            j = int(np.searchsorted(k, min(bought, most)))
            at_spending[name] = (float(each.mean(axis=0)[j]), redrawn[:, j], int(k[j]))
    summary: dict[str, float | str] = {"table": "the example" if data is None else "yours"}
    ranked = sorted(at_spending, key=lambda n: -at_spending[n][0])
    if ranked:
        first = ranked[0]
        summary[f"best at {spending:g}"] = f"{first}, {at_spending[first][2]} samples"
        summary["its coverage"] = at_spending[first][0]
    else:
        summary[f"best at {spending:g}"] = "nothing can be bought"
    if len(ranked) > 1:
        low, high = interval(at_spending[ranked[0]][1] - at_spending[ranked[1]][1], 0.9)
        summary[f"ahead of {ranked[1]} by, 90%"] = f"[{float(low):.3f}, {float(high):.3f}]".replace("-", "−")
    return OwnModels(tuple(curves), spending, summary)
