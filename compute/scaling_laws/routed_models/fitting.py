"""The six constants fitted to a grid of runs, synthetic or yours, and the cut-off they imply with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.separable_fit import fit_separable
from compute.parameters import Column, Dataset, Integer, ParameterError, Seed
from compute.scaling_laws.routed_models import law as routed_law
from compute.scaling_laws.routed_models.law import PUBLISHED, RoutedLaw
from compute.scaling_laws.routed_models.maps import RUN_EXPERTS, RUN_SIZES, Noise
from compute.scaling_laws.routed_models.setting import Array, Experts, Routed, Size, with_router

LEVEL = 0.8
MIN_RUNS = 8
BOX = (np.log([1.0, 32.0]), np.log([30.0, 1e5]))  # of E_start and E_max, the first always below the second
STARTS = np.log([(1.5, 100.0), (1.5, 1000.0), (5.0, 300.0), (5.0, 3000.0)])
CONSTANTS = ("a", "b", "c", "d", "E_start", "E_max")
EDGES = np.linspace(8.0, 20.0, 49)  # of the histogram of log10 cut-offs
MAX_ROUTERS = 4

GridSize = Annotated[int, Integer("runs", "n", low=MIN_RUNS, high=140, help="Synthetic runs: sizes 15M to 1.3B, 1 to 512 experts.")]
Refits = Annotated[int, Integer("bootstrap refits", low=20, high=1000, help="Resamples of the rows, each refitted.")]

RUN_COLUMNS = (
    Column("N", "parameters that a token uses", low=1e3, high=1e15),
    Column("E", "experts; 1 is dense", low=1, high=1e6),
    Column("loss", "final loss, nats per token", low=1e-3, high=100),
    Column("router", "label; each is fitted by itself", required=False, is_text=True),
)


def synthetic_runs(law: RoutedLaw, n_runs: int, noise: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """N, E and loss of runs drawn without replacement from the grid of 7 sizes and 10 numbers of experts, then again."""
    cells = np.concatenate([rng.permutation(RUN_SIZES.size * RUN_EXPERTS.size) for _ in range(1 + n_runs // 70)])[:n_runs]
    size, number = RUN_SIZES[cells % RUN_SIZES.size], RUN_EXPERTS[cells // RUN_SIZES.size]
    return size, number, routed_law.loss(law, size, number) * np.exp(noise * rng.standard_normal(n_runs))


def _template() -> str:
    """Forty-eight runs of S-BASE and of HASH with a noise of 0.3%."""
    rows = ["N,E,loss,router"]
    for seed, name in enumerate(("s_base", "hash")):
        runs = synthetic_runs(PUBLISHED[name], 48, 3e-3, np.random.default_rng(seed))
        rows += [f"{n:.3g},{e:.0f},{level:.4f},{name}" for n, e, level in zip(*runs, strict=True)]
    return "\n".join(rows) + "\n"


RUNS = Dataset(
    "your runs",
    columns=RUN_COLUMNS,
    template=_template(),
    help="A CSV of runs to fit in place of the synthetic ones: N, E, loss; a column router if there are several.",
)
Table = Annotated[pl.DataFrame | None, RUNS]


def fit_laws(size: Array, experts: Array, loss: Array, weights: Array, starts: Array) -> RoutedLaw:
    """Least squares of log10 L for each row of weights: given E_start and E_max the law is linear in (a, b, c, d).

    Parameters
    ----------
    size, experts, loss : (n,) arrays
    weights : (n_fits, n) array
    starts : (n_starts, 2) array
        Of log E_start and log E_max; the best descent wins.

    Returns
    -------
    RoutedLaw
        Of (n_fits,) arrays.
    """
    x = np.log10(size)
    middle = x.mean()
    x = x - middle

    def basis(theta: Array) -> tuple[Array, Array]:
        start, top = np.exp(theta[:, :1]), np.exp(theta[:, 1:])
        shift = 1 / (1 / start - 1 / top)
        whole = experts[None, :] - 1 + shift
        many = 1 / (1 / whole + 1 / top)
        z = np.log10(many)
        one = np.ones_like(z)
        # d log10(Eh) in log E_start and in log E_max.
        by_start = many / np.log(10) * (shift**2 / whole**2) / start
        by_top = many / np.log(10) * (1 - shift**2 / whole**2) / top
        phi = np.stack([x * one, z, x * z, one], axis=-1)
        slopes = [np.stack([0 * v, v, x * v, 0 * v], axis=-1) for v in (by_start, by_top)]
        return phi, np.stack(slopes)

    fits = [fit_separable(basis, np.log10(loss), weights, start, *BOX) for start in np.atleast_2d(starts)]
    best = np.argmin([f.objective for f in fits], axis=0)
    rows = np.arange(len(weights))
    a, b, c, d = np.stack([f.linear for f in fits])[best, rows].T
    start, top = np.exp(np.stack([f.nonlinear for f in fits])[best, rows].T)
    # The size was centered: x = log10 N - middle.
    return RoutedLaw(a, b - c * middle, c, d - a * middle, start, top)


@dataclass(frozen=True)
class OneRouter:
    """The fit of one router's runs."""

    name: str
    n_runs: int
    constants: Array  # (6,)
    low: Array  # (6,)
    high: Array
    error: Array  # (6,) bootstrap standard errors
    cutoff: float  # NaN for c <= 0
    cutoff_interval: tuple[float, float]  # infinite where c <= 0 lies within
    share: Array  # (n_bins,) of refits by log10 cut-off; what lies beyond is not in it
    without: float  # share of refits with c <= 0: no cut-off
    worth: tuple[float, float, float]  # at the reader's N and E: fit, low, high
    residual: float  # rms of log loss


