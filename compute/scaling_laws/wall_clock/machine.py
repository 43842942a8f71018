r"""How long a training step takes, and the loss that a budget of time buys.

Three models of the step time, from the operation table of ``transformer_cost``:

    flops     sum of FLOP / peak
    traffic   c_0 x launches + sum of bytes / bandwidth
    roofline  sum over operations of max(FLOP / peak, bytes / bandwidth)

A budget tau then sees D = b tau / t_step tokens, and a law of the loss turns the shape and D into a loss.

References
----------
Inbar & Sernau, "Time Matters: Scaling Laws for Any Budget" (2024), paper 257 of the catalogue (its abstract).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.methods.shared_parameters import gathered
from compute.models import scaling_form
from compute.models.transformer_cost import Cost, forward_cost, training_cost
from compute.parameters import Choice, LogInteger, LogReal, Real

Array = NDArray[np.float64]

TIME_MODELS = ("flops", "traffic", "roofline")
LOSS_LAWS = ("chinchilla", "width_depth")
VOCABULARY = 32_000.0
LAUNCH = 5e-6  # seconds an operation costs to start
MAX_LAYERS, MIN_WIDTH, MAX_WIDTH = 96, 64, 12_288
WIDTHS = np.geomspace(MIN_WIDTH, MAX_WIDTH, 161)

Layers = Annotated[int, LogInteger("layers", "l", low=1, high=MAX_LAYERS)]
Width = Annotated[int, LogInteger("width", "d", low=MIN_WIDTH, high=MAX_WIDTH, help="With d/64 heads, not rounded.")]
Ratio = Annotated[float, Real("feed-forward ratio", "r", low=1.0, high=8.0)]
Sequence = Annotated[int, LogInteger("sequence", "s", low=128, high=8192, unit="tokens")]
StepTokens = Annotated[float, LogReal("tokens per step", "b", low=1e3, high=4e6)]
Hours = Annotated[float, LogReal("wall-clock budget", r"\tau", low=1.0, high=1000.0, unit="hours")]
Bandwidth = Annotated[float, LogReal("memory bandwidth", low=0.1, high=5.0, unit="TB/s")]
Peak = Annotated[float, LogReal("peak", low=10.0, high=1000.0, unit="TFLOP/s")]
TimeModel = Annotated[str, Choice("time model", options=TIME_MODELS, help="What a step is taken to cost.")]
LossLaw = Annotated[
    str, Choice("loss law", options=LOSS_LAWS, help="Chinchilla sees N and D alone; the width-depth law is planted, not published.")
]


class Machine(NamedTuple):
    """Peak in FLOP/s, bandwidth in byte/s, seconds to launch an operation."""

    peak: float
    bandwidth: float
    launch: float = LAUNCH


@dataclass(frozen=True)
class Workload:
    """What is trained besides layers and width."""

    ffn_ratio: float = 4.0
    sequence: float = 1024.0
    tokens: float = 6.5e4
    vocabulary: float = VOCABULARY

    def step(self, layers: ArrayLike, width: ArrayLike) -> Cost:
        """Cost of a training step."""
        forward = forward_cost(
            layers, width, ffn_ratio=self.ffn_ratio, sequence=self.sequence, tokens=self.tokens, vocabulary=self.vocabulary
        )
        return training_cost(forward)


def operation_seconds(cost: Cost, machine: Machine, model: str) -> Array:
    """(n_operations, …) seconds of each operation by one of ``TIME_MODELS``."""
    if model == "flops":
        return cost.flops / machine.peak
    if model == "traffic":
        return machine.launch * cost.launches + cost.bytes / machine.bandwidth
    return np.maximum(cost.flops / machine.peak, cost.bytes / machine.bandwidth)


def step_seconds(cost: Cost, machine: Machine, model: str) -> Array:
    """Seconds of a training step by one of ``TIME_MODELS``."""
    return operation_seconds(cost, machine, model).sum(axis=0)


def loss_of(law: str, layers: ArrayLike, width: ArrayLike, n_parameters: ArrayLike, n_tokens: ArrayLike) -> Array:
    """Loss by Besiroglu's constants in (N, D), or by the planted width-depth law."""
    if law == "chinchilla":
        return scaling_form.loss(scaling_form.BESIROGLU, n_parameters, n_tokens)
    return scaling_form.shape_loss(scaling_form.PLANTED_SHAPE, width, layers, n_tokens)


@dataclass(frozen=True)
class Budget:
    """A machine, a workload, a law of the loss: everything but shape, time and time model."""

    machine: Machine
    workload: Workload
    law: str = "chinchilla"

    def loss(self, layers: ArrayLike, width: ArrayLike, seconds: ArrayLike, model: str) -> Array:
        """Loss of a shape after a wall-clock time, broadcast."""
        cost = self.workload.step(layers, width)
        tokens = self.workload.tokens * np.asarray(seconds, dtype=float) / step_seconds(cost, self.machine, model)
        return loss_of(self.law, layers, width, cost.parameters.sum(axis=0), tokens)

    def best_width(self, layers: ArrayLike, seconds: ArrayLike, model: str) -> Array:
        """Width of least loss at each pair of layers and times: the best of a fine grid, set between its neighbors by a parabola."""
        n, t = np.broadcast_arrays(np.asarray(layers, dtype=float), np.asarray(seconds, dtype=float))
        level = self.loss(n[..., None], WIDTHS, t[..., None], model)
        best = np.clip(np.argmin(level, axis=-1), 1, WIDTHS.size - 2)
        left, middle, right = (np.take_along_axis(level, (best + move)[..., None], -1)[..., 0] for move in (-1, 0, 1))
        bend = left - 2 * middle + right
        shift = np.clip(0.5 * (left - right) / np.where(bend > 0, bend, np.inf), -1.0, 1.0)
        # At an end of the range the least is the end itself.
        shift = np.where((left < middle) & (best == 1), -1.0, np.where((right < middle) & (best == WIDTHS.size - 2), 1.0, shift))
        return WIDTHS[best] * (WIDTHS[1] / WIDTHS[0]) ** shift


@dataclass(frozen=True)
class Setup:
    """A machine, a workload and a law of the loss in the reader's units."""

    loss_law: LossLaw = "chinchilla"
    tokens_per_step: StepTokens = 6.5e4
    bandwidth: Bandwidth = 2.0
    peak: Peak = 300.0
    sequence: Sequence = 1024
    ffn_ratio: Ratio = 4.0

    def budget(self) -> Budget:
        machine = Machine(self.peak * 1e12, self.bandwidth * 1e12)
        return Budget(machine, Workload(self.ffn_ratio, self.sequence, self.tokens_per_step), self.loss_law)


with_budget = gathered(Setup, "budget", Setup.budget)
