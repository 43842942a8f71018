r"""Where a sweep of learning rates and batches puts the optimum, how surely, and how far from each law.

log L = c + g'z + z'H z/2 in z = (log2 eta, log2 B), least squares over the runs near the best; its minimum is -H^{-1} g.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.parameters import Column, Dataset, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.hyperparameter_laws.laws import LAWS, batch_size, expected_loss, learning_rate
from compute.scaling_laws.hyperparameter_laws.parameters import LawName, Parameters, Tokens

Array = NDArray[np.float64]

N_COEFFICIENTS = 6
LEVEL = 0.8
PLATEAU = 0.01
# A planted sweep (not measured): optimum off the law by these octaves, curvature of log loss per octave squared, and a
# cubic rise at large rates.
PLANTED_OFFSET = (0.6, -0.7)
PLANTED_CURVATURE = np.array([[0.010, -0.003], [-0.003, 0.004]])
PLANTED_CUBIC = 0.001
PLANTED_REACH = 2.5  # octaves either way

SWEEP_TEMPLATE = """lr,batch,loss
2.44e-4,262144,2.871
4.88e-4,262144,2.842
9.77e-4,262144,2.829
1.95e-3,262144,2.831
3.91e-3,262144,2.852
2.44e-4,524288,2.879
4.88e-4,524288,2.845
9.77e-4,524288,2.827
1.95e-3,524288,2.824
3.91e-3,524288,2.839
2.44e-4,1048576,2.894
4.88e-4,1048576,2.856
9.77e-4,1048576,2.833
1.95e-3,1048576,2.825
3.91e-3,1048576,2.834
"""
SWEEP = Dataset(
    "your sweep",
    columns=(
        Column("lr", "peak learning rate", low=1e-9, high=1e3),
        Column("batch", "batch in tokens", low=1, high=1e12),
        Column("loss", "final loss", low=1e-6, high=1e6),
    ),
    template=SWEEP_TEMPLATE,
    help="A CSV of runs at one N and D, in place of the planted ones: lr, batch (tokens), loss.",
)
Sweep = Annotated[pl.DataFrame | None, SWEEP]
SweepRuns = Annotated[int, LogInteger("runs in the planted sweep", "n", low=12, high=400)]
SweepNoise = Annotated[float, LogReal("noise of log loss", r"\sigma", low=1e-4, high=2e-2, help="Of the planted sweep.")]
Window = Annotated[
    float,
    LogReal("fit runs within", "w", low=0.01, high=1.0, help="Of the best loss, relative; a bowl is a bowl only near its bottom."),
]


@dataclass(frozen=True)
class Bowl(Result):
    """A quadratic through the logs of a sweep, its minimum with refits, and the laws in its plane."""

    rate: Array  # (n_runs,)
    batch: Array  # (n_runs,)
    loss: Array  # (n_runs,)
    kept: NDArray[np.bool_]  # (n_runs,)
    grid_rate: Array  # (n_rates,)
    grid_batch: Array  # (n_batches,)
    excess: Array  # (n_batches, n_rates) fitted loss over its minimum, minus 1
    best: tuple[float, float]
    best_loss: float
    refits: Array  # (n_refits, 2) minima: learning rate, batch
    share_found: float  # of refits that have a minimum
    ellipse: tuple[Array, Array]  # 80% of the refits, as a normal law in the logs
    plateau: tuple[Array, Array]  # where the fitted loss is 1% over its minimum
    octaves: tuple[float, float]  # width of the plateau in each, at the best of the other
    laws: dict[str, tuple[float, float]]  # rate and batch; NaN rate where there is none
    law_excess: dict[str, float]  # fitted loss there over the minimum, minus 1
    planted: tuple[float, float] | None  # the planted optimum
    law: str

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {"kind": "run", "learning_rate": self.rate, "batch_tokens": self.batch, "loss": self.loss, "fitted": self.kept}
        )
        minima = pl.DataFrame({"kind": "refit", "learning_rate": self.refits[:, 0], "batch_tokens": self.refits[:, 1]})
        best = pl.DataFrame({"kind": ["minimum"], "learning_rate": [self.best[0]], "batch_tokens": [self.best[1]]})
        laws = pl.DataFrame(
            {
                "kind": list(self.laws),
                "learning_rate": [r if np.isfinite(r) else None for r, _ in self.laws.values()],
                "batch_tokens": [b for _, b in self.laws.values()],
                "excess_loss": [self.law_excess.get(name) for name in self.laws],
            },
            schema_overrides={"learning_rate": pl.Float64, "excess_loss": pl.Float64},
        )
        return pl.concat([best, laws, minima, runs], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {"best learning rate": self.best[0], "best batch, tokens": self.best[1]}
        if len(self.refits) >= 10:
            (low, high) = interval(self.refits, LEVEL)
            found["80% interval of the rate"] = f"{low[0]:.3g} to {high[0]:.3g}"
            found["80% interval of the batch"] = f"{low[1]:.3g} to {high[1]:.3g}"
        found["refits that have a minimum"] = f"{self.share_found:.0%}"
        found["1% plateau, octaves of rate"], found["1% plateau, octaves of batch"] = self.octaves
        for name, excess in self.law_excess.items():
            found[f"excess loss at {name}"] = f"{excess:.2%}" if excess < 0.3 else "far outside the bowl"
        return found


def _design(z: Array) -> Array:
    """Columns 1, z_1, z_2, z_1^2/2, z_1 z_2, z_2^2/2."""
    return np.stack([np.ones(len(z)), z[:, 0], z[:, 1], 0.5 * z[:, 0] ** 2, z[:, 0] * z[:, 1], 0.5 * z[:, 1] ** 2], axis=1)


def fit_bowls(z: Array, y: Array, weights: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Least squares under each row of weights.

    Parameters
    ----------
    z : (n, 2) array
    y : (n,) array
    weights : (n_fits, n) array

    Returns
    -------
    coefficients : (n_fits, 6) array
        c, g_1, g_2, H_11, H_12, H_22.
    has_minimum : (n_fits,) array of bool
        Whether the runs identify all six and H is positive definite.
    """
    x = _design(z)
    gram = np.einsum("rn,ni,nj->rij", weights, x, x)
    right = np.einsum("rn,ni,n->ri", weights, x, y)
    sound = np.linalg.cond(gram) < 1e10
    p = np.full((len(weights), N_COEFFICIENTS), np.nan)
    if sound.any():
        p[sound] = np.linalg.solve(gram[sound], right[sound][..., None])[..., 0]
    with np.errstate(invalid="ignore"):
        convex = (p[:, 3] > 1e-9) & (p[:, 3] * p[:, 5] - p[:, 4] ** 2 > 1e-9 * p[:, 3] ** 2)
    return p, sound & convex


