r"""The map of regimes, measured on linear networks at widths n and 4n, over (w, h).

Of a size X the measured exponent is log(X at 4n / X at n)/log 4, of two networks trained by the exact recursion of
``compute.models.width_parametrization`` from the same random numbers, so that two widths are enough. Training counts as

- unstable where the output at the start, its change in the first step or the features' movement grows with width;
- else trivial where the change of the output over all steps shrinks;

both by more than n^``GROWTH``. Theory says: features move by n^-r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models.width_parametrization import (
    Exponents,
    feature_movement,
    lowest_stable_rate,
    named,
    rates,
    start,
    train_neurons,
    wishart_gram,
)
from compute.parameters import LogInteger, Seed
from compute.scaling_laws.abc_parametrizations.setting import (
    N_INPUTS,
    TASK,
    Array,
    HiddenRate,
    LearningRate,
    OutputInit,
    OutputRate,
    Steps,
    or_null,
)

W_GRID, H_GRID = np.linspace(0, 1.5, 49), np.linspace(-0.5, 2, 41)
NAMES = ("SP", "SP, c = 1", "NTP", "muP")


GROWTH = 0.03
STABLE, GROWS, SHRINKS = 0, 1, 2

MapWidth = Annotated[
    int, LogInteger("width of the map", "n", low=10**5, high=10**12, help="The recursion costs the same at any width.")
]


@dataclass(frozen=True)
class RegimeMap(Result):
    """Measured exponent of the features' movement and measured regime over (w, h), with the lines of theory."""

    output_init: Array  # (n_w,)
    hidden_rate: Array  # (n_h,)
    measured: Array  # (n_h, n_w), NaN where a network diverged
    state: Array  # (n_h, n_w) STABLE, GROWS or SHRINKS
    edge: Array  # (n_edge, 2) of (w, h): below it training is unstable; empty where it always is
    names: list[tuple[str, float, float]]  # parametrizations of one hidden layer with the chosen o, at (w, h)
    width: int
    at: Exponents
    measured_at: float
    state_at: int

    @property
    def shown(self) -> Array:
        """(n_h, n_w) measured exponent where nothing grows, else NaN."""
        return np.where(self.state == GROWS, np.nan, self.measured)

    def where(self, state: int) -> Array:
        """(n_h, n_w) 1 where the networks are in that state, else NaN."""
        return np.where(self.state == state, 1.0, np.nan)

    def table(self) -> pl.DataFrame:
        w, h = np.meshgrid(self.output_init, self.hidden_rate)
        theory = [Exponents(a, (b,), self.at.output_rate) for a, b in zip(w.ravel(), h.ravel(), strict=True)]
        names = np.array(["stable", "grows with width", "output stops moving"])
        return pl.DataFrame(
            {
                "output_init": w.ravel(),
                "hidden_rate": h.ravel(),
                "measured_exponent": or_null(self.measured),
                "measured_state": names[self.state.ravel()],
                "theory_r": [e.feature for e in theory],
                "theory_regime": [e.regime for e in theory],
            }
        )

    def headline(self) -> dict[str, float | str]:
        measured = "diverged"
        if np.isfinite(self.measured_at):
            measured = f"{self.measured_at + 0.0:.3f}" + (", something grows" if self.state_at == GROWS else "")
        return {
            "regime": self.at.regime,
            "r": self.at.feature,
            f"r measured between widths {self.width:.3g} and {4 * self.width:.3g}": measured,
        }


def sizes(w: Array, h: float, output_rate: float, width: int, gram: Array, learning_rate: float, n_steps: int) -> Array:
    """(4, n_w) output at the start, its change in the first step and in all, movement of the features; NaN where diverged."""
    begin = start(gram, np.full(w.size, width), w)
    losses, changes = train_neurons(begin, rates(width, np.full(w.size, h), output_rate, learning_rate), TASK, n_steps)
    identity = np.eye(N_INPUTS + 1)

    def output(step: int) -> Array:
        u, z = changes[:, step, :-1] + identity[:-1], changes[:, step, -1] + identity[-1]
        return np.asarray(np.einsum("mjk,mk->mj", u @ begin, z))

    def norm(f: Array) -> Array:
        return np.asarray(np.sqrt(f**2 @ TASK.eigenvalues))

    first = output(0)
    movement = feature_movement(changes[:, -1], begin, TASK)
    found = np.array([norm(first), norm(output(1) - first), norm(output(-1) - first), movement])
    return np.where(np.isfinite(losses[:, -1]), found, np.nan)


def measure(
    w: Array, h: float, output_rate: float, width: int, grams: tuple[Array, Array], learning_rate: float, n_steps: int
) -> tuple[Array, Array]:
    """(n_w,) measured exponent of the features' movement, NaN where a network diverged, and the state."""
    narrow, wide = (sizes(w, h, output_rate, k * width, g, learning_rate, n_steps) for k, g in zip((1, 4), grams, strict=True))
    growth = np.log(np.maximum(wide, 1e-300) / np.maximum(narrow, 1e-300)) / np.log(4)
    fastest = np.max(growth[[0, 1, 3]], axis=0)
    state = np.where(~(fastest <= GROWTH), GROWS, np.where(growth[2] < -GROWTH, SHRINKS, STABLE))
    return -growth[3], state


@lru_cache(maxsize=4)
def _measured_map(output_rate: float, width: int, learning_rate: float, n_steps: int, seed: int) -> tuple[Array, Array]:
    """Exponent and state over the grid: where the reader stands on it changes nothing."""
    grams = _grams(width, seed)
    rows = (measure(W_GRID, h, output_rate, width, grams, learning_rate, n_steps) for h in H_GRID)
    measured, state = (np.array(part) for part in zip(*rows, strict=True))
    measured.flags.writeable = state.flags.writeable = False
    return measured, state


def _grams(width: int, seed: int) -> tuple[Array, Array]:
    narrow, wide = (wishart_gram(k * width, N_INPUTS, np.random.default_rng(seed)) for k in (1, 4))
    return narrow, wide


@experiment
def regime_map(
    *,
    output_init: OutputInit = 1.0,
    hidden_rate: HiddenRate = 0.0,
    output_rate: OutputRate = 1.0,
    map_width: MapWidth = 10**6,
    learning_rate: LearningRate = 0.5,
    steps: Steps = 20,
    seed: Seed = 0,
) -> RegimeMap:
    """Where training is unstable, trivial, a kernel's or learns features: theory's lines over a measured exponent."""
    measured, state = _measured_map(output_rate, map_width, learning_rate, steps, seed)
    edge = np.empty((0, 2))
    if output_rate >= 1:
        w = np.linspace(0.5, 1.5, 41)
        edge = np.column_stack([w, lowest_stable_rate(w, output_rate)])
    known = [(name, named(name, 1).exponents) for name in NAMES]
    shown = [(name, e.output_init, e.hidden_rate) for name, e in known if abs(e.output_rate - output_rate) < 1e-6]
    grams = _grams(map_width, seed)
    here, state_here = measure(np.array([output_init]), hidden_rate, output_rate, map_width, grams, learning_rate, steps)
    return RegimeMap(
        W_GRID,
        H_GRID,
        measured,
        state,
        edge,
        shown,
        map_width,
        Exponents(output_init, (hidden_rate,), output_rate),
        float(here[0]),
        int(state_here[0]),
    )
