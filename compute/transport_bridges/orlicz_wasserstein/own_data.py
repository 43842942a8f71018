"""A reader's column: an overfitted mixture against the best one of few atoms, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.location_mixture import Fit, best_em, em, outlying_mass
from compute.methods.orlicz import on_the_line
from compute.parameters import Column, Dataset, Integer, LogReal, ParameterError, Seed
from compute.transport_bridges.orlicz_wasserstein.setting import Mixture, Phi, Power, Radius, TrueAtoms, Truncation, phi_of

Array = NDArray[np.float64]
MOST_ROWS, LEAST_ROWS = 5000, 20
STEPS = 60
DRAWN_ROWS = 300
LEVEL = 0.8
N_BINS = 40

COLUMN = Dataset(
    "your data",
    columns=(Column("x", "numbers in one column, in any unit", low=-1e9, high=1e9),),
    template="x\n-4.1\n-3.2\n-4.6\n0.3\n-0.4\n0.9\n0.1\n3.7\n4.4\n5.0\n-3.9\n-0.8\n0.6\n4.1\n3.5\n-4.9\n1.2\n-1.1\n4.8\n-2.9\n3.1\n0.0\n",
    help=f"A CSV of {LEAST_ROWS} to {MOST_ROWS} numbers: which atoms does an overfitted mixture put far from the best few?",
)
Table = Annotated[pl.DataFrame | None, COLUMN]
KernelWidth = Annotated[
    float, LogReal("width of a component", "s", low=0.05, high=1.0, help="In standard deviations of the column; it is not fitted.")
]
Refits = Annotated[int, Integer("bootstrap refits", low=10, high=200, help="Resamples of the rows, each fitted twice.")]


@dataclass(frozen=True)
class OwnFit(Result):
    """The two fits, lengths in the column's unit."""

    edges: Array  # (n_bins + 1,)
    density: Array  # (n_bins,) of the column
    x: Array  # (n_grid,)
    overfitted_density: Array
    reference_density: Array
    overfitted: tuple[Array, Array]  # means, weights
    reference: tuple[Array, Array]
    is_outlier: NDArray[np.bool_]
    distance: float  # W_Phi between the two
    distance_interval: tuple[float, float]
    outlying: float
    outlying_interval: tuple[float, float]
    width: float
    n_rows: int
    n_refits: int

    @property
    def center(self) -> Array:
        return np.asarray(0.5 * (self.edges[1:] + self.edges[:-1]))

    def table(self) -> pl.DataFrame:
        (means, weights), (few, few_weights) = self.overfitted, self.reference
        return pl.concat(
            [
                pl.DataFrame(
                    {
                        "what": ["atom of the overfitted fit"] * means.size,
                        "location": means,
                        "weight": weights,
                        "is_outlier": self.is_outlier,
                    }
                ),
                pl.DataFrame({"what": ["atom of the reference"] * few.size, "location": few, "weight": few_weights}),
                pl.DataFrame({"what": ["column"] * self.center.size, "location": self.center, "density": self.density}),
                pl.DataFrame(
                    {
                        "what": ["curve"] * self.x.size,
                        "location": self.x,
                        "density": self.overfitted_density,
                        "reference_density": self.reference_density,
                    }
                ),
                pl.DataFrame(
                    {
                        "what": ["W_Phi", "outlying mass"],
                        "value": [self.distance, self.outlying],
                        "low": [self.distance_interval[0], self.outlying_interval[0]],
                        "high": [self.distance_interval[1], self.outlying_interval[1]],
                    }
                ),
            ],
            how="diagonal_relaxed",
        )

    def headline(self) -> dict[str, float | str]:
        level = f"{LEVEL:.0%} of refits"
        (a, b), (c, d) = self.distance_interval, self.outlying_interval
        return {
            "rows": float(self.n_rows),
            "W_Φ of the two fits": self.distance,
            f"{level}, W_Φ": f"{a:.3g} to {b:.3g}",
            "mass beyond the radius": self.outlying,
            f"{level}, mass": f"{c:.3g} to {d:.3g}",
        }