def minima(p: Array) -> Array:
    """(n_fits, 2) -H^{-1} g of convex bowls."""
    determinant = p[:, 3] * p[:, 5] - p[:, 4] ** 2
    return np.stack(
        [
            (p[:, 4] * p[:, 2] - p[:, 5] * p[:, 1]) / determinant,
            (p[:, 4] * p[:, 1] - p[:, 3] * p[:, 2]) / determinant,
        ],
        axis=1,
    )


def _ring(center: Array, matrix: Array, radius: float) -> Array:
    """(73, 2) points with (z - center)' matrix (z - center) = radius^2."""
    angle = np.linspace(0, 2 * np.pi, 73)
    values, vectors = np.linalg.eigh(matrix)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius / np.sqrt(np.maximum(values, 1e-300))
    return center + circle @ vectors.T


def planted_sweep(optimum: tuple[float, float], level: float, n: int, sigma: float, rng: np.random.Generator) -> Array:
    """(n, 3) learning rate, batch and loss of runs log-uniform about an optimum that the sweep's middle misses."""
    z = rng.uniform(-PLANTED_REACH, PLANTED_REACH, size=(n, 2)) - np.array(PLANTED_OFFSET)
    log_loss = np.log(level) + 0.5 * np.einsum("ni,ij,nj->n", z, PLANTED_CURVATURE, z) + PLANTED_CUBIC * np.maximum(z[:, 0], 0) ** 3
    log_loss += sigma * rng.standard_normal(n)
    return np.column_stack([optimum[0] * 2 ** z[:, 0], optimum[1] * 2 ** z[:, 1], np.exp(log_loss)])


def _seconds(*, sweep: pl.DataFrame | None, sweep_runs: int, n_refits: int, **_: object) -> float:
    rows = sweep_runs if sweep is None else sweep.height
    return 0.01 + 2.5e-7 * n_refits * rows + 2e-5 * n_refits


Refits = Annotated[int, LogInteger("bootstrap refits", low=20, high=2000, help="Resamples of the runs, each refitted.")]


