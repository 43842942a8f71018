r"""A synthetic observatory of model families, or the reader's own table of benchmark scores.

A family f turns log compute into latent capability at its own efficiency, S = theta_f c + nu_f in R^k with
c = (log10 C - 22)/1.5; benchmarks are B = 1/2 + 0.13 S Gamma^T + noise, cut off at each benchmark's floor and at 1 (or squashed by
a probit); a downstream task is E = 0.95 sigma(sharpness (w·S - 0.8)) + noise.

References
----------
Ruan, Maddison & Hashimoto, "Observational Scaling Laws and the Predictability of Language Model Performance" (2024), paper 223.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from compute.methods.shared_parameters import gathered
from compute.parameters import Choice, Column, Dataset, Integer, ParameterError, Real, Seed

Array = NDArray[np.float64]

TASK_WEIGHTS = np.array([1.0, 0.4, -0.3])  # of the downstream task, by latent dimension
TASK_OFFSET, TASK_CEILING = 0.8, 0.95
TARGET = "target"  # the benchmark of a reader's table that is to be foretold

Families = Annotated[int, Integer("model families", "F", low=3, high=20)]
ModelsPerFamily = Annotated[int, Integer("models per family", "m", low=2, high=8)]
LatentDimensions = Annotated[
    int, Integer("latent dimensions", "k", low=1, high=3, help="Of the capability that all scores come from.")
]
Benchmarks = Annotated[int, Integer("benchmarks", "p", low=4, high=20, help="Standard ones, known for every model.")]
ScoreNoise = Annotated[
    float, Real("noise of a score", r"\sigma", low=0.0, high=0.2, help="Standard deviation, of accuracies in [0, 1].")
]
Cutoff = Annotated[
    float,
    Real("cutoff", low=20.0, high=95.0, unit="percentile", help="Models below it in compute are fitted, those above foretold."),
]
Components = Annotated[int, Integer("components used", "q", low=1, high=5, help="Principal components that the task is fitted on.")]
Sharpness = Annotated[float, Real("sharpness of the task", low=0.5, high=5.0, help="How steeply it rises with capability.")]
Ceiling = Annotated[str, Choice("floors and ceilings", options=("clipped", "probit", "none"), help="What keeps scores in [0, 1].")]
SCORES = Dataset(
    "your benchmark scores",
    help="One row a score; the benchmark called target is foretold. Scores that are missing are filled in.",
    columns=(
        Column("model", "its name", is_text=True),
        Column("family", "its family", is_text=True),
        Column("benchmark", "which; one of them must be called target", is_text=True),
        Column("score", "accuracy, from 0 to 1", low=0.0, high=1.0),
        Column("FLOP", "training compute of the model", required=False, low=1.0, high=1e40),
    ),
    template="model,family,FLOP,benchmark,score\n"
    + "".join(
        f"{family}-{size},{family},{flop:.3g},{name},{score:.3f}\n"
        for family, shift in (("A", 0.0), ("B", 0.12), ("C", -0.1))
        for size, flop in (("s", 1e21), ("m", 1e22), ("l", 1e23), ("x", 1e24))
        for name, gain, level in (("mmlu", 0.13, 0.45), ("arc", 0.1, 0.55), ("code", 0.15, 0.3), (TARGET, 0.2, 0.3))
        for score in (min(max(level + gain * (np.log10(flop) - 22.5) + shift * (1 + gain), 0.02), 0.98),)
    ),
)
ScoreTable = Annotated[pl.DataFrame | None, SCORES]


@dataclass(frozen=True)
class Setting:
    """The observatory and its analysis."""

    families: Families = 8
    models_per_family: ModelsPerFamily = 5
    latent_dimensions: LatentDimensions = 2
    benchmarks: Benchmarks = 8
    benchmark_noise: ScoreNoise = 0.03
    cutoff_percentile: Cutoff = 70.0
    components_used: Components = 2
    sigmoid_sharpness: Sharpness = 2.0
    ceiling: Ceiling = "clipped"
    seed: Seed = 0


with_setting = gathered(Setting, "setting")


@dataclass(frozen=True)
class Observatory:
    """Scores of many models."""

    family: NDArray[np.int64]  # (n,)
    family_names: list[str]
    log_compute: Array | None  # (n,) log10 FLOP
    scores: Array  # (n, p) NaN where missing
    benchmark_names: list[str]
    target: Array  # (n,) NaN where missing
    latent: Array | None  # (n, k) of the synthetic one

    @property
    def n(self) -> int:
        return int(self.family.size)


def linear_scores(latent: Array, loadings: Array) -> Array:
    """Scores without noise, floor or ceiling: of rank k about 1/2."""
    return 0.5 + 0.13 * latent @ loadings.T


def simulate(setting: Setting, rng: np.random.Generator) -> Observatory:
    """Draw families, models, benchmarks and the downstream task."""
    f, m, k, p = setting.families, setting.models_per_family, setting.latent_dimensions, setting.benchmarks
    smallest = rng.uniform(19.3, 22.0, f)
    span = rng.uniform(1.5, 3.0, f)
    log_compute = (smallest[:, None] + span[:, None] * np.linspace(0, 1, m)).ravel()
    family = np.repeat(np.arange(f), m)
    efficiency = np.exp(0.3 * rng.standard_normal((f, 3)))[:, :k] * np.array([1.0, 0.25, 0.25])[:k]
    offset = rng.standard_normal((f, 3))[:, :k] * np.array([0.4, 0.6, 0.6])[:k]
    c = (log_compute - 22.0) / 1.5
    latent = efficiency[family] * c[:, None] + offset[family]
    # The first dimension raises every benchmark, the others tell them apart.
    loadings = np.column_stack([rng.uniform(0.7, 1.3, 20), 0.7 * rng.standard_normal((20, 2))])[:p, :k]
    floor = rng.choice([0.0, 0.2, 0.25], 20)[:p]
    noise = rng.standard_normal((f * m, 21))[:, : p + 1] * setting.benchmark_noise
    if setting.ceiling == "probit":
        clean = floor + (1 - floor) * ndtr(0.55 * latent @ loadings.T)
    else:
        clean = linear_scores(latent, loadings)
    scores = clean + noise[:, :p]
    if setting.ceiling != "none":
        scores = np.clip(scores, floor, 1.0)
    drive = setting.sigmoid_sharpness * (latent @ TASK_WEIGHTS[:k] - TASK_OFFSET)
    target = np.clip(TASK_CEILING * expit(drive) + noise[:, p], 0.0, 1.0)
    names = [f"family {i + 1}" for i in range(f)]
    return Observatory(family, names, log_compute, scores, [f"benchmark {j + 1}" for j in range(p)], target, latent)


def from_table(table: pl.DataFrame) -> Observatory:
    """A reader's scores, one row each.

    Raises
    ------
    ParameterError
        Where there is no target, or too few models or benchmarks.
    """
    models = table["model"].unique(maintain_order=True).to_list()
    benchmarks = [b for b in table["benchmark"].unique(maintain_order=True).to_list() if b.lower() != TARGET]
    row = {name: i for i, name in enumerate(models)}
    column = {name: j for j, name in enumerate(benchmarks)}
    scores, target = np.full((len(models), len(benchmarks)), np.nan), np.full(len(models), np.nan)
    log_compute, families = np.full(len(models), np.nan), [""] * len(models)
    flops = table["FLOP"].to_list() if "FLOP" in table.columns else [None] * table.height
    for model, family, name, score, flop in zip(
        table["model"], table["family"], table["benchmark"], table["score"], flops, strict=True
    ):
        i = row[model]
        families[i] = family
        if flop is not None:
            log_compute[i] = np.log10(flop)
        if name.lower() == TARGET:
            target[i] = score
        else:
            scores[i, column[name]] = score
    if not np.isfinite(target).any():
        raise ParameterError("scores", f"holds no benchmark called {TARGET}: name so the one that is to be foretold.")
    if len(models) < 6 or len(benchmarks) < 2:
        raise ParameterError("scores", "needs at least six models and two benchmarks besides the target.")
    empty = [b for b, j in column.items() if np.isfinite(scores[:, j]).sum() < 3 or np.nanstd(scores[:, j]) < 1e-9]
    if empty:
        raise ParameterError("scores", f"needs three models with different scores on every benchmark; {empty[0]} has not.")
    if (~np.isfinite(scores)).all(axis=1).any():
        alone = models[int(np.argmax((~np.isfinite(scores)).all(axis=1)))]
        raise ParameterError("scores", f"needs at least one benchmark besides the target for every model; {alone} has none.")
    names = list(dict.fromkeys(families))
    index = np.array([names.index(f) for f in families])
    known = log_compute if np.isfinite(log_compute).all() else None
    return Observatory(index, names, known, scores, benchmarks, target, None)


def observe(setting: Setting, table: pl.DataFrame | None) -> Observatory:
    """The reader's table, or the synthetic observatory."""
    return simulate(setting, np.random.default_rng(setting.seed)) if table is None else from_table(table)
