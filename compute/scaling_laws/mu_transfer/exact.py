r"""Rate sweeps of a linear network of one hidden layer by the exact recursion, at any width.

Standard parametrization (SP, fixed rate): w = 1/2, h = 1, o = 0. Maximal update (muP): w = 1, h = 0, o = 1; see
``compute.models.width_parametrization``. Under SP a rate eta moves the readout's part of f by eta n, so that the best rate falls
as 1/n, and there the layer below stands still. Under muP the recursion itself has a limit, and so has its best rate. (Under SP
the best rate of a network lies above the edge 2/(n lambda_1) of its kernel: training climbs before it falls. The kernel limit
does not see that, so of SP only the slope is theory.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

import numpy as np

from compute.experiment import experiment
from compute.models.width_parametrization import (
    Exponents,
    LinearTask,
    limit,
    named,
    power_law_task,
    rates,
    standard_gram,
    start,
    train,
)
from compute.parameters import LogInteger, Real, Seed
from compute.scaling_laws.mu_transfer.sweep import Arm, Array, RateSweep, best_rate

N_INPUTS = 32
SMALLEST_WIDTH = 16
N_RATES = 30
# The rate is base times n^slope; the base runs over two decades and a half around where something happens.
SLOPES = {"SP": -1.0, "muP": 0.0}
BASES = {"SP": np.geomspace(0.1, 40, N_RATES), "muP": np.geomspace(0.02, 8, N_RATES)}

LargestWidth = Annotated[int, LogInteger("largest width", r"n_{\max}", low=256, high=65536, help="Widths grow from 16 up to it.")]
Steps = Annotated[int, LogInteger("steps", "T", low=10, high=500, help="Steps of training.")]
SpectrumExponent = Annotated[
    float, Real("spectrum exponent", r"\alpha", low=0.5, high=3.0, help="Input covariance has eigenvalues j^-α.")
]
Seeds = Annotated[int, LogInteger("seeds", "R", low=4, high=64, help="Networks drawn at each width.")]


def exponents_of(parametrization: str) -> Exponents:
    """Of ``"SP"`` or ``"muP"`` with one hidden layer."""
    return named(parametrization, 1).exponents


def widths_to(largest: int) -> list[int]:
    """Growing fourfold from 16, the largest last."""
    return sorted({SMALLEST_WIDTH * 4**k for k in range(7) if SMALLEST_WIDTH * 4**k < largest / 1.5} | {largest})


def starts(parametrization: str, width: int, n_seeds: int, seed: int, scale: float = 1.0) -> Array:
    """(n_seeds, d + 1, d + 1) Gram matrices; the same random numbers for both parametrizations. ``scale`` multiplies all weights."""
    rng = np.random.default_rng([seed, width])
    grams = np.array([standard_gram(width, N_INPUTS, rng) for _ in range(n_seeds)])
    return scale**2 * start(grams, np.full(n_seeds, width), exponents_of(parametrization).output_init)


def losses_at(parametrization: str, width: int, rate: Array, grams: Array, task: LinearTask, n_steps: int) -> Array:
    """(n_seeds, n_rates) loss after ``n_steps`` at each of (n_rates,) rates; infinite where the network diverged."""
    e = exponents_of(parametrization)
    n_seeds = len(grams)
    step = rates(width, np.full(n_seeds * rate.size, e.hidden_rate), e.output_rate, np.tile(rate, n_seeds))
    return train(np.repeat(grams, rate.size, axis=0), step, task, n_steps)[0][:, -1].reshape(n_seeds, rate.size)


def limit_best(task: LinearTask, n_steps: int) -> float:
    """Best rate of the infinitely wide network under muP."""
    gram, _ = limit(exponents_of("muP"), N_INPUTS, 1.0)
    base = BASES["muP"]
    return best_rate(base, train(np.repeat(gram[None], base.size, axis=0), np.column_stack([base, base]), task, n_steps)[0][:, -1])


def seconds_of(n_runs: int, n_steps: int) -> float:
    """Of the recursion of so many networks."""
    return 3.5e-7 * n_runs * n_steps


def _sweep_seconds(*, largest_width: int, steps: int, n_seeds: int, **_: object) -> float:
    n_starts = n_seeds * len(widths_to(largest_width))
    return 0.004 + 6e-4 * n_starts + seconds_of(2 * N_RATES * n_starts, steps)


@lru_cache(maxsize=64)
def _sweep(name: str, width: int, n_seeds: int, seed: int, spectrum_exponent: float, n_steps: int) -> Array:
    """``losses_at`` the rates of one width: a larger largest width leaves those below as they are."""
    rate, task = BASES[name] * float(width) ** SLOPES[name], power_law_task(N_INPUTS, spectrum_exponent)
    losses = losses_at(name, width, rate, starts(name, width, n_seeds, seed), task, n_steps)
    losses.flags.writeable = False
    return losses


@experiment(seconds=_sweep_seconds)
def exact_sweep(
    *,
    largest_width: LargestWidth = 4096,
    steps: Steps = 40,
    spectrum_exponent: SpectrumExponent = 1.5,
    n_seeds: Seeds = 4,
    seed: Seed = 0,
) -> Iterator[tuple[float, RateSweep]]:
    """Loss against learning rate of linear networks under SP and muP, exact at every width, and the best rates."""
    task = power_law_task(N_INPUTS, spectrum_exponent)
    widths = widths_to(largest_width)
    rate: dict[str, list[Array]] = {name: [] for name in SLOPES}
    loss: dict[str, list[Array]] = {name: [] for name in SLOPES}
    limits = {"SP": None, "muP": limit_best(task, steps)}
    for done, n in enumerate(widths, start=1):
        for name, slope in SLOPES.items():
            rate[name].append(BASES[name] * float(n) ** slope)
            loss[name].append(_sweep(name, n, n_seeds, seed, spectrum_exponent, steps))
        arms = [Arm(name, slope, widths[:done], list(rate[name]), list(loss[name]), limits[name]) for name, slope in SLOPES.items()]
        yield done / len(widths), RateSweep(tuple(arms))
