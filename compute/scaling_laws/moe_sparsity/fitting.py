"""The ten constants fitted to runs of varying size, data and sparsity, and the sparsity they prescribe with its error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.power_law import fit_log_huber, grid_starts, refit_log_huber
from compute.models import sparsity_law
from compute.models.sparsity_law import ABNAR, FORM, SparsityLaw
from compute.parameters import Column, Dataset, Integer, LogInteger, LogReal, ParameterError, Real, Seed
from compute.scaling_laws.moe_sparsity.setting import (
    Array,
    Compute,
    SmallestShare,
    TotalParameters,
    with_law,
)

LEVEL = 0.8
MIN_RUNS = 30
TOP_BUDGET = 1e21
N_BUDGETS = 5
SIZE_FACTOR = 6.0
SHARES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
SIZES = np.geomspace(1e8, 1e13, 41)

RunCount = Annotated[int, LogInteger("runs", "n", low=MIN_RUNS, high=1000, help="Synthetic runs, over five budgets.")]
Noise = Annotated[float, LogReal("noise of log loss", r"\sigma", low=1e-6, high=3e-2)]
Decades = Annotated[float, Real("compute range", low=0.5, high=4.0, unit="decades", help="The budgets end at 1e21 FLOP.")]
Refits = Annotated[int, Integer("bootstrap refits", low=20, high=400, help="Resamples of the rows, each refitted.")]

RUN_COLUMNS = (
    Column("N", "total parameters", low=1e4, high=1e15),
    Column("D", "training tokens", low=1e5, high=1e18),
    Column("N_active", "active parameters", required=False, low=1e3, high=1e15),
    Column("S", "sparsity, in place of N_active", required=False, low=0, high=0.9999),
    Column("loss", "final loss, nats per token", low=1e-3, high=100),
)


def _template() -> str:
    """Thirty-six runs of the published law with a noise of 0.2%: enough rows to be fitted."""
    rng = np.random.default_rng(4)
    rows = ["N,D,S,loss"]
    for k in range(36):
        x = SHARES[k % 6]
        n, tokens = (float(f"{v:.3g}") for v in (10 ** rng.uniform(8.2, 9.8) / np.sqrt(x), 10 ** rng.uniform(9.3, 11)))
        level = float(sparsity_law.loss(ABNAR, n, tokens, x)) * np.exp(0.002 * rng.standard_normal())
        rows.append(f"{n:.3g},{tokens:.3g},{1 - x:g},{level:.4f}")
    return "\n".join(rows) + "\n"


RUNS = Dataset(
    "your runs",
    columns=RUN_COLUMNS,
    template=_template(),
    help="A CSV of 30 runs or more to fit in place of the synthetic ones: N, D, N_active or S, loss.",
    one_of=("N_active", "S"),
)
Table = Annotated[pl.DataFrame | None, RUNS]


@dataclass(frozen=True)
class Refit(Result):
    """The best active share by the fit, with its band, beside the truth."""

    size: Array  # (n_sizes,)
    fit: dict[str, Array]  # "fixed tokens", "fixed compute": (n_sizes,)
    low: dict[str, Array]
    high: dict[str, Array]
    reference: dict[str, Array]  # the truth of synthetic runs, the law as set beside a user's
    reference_name: str
    seen: tuple[float, float]  # smallest and largest N of the runs
    measured: Array  # (n_runs,) losses
    predicted: Array  # (n_runs,)
    run_share: Array  # (n_runs,)
    constants: Array  # (10,) fitted; e, a, b, c, d, then alpha, beta, lambda, delta, gamma
    constants_low: Array
    constants_high: Array
    n_refits: int
    at: dict[str, tuple[float, float, float]]  # x* at the reader's N: fit, low, high
    identified: float  # share of refits whose fixed-token optimum is interior at the reader's N

    def table(self) -> pl.DataFrame:
        names = ("e", "a", "b", "c", "d", "alpha", "beta", "lambda", "delta", "gamma")
        parts = [
            pl.DataFrame(
                {
                    "kind": f"best share, {k}",
                    "N": self.size,
                    "active_share": self.fit[k],
                    "low_80": self.low[k],
                    "high_80": self.high[k],
                    "reference_share": self.reference[k],
                }
            )
            for k in self.fit
        ]
        runs = pl.DataFrame(
            {"kind": "run", "active_share": self.run_share, "loss": self.measured, "predicted_loss": self.predicted}
        )
        constants = pl.DataFrame(
            {
                "kind": [f"constant {n}" for n in names],
                "value": self.constants,
                "low_80": self.constants_low,
                "high_80": self.constants_high,
            }
        )
        return pl.concat([*parts, runs, constants], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        log_error = np.log(self.predicted / self.measured)
        words = {k: f"{1 - x:.3f} ({1 - high:.3f} to {1 - low:.3f})" for k, (x, low, high) in self.at.items()}
        return {
            "S* at fixed N, D (80%)": words["fixed tokens"],
            "S* at fixed N, C (80%)": words["fixed compute"],
            "residual of log loss, rms": float(np.sqrt(np.mean(log_error**2))),
            "refits with an interior S* at fixed D": f"{self.identified:.0%}",
            "runs": float(self.measured.size),
        }


def simulate(law: SparsityLaw, n_runs: int, noise: float, decades: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Runs (N, D, x) and their losses: five budgets that end at 1e21 FLOP, six shares, sizes around each one's optimum."""
    compute = TOP_BUDGET * 10 ** (decades * (np.arange(N_BUDGETS) / (N_BUDGETS - 1) - 1))
    best = {}
    for x in SHARES:
        size = np.geomspace(1e3, 1e20, 600)
        path, _, _ = sparsity_law.fixed_share_frontier(law, size, x)
        best[x] = np.exp(np.interp(np.log(compute), np.log(path), np.log(size)))
    budget, share = np.arange(n_runs) % N_BUDGETS, np.array(SHARES)[rng.integers(0, len(SHARES), n_runs)]
    middle = np.array([best[x][k] for x, k in zip(share, budget, strict=True)])
    n = middle * SIZE_FACTOR ** rng.uniform(-1, 1, n_runs)
    tokens = compute[budget] / (6 * n * share)
    loss = sparsity_law.loss(law, n, tokens, share) * np.exp(noise * rng.standard_normal(n_runs))
    return np.column_stack([n, tokens, share]), loss