@experiment(seconds=_seconds)
def sweep_bowl(
    *,
    parameters: Parameters = 1e9,
    tokens: Tokens = 1e11,
    law: LawName = "step",
    sweep: Sweep = None,
    sweep_runs: SweepRuns = 40,
    sweep_noise: SweepNoise = 2e-3,
    fit_window: Window = 0.05,
    n_refits: Refits = 200,
    seed: Seed = 0,
) -> Iterator[tuple[float, Bowl]]:
    """Fit a quadratic in (log2 eta, log2 B) to a sweep, resample it, and place the published laws in its plane.

    Bring a sweep at your N and D; without one, runs are planted 0.6 octaves above the law's rate and 0.7 below its batch.

    Raises
    ------
    ParameterError
        Where the runs within the window have no minimum.
    """
    places = {
        name: (float(learning_rate(name, parameters, tokens)), float(batch_size(name, parameters, tokens)))
        for name in LAWS
        if name != "custom"
    }
    followed = law if law in places and np.isfinite(places[law][0]) else "step"
    blame, planted = "sweep", None
    if sweep is not None:
        rate, batch, loss = (sweep[c].to_numpy() for c in ("lr", "batch", "loss"))
    else:
        blame = "sweep_runs"
        planted = (places[followed][0] * 2 ** PLANTED_OFFSET[0], places[followed][1] * 2 ** PLANTED_OFFSET[1])
        level = float(expected_loss(parameters, tokens))
        rate, batch, loss = planted_sweep(planted, level, sweep_runs, sweep_noise, np.random.default_rng([seed, 1])).T
    kept = loss <= (1 + fit_window) * loss.min()
    if kept.sum() < N_COEFFICIENTS + 1:
        raise ParameterError("fit_window", f"keeps {int(kept.sum())} runs; a bowl needs {N_COEFFICIENTS + 1} or more, so widen it.")
    z_all = np.column_stack([np.log2(rate), np.log2(batch)])
    center = z_all[kept].mean(axis=0)
    z, y = z_all[kept] - center, np.log(loss[kept])
    fit, convex = fit_bowls(z, y, np.ones((1, len(z))))
    if not convex[0]:
        raise ParameterError(
            blame,
            "leave the bowl without a minimum; vary both the rate and the batch on both sides of the best run, or widen the fit.",
        )
    p, middle = fit[0], minima(fit)[0]
    hessian = np.array([[p[3], p[4]], [p[4], p[5]]])
    low = np.minimum(z_all.min(axis=0), np.log2(np.array([v for v in places.values() if np.isfinite(v[0])])).min(axis=0))
    high = np.maximum(z_all.max(axis=0), np.log2(np.array([v for v in places.values() if np.isfinite(v[0])])).max(axis=0))
    low, high = low - 0.7, high + 0.7
    grid = [np.linspace(low[k], high[k], 61) for k in (0, 1)]

    def excess(at: Array) -> Array:
        away = at - center - middle
        return np.expm1(np.minimum(0.5 * np.einsum("...i,ij,...j->...", away, hessian, away), 5.0))

    surface = excess(np.stack(np.meshgrid(*grid), axis=-1))
    ring = 2 ** (_ring(middle, hessian, np.sqrt(2 * np.log1p(PLATEAU))) + center)
    law_excess = {name: float(excess(np.log2(place))) for name, place in places.items() if np.isfinite(place[0])}
    widths = tuple(float(2 * np.sqrt(2 * np.log1p(PLATEAU) / hessian[k, k])) for k in (0, 1))
    best = 2 ** (middle + center)
    stream = bootstrap(
        lambda counts: np.column_stack(fit_bowls(z, y, counts)),
        len(z),
        n_refits,
        np.random.default_rng([seed, 2]),
        chunk=max(50, n_refits // 5),
    )
    for done, refits in stream:
        found = minima(refits[refits[:, -1] > 0])
        # A refit that is almost flat puts its minimum anywhere; beyond 20 octaves it has none to speak of.
        found = found[np.abs(found).max(axis=1) < 20] if len(found) else found
        ellipse = np.empty((0, 2))
        if len(found) >= 10:
            spread: Array = np.cov(found.T)
            # 80% of a bivariate normal law lies within this radius.
            ellipse = 2 ** (
                _ring(
                    middle, np.asarray(np.linalg.inv(spread + 1e-12 * np.eye(2)), dtype=np.float64), np.sqrt(-2 * np.log(1 - LEVEL))
                )
                + center
            )
        yield (
            done,
            Bowl(
                rate,
                batch,
                loss,
                kept,
                2 ** grid[0],
                2 ** grid[1],
                surface,
                (float(best[0]), float(best[1])),
                float(np.exp(p[0] + 0.5 * np.dot(p[1:3], middle))),
                2 ** (found + center),
                len(found) / len(refits),
                (ellipse[:, 0], ellipse[:, 1]),
                (ring[:, 0], ring[:, 1]),
                (widths[0], widths[1]),
                places,
                law_excess,
                planted,
                followed,
            ),
        )
