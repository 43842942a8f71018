"""The share of compute that a vocabulary wastes: over sizes, and over training ratios at one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.scaling_laws.vocabulary import law as vocabulary_law
from compute.scaling_laws.vocabulary.in_use import MODELS_IN_USE
from compute.scaling_laws.vocabulary.law import VocabularyLaw
from compute.scaling_laws.vocabulary.setting import (
    Array,
    DataExponent,
    Size,
    TrainingRatio,
    Vocabulary,
    VocabularyExponent,
    Width,
    WidthRule,
    budget,
    law_with,
    widths,
)

SIZES = np.geomspace(3e7, 3e11, 101)
VOCABULARIES = np.geomspace(1e3, 1e6, 91)
RATIOS = np.geomspace(0.1, 100.0, 91)


@dataclass(frozen=True)
class Verdict:
    """The reader's vocabulary at the reader's size and budget."""

    size: float
    vocabulary: float
    width: float
    compute: float  # F
    best: float  # V of least loss
    loss: float
    best_loss: float
    waste: float  # share of F

    def headline(self) -> dict[str, float | str]:
        return {
            "best vocabulary V*": self.best,
            "yours over the best": self.vocabulary / self.best,
            "loss given up": self.loss - self.best_loss,
            "compute wasted": f"{self.waste:.2%}",
            "budget F, FLOP": self.compute,
            "tokens D": self.compute / (6 * (self.size + self.vocabulary * self.width)),
        }


def judge(law: VocabularyLaw, size: float, vocabulary: float, width: float, compute: float) -> Verdict:
    """What a vocabulary gives up."""
    best = float(vocabulary_law.best_vocabulary(law, size, compute))
    own = vocabulary * width
    return Verdict(
        size,
        vocabulary,
        width,
        compute,
        best / width,
        float(vocabulary_law.loss(law, size, own, compute)),
        float(vocabulary_law.loss(law, size, best, compute)),
        float(vocabulary_law.wasted_compute(law, size, own, compute)),
    )


@dataclass(frozen=True)
class WasteMap(Result):
    """Wasted share of compute over (N_nv, V), and three predictions of the best V."""

    size: Array  # (n_sizes,)
    vocabulary: Array  # (n_vocabularies,)
    log_waste: Array  # (n_vocabularies, n_sizes) log10 of the share, at least -4
    predictions: dict[str, Array]  # each (n_sizes,)
    in_use: pl.DataFrame  # models to compare with: name, N_nv, V
    ratio: float
    verdict: Verdict

    def table(self) -> pl.DataFrame:
        curves = {f"V_{name}": v[None, :] for name, v in self.predictions.items()}
        return grid_table("N_nv", self.size, "V", self.vocabulary, log10_wasted_share=self.log_waste, **curves)

    def headline(self) -> dict[str, float | str]:
        return self.verdict.headline()


@experiment
def waste_map(
    *,
    non_vocabulary_parameters: Size = 7e9,
    vocabulary: Vocabulary = 32000.0,
    training_ratio: TrainingRatio = 1.0,
    data_exponent: DataExponent = vocabulary_law.BETA,
    vocabulary_exponent: VocabularyExponent = vocabulary_law.ALPHA2,
    width_rule: WidthRule = "published",
    width: Width = 4096,
) -> WasteMap:
    """The share of compute that a model with the best vocabulary would not have needed, over size and vocabulary."""
    law = law_with(data_exponent, vocabulary_exponent)
    d, compute = widths(SIZES, width_rule, width), budget(SIZES, training_ratio)
    waste = vocabulary_law.wasted_compute(law, SIZES[None, :], VOCABULARIES[:, None] * d, compute[None, :])
    own_width = float(widths(non_vocabulary_parameters, width_rule, width))
    return WasteMap(
        SIZES,
        VOCABULARIES,
        floored_log(waste),
        predictions(law, SIZES, d, compute),
        MODELS_IN_USE,
        training_ratio,
        judge(law, non_vocabulary_parameters, vocabulary, own_width, float(budget(non_vocabulary_parameters, training_ratio))),
    )


def floored_log(waste: Array) -> Array:
    """log10 of a share, at least -4: what a map resolves."""
    return np.log10(np.maximum(waste, 1e-4))


def predictions(law: VocabularyLaw, size: Array, width: Array, compute: Array) -> dict[str, Array]:
    """Best V of each predictor; the first two are stated for compute-optimal budgets only and do not see F."""
    return {
        "isoflop": vocabulary_law.isoflop_vocabulary(size) / width,
        "derivative": vocabulary_law.derivative_vocabulary(size) / width,
        "parametric": vocabulary_law.best_vocabulary(law, size, compute) / width,
    }


@dataclass(frozen=True)
class RatioMap(Result):
    """Loss over (training ratio, V) at one size, and the best V."""

    ratio: Array  # (n_ratios,)
    vocabulary: Array  # (n_vocabularies,)
    excess: Array  # (n_vocabularies, n_ratios) loss above the best at that ratio
    log_waste: Array  # (n_vocabularies, n_ratios) log10 of the wasted share of compute, at least -4
    best: Array  # (n_ratios,)
    balanced: dict[str, float]  # V of the predictors that know only N_nv
    slope: float  # d log V*/d log r at the reader's ratio
    verdict: Verdict

    def table(self) -> pl.DataFrame:
        maps = {"excess_loss": self.excess, "log10_wasted_share": self.log_waste, "best_V": self.best[None, :]}
        return grid_table("training_ratio", self.ratio, "V", self.vocabulary, **maps)

    def headline(self) -> dict[str, float | str]:
        return {**self.verdict.headline(), "slope of log V* in log ratio": self.slope}


@experiment
def ratio_map(
    *,
    non_vocabulary_parameters: Size = 7e9,
    vocabulary: Vocabulary = 32000.0,
    training_ratio: TrainingRatio = 1.0,
    data_exponent: DataExponent = vocabulary_law.BETA,
    vocabulary_exponent: VocabularyExponent = vocabulary_law.ALPHA2,
    width_rule: WidthRule = "published",
    width: Width = 4096,
) -> RatioMap:
    """What a vocabulary gives up at one size, trained for less or more than is compute-optimal."""
    law, n = law_with(data_exponent, vocabulary_exponent), non_vocabulary_parameters
    d, compute = float(widths(n, width_rule, width)), budget(n, RATIOS)
    best = vocabulary_law.best_vocabulary(law, n, compute)
    loss = vocabulary_law.loss(law, n, VOCABULARIES[:, None] * d, compute[None, :])
    near = budget(n, training_ratio * np.array([0.99, 1.01]))
    low, high = np.log(vocabulary_law.best_vocabulary(law, n, near))
    size = np.array([n])
    return RatioMap(
        RATIOS,
        VOCABULARIES,
        loss - vocabulary_law.loss(law, n, best, compute),
        floored_log(vocabulary_law.wasted_compute(law, n, VOCABULARIES[:, None] * d, compute[None, :])),
        best / d,
        {k: float(v[0]) for k, v in predictions(law, size, np.array([d]), budget(size, 1.0)).items() if k != "parametric"},
        float((high - low) / np.log(1.01 / 0.99)),
        judge(law, n, vocabulary, d, float(budget(n, training_ratio))),
    )
