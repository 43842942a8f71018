r"""Two-layer networks trained live: error against width, against the length of training, and the parts of one network.

A network of N hidden neurons on 64 evenly spaced points of [-1, 1], full batch, Adam with a cosine decay from 0.01 to 0, from
the usual uniform start (inputs and biases in [-1, 1], readout in [-1, 1]/sqrt(N)). Errors are mean squares on 1,001 points.

No ReLU network of width N does better on x^2 than the best N + 1 free pieces, 16/(180 (N + 1)^4): for a function of constant
second derivative equal pieces are the best ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from scipy.stats import linregress

from compute.experiment import Result, experiment
from compute.models.tiny_network import Adam, Network, cosine
from compute.parameters import Choice, Integer, LogInteger, Seed
from compute.scaling_laws.lottery_tickets.mechanism import SPLINE, Array

TARGETS: dict[str, Callable[[Array], Array]] = {
    "square": lambda x: x**2,
    "abs": np.abs,
    "sine": lambda x: np.sin(np.pi * x),
    "sqrt": lambda x: np.sqrt(np.abs(x)),
}
RATE = 1e-2
POINTS = np.linspace(-1, 1, 64)[None]
TEST = np.linspace(-1, 1, 1001)[None]
N_WIDTHS = 5
LENGTHS = (500, 1000, 2000, 4000)

LargestWidth = Annotated[int, LogInteger("largest width", r"N_{\max}", low=8, high=256)]
Activation = Annotated[str, Choice("activation", "", options=("silu", "relu"))]
Target = Annotated[str, Choice("target", "", options=tuple(TARGETS))]
TrainingSteps = Annotated[int, LogInteger("training steps", "T", low=1000, high=20_000)]
ShownWidth = Annotated[int, LogInteger("width shown", "N", low=4, high=64)]
Seeds = Annotated[int, Integer("seeds", "R", low=3, high=30, help="Networks trained at each width.")]
Groups = Annotated[int, Integer("groups of neurons", "G", low=2, high=8)]


def network(width: int, n_replicas: int, activation: str, rng: np.random.Generator) -> Network:
    """Untrained replicas."""

    def uniform(*shape: int) -> Array:
        return rng.uniform(-1, 1, (n_replicas, *shape))

    root = np.sqrt(width)
    return Network([uniform(width, 1), uniform(1, width) / root], [uniform(width, 1), uniform(1, 1) / root], activation)


def train(net: Network, target: str, n_steps: int) -> None:
    """Adam on the 64 points, in place."""
    y = TARGETS[target](POINTS)
    adam = Adam(net.parameters, [RATE] * 4)
    for step in range(n_steps):
        adam.step(net.gradient(POINTS, y)[1], cosine(step, n_steps))


def errors(net: Network, target: str) -> Array:
    """Mean squared error of each replica on the dense points, (n_replicas,)."""
    return np.mean((net(TEST) - TARGETS[target](TEST))[:, 0] ** 2, axis=-1)


def widths_to(largest: int) -> list[int]:
    """Doubling up to the largest, five of them or as many as there are from 2."""
    return [w for w in (largest >> k for k in range(N_WIDTHS - 1, -1, -1)) if w >= 2]


def seconds_of(width: int, n_replicas: int, n_steps: int) -> float:
    """Of one training."""
    return n_steps * (4.5e-5 + 3.5e-7 * width * n_replicas)


def exponent_of(widths: list[int], found: list[Array]) -> tuple[float, float]:
    """Minus the slope of log error in log width over all seeds, and its standard error."""
    x = np.repeat(np.log(widths), [f.size for f in found])
    line = linregress(x, np.log(np.concatenate(found)))
    return -float(line.slope), float(line.stderr)


# --- error against width -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ladder(Result):
    """Errors of trained networks by width, a column a seed."""

    width: list[int]
    error: list[Array]  # each (n_seeds,)
    bound: Array  # (n_width,) best N + 1 pieces; of y = x^2 only
    is_square: bool

    def quartiles(self) -> Array:
        """(n_width, 3)."""
        return np.array([np.quantile(e, (0.25, 0.5, 0.75)) for e in self.error])

    def table(self) -> pl.DataFrame:
        low, middle, high = self.quartiles().T
        spread = pl.DataFrame(
            {
                "width": self.width,
                "median_error": middle,
                "lower_quartile": low,
                "upper_quartile": high,
                "best_spline": self.bound if self.is_square else pl.Series([None] * len(self.width), dtype=pl.Float64),
            }
        )
        each = pl.concat(
            [
                pl.DataFrame({"width": [w] * e.size, "error": np.sort(e), "share_below": (np.arange(e.size) + 1) / e.size})
                for w, e in zip(self.width, self.error, strict=True)
            ]
        )
        return pl.concat([spread, each], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        if len(self.width) < 2:
            return {"exponent": "not yet", "median error": float(np.median(self.error[-1]))}
        exponent, error = exponent_of(self.width, self.error)
        found: dict[str, float | str] = {"exponent": f"{exponent:.2f} ± {error:.2f}"}
        found["median error at the largest width"] = float(np.median(self.error[-1]))
        if self.is_square:
            found["its ratio to the best spline's"] = float(np.median(self.error[-1]) / self.bound[len(self.width) - 1])
        return found


def _ladder_seconds(*, largest_width: int, n_seeds: int, training_steps: int, **_: object) -> float:
    return sum(seconds_of(w, n_seeds, training_steps) for w in widths_to(largest_width))


@experiment(seconds=_ladder_seconds)
def trained_ladder(
    *,
    largest_width: LargestWidth = 64,
    n_seeds: Seeds = 12,
    activation: Activation = "silu",
    target: Target = "square",
    training_steps: TrainingSteps = 2000,
    seed: Seed = 0,
) -> Iterator[tuple[float, Ladder]]:
    """Train networks of doubling width from several seeds and fit the exponent of their error."""
    widths, found = widths_to(largest_width), []
    bound = SPLINE / (np.array(widths) + 1.0) ** 4
    total = _ladder_seconds(largest_width=largest_width, n_seeds=n_seeds, training_steps=training_steps)
    spent = 0.0
    for done, width in enumerate(widths, start=1):
        net = network(width, n_seeds, activation, np.random.default_rng([seed, width]))
        train(net, target, training_steps)
        found.append(errors(net, target))
        spent += seconds_of(width, n_seeds, training_steps)
        yield (
            1.0 if done == len(widths) else min(spent / total, 0.99),
            Ladder(widths[:done], list(found), bound[:done], target == "square"),
        )


# --- exponent against the length of training -----------------------------------------------------------------------


@dataclass(frozen=True)
class Lengths(Result):
    """The fitted exponent against how long networks were trained."""

    steps: list[int]
    exponent: Array  # (n_done,)
    standard_error: Array  # (n_done,)
    width: list[int]
    median: Array  # (n_done, n_width)

    def table(self) -> pl.DataFrame:
        fits = pl.DataFrame({"training_steps": self.steps, "exponent": self.exponent, "standard_error": self.standard_error})
        medians = pl.DataFrame(
            {
                "training_steps": np.repeat(self.steps, len(self.width)),
                "width": self.width * len(self.steps),
                "median_error": self.median.ravel(),
            }
        )
        return pl.concat([fits, medians], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            f"exponent at {steps:,} steps": f"{e:.2f} ± {s:.2f}"
            for steps, e, s in zip(self.steps, self.exponent, self.standard_error, strict=True)
        }
        if len(self.steps) > 1:
            # Of medians that doubling the steps leaves alone there is a law of width; of others, one of steps too.
            found["median error at the last doubling, ×"] = float(np.median(self.median[-1] / self.median[-2]))
        return found


def _lengths_seconds(*, largest_width: int, n_seeds: int, **_: object) -> float:
    return sum(_ladder_seconds(largest_width=largest_width, n_seeds=n_seeds, training_steps=steps) for steps in LENGTHS)


@experiment(seconds=_lengths_seconds)
def training_lengths(
    *,
    largest_width: LargestWidth = 64,
    n_seeds: Seeds = 12,
    activation: Activation = "silu",
    target: Target = "square",
    seed: Seed = 0,
) -> Iterator[tuple[float, Lengths]]:
    """The same fit after 500, 1,000, 2,000 and 4,000 steps, each a whole training with its own cosine."""
    widths = widths_to(largest_width)
    exponents, medians = [], []
    for done, steps in enumerate(LENGTHS, start=1):
        found = []
        for width in widths:
            net = network(width, n_seeds, activation, np.random.default_rng([seed, width]))
            train(net, target, steps)
            found.append(errors(net, target))
        exponents.append(exponent_of(widths, found))
        medians.append([np.median(e) for e in found])
        exponent, error = np.array(exponents).T
        yield sum(LENGTHS[:done]) / sum(LENGTHS), Lengths(list(LENGTHS[:done]), exponent, error, widths, np.array(medians))


# --- parts of one network -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tickets(Result):
    """One trained network taken apart into groups of neurons, each read as if it were the whole."""

    x: Array  # (n_x,)
    target: Array  # (n_x,)
    whole: Array  # (n_x,)
    part: Array  # (n_groups, n_x), of mean ``whole``
    error: Array  # (n_groups + 1,) mean squared error of the mean of the first 1, …, G groups, best offset and scale

    def table(self) -> pl.DataFrame:
        parts = {f"group_{k + 1}": p for k, p in enumerate(self.part)}
        curves = pl.DataFrame({"x": self.x, "target": self.target, "network": self.whole} | parts)
        mean = pl.DataFrame({"groups_averaged": np.arange(1, self.error.size + 1), "mean_squared_error": self.error})
        return pl.concat([curves, mean], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        return {
            "error of the network": float(np.mean((self.whole - self.target) ** 2)),
            "error of one group alone, median": float(np.median(np.mean((self.part - self.target) ** 2, axis=1))),
            "all groups averaged, ÷ one": float(self.error[-1] / self.error[0]),
        }


def _tickets_seconds(*, shown_width: int, training_steps: int, **_: object) -> float:
    return 0.02 + seconds_of(shown_width, 1, training_steps)


@experiment(seconds=_tickets_seconds)
def seen_tickets(
    *,
    shown_width: ShownWidth = 16,
    groups: Groups = 4,
    activation: Activation = "silu",
    target: Target = "square",
    training_steps: TrainingSteps = 2000,
    seed: Seed = 0,
) -> Iterator[tuple[float, Tickets]]:
    """Train one network and read groups of its neurons as networks of their own.

    With G groups drawn at random, group g says G sum_{i in g} v_i activation(w_i x + b_i) + b: the mean of all groups is the
    network itself. To be judged alone a part, or a mean of parts, is given its best offset and scale, as a readout of its own
    would.
    """
    rng = np.random.default_rng([seed, shown_width, 7])
    net = network(shown_width, 1, activation, rng)
    train(net, target, training_steps)
    x = TEST[:, ::5]
    hidden, readout = net.layers(x)[0][0][0], net.weights[1][0, 0]
    n_groups = min(groups, shown_width)
    members = np.array_split(rng.permutation(shown_width), n_groups)
    part = np.array([n_groups * readout[m] @ hidden[m] for m in members]) + net.biases[1][0, 0, 0]
    y = TARGETS[target](x)[0]
    means = np.cumsum(part, axis=0) / np.arange(1, n_groups + 1)[:, None]
    yield 1.0, Tickets(x[0], y, net(x)[0, 0], part, np.array([_best_scaled_error(mean, y) for mean in means]))


def _best_scaled_error(f: Array, y: Array) -> float:
    """Least mean square of y - a - b f."""
    basis = np.stack([np.ones_like(f), f], axis=1)
    solution = np.linalg.lstsq(basis, y, rcond=None)[0]
    return float(np.mean((y - basis @ solution) ** 2))
