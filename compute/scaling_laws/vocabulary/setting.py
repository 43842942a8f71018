"""The parameters that the views share."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.parameters import Choice, LogInteger, LogReal, Real
from compute.scaling_laws.vocabulary.law import TAO, VocabularyLaw, balanced_compute, width_rule

Array = NDArray[np.float64]

Size = Annotated[float, LogReal("non-vocabulary parameters", r"N_{\mathrm{nv}}", low=3e7, high=3e11, help="All but the embedding.")]
Vocabulary = Annotated[float, LogReal("your vocabulary", "V", low=1e3, high=1e6, help="Entries of the tokenizer.")]
TrainingRatio = Annotated[
    float, LogReal("training ratio", "r", low=0.1, high=100.0, help="FLOPs over those at which this size is compute-optimal.")
]
WidthRule = Annotated[str, Choice("width", options=("published", "own"), help="The published steps, or one width throughout.")]
Width = Annotated[int, LogInteger("own width", "d", low=256, high=16384, help="Used where the width is your own.")]
DataExponent = Annotated[float, Real("exponent of data and size", r"\beta", low=0.3, high=0.7, help="One for both, as published.")]
VocabularyExponent = Annotated[float, Real("exponent of the vocabulary", r"\alpha_2", low=0.3, high=1.0)]


def law_with(beta: float, alpha2: float) -> VocabularyLaw:
    """The published law with its exponents exchanged."""
    return TAO._replace(alpha1=beta, beta=beta, alpha2=alpha2)


def widths(size: Array | float, rule: str, own: int) -> Array:
    """Width of each size, by the published steps or one for all."""
    return width_rule(size) if rule == "published" else np.full(np.shape(size), float(own))


def budget(size: Array | float, ratio: Array | float) -> Array:
    """F = ratio times the FLOPs at which N_nv is compute-optimal."""
    return np.asarray(ratio) * balanced_compute(size)
