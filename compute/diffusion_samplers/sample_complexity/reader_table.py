r"""A reader's own column: how far the reverse process should run for n of its values, and the smoothness that this implies.

Values are scaled to [0, 1] and expanded in cosines phi_k = sqrt(2) cos(pi k u), heat with reflecting ends. Of n values, c_k is
the mean of phi_k and the density stopped at T keeps e^{-pi^2 k^2 T/2} of each. Its squared distance to the truth is, but for a
constant, estimated without bias by leaving one out,

    sum_k keep_k^2 c_k^2 - 2 keep_k (n c_k^2 - mean phi_k^2)/(n - 1),

whose least value over T falls like n^{-2s/(2s+1)} at T like n^{-2/(2s+1)} for a density of smoothness s up to 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.sample_complexity.rates import X, coefficients, on_grid
from compute.diffusion_samplers.sample_complexity.setting import EarlyStop, Smoothness, vertex
from compute.experiment import Result, experiment
from compute.methods.bootstrap import resample_counts
from compute.parameters import Column, Dataset, ParameterError, Seed

Array = NDArray[np.float64]

N_EXAMPLE = 8000
FEWEST, MOST = 240, 20_000
N_MODES = 256
STOPS = np.geomspace(1e-6, 0.3, 45)
PARTITIONS = 2  # of the table into blocks
REFITS = 60
SMALLEST, FEWEST_BLOCKS = 15, 4
SHOWN = np.linspace(0.0, 1.0, 201)

Table = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your data",
        columns=(Column("value", "a number; the least and greatest become the ends of the interval", low=-1e12, high=1e12),),
        template="value\n0.12\n0.48\n0.33\n0.91\n0.57\n",
        help=f"A CSV with a column of {FEWEST} to {MOST} numbers, in place of draws from the lab's own density.",
    ),
]


def keep(stops: Array) -> Array:
    """(n_stops, n_modes) e^{-pi^2 k^2 T/2}, k from 1."""
    return np.exp(-0.5 * np.pi**2 * stops[:, None] * np.arange(1, N_MODES + 1) ** 2)


def leave_one_out(mean: Array, square: Array, n: int, kept: Array) -> Array:
    """(..., n_stops) estimated squared distance, but for the truth's own, from (..., n_modes) means of phi_k and of phi_k^2."""
    return mean**2 @ (kept**2).T - 2 * ((n * mean**2 - square) / (n - 1)) @ kept.T


@dataclass(frozen=True)
class OwnData(Result):
    """The best stop against n for a table's values, and the densities that two stops return."""

    n: Array  # (n_sizes,)
    best: Array  # (n_sizes,) least of the mean estimate over blocks of the table
    best_error: Array  # of its natural logarithm
    fitted: Array  # (n_sizes,) power law through them
    slope: float
    slope_error: float
    x: Array  # (n_x,) in the units of the table
    density: Array  # (n_x,) at the best stop
    chosen: Array  # (n_x,) at the chosen one
    best_stop: float
    count: int
    is_example: bool

    def table(self) -> pl.DataFrame:
        sizes = {
            "n_samples": self.n,
            "best_stop": self.best,
            "standard_error_of_log": self.best_error,
            "fitted_best_stop": self.fitted,
        }
        curves = {"x": self.x, "density_at_best_stop": self.density, "density_at_chosen_stop": self.chosen}
        return pl.concat([pl.DataFrame(sizes), pl.DataFrame(curves)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        reach = 2 * self.slope_error
        return {
            "values": "an example of the lab's own" if self.is_example else float(self.count),
            "slope of the best T": f"{self.slope:.2f} ± {self.slope_error:.2f}",
            "implied smoothness": implied(self.slope),
            "± 2 SE": f"{implied(self.slope - reach)} to {implied(self.slope + reach)}",
            "best T for all values": self.best_stop,
        }


def implied(slope: float) -> str:
    """s of a slope -2/(2s + 1), in words."""
    if slope > -0.2:
        return "beyond 4"
    return f"{max(-1 / slope - 0.5, 0.0):.2f}"


@experiment
def own_data(*, table: Table = None, smoothness: Smoothness = 1.0, early_stop: EarlyStop = 1e-4, seed: Seed = 0) -> OwnData:
    """The best stop of the reverse process for subsamples of a table, and the smoothness its scaling implies."""
    rng = np.random.default_rng(seed)
    if table is None:
        share = on_grid(coefficients(smoothness))
        values = (rng.choice(X.size, N_EXAMPLE, p=share / share.sum()) + rng.random(N_EXAMPLE)) / X.size
    else:
        values = table["value"].to_numpy()
        if not FEWEST <= values.size <= MOST:
            raise ParameterError("table", f"needs {FEWEST} to {MOST} usable rows, not {values.size}.")
        if np.unique(values).size < 20:
            raise ParameterError("table", "needs at least 20 different values: a density is sought.")
    values = rng.permutation(values)
    low, high = float(values.min()), float(values.max())
    u = (values - low) / (high - low)
    kept = keep(STOPS)
    finest = next(1 << h for h in range(6, 0, -1) if values.size >> h >= SMALLEST)
    n = values.size // finest
    means, squares = np.empty((2, PARTITIONS, finest, N_MODES))
    for r in range(PARTITIONS):
        phi = cosines(rng.permutation(u)[: n * finest]).reshape(N_MODES, finest, n)
        means[r] = phi.mean(axis=2).T
        squares[r] = np.einsum("kbn,kbn->bk", phi, phi) / n
    sizes, refits = [], []
    while means.shape[1] >= FEWEST_BLOCKS:
        curves = leave_one_out(means, squares, n, kept)
        # All partitions give the estimate; its error is that of the disjoint blocks of one, drawn with replacement.
        drawn = resample_counts(rng, means.shape[1], REFITS) / means.shape[1] @ curves[0]
        refits.append(vertex(np.log(STOPS), np.vstack([curves.mean(axis=(0, 1)), drawn])))
        sizes.append(n)
        # Blocks join in pairs.
        means, squares = (0.5 * (v[:, ::2] + v[:, 1::2]) for v in (means, squares))
        n *= 2
    logs = np.array(refits)
    at = np.log(np.array(sizes, dtype=float))
    slopes, offsets = np.polyfit(at, logs, 1)
    phi = cosines(u)
    mean = phi.mean(axis=1)
    whole = leave_one_out(mean, np.einsum("kn,kn->k", phi, phi) / u.size, u.size, kept)
    best = float(STOPS[whole.argmin()])
    curves = 1 + (keep(np.array([best, early_stop])) * mean) @ cosines(SHOWN)
    return OwnData(
        np.array(sizes, dtype=float),
        np.exp(logs[:, 0]),
        logs[:, 1:].std(axis=1, ddof=1),
        np.exp(offsets[0] + slopes[0] * at),
        float(slopes[0]),
        float(slopes[1:].std(ddof=1)),
        low + (high - low) * SHOWN,
        curves[0] / (high - low),
        curves[1] / (high - low),
        best,
        values.size,
        table is None,
    )


def cosines(u: Array) -> Array:
    """(n_modes, n) sqrt(2) cos(pi k u), by recurrence: one cosine a value in place of one a mode."""
    out = np.empty((N_MODES, u.size))
    first = np.cos(np.pi * u)
    before, now = np.ones_like(u), first
    for k in range(N_MODES):
        out[k] = now
        before, now = now, 2 * first * now - before
    out *= np.sqrt(2)
    return out