def _mixture_density(grid: Array, fit: tuple[Array, Array], width: float) -> Array:
    z = (grid[:, None] - fit[0]) / width
    return np.asarray(np.exp(-0.5 * z**2) @ fit[1] / (width * np.sqrt(2 * np.pi)))


def _seconds(*, truncation: int, refits: int, data: pl.DataFrame | None, **_: object) -> float:
    rows = DRAWN_ROWS if data is None else min(data.height, MOST_ROWS)
    return 0.02 + STEPS * (8 + 2 * refits) * (5e-5 + rows * truncation * 1.1e-8)


@experiment(seconds=_seconds)
def own_mixture(
    *,
    data: Table = None,
    kernel_width: KernelWidth = 0.3,
    truncation: Truncation = 20,
    true_atoms: TrueAtoms = 3,
    outlier_radius: Radius = 2.0,
    phi: Phi = "exp(x)-1",
    power_p: Power = 2.0,
    refits: Refits = 10,
    seed: Seed = 0,
) -> Iterator[tuple[float, OwnFit]]:
    """Fit K atoms, and as many as the true ones are thought to be, by maximum likelihood at a given width.

    Without a table 300 points are drawn from the lab's mixture. A refit starts from the fit of all rows.

    Raises
    ------
    ParameterError
        For a column too short, too long, or constant, and where the overfitted mixture is not larger.
    """
    rng = np.random.default_rng([seed, 31])
    if data is None:
        truth = Mixture(true_atoms=true_atoms)
        column = truth.sample(truth.on_the_line(), DRAWN_ROWS, rng)
    else:
        column = np.asarray(data["x"].to_numpy(), dtype=float)[:, None]
    if not LEAST_ROWS <= len(column) <= MOST_ROWS:
        raise ParameterError("data", f"holds {len(column)} numbers; {LEAST_ROWS} to {MOST_ROWS} can be fitted.")
    if truncation < true_atoms:
        raise ParameterError("truncation", f"is below the {true_atoms} atoms of the reference; take at least as many.")
    center, spread = float(column.mean()), float(column.std())
    if spread <= 1e-12 * max(1.0, abs(center)):
        raise ParameterError("data", "holds one number over and over; a mixture needs some spread.")
    width = kernel_width * spread
    x = (column - center) / width  # in widths from here on
    young = phi_of(phi, power_p)
    few, many = best_em(x, true_atoms, 1.0, STEPS, 4, rng), best_em(x, truncation, 1.0, STEPS, 4, rng)

    def measured(few: Fit, many: Fit) -> tuple[float, float]:
        gap = on_the_line(few.means[:, 0], few.weights, many.means[:, 0], many.weights, young)
        return gap * width, float(outlying_mass(many.means, many.weights, few.means, outlier_radius))

    def refit(counts: Array) -> Array:
        return np.array([measured(em(x, few.means, 1.0, STEPS, c), em(x, many.means, 1.0, STEPS, c)) for c in counts])

    edges = np.linspace(float(column.min()), float(column.max()), N_BINS + 1)
    grid = np.linspace(edges[0] - 2 * width, edges[-1] + 2 * width, 241)
    both = [(fit.means[:, 0] * width + center, fit.weights) for fit in (many, few)]
    distance, outlying = measured(few, many)
    for done, estimates in bootstrap(refit, len(x), refits, rng, chunk=10):
        low, high = interval(estimates, LEVEL)
        yield (
            done,
            OwnFit(
                edges,
                np.histogram(column[:, 0], edges, density=True)[0],
                grid,
                _mixture_density(grid, both[0], width),
                _mixture_density(grid, both[1], width),
                both[0],
                both[1],
                np.abs(many.means - few.means[:, 0]).min(axis=1) > outlier_radius,
                distance,
                (float(low[0]), float(high[0])),
                outlying,
                (float(low[1]), float(high[1])),
                width,
                len(x),
                len(estimates),
            ),
        )
