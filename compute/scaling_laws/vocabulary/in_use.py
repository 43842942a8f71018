"""Vocabularies of models in use, or of yours, against the best at their own size and budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.parameters import Column, Dataset
from compute.scaling_laws.vocabulary import law as vocabulary_law
from compute.scaling_laws.vocabulary.setting import Array, DataExponent, VocabularyExponent, law_with, widths

MODEL_COLUMNS = (
    Column("name", "what to call it", is_text=True),
    Column("N_nv", "parameters without embeddings", low=1e6, high=1e14),
    Column("V", "vocabulary", low=100, high=1e8),
    Column("width", "d; the published rule where not given", required=False, low=16, high=1e6),
    Column("tokens", "training tokens D; compute-optimal where not given", required=False, low=1e6, high=1e16),
)
# From the models' published configurations: N_nv is the total less the embedding matrices (two where they are not tied).
IN_USE = """name,N_nv,V,width,tokens
GPT-2 XL,1.48e9,50257,1600,
Pythia 12B,1.133e10,50688,5120,3e11
BLOOM 176B,1.727e11,250880,14336,3.66e11
Falcon 40B,4.08e10,65024,8192,1e12
Llama 2 7B,6.48e9,32000,4096,2e12
Llama 2 13B,1.27e10,32000,5120,2e12
Llama 2 70B,6.85e10,32000,8192,2e12
Llama 3 8B,6.98e9,128256,4096,1.5e13
Llama 3 70B,6.85e10,128256,8192,1.5e13
Gemma 7B,7.75e9,256000,3072,6e12
"""
MODELS = Dataset(
    "your models",
    columns=MODEL_COLUMNS,
    template=IN_USE,
    help="A CSV of models in place of those listed: name, N_nv, V; width, tokens.",
)
MODELS_IN_USE = MODELS.clean("models", pl.read_csv(IN_USE.encode(), infer_schema=False))[0]
Table = Annotated[pl.DataFrame | None, MODELS]


@dataclass(frozen=True)
class InUse(Result):
    """Each model's vocabulary, the best one at a compute-optimal budget, and the best at its own."""

    name: list[str]
    size: Array  # (n,)
    width: Array  # (n,)
    vocabulary: Array  # (n,)
    balanced: Array  # (n,) V* at the compute-optimal budget
    best: Array  # (n,) V* at the model's own budget
    ratio: Array  # (n,) its FLOPs over the compute-optimal ones
    loss_given_up: Array  # (n,)
    waste: Array  # (n,) share of compute

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "name": self.name,
                "N_nv": self.size,
                "width": self.width,
                "V": self.vocabulary,
                "V_best_at_compute_optimal": self.balanced,
                "V_best_as_trained": self.best,
                "training_ratio": self.ratio,
                "loss_given_up": self.loss_given_up,
                "wasted_share_of_compute": self.waste,
            }
        )

    def headline(self) -> dict[str, float | str]:
        worst = int(np.argmax(self.waste))
        small = int(np.sum(self.vocabulary < self.best))
        return {
            "vocabularies smaller than the best": f"{small} of {len(self.name)}",
            "median of V over the best": float(np.median(self.vocabulary / self.best)),
            "largest waste": f"{self.name[worst]}: {self.waste[worst]:.1%} of its compute",
        }


@experiment
def models_in_use(
    *,
    data_exponent: DataExponent = vocabulary_law.BETA,
    vocabulary_exponent: VocabularyExponent = vocabulary_law.ALPHA2,
    models: Table = None,
) -> InUse:
    """The parametric law's best vocabulary for models in use, at a compute-optimal budget and at the one they were given."""
    law = law_with(data_exponent, vocabulary_exponent)
    table = MODELS_IN_USE if models is None else models
    size, vocabulary = table["N_nv"].to_numpy(), table["V"].to_numpy()
    missing = np.full(size.size, np.nan)
    width = table["width"].fill_null(np.nan).to_numpy() if "width" in table.columns else missing
    width = np.where(np.isfinite(width), width, widths(size, "published", 1))
    tokens = table["tokens"].fill_null(np.nan).to_numpy() if "tokens" in table.columns else missing
    balanced = vocabulary_law.balanced_compute(size)
    compute = np.where(np.isfinite(tokens), 6 * (size + vocabulary * width) * tokens, balanced)
    best = vocabulary_law.best_vocabulary(law, size, compute)
    own = vocabulary * width
    return InUse(
        table["name"].to_list(),
        size,
        width,
        vocabulary,
        vocabulary_law.best_vocabulary(law, size, balanced) / width,
        best / width,
        compute / balanced,
        vocabulary_law.loss(law, size, own, compute) - vocabulary_law.loss(law, size, best, compute),
        vocabulary_law.wasted_compute(law, size, own, compute),
    )
