r"""Networks of two tanh layers trained live under standard and maximal update parametrization, by SGD, Adam or sign descent.

x in R^8 -> n -> n -> 1 without biases, fresh Gaussian samples at every step, target proportional to sin(2 x_1) + x_2.
Standard (SP): W^1 ~ N(0, 1/8), W^2 ~ N(0, 1/n), W^3 ~ N(0, 1/n), one rate for all. Maximal update (muP), relative to a base
width n_0 at which both are the same, written as start and rates of the weights themselves:

                       start of W^3          rates of W^1, W^2, W^3
    SGD                N(0, n_0/n^2)         n/n_0,  1,      n_0/n
    Adam, sign         N(0, n_0/n^2)         1,      n_0/n,  n_0/n

(Yang et al., "Tensor Programs V" (2022), table 3; for Adam a readout of start N(0, 1/n_0) and the base's rate under a multiplier
n_0/n is the same.) Under SP the best rate falls as 1/n at large width, whatever the optimizer: the readout's n weights move together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import linregress

from compute.experiment import Result, experiment
from compute.models.tiny_network import OPTIMIZERS, Descent, Network
from compute.parameters import Choice, Integer, LogInteger, LogReal, Seed
from compute.scaling_laws.mu_transfer.exact import Steps
from compute.scaling_laws.mu_transfer.sweep import Arm, RateSweep

Array = NDArray[np.float64]

N_INPUTS, BASE = 8, 32
N_TEST = 512
BATCH, LARGE_BATCH = 64, 512
DIVERGED = 1e3  # test loss, in units of the target's variance
DECAY = 1.0  # of the ablation: a step takes the weight's own rate * DECAY of it
SLOPES = {"SP": -1.0, "muP": 0.0}
N_RATES = 13
RATES = {"sgd": np.geomspace(5e-3, 5, N_RATES), "adam": np.geomspace(1e-3, 0.5, N_RATES), "sign": np.geomspace(2e-4, 0.1, N_RATES)}
CHECKED = (1, 2, 3, 5, 10)  # steps of the coordinate check
CHECK_SEEDS = 2

Optimizer = Annotated[str, Choice("optimizer", "", options=("adam", "sgd", "sign"))]
Ablation = Annotated[
    str,
    Choice(
        "ablation",
        "",
        options=("none", "weight_decay", "zero_readout", "large_batch"),
    ),
]
NetworkWidth = Annotated[int, LogInteger("largest width", r"n_{\max}", low=64, high=256, help="Widths double from 32 up to it.")]
NetworkSeeds = Annotated[int, Integer("seeds", "R", low=2, high=8, help="Networks trained at each width and rate.")]
CheckRate = Annotated[float, LogReal("learning rate", r"\eta", low=1e-4, high=0.1, help="At the base width 32.")]


def target(x: Array) -> Array:
    """(1, n_samples) of unit variance."""
    power = (1 - np.exp(-8)) / 2 + 1  # of sin(2 x_1) and of x_2
    return np.asarray((np.sin(2 * x[:1]) + x[1:2]) / np.sqrt(power))


def layer_rates(parametrization: str, optimizer: str, width: int) -> list[float]:
    """Factors of the rate for W^1, W^2, W^3; all 1 at the base width."""
    if parametrization == "SP":
        return [1.0, 1.0, 1.0]
    shrink = BASE / width
    return [1 / shrink, 1.0, shrink] if optimizer == "sgd" else [1.0, shrink, shrink]


def untrained(parametrization: str, width: int, n_replicas: int, zero_readout: bool, rng: np.random.Generator) -> Network:
    """Replicas at their start; both parametrizations take the same random numbers."""
    first = rng.standard_normal((n_replicas, width, N_INPUTS)) / np.sqrt(N_INPUTS)
    between = rng.standard_normal((n_replicas, width, width)) / np.sqrt(width)
    last = rng.standard_normal((n_replicas, 1, width)) / np.sqrt(width)
    if parametrization == "muP":
        last *= np.sqrt(BASE / width)
    return Network([first, between, last * (not zero_readout)], activation="tanh")


def optimizer_of(name: str, net: Network, factors: list[float], rate: Array) -> Descent:
    """An optimizer with a rate for each replica, (n_replicas,)."""
    found = OPTIMIZERS[name](net.weights, factors)
    found.rates = found.rates * rate[:, None]
    return found


def widths_to(largest: int) -> list[int]:
    """Doubling from the base width, the largest last."""
    return sorted({BASE << k for k in range(6) if BASE << k < largest / 1.2} | {largest})


def swept_losses(
    parametrization: str, optimizer: str, ablation: str, width: int, rate: Array, n_seeds: int, n_steps: int, seed: int
) -> Array:
    """(n_seeds, n_rates) test loss after training at every rate, infinite where it diverged; the same samples for all."""
    start = untrained(parametrization, width, n_seeds, ablation == "zero_readout", np.random.default_rng([seed, width]))
    net = Network([np.repeat(w, rate.size, axis=0) for w in start.weights], activation="tanh")
    factors, each = layer_rates(parametrization, optimizer, width), np.tile(rate, n_seeds)
    descent = optimizer_of(optimizer, net, factors, each)
    rng = np.random.default_rng([seed, 1])
    batch = LARGE_BATCH if ablation == "large_batch" else BATCH
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_steps):
            x = rng.standard_normal((N_INPUTS, batch))
            gradient = net.gradient(x, target(x))[1]
            if ablation == "weight_decay":
                for weight, factor in zip(net.weights, factors, strict=True):
                    weight *= np.maximum(0, 1 - DECAY * factor * each)[:, None, None]  # noqa: PLW2901  in place
            descent.step(gradient)
        x = np.random.default_rng(9).standard_normal((N_INPUTS, N_TEST))
        loss = np.mean((net(x) - target(x))[:, 0] ** 2, axis=-1).reshape(n_seeds, rate.size)
    return np.where(loss < DIVERGED, loss, np.inf)


def _width_seconds(optimizer: str, ablation: str, width: int, n_replicas: int, n_steps: int) -> float:
    """Of training that many networks of a width, measured."""
    batch = LARGE_BATCH if ablation == "large_batch" else BATCH
    weights = width * (width + N_INPUTS + 1)
    moved = {"sgd": 5e-9, "adam": 1.6e-8, "sign": 8e-9}[optimizer]
    return n_steps * (3e-4 + n_replicas * (weights * (moved + 3 * 2 * batch / 5e10) + 1.5e-8 * width * batch))


def _network_seconds(*, optimizer: str, ablation: str, network_width: int, steps: int, n_networks: int, **_: object) -> float:
    return 2 * sum(_width_seconds(optimizer, ablation, n, N_RATES * n_networks, steps) for n in widths_to(network_width))


@experiment(seconds=_network_seconds)
def network_sweep(
    *,
    optimizer: Optimizer = "adam",
    ablation: Ablation = "none",
    network_width: NetworkWidth = 256,
    steps: Steps = 40,
    n_networks: NetworkSeeds = 2,
    seed: Seed = 0,
) -> Iterator[tuple[float, RateSweep]]:
    """Loss against learning rate of networks of two tanh layers, trained under SP and under muP at several widths."""
    widths, rate = widths_to(network_width), RATES[optimizer]
    loss: dict[str, list[Array]] = {name: [] for name in SLOPES}
    total = _network_seconds(
        optimizer=optimizer, ablation=ablation, network_width=network_width, steps=steps, n_networks=n_networks
    )
    spent = 0.0
    for done, n in enumerate(widths, start=1):
        for name in SLOPES:
            loss[name].append(swept_losses(name, optimizer, ablation, n, rate, n_networks, steps, seed))
        spent += 2 * _width_seconds(optimizer, ablation, n, N_RATES * n_networks, steps)
        arms = tuple(Arm(name, slope, widths[:done], [rate] * done, list(loss[name])) for name, slope in SLOPES.items())
        yield 1.0 if done == len(widths) else min(0.99, spent / total), RateSweep(arms)


# --- coordinate check ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoordinateCheck(Result):
    """Root mean square change of a coordinate of the second hidden layer, by width and step."""

    names: tuple[str, ...]
    width: list[int]
    step: tuple[int, ...]
    moved: Array  # (2, n_widths, n_steps, n_seeds)

    def mean(self) -> Array:
        """(2, n_widths, n_steps) over seeds."""
        return np.asarray(self.moved.mean(axis=-1))

    def standard_error(self) -> Array:
        """Of ``mean``."""
        return np.asarray(self.moved.std(axis=-1, ddof=1) / np.sqrt(self.moved.shape[-1]))

    def slope(self, arm: int, place: int) -> tuple[float, float]:
        """Of the movement after ``step[place]`` steps in width, and its standard error."""
        x = np.repeat(np.log(np.array(self.width)), self.moved.shape[-1])
        line = linregress(x, np.log(self.moved[arm, :, place].ravel()))
        return float(line.slope), float(line.stderr)

    def table(self) -> pl.DataFrame:
        n_widths, n_steps = len(self.width), len(self.step)
        shape = 2 * n_widths * n_steps
        return pl.DataFrame(
            {
                "parametrization": np.repeat(self.names, n_widths * n_steps).tolist(),
                "width": np.tile(np.repeat(np.array(self.width, dtype=float), n_steps), 2),
                "step": np.resize(np.array(self.step), shape),
                "movement": self.mean().ravel(),
                "standard_error": self.standard_error().ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for place in (0, 2, len(self.step) - 1):
            for arm, name in enumerate(self.names):
                slope, error = self.slope(arm, place)
                found[f"slope in width after {self.step[place]}, {name}"] = f"{slope:.2f} ± {error:.2f}"
        return found


def movement(parametrization: str, optimizer: str, width: int, rate: float, seed: int) -> Array:
    """(n_checked, n_seeds) movement of the second hidden layer on the test inputs after ``CHECKED`` steps."""
    net = untrained(parametrization, width, CHECK_SEEDS, False, np.random.default_rng([seed, width]))
    descent = optimizer_of(optimizer, net, layer_rates(parametrization, optimizer, width), np.full(CHECK_SEEDS, rate))
    rng = np.random.default_rng([seed, 1])
    probe = np.random.default_rng(9).standard_normal((N_INPUTS, BATCH))
    begin = net.layers(probe)[1][0]
    found = []
    for step in range(1, CHECKED[-1] + 1):
        x = rng.standard_normal((N_INPUTS, BATCH))
        descent.step(net.gradient(x, target(x))[1])
        if step in CHECKED:
            found.append(np.sqrt(np.mean((net.layers(probe)[1][0] - begin) ** 2, axis=(1, 2))))
    return np.array(found)


def _check_seconds(*, optimizer: str, network_width: int, **_: object) -> float:
    return 2 * sum(2e-3 + _width_seconds(optimizer, "none", n, CHECK_SEEDS, CHECKED[-1]) for n in widths_to(network_width))


@experiment(seconds=_check_seconds)
def coordinate_check(
    *, optimizer: Optimizer = "adam", check_rate: CheckRate = 3e-3, network_width: NetworkWidth = 256, seed: Seed = 0
) -> Iterator[tuple[float, CoordinateCheck]]:
    """How far the features of a network move in the first steps, coordinate by coordinate, against width."""
    widths = widths_to(network_width)
    names = tuple(SLOPES)
    moved = np.array([[movement(name, optimizer, n, check_rate, seed) for n in widths] for name in names])
    yield 1.0, CoordinateCheck(names, widths, CHECKED, moved)
