"""A table of training runs: drawn from a known truth with an analyst's slips switched on, or brought by a user."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.models.scaling_form import (
    FLOP_PER_PARAMETER_TOKEN,
    PARAMETERS_PER_SHAPE,
    Law,
    ShapeLaw,
    loss,
    optimum,
    shape_loss,
    shape_optimum,
    shape_parameters,
)
from compute.parameters import Column, Dataset, ParameterError

Array = NDArray[np.float64]

N_BUDGETS = 10
TOP_BUDGET = 1e21
SIZE_FACTOR = 6.0  # sizes are log-uniform within this factor of the optimum
ASPECTS = (8.0, 512.0)  # width over depth
SLIM, WIDE = 32.0, 128.0
VOCABULARY = 32_000
RATE_PENALTY = 0.01  # of (log rate/optimal rate)^2, in log loss
RATE_EXPONENT = 0.25  # the optimal rate falls as N^-1/4; the fixed one suits the middle size
COOLDOWN_PENALTY = 0.04  # log loss of a checkpoint at the start of a run, before the rate has decayed
SHAPES = ("all", "slim", "wide")

RUN_COLUMNS = (
    Column("N", "parameters", low=1e3, high=1e15),
    Column("D", "training tokens", required=False, low=1e3, high=1e18),
    Column("FLOP", "training compute; D = FLOP/(6N) where D is not given", required=False, low=1e6, high=1e30),
    Column("loss", "final loss, nats per token", low=1e-3, high=100),
    Column("budget", "label of the compute budget, for isoFLOP", required=False, is_text=True),
    Column("width", "model width", required=False, low=1, high=1e6),
    Column("depth", "layers", required=False, low=1, high=1e4),
    Column("cooldown", "1 if the rate was decayed, 0 if not", required=False, low=0, high=1),
)
# Twelve rows that fit at once, so that the template itself can be tried.
RUN_TEMPLATE = """N,D,FLOP,loss,budget,width,depth,cooldown
1.93e7,8.65e9,1e18,3.716,1e18,448,8,1
4.92e7,3.39e9,1e18,3.528,1e18,640,10,1
1.25e8,1.33e9,1e18,3.516,1e18,896,13,1
3.19e8,5.22e8,1e18,3.679,1e18,1216,18,1
6.54e7,2.55e10,1e19,3.076,1e19,704,11,1
1.55e8,1.08e10,1e19,2.952,1e19,960,14,1
4.13e8,4.04e9,1e19,2.935,1e19,1280,21,1
1.04e9,1.6e9,1e19,3.072,1e19,1792,27,1
2.14e8,7.79e10,1e20,2.648,1e20,1024,17,1
5.23e8,3.18e10,1e20,2.568,1e20,1408,22,1
1.37e9,1.22e10,1e20,2.564,1e20,1920,31,1
3.39e9,4.92e9,1e20,2.651,1e20,2624,41,1
"""
RUNS = Dataset(
    "your runs",
    columns=RUN_COLUMNS,
    template=RUN_TEMPLATE,
    help="A CSV of runs to fit in place of the synthetic ones: N, D or FLOP, loss.",
    one_of=("D", "FLOP"),
)


@dataclass(frozen=True)
class Runs:
    """Runs as the analyst sees them, one a row."""

    n_parameters: Array  # (n,)
    n_tokens: Array  # (n,)
    loss: Array  # (n,)
    budget: NDArray[np.int64]  # (n,) index of the compute budget; -1 where it belongs to none
    width: Array = field(default_factory=lambda: np.empty(0))  # (n,) or empty
    depth: Array = field(default_factory=lambda: np.empty(0))
    cooled: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))  # (n,) or empty
    is_synthetic: bool = True

    @property
    def n(self) -> int:
        return self.loss.size

    @property
    def compute(self) -> Array:
        """C = 6 N D, in FLOP."""
        return FLOP_PER_PARAMETER_TOKEN * self.n_parameters * self.n_tokens

    @property
    def has_shapes(self) -> bool:
        return self.width.size > 0

    def keep(self, mask: NDArray[np.bool_]) -> Runs:
        """The rows of a mask."""
        columns = {
            name: getattr(self, name)[mask]
            for name in ("n_parameters", "n_tokens", "loss", "budget", "width", "depth", "cooled")
            if getattr(self, name).size
        }
        return replace(self, **columns)


@dataclass(frozen=True)
class Slips:
    """What an analyst may get wrong in the runs, and which of them are kept."""

    count_embeddings: bool = False
    mid_training: bool = False
    fixed_rate: bool = False
    shapes: str = "all"


def simulate_runs(
    truth: Law | ShapeLaw,
    rng: np.random.Generator,
    *,
    n_runs: int,
    noise_sigma: float,
    compute_decades: float,
    outliers: int = 0,
    slips: Slips = Slips(),
) -> Runs:
    """Draw a scaling study: ten budgets that end at 1e21 FLOP, sizes around the optimum, log-normal noise.

    The same generator state gives the same runs and noise whatever the slips, so that slips compare on equal terms.

    Parameters
    ----------
    truth : Law or ShapeLaw
    n_runs : int
    noise_sigma : float
        Standard deviation of log loss.
    compute_decades : float
        Decades between the smallest and the largest budget.
    outliers : int
        Runs that diverged: their log loss is raised by 0.05 to 0.3.
    """
    budget = np.arange(n_runs) % N_BUDGETS
    budgets = TOP_BUDGET * 10 ** (compute_decades * (np.arange(N_BUDGETS) / (N_BUDGETS - 1) - 1))
    compute = budgets[budget]
    center = np.log(SIZE_FACTOR) * rng.uniform(-1, 1, n_runs)
    aspect = np.exp(rng.uniform(np.log(ASPECTS[0]), np.log(ASPECTS[1]), n_runs))
    fraction = np.where(rng.random(n_runs) < 0.5, rng.uniform(0.2, 1.0, n_runs), 1.0)
    noise = noise_sigma * rng.standard_normal(n_runs)
    diverged = rng.permutation(n_runs)[:outliers]
    jump = rng.uniform(0.05, 0.3, n_runs)

    n = best_size(truth, budgets)[budget] * np.exp(center)
    width = (n * aspect / PARAMETERS_PER_SHAPE) ** (1 / 3)
    depth = width / aspect
    tokens = compute / (FLOP_PER_PARAMETER_TOKEN * n)
    cooled = np.ones(n_runs, dtype=bool)
    if slips.mid_training:
        tokens, cooled = tokens * fraction, fraction == 1.0
    log_loss = np.log(shape_loss(truth, width, depth, tokens) if isinstance(truth, ShapeLaw) else loss(truth, n, tokens)) + noise
    if slips.mid_training:
        log_loss = log_loss + COOLDOWN_PENALTY * (1 - fraction)
    if slips.fixed_rate:
        log_loss = log_loss + RATE_PENALTY * (RATE_EXPONENT * (np.log(n) - np.mean(np.log(n)))) ** 2
    log_loss[diverged] += jump[diverged]
    counted = n + embedding_parameters(n) if slips.count_embeddings else n
    runs = Runs(counted, tokens, np.exp(log_loss), budget, width, depth, cooled)
    return keep_shapes(runs, slips.shapes)


def best_size(truth: Law | ShapeLaw, compute: Array) -> Array:
    """Compute-optimal N of either kind of law."""
    if isinstance(truth, ShapeLaw):
        return shape_parameters(*shape_optimum(truth, compute))
    return optimum(truth, compute)[0]


def embedding_parameters(n_parameters: Array) -> Array:
    """Embeddings of a model of aspect 64 with a vocabulary of 32,000: V w, w = (64 N/12)^{1/3}."""
    return VOCABULARY * (64 * n_parameters / PARAMETERS_PER_SHAPE) ** (1 / 3)


def keep_shapes(runs: Runs, shapes: str) -> Runs:
    """Only deep and thin models (width/depth at most 32), only wide ones (at least 128), or all."""
    if shapes == "all":
        return runs
    aspect = runs.width / runs.depth
    return runs.keep(aspect <= SLIM if shapes == "slim" else aspect >= WIDE)


def runs_from_table(table: pl.DataFrame, slips: Slips = Slips()) -> Runs:
    """Runs from an uploaded table, as ``RUNS`` cleans it: every row has D or FLOP, and D is else FLOP/(6N).

    Raises
    ------
    ParameterError
        Where shapes are asked for and width or depth is not there.
    """
    n = table["N"].to_numpy()
    nothing = np.full(table.height, np.nan)
    tokens = table["D"].fill_null(np.nan).to_numpy() if "D" in table.columns else nothing
    flop = table["FLOP"].fill_null(np.nan).to_numpy() if "FLOP" in table.columns else nothing
    tokens = np.where(np.isfinite(tokens), tokens, flop / (FLOP_PER_PARAMETER_TOKEN * n))
    shaped = {"width", "depth"} <= set(table.columns) and not (table["width"].has_nulls() or table["depth"].has_nulls())
    if slips.shapes != "all" and not shaped:
        raise ParameterError("shapes", "needs the columns width and depth in your runs, without gaps.")
    compute = FLOP_PER_PARAMETER_TOKEN * n * tokens
    if "budget" in table.columns:
        labels = table["budget"].fill_null("").to_numpy()
        named = np.unique(labels[labels != ""])
        budget = np.where(labels == "", -1, np.searchsorted(named, np.where(labels == "", named[0] if named.size else "", labels)))
    else:
        budget = group_budgets(compute)
    runs = Runs(
        n + embedding_parameters(n) if slips.count_embeddings else n,
        tokens,
        table["loss"].to_numpy(),
        budget.astype(np.int64),
        table["width"].to_numpy() if shaped else np.empty(0),
        table["depth"].to_numpy() if shaped else np.empty(0),
        (table["cooldown"].fill_null(1.0).to_numpy() > 0.5) if "cooldown" in table.columns else np.empty(0, dtype=bool),
        is_synthetic=False,
    )
    return keep_shapes(runs, slips.shapes)


def group_budgets(compute: Array, gap: float = 0.05) -> NDArray[np.int64]:
    """Index of the budget of each run: runs whose log10 C lie within ``gap`` of a neighbor belong together.

    A group that spreads over more than a quarter decade is no budget: its runs get -1.
    """
    log_c = np.log10(compute)
    order = np.argsort(log_c, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(log_c[order]) > gap)])
    for k in range(int(group[-1]) + 1):
        inside = log_c[order][group == k]
        if inside[-1] - inside[0] > 0.25:
            group[group == k] = -1
    out = np.empty(compute.size, dtype=np.int64)
    out[order] = group
    return out
