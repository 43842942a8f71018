"""How predictability is lost from log-probabilities to accuracy: survival curves, scores, a map, and the mass of the choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import Choice
from compute.scaling_laws.downstream_metrics import chain
from compute.scaling_laws.downstream_metrics.benchmark import (
    Advantage,
    Benchmark,
    Choices,
    CorrectNoise,
    Correlation,
    DecadesOfCompute,
    Gain,
    IncorrectNoise,
    Metric,
    Models,
    Seed,
    Spacing,
    with_benchmark,
)
from compute.scaling_laws.downstream_metrics.chain import STAGES, Array, Mechanism

LEVELS = np.linspace(-1.0, 1.0, 201)
CORRELATIONS = np.linspace(-0.5, 0.95, 20)
FINE = np.linspace(-0.5, 0.95, 400)
NOISES = np.linspace(0.0, 3.0, 21)
MAP_QUESTIONS = 120
CONTOURS = (0.5, 0.7, 0.9)
SHOWN = 10  # single questions
SCATTERED = 36  # questions in the plane of masses

Stage = Annotated[str, Choice("stage", options=STAGES, help="The score whose correlation is mapped.")]


@dataclass(frozen=True)
class Survival(Result):
    """Share of questions whose score correlates with compute by r or more, stage by stage."""

    level: Array  # (n_levels,) r
    share: Array  # (5, n_levels) of the questions whose score is not constant
    median: Array  # (5,)
    negative: Array  # (5,) share of correlations below zero
    constant: Array  # (5,) share of questions whose score is constant
    theory: Array | None  # (n_levels,) of log p, with many models; none for a user's scores
    metric: str
    n_questions: int

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame({"correlation": self.level} | {f"share_{s}": v for s, v in zip(STAGES, self.share, strict=True)})
        if self.theory is not None:
            curves = curves.with_columns(pl.Series("share_log_p_many_models", self.theory))
        return curves

    def headline(self) -> dict[str, float | str]:
        out: dict[str, float | str] = {f"median, {s}": float(v) for s, v in zip(STAGES, self.median, strict=True)}
        out["lost from log p to accuracy"] = float(self.median[0] - self.median[-1])
        out["accuracy falls with compute"] = f"{self.negative[-1]:.0%} of questions"
        out["accuracy never changes"] = f"{self.constant[-1]:.0%} of questions"
        return out


@experiment
@with_benchmark
def survival(*, metric: Metric = "spearman", benchmark: Benchmark) -> Survival:
    """Per-question correlation of each stage of the score with log compute, as survival curves."""
    x, log_p = benchmark.draw()
    found = [chain.correlations(x, s, metric) for s in chain.scores(log_p)]
    kept = [r[np.isfinite(r)] for r in found]
    share = np.stack([np.mean(r[:, None] >= LEVELS - 1e-12, axis=0) if r.size else np.zeros(LEVELS.size) for r in kept])
    theory = None
    if benchmark.scores is None:
        theory = chain.log_p_survival(benchmark.mechanism, float(x.std()), LEVELS, metric)
    return Survival(
        LEVELS,
        share,
        np.array([np.median(r) if r.size else 0.0 for r in kept]),
        np.array([np.mean(r < 0) if r.size else 0.0 for r in kept]),
        np.array([1 - r.size / len(log_p) for r in kept]),
        theory,
        metric,
        len(log_p),
    )


@dataclass(frozen=True)
class Curves(Result):
    """Mean scores and single questions against compute."""

    x: Array  # (n_models,)
    mean: Array  # (3, n_models) log p, share of choices, accuracy
    error: Array  # (3, n_models) standard errors over questions
    line: Array  # (n_line,)
    theory: Array | None  # (n_line,) mean accuracy
    single: Array  # (n_shown, n_models) share of choices of single questions
    right: Array  # (n_shown, n_models) whether correct
    gap: float | None  # largest (simulation - theory)/standard error of mean accuracy
    chance: float
    of_mean: float  # correlation of mean accuracy with x
    median: float  # of single questions' accuracy; 0 where all are constant

    def table(self) -> pl.DataFrame:
        names = ("log_p", "share_of_choices", "accuracy")
        means = pl.DataFrame({"kind": "mean", "log10_compute": self.x} | {k: v for k, v in zip(names, self.mean, strict=True)})
        parts = [means]
        if self.theory is not None:
            parts.append(pl.DataFrame({"kind": "theory", "log10_compute": self.line, "accuracy": self.theory}))
        for k, (share, right) in enumerate(zip(self.single, self.right, strict=True)):
            parts.append(
                pl.DataFrame({"kind": f"question {k + 1}", "log10_compute": self.x, "share_of_choices": share, "accuracy": right})
            )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        out: dict[str, float | str] = {
            "mean accuracy, smallest to largest": f"{self.mean[2, 0]:.3f} to {self.mean[2, -1]:.3f}",
            "correlation of mean accuracy": self.of_mean,
            "median of single questions": self.median,
        }
        if self.gap is not None:
            out["simulation against theory, largest gap, SE"] = self.gap
        return out


@experiment
@with_benchmark
def curves(*, metric: Metric = "spearman", benchmark: Benchmark) -> Curves:
    """Mean scores against compute, beside ten single questions, and the exact mean accuracy of the mechanism."""
    x, log_p = benchmark.draw()
    stages = chain.scores(log_p)
    chosen = [stages[0], stages[2], stages[4]]
    mean = np.stack([s.mean(axis=0) for s in chosen])
    error = np.stack([s.std(axis=0, ddof=1) / np.sqrt(len(s)) if len(s) > 1 else 0 * s[0] for s in chosen])
    line = np.linspace(x.min(), x.max(), 60)
    theory, gap = None, None
    if benchmark.scores is None:
        theory = chain.mean_accuracy(benchmark.mechanism, line)
        exact = chain.mean_accuracy(benchmark.mechanism, x)
        gap = float(np.max(np.abs(mean[2] - exact) / np.sqrt(np.maximum(exact * (1 - exact), 1e-12) / len(log_p))))
    # From easy to hard: evenly spaced in the order of their mean share.
    order = np.argsort(stages[2].mean(axis=1), kind="stable")
    shown = order[(np.linspace(0.05, 0.95, min(SHOWN, len(order))) * (len(order) - 1)).astype(int)]
    whole = chain.correlations(x, mean[2:], metric)[0]
    each = chain.correlations(x, stages[4], metric)
    return Curves(
        x,
        mean,
        error,
        line,
        theory,
        stages[2][shown],
        stages[4][shown],
        gap,
        1 / log_p.shape[2],
        float(whole) if np.isfinite(whole) else 0.0,
        float(np.nanmedian(each)) if np.isfinite(each).any() else 0.0,
    )


@dataclass(frozen=True)
class MedianMap(Result):
    """Median correlation over (rho, s_w), and where theory puts the two-choice margin's."""

    correlation: Array  # (n_correlations,) rho
    noise: Array  # (n_noises,) s_w
    median: Array  # (n_noises, n_correlations) NaN where every question's score is constant
    contours: dict[float, tuple[Array, Array]]  # rho and s_w at which the median margin correlation, in the metric, is this
    stage: str
    at: float  # at the reader's point, by the map; NaN as above
    margin: float  # by theory, two choices, many models
    metric: str

    def table(self) -> pl.DataFrame:
        cells = grid_table("gain_correlation", self.correlation, "incorrect_noise", self.noise, median=self.median)
        lines = [
            pl.DataFrame({"kind": f"margin, {r:g}", "gain_correlation": rho, "incorrect_noise": noise})
            for r, (rho, noise) in self.contours.items()
        ]
        return pl.concat([cells.with_columns(pl.lit("cell").alias("kind")), *lines], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"median correlation of {self.stage}, at yours": self.at if np.isfinite(self.at) else "every score is constant",
            "of the margin, two choices, many models (theory)": self.margin,
        }


