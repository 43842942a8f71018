"""The parameters that every view shares, and the benchmark they give: drawn from the mechanism, or brought by a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.methods.shared_parameters import gathered
from compute.parameters import Choice, Column, Dataset, Integer, LogInteger, ParameterError, Real, Seed
from compute.scaling_laws.downstream_metrics.chain import (
    METRICS,
    Array,
    Mechanism,
    draw,
    log_probabilities,
    model_scale,
)

MIN_MODELS = 4

Choices = Annotated[int, Integer("choices", "K", low=2, high=10, help="Of each question, one of them correct.")]
Gain = Annotated[float, Real("mean gain", "g", low=0.0, high=2.0, unit="nats per decade", help="Of the correct choice's log p.")]
Correlation = Annotated[
    float, Real("gain correlation", r"\rho", low=-0.5, high=0.95, help="How much wrong choices rise with the right one.")
]
IncorrectNoise = Annotated[float, Real("noise of wrong choices", r"s_{\mathrm{w}}", low=0.0, high=3.0, unit="nats")]
CorrectNoise = Annotated[float, Real("noise of the right choice", r"s_{\mathrm{c}}", low=0.0, high=1.0, unit="nats")]
Advantage = Annotated[
    float,
    Real("head start", "a", low=0.0, high=4.0, unit="nats", help="Mean log p of the right choice over a wrong one, mid-range."),
]
DecadesOfCompute = Annotated[float, Real("compute range", low=1.0, high=6.0, unit="decades")]
Models = Annotated[int, Integer("models", "M", low=MIN_MODELS, high=40)]
Questions = Annotated[int, LogInteger("questions", "n", low=50, high=2000)]
Metric = Annotated[str, Choice("correlation", options=METRICS, help="With log compute, over models, question by question.")]
Spacing = Annotated[str, Choice("models on the compute axis", options=("even", "normal"))]

SCORE_COLUMNS = (
    Column("model", "label", is_text=True),
    Column("compute", "training compute in FLOP", low=1e6, high=1e32),
    Column("question", "label", is_text=True),
    Column("choice", "label", is_text=True),
    Column("logp", "log-probability of the choice, nats", low=-1e4, high=100),
    Column("correct", "1 for the correct choice, 0 for the others", low=0, high=1),
)


def _template() -> str:
    """Six questions of three choices, five models."""
    x = np.linspace(-2, 2, 5)
    log_p = log_probabilities(Mechanism(3, 0.7, 0.7, 0.8, 0.3, 1.0), x, draw(6, 5, 3, np.random.default_rng(5)))
    rows = ["model,compute,question,choice,logp,correct"]
    for q, m, k in np.ndindex(log_p.shape):
        rows.append(f"m{m + 1},{10 ** (20 + x[m]):.3g},q{q + 1},{'abc'[k]},{log_p[q, m, k]:.3f},{int(k == 0)}")
    return "\n".join(rows) + "\n"


SCORES = Dataset(
    "your scores",
    columns=SCORE_COLUMNS,
    template=_template(),
    help="A CSV with one row for each model, question and choice, in place of the mechanism's draw.",
)
Table = Annotated[pl.DataFrame | None, SCORES]


@dataclass(frozen=True)
class Benchmark:
    """Parameters of a benchmark."""

    choices: Choices = 4
    gain_mean: Gain = 0.7
    gain_correlation: Correlation = 0.7
    incorrect_noise: IncorrectNoise = 0.8
    correct_noise: CorrectNoise = 0.3
    advantage: Advantage = 1.0
    compute_decades: DecadesOfCompute = 4.0
    n_models: Models = 12
    n_questions: Questions = 500
    spacing: Spacing = "even"
    seed: Seed = 0
    scores: Table = None

    @property
    def mechanism(self) -> Mechanism:
        return Mechanism(
            self.choices, self.gain_mean, self.gain_correlation, self.incorrect_noise, self.correct_noise, self.advantage
        )

    def draw(self) -> tuple[Array, Array]:
        """x = log10 compute, centered, (n_models,), and log p, (n_questions, n_models, choices), the correct choice first."""
        if self.scores is not None:
            return _from_table(self.scores)
        rng = np.random.default_rng([self.seed, 1])
        x = model_scale(self.n_models, self.compute_decades, self.spacing, rng)
        return x, log_probabilities(self.mechanism, x, draw(self.n_questions, self.n_models, self.choices, rng))


with_benchmark = gathered(Benchmark, "benchmark")


def _from_table(table: pl.DataFrame) -> tuple[Array, Array]:
    """Scores of an uploaded table; questions that lack a model, a choice or a single correct one are left out.

    Raises
    ------
    ParameterError
        For fewer than four models, models of equal compute, or no complete question.
    """
    compute = table.group_by("model").agg(pl.col("compute").mean()).sort("compute", "model")
    if compute.height < MIN_MODELS or compute["compute"].n_unique() < 2:
        raise ParameterError(
            "scores", f"hold {compute.height} models; a correlation needs {MIN_MODELS} or more, of unequal compute."
        )
    order = {name: k for k, name in enumerate(compute["model"])}
    x = np.log10(compute["compute"].to_numpy())
    found = []
    for _, part in table.group_by("question", maintain_order=True):
        labels = part.group_by("choice").agg(pl.col("correct").mean()).sort(["correct", "choice"], descending=[True, False])
        if labels.height < 2 or labels["correct"].to_list() != [1.0] + [0.0] * (labels.height - 1):
            continue
        place = {name: k for k, name in enumerate(labels["choice"])}
        values = np.full((x.size, labels.height), np.nan)
        for model, choice, log_p in part.select("model", "choice", "logp").iter_rows():
            values[order[model], place[choice]] = log_p
        if np.isfinite(values).all():
            found.append(values)
    most = max((v.shape[1] for v in found), default=0)
    if not found:
        raise ParameterError(
            "scores", "hold no question that every model has answered, with one correct choice and one or more wrong."
        )
    # Questions with fewer choices are padded with impossible ones.
    padded = [np.pad(v, ((0, 0), (0, most - v.shape[1])), constant_values=-1e5) for v in found]
    return x - x.mean(), np.stack(padded)
