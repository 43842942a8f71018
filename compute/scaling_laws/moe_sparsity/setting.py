"""The parameters that the views share: the law's constants, the budget and the reader's model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.shared_parameters import gathered
from compute.models.sparsity_law import ABNAR, SparsityLaw
from compute.parameters import LogReal, Real

Array = NDArray[np.float64]

FITTED_COMPUTE = (3e19, 1e21)  # FLOP of the runs that the published law was fitted to
FITTED_SHARE = 0.02  # the sparsest of them, S = 0.98

Compute = Annotated[float, LogReal("budget", "C", low=1e18, high=1e25, unit="FLOP", help="What the FLOPs have to pay for in all.")]
MemoryCap = Annotated[float, LogReal("cap on total parameters", r"N_{\max}", low=1e8, high=1e13, help="What fits in memory.")]
SmallestShare = Annotated[
    float, LogReal("smallest active share", r"1-S_{\max}", low=1e-3, high=0.5, help="The sparsest model that can be trained.")
]
TotalParameters = Annotated[float, LogReal("your total parameters", "N", low=1e8, high=1e13)]
ActiveShare = Annotated[float, LogReal("your active share", "x=1-S", low=1e-3, high=1.0, help="1 is a dense model.")]
Tokens = Annotated[float, LogReal("training tokens", "D", low=1e9, high=1e14)]
ServedTokens = Annotated[
    float, LogReal("tokens served", "T", low=1e6, high=1e14, help="2 FLOP per active parameter each; a million is as good as none.")
]
MemoryPrice = Annotated[
    float,
    LogReal("price of memory", "m", low=1e3, high=1e13, unit="FLOP", help="Per parameter held; a thousand is as good as none."),
]

SizeCoefficient = Annotated[float, LogReal("law: size coefficient", "a", low=1.0, high=1e6)]
TokenCoefficient = Annotated[float, LogReal("law: token coefficient", "b", low=1.0, high=1e6)]
SparsityCoefficient = Annotated[float, Real("law: sparsity coefficient", "c", low=0.01, high=2.0)]
ActiveCoefficient = Annotated[float, LogReal("law: active-size coefficient", "d", low=0.1, high=1e3)]
IrreducibleLoss = Annotated[float, Real("law: irreducible loss", "e", low=0.0, high=2.0)]
SizeExponent = Annotated[float, Real("law: size exponent", r"\alpha", low=0.1, high=0.9)]
TokenExponent = Annotated[float, Real("law: token exponent", r"\beta", low=0.1, high=0.9)]
SparsityExponent = Annotated[
    float, Real("law: sparsity exponent", r"\lambda", low=-0.5, high=0.2, help="Negative: a smaller active share helps by itself.")
]
ActiveExponent = Annotated[float, Real("law: active-share exponent", r"\delta", low=0.02, high=0.5)]
InteractionExponent = Annotated[float, Real("law: interaction exponent", r"\gamma", low=0.02, high=0.5)]


@dataclass(frozen=True)
class Constants:
    """The ten constants of the law as parameters; their defaults are the published fit."""

    size_coefficient: SizeCoefficient = float(ABNAR.a)
    token_coefficient: TokenCoefficient = float(ABNAR.b)
    sparsity_coefficient: SparsityCoefficient = float(ABNAR.c)
    active_coefficient: ActiveCoefficient = float(ABNAR.d)
    irreducible_loss: IrreducibleLoss = float(ABNAR.e)
    size_exponent: SizeExponent = float(ABNAR.alpha)
    token_exponent: TokenExponent = float(ABNAR.beta)
    sparsity_exponent: SparsityExponent = float(ABNAR.lambda_)
    active_exponent: ActiveExponent = float(ABNAR.delta)
    interaction_exponent: InteractionExponent = float(ABNAR.gamma)

    def law(self) -> SparsityLaw:
        """The law of these constants."""
        return SparsityLaw(*(getattr(self, f.name) for f in fields(self)))


with_law = gathered(Constants, "law", Constants.law)