def _map_seconds(choices: int, n_models: int, metric: str, stage: str, **_: Any) -> float:
    cells = CORRELATIONS.size * NOISES.size * MAP_QUESTIONS
    per = 1e-7 * n_models + 1.2e-8 * n_models * choices * (6 if stage == "Brier score" else 2)
    return 0.02 + cells * (per + (8e-9 * n_models**2 if metric == "kendall" else 0))


@experiment(seconds=_map_seconds)
def median_map(
    *,
    stage: Stage = "share of choices",
    metric: Metric = "spearman",
    choices: Choices = 4,
    gain_mean: Gain = 0.7,
    gain_correlation: Correlation = 0.7,
    incorrect_noise: IncorrectNoise = 0.8,
    correct_noise: CorrectNoise = 0.3,
    advantage: Advantage = 1.0,
    compute_decades: DecadesOfCompute = 4.0,
    n_models: Models = 12,
    spacing: Spacing = "even",
    seed: Seed = 0,
) -> Iterator[tuple[float, MedianMap]]:
    """Median over 120 questions of the correlation of a score with compute, over rho and s_w; the same draws in every cell."""
    rng = np.random.default_rng([seed, 4])
    x = chain.model_scale(n_models, compute_decades, spacing, rng)
    draws = chain.draw(MAP_QUESTIONS, n_models, choices, rng)
    deviation = float(x.std())
    median = np.full((NOISES.size, CORRELATIONS.size), np.nan)
    here = Mechanism(choices, gain_mean, gain_correlation, incorrect_noise, correct_noise, advantage)
    contours = {}
    for r in CONTOURS:
        pearson = {"spearman": 2 * np.sin(np.pi * r / 6), "kendall": np.sin(np.pi * r / 2)}.get(metric, r)
        noise = chain.noise_at_margin_correlation(here, deviation, FINE, float(pearson))
        inside = noise <= NOISES[-1]  # false where there is none
        contours[r] = (FINE[inside], noise[inside])

    def medians(rho: float, noises: Array) -> Array:
        """At one rho, for all noises at once."""
        still = chain.log_probabilities(Mechanism(choices, gain_mean, rho, 0.0, correct_noise, advantage), x, draws)
        log_p = np.repeat(still[None], noises.size, axis=0)
        log_p[..., 1:] += noises[:, None, None, None] * draws.incorrect
        flat = log_p.reshape(-1, n_models, choices)
        found = chain.correlations(x, chain.score(flat, stage), metric).reshape(noises.size, MAP_QUESTIONS)
        return np.array([np.median(r[np.isfinite(r)]) if np.isfinite(r).any() else np.nan for r in found])

    mine = float(medians(gain_correlation, np.array([incorrect_noise]))[0])
    margin = float(chain.of_metric(chain.margin_correlation(here, deviation), metric))
    for k, rho in enumerate(CORRELATIONS):
        median[:, k] = medians(float(rho), NOISES)
        if (k + 1) % 10 == 0 or k + 1 == CORRELATIONS.size:
            yield (
                (k + 1) / CORRELATIONS.size,
                MedianMap(CORRELATIONS, NOISES, median.copy(), contours, stage, mine, margin, metric),
            )


