"""What all views share: the law of the tokens and the constants of the four processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from compute.models.token_law import TokenLaw
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Real

PROCESSES = ("jacobi", "gumbel", "sphere", "bayesian flow")
MOST_STRINGS = 1000

Process = Annotated[str, Choice("process", options=PROCESSES)]
Categories = Annotated[int, LogInteger("categories", "K", low=2, high=50)]
Law = Annotated[str, Choice("law of a token", options=("uniform", "skew"), help="Skew: in proportion 1 : 2 : … : K.")]
Length = Annotated[int, Integer("tokens in a string", "L", low=1, high=3)]
Copying = Annotated[
    float,
    Real("copying", "c", low=0.0, high=0.99, help="Chance that a token repeats the one before it.", when=("length", (2, 3))),
]
Steps = Annotated[int, LogInteger("steps", "n", low=10, high=500)]
Particles = Annotated[int, LogInteger("strings generated", low=100, high=20_000)]
GumbelBeta = Annotated[float, LogReal("Gumbel noise", r"\beta", low=0.5, high=10.0, help="The noise is divided by it.")]
Decay = Annotated[float, Real("decay of the temperature", r"\lambda", low=1.0, high=10.0)]
GumbelStart = Annotated[
    str,
    Choice(
        "Gumbel start",
        options=("interpolant's law", "noise alone"),
        help="The first knows the category, though x is near the middle.",
    ),
]
Speed = Annotated[float, LogReal("speed of the Jacobi diffusion", "s", low=0.1, high=4.0, help="Its time runs to 4.")]
SphereNoise = Annotated[float, LogReal("noise on the sphere", r"\sigma", low=0.2, high=2.0)]
Accuracy = Annotated[float, LogReal("final accuracy", r"\beta_1", low=0.5, high=10.0, help="Of the Bayesian flow.")]


@dataclass(frozen=True)
class Strings:
    """The law of the data, as parameters."""

    categories: Categories = 3
    law: Law = "skew"
    length: Length = 2
    copying: Copying = 0.8

    def build(self, categories: int | None = None) -> TokenLaw:
        """The law itself, perhaps with another number of categories.

        Raises
        ------
        ParameterError
            Where strings are too many to count.
        """
        n = categories or self.categories
        if n**self.length > MOST_STRINGS:
            raise ParameterError(
                "length", f"leaves {n**self.length} strings to count; at most {MOST_STRINGS} are, so take fewer categories."
            )
        weight = np.ones(n) if self.law == "uniform" else np.arange(1.0, n + 1)
        return TokenLaw(weight / weight.sum(), self.length, self.copying if self.length > 1 else 0.0)


@dataclass(frozen=True)
class Constants:
    """Of the processes."""

    gumbel_beta: GumbelBeta = 2.0
    decay: Decay = 3.0
    gumbel_start: GumbelStart = "interpolant's law"
    speed: Speed = 1.0
    sphere_noise: SphereNoise = 1.0
    beta1: Accuracy = 3.0
