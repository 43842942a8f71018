"""The parameters that the views share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.shared_parameters import gathered
from compute.parameters import Choice, LogInteger, LogReal, Real
from compute.scaling_laws.routed_models.law import PUBLISHED, RoutedLaw

Array = NDArray[np.float64]

ROUTERS = ("s_base", "rl_r", "hash")
NAMES = {"s_base": "S-BASE", "rl_r": "RL-R", "hash": "HASH", "custom": "custom"}

Router = Annotated[
    str,
    Choice(
        "router",
        options=(*ROUTERS, "custom"),
        help="Balanced assignment, learned by reinforcement, a fixed hash, or your own constants.",
    ),
]
Size = Annotated[float, LogReal("dense size", "N", low=1e6, high=1e13, help="Parameters that a token uses.")]
Experts = Annotated[int, LogInteger("experts", "E", low=1, high=2048)]
SizeSlope = Annotated[float, Real("custom: slope in size", "a", low=-0.15, high=-0.04, when=("router", ("custom",)))]
ExpertSlope = Annotated[float, Real("custom: slope in experts", "b", low=-0.25, high=-0.01, when=("router", ("custom",)))]
Interaction = Annotated[
    float,
    Real(
        "custom: interaction",
        "c",
        low=0.0,
        high=0.02,
        help="Above 0: routing helps large models less.",
        when=("router", ("custom",)),
    ),
]
Level = Annotated[float, Real("custom: level", "d", low=0.8, high=1.5, when=("router", ("custom",)))]
Start = Annotated[
    float, Real("custom: saturated experts at E = 1", r"E_{\mathrm{start}}", low=1.0, high=10.0, when=("router", ("custom",)))
]
Top = Annotated[
    float, LogReal("custom: largest saturated experts", r"E_{\max}", low=50.0, high=2000.0, when=("router", ("custom",)))
]


@dataclass(frozen=True)
class Routed:
    """A router by name, and the constants of the custom one; by default those of S-BASE."""

    router: Router = "s_base"
    custom_a: SizeSlope = -0.082
    custom_b: ExpertSlope = -0.108
    custom_c: Interaction = 0.009
    custom_d: Level = 1.104
    custom_start: Start = 1.847
    custom_top: Top = 314.478

    @property
    def law(self) -> RoutedLaw:
        """The law of the router chosen."""
        if self.router != "custom":
            return PUBLISHED[self.router]
        return RoutedLaw(self.custom_a, self.custom_b, self.custom_c, self.custom_d, self.custom_start, self.custom_top)

    @property
    def name(self) -> str:
        return NAMES[self.router]


with_router = gathered(Routed, "routed")
