"""The parameters that views of this lab share."""

from __future__ import annotations

from typing import Annotated

from compute.parameters import Choice, LogReal, Real
from compute.scaling_laws.hyperparameter_laws.laws import LAWS, PowerRule

Parameters = Annotated[
    float, LogReal("parameters", "N", low=6e7, high=1e11, help="Without the vocabulary's, as the Step law counts them.")
]
Tokens = Annotated[float, LogReal("training tokens", "D", low=1e9, high=1e13)]
LawName = Annotated[
    str, Choice("law to follow", options=LAWS, help="MiniCPM gives a batch only; custom opens the constants below.")
]
ExponentError = Annotated[
    float,
    Real("error of each exponent", r"\delta", low=0.0, high=0.1, help="Its band pivots in the middle of the Step law's runs."),
]
CustomRate = Annotated[float, LogReal("custom law: rate constant", "c", low=1e-5, high=1e3, when=("law", ("custom",)))]
CustomRateN = Annotated[float, Real("custom law: rate exponent of N", "a", low=-1.0, high=0.5, when=("law", ("custom",)))]
CustomRateD = Annotated[float, Real("custom law: rate exponent of D", "b", low=-1.0, high=1.0, when=("law", ("custom",)))]
CustomBatch = Annotated[
    float, LogReal("custom law: batch constant", r"c_{B}", low=1e-3, high=1e7, unit="tokens", when=("law", ("custom",)))
]
CustomBatchN = Annotated[float, Real("custom law: batch exponent of N", r"a_{B}", low=-0.5, high=1.0, when=("law", ("custom",)))]
CustomBatchD = Annotated[float, Real("custom law: batch exponent of D", r"b_{B}", low=-0.5, high=1.0, when=("law", ("custom",)))]

# What the custom law starts from: a rate that falls with the horizon, unlike the Step law's.
CUSTOM = PowerRule(20.0, -0.25, -0.2, 0.58, 0.0, 0.571)