def runs_from_table(table: pl.DataFrame) -> tuple[Array, Array]:
    """(N, D, x) and losses of an uploaded table; x = N_active/N where it is given, or else 1 - S.

    Raises
    ------
    ParameterError
        For fewer than 30 runs, or more active than total parameters.
    """
    n, tokens, loss = (table[k].to_numpy() for k in ("N", "D", "loss"))
    missing = np.full(n.size, np.nan)
    active = table["N_active"].fill_null(np.nan).to_numpy() if "N_active" in table.columns else missing
    sparsity = table["S"].fill_null(np.nan).to_numpy() if "S" in table.columns else missing
    share = np.where(np.isfinite(active), active / n, 1 - sparsity)
    if np.any(share > 1 + 1e-9):
        raise ParameterError("runs", "have a row with N_active above N; N counts all parameters.")
    if n.size < MIN_RUNS:
        raise ParameterError("runs", f"are {n.size}; ten constants need {MIN_RUNS} rows or more.")
    if np.unique(np.round(share, 4)).size < 3:
        raise ParameterError("runs", "hold fewer than three sparsities; the terms of the law cannot be told apart.")
    return np.column_stack([n, tokens, np.minimum(share, 1.0)]), loss


def fit(variables: Array, loss: Array, *, start: SparsityLaw = ABNAR) -> Any:
    """The log-Huber fit of the ten constants, started from a law and from a grid; the best descent wins."""
    starts = np.vstack([sparsity_law.parameters_from_law(start), grid_starts(FORM, variables, loss, offsets=(0.5,))])
    return fit_log_huber(FORM, variables, loss, starts=starts)


def _seconds(n_runs: int, n_bootstrap: int, runs: pl.DataFrame | None, **_: Any) -> float:
    rows = n_runs if runs is None else runs.height
    return 0.02 + 1.5e-5 * rows * (n_bootstrap + 5)


@experiment(seconds=_seconds)
@with_law
def refit(
    *,
    n_runs: RunCount = 150,
    noise_sigma: Noise = 2e-3,
    compute_decades: Decades = 2.0,
    n_bootstrap: Refits = 40,
    total_parameters: TotalParameters = 1e10,
    compute: Compute = 1e21,
    smallest_share: SmallestShare = 0.02,
    seed: Seed = 0,
    runs: Table = None,
    law: SparsityLaw,
) -> Iterator[tuple[float, Refit]]:
    """Fit the law to runs drawn from it, or to yours, and read the best sparsity off the fit with a bootstrap band.

    The constants are nearly collinear (an interval of one alone may span decades); the prescribed sparsity is what
    they determine together.
    """
    rng = np.random.default_rng([seed, 1])
    variables, loss = simulate(law, n_runs, noise_sigma, compute_decades, rng) if runs is None else runs_from_table(runs)
    fitted = fit(variables, loss, start=law)
    center = sparsity_law.law_from_parameters(fitted.parameters)
    predicted = sparsity_law.loss(center, *variables.T)
    name = "truth" if runs is None else "the law as set"

    def refits(counts: Array) -> Array:
        return refit_log_huber(fitted, variables, loss, counts)

    def prescribed(of: SparsityLaw, n: Array) -> dict[str, Array]:
        fixed = sparsity_law.best_share_at_fixed_tokens(SparsityLaw(*(np.asarray(v)[..., None] for v in of)), n)
        return {
            "fixed tokens": np.maximum(fixed, smallest_share),
            "fixed compute": sparsity_law.best_share(of, n, compute, smallest_share=smallest_share),
        }

    at_center, at_truth = prescribed(center, SIZES), prescribed(law, SIZES)
    mine = prescribed(center, np.array([total_parameters]))
    chunk = max(20, n_bootstrap // 8)
    for done, sample in bootstrap(refits, loss.size, n_bootstrap, np.random.default_rng([seed, 2]), chunk=chunk):
        of = sparsity_law.law_from_parameters(sample)
        curves = {k: interval(v, LEVEL) for k, v in prescribed(of, SIZES).items()}
        here = prescribed(of, np.array([total_parameters]))
        ends = {k: interval(v[:, 0], LEVEL) for k, v in here.items()}
        constants = interval(_constants(of), LEVEL)
        inside = (here["fixed tokens"][:, 0] < 1) & (here["fixed tokens"][:, 0] > smallest_share)
        yield (
            done,
            Refit(
                SIZES,
                at_center,
                {k: v[0] for k, v in curves.items()},
                {k: v[1] for k, v in curves.items()},
                at_truth,
                name,
                (float(variables[:, 0].min()), float(variables[:, 0].max())),
                loss,
                predicted,
                variables[:, 2],
                _constants(center),
                *constants,
                len(sample),
                {k: (float(mine[k][0]), float(ends[k][0]), float(ends[k][1])) for k in mine},
                float(np.mean(inside)),
            ),
        )


def _constants(law: SparsityLaw) -> Array:
    return np.stack([law.e, law.a, law.b, law.c, law.d, *law[5:]], axis=-1)
