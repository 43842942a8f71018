"""Three predictors of the best vocabulary against size, and what a vocabulary costs at fixed characters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.scaling_laws.vocabulary import law as vocabulary_law
from compute.scaling_laws.vocabulary.maps import predictions
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

SIZES = np.geomspace(3e7, 3e11, 161)
VOCABULARIES = np.geomspace(1e3, 1e6, 181)
SHOWN_SIZES = (3.3e7, 1.13e9)  # beside the reader's
TRAINED = (vocabulary_law.TRAINED_SIZES[0], vocabulary_law.TRAINED_SIZES[-1])


@dataclass(frozen=True)
class Predictors(Result):
    """Best N_v and V against N_nv."""

    size: Array  # (n,)
    width: Array  # (n,)
    parameters: dict[str, Array]  # N_v by predictor
    minimizer: Array  # (n,) N_v of fewest FLOPs at fixed characters
    yours: dict[str, float]  # V at the reader's size
    exponents: dict[str, float]  # d log N_v/d log N_nv there
    non_vocabulary_parameters: float
    vocabulary: float

    def table(self) -> pl.DataFrame:
        columns = {"N_nv": self.size, "width": self.width}
        columns |= {f"N_v_{k}": v for k, v in self.parameters.items()} | {"N_v_fixed_characters": self.minimizer}
        columns |= {f"V_{k}": v / self.width for k, v in self.parameters.items()}
        return pl.DataFrame(columns | {"V_fixed_characters": self.minimizer / self.width})

    def headline(self) -> dict[str, float | str]:
        words = {f"V*, {k}": v for k, v in self.yours.items()}
        slopes = ", ".join(f"{v:.3f}" for v in self.exponents.values())
        return {**words, "exponents of N_v in N_nv (same order)": slopes}


@experiment
def predictors(
    *,
    non_vocabulary_parameters: Size = 7e9,
    vocabulary: Vocabulary = 32000.0,
    training_ratio: TrainingRatio = 1.0,
    data_exponent: DataExponent = vocabulary_law.BETA,
    vocabulary_exponent: VocabularyExponent = vocabulary_law.ALPHA2,
    width_rule: WidthRule = "published",
    width: Width = 4096,
) -> Predictors:
    """Best vocabulary parameters and vocabulary against size, by isoFLOP fit, by derivative and by the parametric loss."""
    law, n = law_with(data_exponent, vocabulary_exponent), non_vocabulary_parameters
    d = widths(SIZES, width_rule, width)
    parameters = {k: v * d for k, v in predictions(law, SIZES, d, budget(SIZES, training_ratio)).items()}
    near, one = n * np.array([0.99, 1.0, 1.01]), np.ones(3)
    there = predictions(law, near, one, budget(near, training_ratio))
    own = float(widths(n, width_rule, width))
    return Predictors(
        SIZES,
        d,
        parameters,
        vocabulary_law.fixed_characters_vocabulary(SIZES, d) * d,
        {k: float(v[1]) / own for k, v in there.items()},
        {k: float(np.log(v[2] / v[0]) / np.log(1.01 / 0.99)) for k, v in there.items()},
        n,
        vocabulary,
    )


@dataclass(frozen=True)
class Characters(Result):
    """Tokens per character, and FLOPs per character over their least, against V."""

    vocabulary: Array  # (n,)
    tokens: Array  # (n,) f(V)
    sizes: Array  # (3,)
    cost: Array  # (3, n) over the least of each size
    best: Array  # (3,) V of fewest FLOPs
    yours: float  # cost of the reader's vocabulary at the reader's size
    flop: float  # its FLOPs per character
    characters_per_token: float
    chosen: float

    def table(self) -> pl.DataFrame:
        columns = {"V": self.vocabulary, "tokens_per_character": self.tokens}
        return pl.DataFrame(columns | {f"cost_over_least_N_nv={n:.4g}": c for n, c in zip(self.sizes, self.cost, strict=True)})

    def headline(self) -> dict[str, float | str]:
        return {
            "V of fewest FLOPs, your size": float(self.best[-1]),
            "your FLOPs over the fewest": self.yours,
            "your FLOPs per character": self.flop,
            "characters per token": self.characters_per_token,
        }


@experiment
def fixed_characters(
    *,
    non_vocabulary_parameters: Size = 7e9,
    vocabulary: Vocabulary = 32000.0,
    width_rule: WidthRule = "published",
    width: Width = 4096,
) -> Characters:
    """FLOPs to read a fixed text: a larger vocabulary makes fewer tokens of it, but each costs more."""
    n = non_vocabulary_parameters
    sizes = np.array([*SHOWN_SIZES, n])
    d = widths(sizes, width_rule, width)
    best = vocabulary_law.fixed_characters_vocabulary(sizes, d)

    def flops(v: Array | float, k: slice | int) -> Array:
        return (sizes[k] + v * d[k]) * vocabulary_law.compression(v)

    least = np.array([flops(best[k], k) for k in range(3)])
    cost = np.stack([flops(VOCABULARIES, k) / least[k] for k in range(3)])
    mine = float(flops(vocabulary, 2))
    return Characters(
        VOCABULARIES,
        vocabulary_law.compression(VOCABULARIES),
        sizes,
        cost,
        best,
        mine / float(least[2]),
        6 * mine,
        1 / float(vocabulary_law.compression(vocabulary)),
        vocabulary,
    )