@dataclass(frozen=True)
class Masses(Result):
    """Correct against best incorrect log-probability."""

    x: Array  # (n_models,)
    correct: Array  # (n_scattered, n_models)
    incorrect: Array  # (n_scattered, n_models) of the strongest wrong choice
    mean_correct: Array  # (n_models,) over all questions
    mean_incorrect: Array
    accuracy: Array  # (n_models,)
    coupling: float  # correlation of the two over questions and models
    decided: float  # share of cells with share > 1/2 or < 1/K: the answer follows from the correct mass alone

    def table(self) -> pl.DataFrame:
        n = self.correct.shape[0]
        cells = pl.DataFrame(
            {
                "kind": "question",
                "question": np.repeat(np.arange(n), self.x.size),
                "log10_compute": np.tile(self.x, n),
                "log_p_correct": self.correct.ravel(),
                "log_p_best_incorrect": self.incorrect.ravel(),
            }
        )
        means = pl.DataFrame(
            {
                "kind": "mean",
                "log10_compute": self.x,
                "log_p_correct": self.mean_correct,
                "log_p_best_incorrect": self.mean_incorrect,
            }
        )
        return pl.concat([cells, means], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "accuracy, smallest to largest": f"{self.accuracy[0]:.3f} to {self.accuracy[-1]:.3f}",
            "correlation of the two masses": self.coupling,
            "answers decided by the correct share alone": f"{self.decided:.0%}",
        }


@experiment
@with_benchmark
def masses(*, benchmark: Benchmark) -> Masses:
    """The log-probability of the correct choice against that of the strongest wrong one, as compute grows."""
    x, log_p = benchmark.draw()
    correct, incorrect = log_p[:, :, 0], log_p[:, :, 1:].max(axis=2)
    share = chain.scores(log_p)[2]
    coupling = chain.correlations(correct.ravel(), incorrect.reshape(1, -1), "pearson")[0]
    return Masses(
        x,
        correct[:SCATTERED],
        incorrect[:SCATTERED],
        correct.mean(axis=0),
        incorrect.mean(axis=0),
        np.mean(correct > incorrect, axis=0),
        float(coupling) if np.isfinite(coupling) else 0.0,
        float(np.mean((share > 0.5) | (share < 1 / log_p.shape[2]))),
    )
