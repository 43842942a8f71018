"""The parameters that the views share, and the models that are finetuned."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import polars as pl

from compute.models.emergence_law import Array, Finetuned, accuracy, compute_of_loss, loss_of_compute
from compute.parameters import Column, Dataset, Integer, LogReal, Real

SLOPE = 1.0  # of the truth, accuracy per nat
DECADES = 2.0  # of compute that the models span
EXAMPLES_RANGE = (50.0, 50_000.0)

Elbow = Annotated[
    float, Real("few-shot elbow", "e_0", low=1.75, high=3.0, unit="nats", help="Loss below which the task is learned.")
]
Shift = Annotated[float, Real("shift of the elbow", r"\delta", low=0.0, high=0.5, unit="nats")]
Power = Annotated[float, Real("power of the shift", "q", low=0.5, high=2.0)]
ModelSizes = Annotated[int, Integer("models", "n", low=3, high=12, help="Spaced evenly over two decades of compute.")]
DataLevels = Annotated[int, Integer("finetuning amounts", "m", low=2, high=8, help="From 50 to 50,000 examples, beside few-shot.")]
AccuracyNoise = Annotated[float, LogReal("noise of an accuracy", r"\sigma", low=0.002, high=0.05, help="Known to the fit.")]
ComputeGap = Annotated[float, LogReal("compute gap", "g", low=1.0, high=16.0, help="From the largest model to few-shot emergence.")]
Chance = Annotated[float, Real("chance accuracy", "c", low=0.0, high=0.5)]

TEMPLATE = "loss,examples,accuracy\n" + "\n".join(
    f"{loss},{examples},{round(float(accuracy(np.array(loss), np.array(examples), 0.25, 2.15, 0.14, 1.0, 1.1)) + bump, 3)}"
    for k, loss in enumerate((2.8, 2.65, 2.5, 2.4, 2.3))
    for j, examples in enumerate((0, 50, 500, 5000, 50000))
    for bump in (0.01 * ((7 * k + 5 * j) % 5 - 2) / 2,)
)
_PARAMETER = Dataset(
    "your runs",
    help="One row a finetuned model; 0 examples is few-shot.",
    columns=(
        Column("loss", "pretraining loss, nats per token", low=1.71, high=6.0),
        Column("examples", "finetuning examples, 0 for few-shot", low=0.0, high=1e9),
        Column("accuracy", "from 0 to 1", low=0.0, high=1.0),
    ),
    template=TEMPLATE,
)
Runs = Annotated[pl.DataFrame | None, _PARAMETER]


def design(elbow: float, compute_gap: float, model_sizes: int, data_levels: int) -> tuple[Array, Array]:
    """(loss, examples) of every run: each model few-shot and at each finetuning amount.

    Models end a factor ``compute_gap`` short of few-shot emergence.
    """
    largest = compute_of_loss(elbow) / compute_gap
    losses = loss_of_compute(np.geomspace(largest / 10**DECADES, largest, model_sizes))
    amounts = np.concatenate([[0.0], np.geomspace(*EXAMPLES_RANGE, data_levels)])
    loss, examples = np.meshgrid(losses, amounts)
    return loss.ravel(), examples.ravel()


def simulate(
    elbow: float,
    shift: float,
    power: float,
    model_sizes: int,
    data_levels: int,
    accuracy_noise: float,
    compute_gap: float,
    chance: float,
    rng: np.random.Generator,
) -> Finetuned:
    """Planted runs."""
    loss, examples = design(elbow, compute_gap, model_sizes, data_levels)
    exact = accuracy(loss, examples, chance, elbow, shift, power, SLOPE)
    return Finetuned(loss, examples, exact + accuracy_noise * rng.standard_normal(loss.size), chance, accuracy_noise)
