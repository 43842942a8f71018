"""The best mixture against compute, what it gains over dense models, and how the constraint decides the sparsity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models import sparsity_law
from compute.models.sparsity_law import Budget, SparsityLaw
from compute.parameters import ParameterError
from compute.scaling_laws.moe_sparsity.setting import (
    Array,
    Compute,
    MemoryCap,
    MemoryPrice,
    ServedTokens,
    SmallestShare,
    Tokens,
    TotalParameters,
    with_law,
)

COMPUTE = np.geomspace(1e18, 1e25, 57)
SEARCHED = np.geomspace(1e18, 1e25, 8)
SIZES = np.geomspace(1e8, 1e13, 101)
NO_CAP = 1e18


@dataclass(frozen=True)
class Frontier(Result):
    """The best mixture and the best dense model within each budget."""

    compute: Array  # (n,) budgets that leave something to train with
    size: Array  # (n,) N*
    share: Array  # (n,) x*
    loss: Array  # (n,)
    dense_size: Array  # without the cap
    dense_loss: Array  # within the cap
    free_dense_loss: Array  # without the cap
    free_loss: Array  # (n,) without the cap, at the smallest share
    multiplier: Array  # (n,) dense compute of equal loss over C; NaN beyond the reach of dense models
    free_multiplier: Array
    searched: Array  # (n_searched,) budgets of the grid search
    found_size: Array
    found_share: Array
    dense_floor: float  # c + e
    memory_cap: float
    smallest_share: float
    at: tuple[float, float, float, float, float]  # C, N*, x*, loss, dense loss
    at_multiplier: float

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {
                "kind": "theory",
                "C_FLOP": self.compute,
                "N": self.size,
                "active_share": self.share,
                "active_parameters": self.size * self.share,
                "loss": self.loss,
                "N_dense_without_cap": self.dense_size,
                "loss_dense": self.dense_loss,
                "loss_dense_without_cap": self.free_dense_loss,
                "loss_without_cap": self.free_loss,
                "dense_compute_over_C": self.multiplier,
                "dense_compute_over_C_without_cap": self.free_multiplier,
            }
        )
        grid = pl.DataFrame(
            {
                "kind": "grid search",
                "C_FLOP": self.searched,
                "N": self.found_size,
                "active_share": self.found_share,
                "active_parameters": self.found_size * self.found_share,
            }
        )
        return pl.concat([curves, grid], how="diagonal").with_columns(pl.selectors.float().fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        _, n, x, level, dense = self.at
        bound = "smallest share" if x <= self.smallest_share * 1.0001 else "cap" if n >= self.memory_cap * 0.9999 else "none"
        return {
            "best sparsity S*": 1 - x,
            "total parameters N*": n,
            "active parameters": n * x,
            "loss": level,
            "gain over dense, same cap": dense - level,
            "uncapped dense compute of equal loss": words(self.at_multiplier),
            "what binds": bound,
        }


def words(multiplier: float) -> str:
    """A compute multiplier, or that there is none."""
    return f"{multiplier:.3g} × C" if np.isfinite(multiplier) else "none: below c + e"


@experiment
@with_law
def frontier(
    *,
    compute: Compute = 1e21,
    memory_cap: MemoryCap = 3e10,
    smallest_share: SmallestShare = 0.02,
    served_tokens: ServedTokens = 1e6,
    memory_price: MemoryPrice = 1e3,
    law: SparsityLaw,
) -> Frontier:
    """Best total and active parameters, sparsity and loss against the budget, beside the best dense models and a grid search.

    Raises
    ------
    ParameterError
        Where the budget leaves nothing to train with.
    """
    budget = Budget(served_tokens, memory_price)
    grid = np.append(COMPUTE, compute)
    n, x, loss = _best(law, grid, smallest_share, memory_cap, budget)
    _, _, dense = _best(law, grid, 1.0, memory_cap, budget)
    dense_n, _, free_dense = _best(law, grid, 1.0, NO_CAP, budget)
    _, _, free = _best(law, grid, smallest_share, NO_CAP, budget)
    if not np.isfinite(loss[-1]) or not np.isfinite(dense[-1]):
        raise ParameterError("served_tokens", "leaves nothing to train with; serve fewer tokens or raise the budget.")
    multiplier = sparsity_law.dense_compute(law, loss, budget) / grid
    free_multiplier = sparsity_law.dense_compute(law, free, budget) / grid
    sound = np.isfinite(loss) & np.isfinite(dense) & (np.arange(grid.size) < COMPUTE.size)
    found = np.array([_search(law, c, smallest_share, memory_cap, budget) for c in SEARCHED])
    kept = np.isfinite(found[:, 0])
    return Frontier(
        grid[sound],
        n[sound],
        x[sound],
        loss[sound],
        dense_n[sound],
        dense[sound],
        free_dense[sound],
        free[sound],
        multiplier[sound],
        free_multiplier[sound],
        SEARCHED[kept],
        found[kept, 0],
        found[kept, 1],
        float(law.c + law.e),
        memory_cap,
        smallest_share,
        (compute, float(n[-1]), float(x[-1]), float(loss[-1]), float(dense[-1])),
        float(multiplier[-1]),
    )


def _best(law: SparsityLaw, compute: Array, low: float, cap: float, budget: Budget) -> tuple[Array, Array, Array]:
    """N*, x* and loss; NaN loss where nothing is left to train with."""
    n, x = sparsity_law.optimum(law, compute, smallest_share=low, largest_size=cap, budget=budget)
    tokens = sparsity_law.tokens_within(compute, n, x, budget)
    return n, x, np.where(tokens > 0, sparsity_law.loss(law, n, np.maximum(tokens, 1e-3), x), np.nan)


def _search(law: SparsityLaw, compute: float, low: float, cap: float, budget: Budget) -> tuple[float, float]:
    """The best of a grid of sizes and shares, knowing nothing of slopes."""
    n, x = np.geomspace(1e6, cap, 90)[None, :], np.geomspace(low, 1.0, 70)[:, None]
    tokens = sparsity_law.tokens_within(compute, n, x, budget)
    loss = np.where(tokens > 0, sparsity_law.loss(law, n, np.maximum(tokens, 1e-3), x), np.inf)
    row, column = np.unravel_index(int(np.argmin(loss)), loss.shape)
    return (float(n[0, column]), float(x[row, 0])) if np.isfinite(loss[row, column]) else (np.nan, np.nan)


# --- constraints ---------------------------------------------------------------------------------------

FACTORS = (0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Constraints(Result):
    """The best active share at fixed (N, D) and at fixed (N, C), and the loss against the share at one N."""

    size: Array  # (n_sizes,)
    at_fixed_tokens: Array  # (n_sizes,)
    budgets: Array  # (3,)
    at_fixed_compute: Array  # (3, n_sizes)
    dense_below: float  # N at which the fixed-(N, D) optimum becomes dense; NaN where there is none
    slope: float  # d log x*/d log N at fixed (N, D)
    shares: Array  # (n_shares,)
    loss_fixed_tokens: Array  # (n_shares,)
    loss_fixed_compute: Array  # (n_shares,)
    stars: tuple[tuple[float, float], tuple[float, float]]  # (x*, loss) at fixed D, at fixed C
    total_parameters: float
    tokens: float
    compute: float
    smallest_share: float

    def table(self) -> pl.DataFrame:
        curves = [("fixed N, D", self.at_fixed_tokens)]
        curves += [(f"fixed N, C = {c:.3g}", x) for c, x in zip(self.budgets, self.at_fixed_compute, strict=True)]
        best = [pl.DataFrame({"kind": f"best share, {k}", "N": self.size, "active_share": x}) for k, x in curves]
        losses = [("fixed N, D", self.loss_fixed_tokens), ("fixed N, C", self.loss_fixed_compute)]
        level = [pl.DataFrame({"kind": f"loss, {k}", "active_share": self.shares, "loss": v}) for k, v in losses]
        return pl.concat([*best, *level], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        (x_tokens, _), (x_compute, _) = self.stars
        return {
            "S* at fixed N and D": 1 - x_tokens,
            "S* at fixed N and C": 1 - x_compute,
            "dense is best below N, fixed D": self.dense_below if np.isfinite(self.dense_below) else "every N",
            "slope of log(1 − S*) in log N, fixed D": self.slope,
        }


@experiment
@with_law
def constraints(
    *,
    total_parameters: TotalParameters = 1e10,
    tokens: Tokens = 1e11,
    compute: Compute = 1e21,
    smallest_share: SmallestShare = 0.02,
    law: SparsityLaw,
) -> Constraints:
    """Best sparsity with tokens held fixed, where FLOPs may grow, against that with FLOPs held fixed, where tokens may.

    Training alone is paid for here: no serving, no price of memory.
    """
    mu = -float(law.lambda_)
    edge = (law.delta * law.d / (mu * law.c)) ** (1 / law.gamma) if mu > 0 else np.inf
    fixed_tokens = np.maximum(sparsity_law.best_share_at_fixed_tokens(law, SIZES), smallest_share)
    budgets = compute * np.array(FACTORS)
    fixed_compute = np.stack([sparsity_law.best_share(law, SIZES, c, smallest_share=smallest_share) for c in budgets])
    shares = np.geomspace(smallest_share, 1.0, 120)
    n = total_parameters

    def at_tokens(x: Array | float) -> Array:
        return sparsity_law.loss(law, n, tokens, x)

    def at_compute(x: Array | float) -> Array:
        return sparsity_law.loss(law, n, sparsity_law.tokens_within(compute, n, x), x)

    x_tokens = max(float(sparsity_law.best_share_at_fixed_tokens(law, n)), smallest_share)
    x_compute = float(sparsity_law.best_share(law, n, compute, smallest_share=smallest_share)[0])
    return Constraints(
        SIZES,
        fixed_tokens,
        budgets,
        fixed_compute,
        float(edge) if edge < 1e300 else np.nan,
        -float(law.gamma / (law.delta + mu)) if mu > 0 else 0.0,
        shares,
        at_tokens(shares),
        at_compute(shares),
        ((x_tokens, float(at_tokens(x_tokens))), (x_compute, float(at_compute(x_compute)))),
        n,
        tokens,
        compute,
        smallest_share,
    )
