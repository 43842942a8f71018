r"""One substitution: strings whose target differs from the source in exactly one of L places, any of them equally likely.

Positions are predicted independently given the present string, as a network with one output a position does. The bridge's string
is still the source until a position jumps to a substitution: then that was the one. At a step with jump probability r, each
of the L positions jumps and is predicted to change with probability r/L; two at once, or none until the end, spoil the string:

    P(valid) = sum_k prod_{j < k} (1 - r_j/L)^L  r_k (1 - r_k/L)^(L - 1).

With R steps left and the linear schedule r = 1/R, which leaves (L - 1)/(2 L) (log n)/n to the leading order.

Absorbing diffusion of the target uncovers positions instead, and one uncovered unchanged counts: with m left, each changes
with probability 1/m. The bridge cannot tell a position that has jumped to its own letter from one that has not, and errs more by
a logarithm of the steps. The outputs are uniform over valid strings, so TV = 1 - P(valid).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import comb

from compute.experiment import Result, experiment
from compute.parameters import Integer, Seed
from compute.transport_bridges.paired_bridges.categories import Schedule, remaining
from compute.transport_bridges.paired_bridges.setting import Steps

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

StringLength = Annotated[int, Integer("string length", r"L", low=2, high=12)]

CURVE_STEPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200])
SIMULATED_STEPS = np.array([1, 2, 4, 8, 16, 32])
N_STRINGS = 2000
BESIDE = {"bridge": 1.5, "absorbing": 0.65}  # where the guides stand


def jump_rates(schedule: str, n: int) -> Array:
    """(n,) probability that what has not jumped does so in a step; 1 in the last."""
    left = remaining(schedule, n)
    return np.asarray(1 - left[1:] / left[:-1])


def bridge_valid(length: int, rates: Array) -> float:
    """P(valid) of the bridge's output."""
    still = np.concatenate([[1.0], np.cumprod((1 - rates / length) ** length)[:-1]])
    return float(np.sum(still * rates * (1 - rates / length) ** (length - 1)))


def absorbing_valid(length: int, rates: Array) -> float:
    """P(valid) of absorbing diffusion told the source, by recursion over the number of masks with no change seen yet."""
    masks = np.arange(length + 1)
    m, shown = masks[:, None], masks[None, :]
    ways = comb(m, shown)  # 0 where more are shown than there are
    hidden = np.maximum(m - shown, 0)
    same = 1 - 1 / np.maximum(m, 1)
    one = ways * shown / np.maximum(m, 1) * same ** np.maximum(shown - 1, 0)  # exactly one of those shown has changed
    none = np.where(hidden > 0, ways * same**shown, 0.0)  # none has, and masks are left
    waiting = (masks == length).astype(float)
    valid = 0.0
    for rate in rates:
        chance = waiting[:, None] * rate**shown * (1 - rate) ** hidden
        valid += float(np.sum(chance * one))
        waiting = np.bincount(hidden.ravel(), weights=(chance * none).ravel(), minlength=length + 1)
    return valid


def simulate(length: int, rates: Array, n: int, rng: np.random.Generator) -> dict[str, Array]:
    """(n,) by process, whether each simulated string is valid."""
    changed = np.zeros((n, length), dtype=bool)
    for rate in rates:
        # Once a position has changed, the prediction is that it alone does.
        undecided = np.logical_not(np.any(changed, axis=1))
        changed |= (rng.random((n, length)) < rate / length) & undecided[:, None]
    masked, uncovered = np.ones((n, length), dtype=bool), np.zeros((n, length), dtype=bool)
    for rate in rates:
        falls = masked & (rng.random((n, length)) < rate)
        undecided = np.logical_not(np.any(uncovered, axis=1))
        chance = undecided / np.maximum(masked.sum(axis=1), 1)
        uncovered |= falls & (rng.random((n, length)) < chance[:, None])
        masked &= ~falls
    return {"bridge": changed.sum(axis=1) == 1, "absorbing": uncovered.sum(axis=1) == 1}


@dataclass(frozen=True)
class Substitution(Result):
    """Share of spoiled strings against steps."""

    n: Integers  # (n_points,)
    invalid: dict[str, Array]  # by process: (n_points,) exact
    simulated_n: Integers
    simulated: dict[str, Array]
    simulated_error: dict[str, Array]
    shapes: dict[str, Array]  # (n_points,) (log n)/n and 1/n, a little beside the exact curves' last points
    length: int
    steps: int
    here: dict[str, float]

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {
                "steps": self.n,
                **{f"invalid_{k}": v for k, v in self.invalid.items()},
                **{f"shape_{k}": v for k, v in self.shapes.items()},
            }
        )
        columns = {f"simulated_{k}": v for k, v in self.simulated.items()}
        columns |= {f"standard_error_{k}": v for k, v in self.simulated_error.items()}
        return pl.concat([curves, pl.DataFrame({"steps": self.simulated_n, **columns})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {f"spoiled, {k}, {self.steps} steps": v for k, v in self.here.items()}
        shown["bridge ÷ absorbing"] = self.here["bridge"] / self.here["absorbing"]
        gaps = []
        for k, found in self.simulated.items():
            exact = self.invalid[k][np.searchsorted(self.n, self.simulated_n)]
            gaps.append(np.abs(found - exact) / np.sqrt(exact * (1 - exact) / N_STRINGS))
        return shown | {"simulation − theory, worst, SE": float(np.max(gaps))}


@experiment
def substitution(
    *, string_length: StringLength = 4, steps: Steps = 10, schedule: Schedule = "linear", seed: Seed = 0
) -> Substitution:
    """Share of outputs with no substitution or with several, by recursion and by simulation."""
    rng = np.random.default_rng(seed)
    exact = {"bridge": bridge_valid, "absorbing": absorbing_valid}
    invalid = {k: np.array([1 - f(string_length, jump_rates(schedule, int(n))) for n in CURVE_STEPS]) for k, f in exact.items()}
    runs = [simulate(string_length, jump_rates(schedule, int(n)), N_STRINGS, rng) for n in SIMULATED_STEPS]
    shapes = {"bridge": np.log(CURVE_STEPS) / CURVE_STEPS, "absorbing": 1 / CURVE_STEPS}
    simulated = {k: np.array([1 - float(run[k].mean()) for run in runs]) for k in exact}
    return Substitution(
        n=CURVE_STEPS,
        invalid=invalid,
        simulated_n=SIMULATED_STEPS,
        simulated=simulated,
        simulated_error={k: np.sqrt(v * (1 - v) / N_STRINGS) for k, v in simulated.items()},
        shapes={k: BESIDE[k] * invalid[k][-1] * shape / shape[-1] for k, shape in shapes.items()},
        length=string_length,
        steps=steps,
        here={k: 1 - f(string_length, jump_rates(schedule, steps)) for k, f in exact.items()},
    )