@dataclass(frozen=True)
class Refit(Result):
    """Fits with intervals, beside the law as set."""

    routers: list[OneRouter]
    reference: Array  # (6,) constants of the law as set
    reference_cutoff: float
    reference_worth: float
    is_truth: bool
    centers: Array  # (n_bins,) log10 cut-off

    def table(self) -> pl.DataFrame:
        parts = []
        for one in self.routers:
            parts.append(
                pl.DataFrame(
                    {
                        "router": one.name,
                        "kind": [f"constant {k}" for k in CONSTANTS],
                        "value": one.constants,
                        "low_80": one.low,
                        "high_80": one.high,
                        "over_reference": one.constants / np.where(self.reference == 0, np.nan, self.reference),
                    }
                )
            )
            parts.append(
                pl.DataFrame({"router": one.name, "kind": "share of refits", "log10_cutoff": self.centers, "share": one.share})
            )
        return pl.concat(parts, how="diagonal").with_columns(pl.selectors.float().fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        out: dict[str, float | str] = {}
        for one in self.routers[:2]:
            low, high = one.cutoff_interval
            top = f"{high:.2g}" if np.isfinite(high) else "none"
            found = f"{one.cutoff:.2g}" if np.isfinite(one.cutoff) else "none"
            out[f"{one.name}: cut-off (80%)"] = f"{found} ({low:.2g} to {top})"
            value, least, most = one.worth
            out[f"{one.name}: worth over its size (80%)"] = f"{value:.3g} ({least:.3g} to {most:.3g})"
        first = self.routers[0]
        if self.is_truth:
            z = (first.constants - self.reference) / np.where(first.error > 0, first.error, np.inf)
            out["(fit − truth)/standard error of a, b, c, d"] = ", ".join(f"{v:.1f}" for v in z[:4])
        out["residual of log loss, rms"] = first.residual
        return out


def _seconds(grid_size: int, n_bootstrap: int, runs: pl.DataFrame | None, **_: Any) -> float:
    rows = grid_size if runs is None else runs.height
    return 0.03 + (2e-4 + 1e-6 * rows) * n_bootstrap


@experiment(seconds=_seconds)
@with_router
def refit(
    *,
    dense_size: Size = 1e8,
    experts: Experts = 64,
    synthetic_noise: Noise = 0.004,
    grid_size: GridSize = 48,
    n_bootstrap: Refits = 200,
    seed: Seed = 0,
    runs: Table = None,
    routed: Routed,
) -> Iterator[tuple[float, Refit]]:
    """Fit the law to runs by variable projection and resample the rows, for intervals of its constants and of its cut-off.

    Raises
    ------
    ParameterError
        For too few or too similar runs.
    """
    law = routed.law
    groups = (
        {routed.name: synthetic_runs(law, grid_size, synthetic_noise, np.random.default_rng([seed, 1]))}
        if runs is None
        else _groups(runs)
    )
    yield (
        1.0,
        Refit(
            [_fit_one(k, *g, n_bootstrap, seed, dense_size, experts) for k, g in groups.items()],
            np.array([float(v) for v in law]),
            float(routed_law.cutoff(law)),
            float(routed_law.cost_ratio(law, dense_size, experts)),
            runs is None,
            0.5 * (EDGES[1:] + EDGES[:-1]),
        ),
    )


def _fit_one(
    name: str, size: Array, number: Array, loss: Array, n_bootstrap: int, seed: int, at_size: float, at_experts: int
) -> OneRouter:
    whole = fit_laws(size, number, loss, np.ones((1, size.size)), STARTS)
    begin = np.log([[float(whole.start[0]), float(whole.top[0])]])  # type: ignore[index]

    def refits(counts: Array) -> Array:
        return np.stack(fit_laws(size, number, loss, counts, begin), axis=1)

    *_, (_, sample) = bootstrap(refits, size.size, n_bootstrap, np.random.default_rng([seed, 2]), chunk=200)
    laws, one = RoutedLaw(*sample.T), RoutedLaw(*(float(np.asarray(v)[0]) for v in whole))
    cut = routed_law.cutoff(laws)
    log_cut = np.where(np.isfinite(cut), np.log10(np.where(np.isfinite(cut), cut, 1.0)), 400.0)  # no cut-off: beyond any
    low, high = interval(sample, LEVEL)
    cut_low, cut_high = interval(log_cut, LEVEL)
    worth_low, worth_high = interval(routed_law.cost_ratio(laws, at_size, at_experts), LEVEL)
    residual = np.log(10) * (routed_law.log_loss(one, size, number) - np.log10(loss))
    return OneRouter(
        name,
        size.size,
        np.array(one),
        low,
        high,
        sample.std(axis=0, ddof=1),
        float(routed_law.cutoff(one)),
        (float(10 ** np.minimum(cut_low, 300)), float(10**cut_high) if cut_high < 300 else np.inf),
        np.histogram(log_cut, EDGES)[0] / len(sample),
        float(np.mean(log_cut >= 300)),
        (float(routed_law.cost_ratio(one, at_size, at_experts)), float(worth_low), float(worth_high)),
        float(np.sqrt(np.mean(residual**2))),
    )


def _groups(table: pl.DataFrame) -> dict[str, tuple[Array, Array, Array]]:
    """Runs of an uploaded table by router."""
    names = table["router"].fill_null("your runs") if "router" in table.columns else pl.Series(["your runs"] * table.height)
    groups = {}
    for name in names.unique(maintain_order=True):
        part = table.filter(names == name)
        n, e, loss = (part[k].to_numpy() for k in ("N", "E", "loss"))
        if n.size < MIN_RUNS or np.unique(n).size < 2 or np.unique(e).size < 4:
            raise ParameterError(
                "runs", f"of {name} are too few to fit: they need {MIN_RUNS} rows, two sizes and four numbers of experts."
            )
        groups[str(name)] = (n, e, loss)
    if len(groups) > MAX_ROUTERS:
        raise ParameterError("runs", f"name {len(groups)} routers; at most {MAX_ROUTERS} are fitted at once.")
    return groups
