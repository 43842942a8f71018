"""Parameters of the continuous bridge, and the law of x_0 given the input x_T."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.bridge_sampler import BRIDGES, Bridge
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Choice, Flag, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

BridgeName = Annotated[str, Choice("bridge", options=BRIDGES, help="Which noise is pinned at the input.")]
Eta = Annotated[float, Real("stochasticity", r"\eta", low=0.0, high=1.0, help="0: deterministic; 1: the Markov bridge reversed.")]
Steps = Annotated[int, LogInteger("evaluations", r"N", low=2, high=200, help="Calls of the denoiser, the one at t = 1 included.")]
Order = Annotated[int, Integer("order", low=1, high=3, help="How many evaluations a step looks at, the past ones included.")]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.0, high=5.0, help="Between the two answers to an input.")]
PairingNoise = Annotated[float, LogReal("pairing noise", r"s", low=0.05, high=1.0, help="Spread of each answer.")]
Input = Annotated[
    float, Real("input", r"x_T", low=-2.0, high=2.0, help="Where the bridge is pinned; it shifts and weighs the answers.")
]
BootTime = Annotated[float, Real("boot time", r"t_1", low=0.5, high=0.999, help="Where the first step from t = 1 lands.")]
BootNoise = Annotated[bool, Flag("boot noise", help="Whether the first step draws noise.")]

END_TIME = 0.002


@dataclass(frozen=True)
class Setting:
    """Parameters that the samplers of the continuous bridge share."""

    bridge: BridgeName = "Brownian"
    separation: Separation = 2.5
    pairing_noise: PairingNoise = 0.25
    x_input: Input = 0.7
    boot_time: BootTime = 0.95


@dataclass(frozen=True)
class Paired:
    """A bridge pinned at one input, and the exact law of its answers."""

    bridge: Bridge
    answers: GaussianMixture
    x_input: float
    first: float  # level of the boot step
    last: float  # level before the last evaluation

    def levels(self, n: int) -> Array:
        """Levels of a run of n evaluations: one boots at t = 1, the others are spaced evenly in the log of the level."""
        return np.geomspace(self.first, self.last, n - 1) if n > 2 else np.array([self.first])

    @property
    def mean(self) -> float:
        """E[x_0 | x_T]."""
        return float(self.answers.mean[0])


def answers(x_input: float, separation: float, pairing_noise: float) -> GaussianMixture:
    """x_0 given x_T: two modes, 0.35 to 0.65 at x_T = 0.7; the input shifts both and moves weight to the upper one."""
    shift = x_input - 0.7
    odds = 0.65 / 0.35 * np.exp(1.5 * shift)
    means = np.array([[-0.6], [0.4]]) * separation + 0.5 * shift
    return GaussianMixture(np.array([1.0, odds]), means, pairing_noise)


def paired(setting: Setting) -> Paired:
    """The bridge and the law that a setting speaks of."""
    bridge = Bridge(setting.bridge)
    first, last = bridge.level(np.array([setting.boot_time, END_TIME]))
    law = answers(setting.x_input, setting.separation, setting.pairing_noise)
    return Paired(bridge, law, setting.x_input, float(first), float(last))
