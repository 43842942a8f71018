r"""Networks with tanh layers trained for real: how features and output move with width.

L hidden layers, 8 inputs, full batch of 32 Gaussian samples with E|x|^2 = 1, target proportional to x_1 + x_2 x_3 (in units of a
coordinate's standard deviation), loss (1/2) mean (f - y)^2. After T >= 2 steps theory says (root mean squares over samples)

    features of the last hidden layer move by n^-r,    output moves by n^-(min(o, w + r) - 1),    f_0 ~ n^-(w - 1/2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models.tiny_network import Network
from compute.models.width_parametrization import UNSTABLE, Exponents
from compute.parameters import Integer, Seed
from compute.scaling_laws.abc_parametrizations.setting import (
    N_INPUTS,
    Array,
    HiddenRate,
    LargestWidth,
    LearningRate,
    OutputInit,
    OutputRate,
    Steps,
    ladder,
    slope,
    slope_words,
)

N_SAMPLES = 32
LARGE = 1e6  # an output beyond has diverged
QUANTITIES = ("feature movement", "output change", "output at the start")

Depth = Annotated[int, Integer("hidden layers", "L", low=1, high=4)]
NetworkSeeds = Annotated[int, Integer("seeds", "R", low=2, high=16, help="Networks trained at each width.")]


def samples(seed: int) -> tuple[Array, Array]:
    """(8, 32) inputs and (1, 32) targets of unit mean square."""
    x = np.random.default_rng([seed, 1]).standard_normal((N_INPUTS, N_SAMPLES))
    y = x[:1] + x[1:2] * x[2:3]
    return x / np.sqrt(N_INPUTS), y / np.sqrt(np.mean(y**2))


def untrained(exponents: Exponents, width: int, n_replicas: int, rng: np.random.Generator) -> Network:
    """Replicas at their start; L is the number of hidden rates."""
    first = rng.standard_normal((n_replicas, width, N_INPUTS))
    between = [rng.standard_normal((n_replicas, width, width)) / np.sqrt(width) for _ in exponents.hidden_rates[1:]]
    last = rng.standard_normal((n_replicas, 1, width)) * float(width) ** -exponents.output_init
    return Network([first, *between, last], activation="tanh")


def layer_rates(exponents: Exponents, width: int, learning_rate: float) -> list[float]:
    """Of the weights themselves, for the loss (1/2) mean (f - y)^2."""
    powers = [float(k == 0) - h for k, h in enumerate(exponents.hidden_rates)] + [-exponents.output_rate]
    return [learning_rate * float(width) ** p for p in powers]


def measure(net: Network, rates: list[float], x: Array, y: Array, n_steps: int) -> Array:
    """Train in place; (3, n_replicas) ``QUANTITIES``, NaN where a replica diverged."""
    before = net.layers(x)
    features, output = before[-2][0], before[-1][0]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_steps):
            for weight, g, rate in zip(net.weights, net.gradient(x, y)[1], rates, strict=True):
                g *= rate / 2  # noqa: PLW2901  in place: at large widths a copy is what takes the time
                weight -= g  # noqa: PLW2901
        after = net.layers(x)
        changes = (after[-2][0] - features, after[-1][0] - output, output)
        found = np.array([np.sqrt(np.mean(c**2, axis=(1, 2))) for c in changes])
        sound = np.isfinite(found).all(axis=0) & (found[1] < LARGE)
    return np.where(sound, found, np.nan)


@dataclass(frozen=True)
class WidthScaling(Result):
    """What moves, by width, beside the exponents of theory."""

    exponents: Exponents
    width: list[int]
    found: list[Array]  # each (3, n_seeds)

    @property
    def theory(self) -> tuple[float, float, float]:
        """Slopes in width of ``QUANTITIES``; they hold where training is stable."""
        e = self.exponents
        return -e.feature + 0.0, -e.output_change + 0.0, 0.5 - e.output_init

    def values(self, k: int) -> Array:
        """(n_width, n_seeds) of a quantity."""
        return np.array([f[k] for f in self.found])

    def summary(self, k: int) -> tuple[Array, Array, Array]:
        """(width, mean, standard error) of a quantity, over the widths at which no network diverged."""
        values = self.values(k)
        kept = np.isfinite(values).all(axis=1)
        error = values[kept].std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        return np.array(self.width, dtype=float)[kept], values[kept].mean(axis=1), error

    def line(self, k: int) -> tuple[Array, Array]:
        """Theory's power law of a quantity, through the middle of what was measured; empty where training is unstable."""
        width, mean, _ = self.summary(k)
        if width.size == 0 or self.exponents.regime == UNSTABLE:
            return width[:0], mean[:0]
        center, level = np.exp(np.log(width).mean()), np.exp(np.log(np.maximum(mean, 1e-300)).mean())
        return width, level * (width / center) ** self.theory[k]

    def table(self) -> pl.DataFrame:
        rows = []
        for k, name in enumerate(QUANTITIES):
            width, mean, error = self.summary(k)
            rows.append(
                pl.DataFrame(
                    {
                        "quantity": [name] * width.size,
                        "width": width,
                        "root_mean_square": mean,
                        "standard_error": error,
                        "theory": self.line(k)[1] if self.line(k)[1].size else pl.Series([None] * width.size, dtype=pl.Float64),
                    }
                )
            )
        diverged = [n for n, f in zip(self.width, self.found, strict=True) if not np.isfinite(f).all()]
        rows.append(pl.DataFrame({"quantity": ["diverged"] * len(diverged), "width": [float(n) for n in diverged]}))
        return pl.concat(rows, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {"regime": self.exponents.regime, "r": self.exponents.feature}
        for k, name in enumerate(QUANTITIES):
            theory = "" if self.exponents.regime == UNSTABLE else f", theory {self.theory[k]:.2g}"
            shown[f"slope of {name}"] = slope_words(slope(np.array(self.width), self.values(k))) + theory
        lost = [n for n, f in zip(self.width, self.found, strict=True) if not np.isfinite(f).all()]
        if lost:
            shown["diverged from width"] = float(min(lost))
        return shown


def _seconds_at(width: int, n_seeds: int, depth: int, n_steps: int) -> float:
    """Of the networks of one width, measured: matrix products, and the draw of the weights."""
    weights = width * (N_INPUTS + 1) + (depth - 1) * width**2
    return n_seeds * (n_steps * (2.5e-5 + 3.5e-7 * depth * width + 1.4e-8 * weights) + 3e-8 * weights)


def _scaling_seconds(*, largest_width: int, n_networks: int, depth: int, steps: int, **_: object) -> float:
    return sum(_seconds_at(n, n_networks, depth, steps) for n in ladder(largest_width))


@experiment(seconds=_scaling_seconds)
def width_scaling(
    *,
    output_init: OutputInit = 1.0,
    hidden_rate: HiddenRate = 0.0,
    output_rate: OutputRate = 1.0,
    depth: Depth = 1,
    largest_width: LargestWidth = 512,
    learning_rate: LearningRate = 0.5,
    steps: Steps = 20,
    n_networks: NetworkSeeds = 4,
    seed: Seed = 0,
) -> Iterator[tuple[float, WidthScaling]]:
    """Feature movement, output change and first output of tanh networks against width, with fitted exponents."""
    exponents = Exponents(output_init, (hidden_rate,) * depth, output_rate)
    widths, found = ladder(largest_width), []
    total, spent = _scaling_seconds(largest_width=largest_width, n_networks=n_networks, depth=depth, steps=steps), 0.0
    x, y = samples(seed)
    for done, n in enumerate(widths, start=1):
        rng = np.random.default_rng([seed, n])
        # Deep and wide networks one by one: their weights are what fills the memory.
        at_once = max(1, min(n_networks, 2_000_000 // (depth * n * n)))
        parts = []
        for k in range(0, n_networks, at_once):
            net = untrained(exponents, n, min(at_once, n_networks - k), rng)
            parts.append(measure(net, layer_rates(exponents, n, learning_rate), x, y, steps))
        found.append(np.concatenate(parts, axis=1))
        spent += _seconds_at(n, n_networks, depth, steps)
        yield 1.0 if done == len(widths) else min(0.99, spent / total), WidthScaling(exponents, widths[:done], list(found))
