"""Loss over (N, 1 - S) within a budget, and what a mixture is worth in dense compute over (N, D)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.models import sparsity_law
from compute.models.sparsity_law import Budget, SparsityLaw
from compute.parameters import ParameterError
from compute.scaling_laws.moe_sparsity.setting import (
    ActiveShare,
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

SIZES = np.geomspace(1e8, 1e13, 121)
SHARES = np.geomspace(1e-3, 1.0, 91)
TOKENS = np.geomspace(1e9, 1e14, 101)


@dataclass(frozen=True)
class LossMap(Result):
    """Loss over (N, x) at one budget; NaN where the budget leaves nothing to train with."""

    size: Array  # (n_sizes,)
    share: Array  # (n_shares,)
    loss: Array  # (n_shares, n_sizes)
    valley: Array  # (n_sizes,) best share at each size; NaN where nothing is left to train with
    like_dense: tuple[Array, Array]  # the line along which the loss is the best dense model's
    best: tuple[float, float, float]  # N*, x*, loss, within the cap and the smallest share
    dense: tuple[float, float]  # N and loss of the best dense model
    multiplier: float  # dense compute of the same loss over the budget; infinite where no dense model reaches it
    yours: float | None  # loss of the reader's model
    memory_cap: float
    smallest_share: float

    def table(self) -> pl.DataFrame:
        return grid_table("N", self.size, "active_share", self.share, loss=self.loss, best_share=self.valley[None, :])

    def headline(self) -> dict[str, float | str]:
        n, x, level = self.best
        return {
            "best sparsity S*": 1 - x,
            "total parameters N*": n,
            "active parameters": n * x,
            "loss": level,
            "loss of the best dense model": self.dense[1],
            "dense compute for that loss": f"{self.multiplier:.3g} × C" if np.isfinite(self.multiplier) else "none: below c + e",
            "loss of your model": "nothing left to train with" if self.yours is None else self.yours,
        }


@experiment
@with_law
def loss_map(
    *,
    compute: Compute = 1e21,
    memory_cap: MemoryCap = 3e10,
    smallest_share: SmallestShare = 0.02,
    total_parameters: TotalParameters = 1e10,
    active_share: ActiveShare = 0.25,
    served_tokens: ServedTokens = 1e6,
    memory_price: MemoryPrice = 1e3,
    law: SparsityLaw,
) -> LossMap:
    """Loss over total parameters and active share at one budget, its valley, and the best model under the cap.

    Raises
    ------
    ParameterError
        Where serving leaves no dense model of the map anything to train with.
    """
    budget = Budget(served_tokens, memory_price)
    loss = _loss_within(law, SIZES[None, :], SHARES[:, None], compute, budget)
    valley = sparsity_law.best_share(law, SIZES, compute, smallest_share=1e-3, budget=budget)
    valley = np.where(np.isfinite(_loss_within(law, SIZES, valley, compute, budget)), valley, np.nan)
    n_star, x_star, level = best_model(law, compute, smallest_share, memory_cap, budget)
    n_dense, _, dense_level = best_model(law, compute, 1.0, 1e16, budget)
    if not (np.isfinite(level) and np.isfinite(dense_level) and np.isfinite(loss).any()):
        raise ParameterError("served_tokens", "leaves nothing to train with; serve fewer tokens or raise the budget.")
    # What cannot be trained lies above any level.
    lines = level_lines(np.log10(SIZES), np.log10(SHARES), np.where(np.isfinite(loss), loss, 1e3), dense_level)
    equal = float(sparsity_law.dense_compute(law, level, budget))
    yours = float(_loss_within(law, total_parameters, active_share, compute, budget))
    return LossMap(
        SIZES,
        SHARES,
        loss,
        valley,
        (10 ** lines[0], 10 ** lines[1]),
        (n_star, x_star, level),
        (n_dense, dense_level),
        equal / compute if np.isfinite(equal) else np.inf,
        yours if np.isfinite(yours) else None,
        memory_cap,
        smallest_share,
    )


def best_model(law: SparsityLaw, compute: float, low: float, cap: float, budget: Budget) -> tuple[float, float, float]:
    """N*, x* and their loss; NaN loss where nothing is left to train with."""
    n, x = sparsity_law.optimum(law, compute, smallest_share=low, largest_size=cap, budget=budget)
    return float(n[0]), float(x[0]), float(_loss_within(law, n, x, compute, budget)[0])


def _loss_within(law: SparsityLaw, n: Array | float, x: Array | float, compute: float, budget: Budget) -> Array:
    tokens = sparsity_law.tokens_within(compute, n, x, budget)
    return np.where(tokens > 0, sparsity_law.loss(law, n, np.maximum(tokens, 1e-3), x), np.nan)


# --- dense equivalent ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MultiplierMap(Result):
    """Dense compute of equal loss over the mixture's own, over (N, D) at one active share."""

    size: Array  # (n_sizes,)
    tokens: Array  # (n_tokens,)
    multiplier: Array  # (n_tokens, n_sizes); NaN where no dense model reaches the loss
    even: tuple[Array, Array]  # the line along which it is 1
    path: tuple[Array, Array]  # compute-optimal N and D of this share
    out_of_reach: tuple[Array, Array]  # the line L = c + e
    active_share: float
    yours: float  # the reader's multiplier; NaN beyond the reach of dense models
    best: float  # the largest along the path, within the map
    compute: float  # the reader's, in FLOP
    loss: float

    def table(self) -> pl.DataFrame:
        log = np.log10(self.multiplier)
        return grid_table("N", self.size, "D", self.tokens, compute_multiplier=self.multiplier, log10_multiplier=log)

    def headline(self) -> dict[str, float | str]:
        return {
            "your compute, FLOP": self.compute,
            "your loss": self.loss,
            "dense compute of equal loss": "none: below c + e" if np.isnan(self.yours) else f"{self.yours:.3g} × yours",
            "largest gain, compute-optimal": f"{self.best:.3g} ×",
        }


@experiment
@with_law
def multiplier_map(
    *, total_parameters: TotalParameters = 1e10, tokens: Tokens = 1e11, active_share: ActiveShare = 0.25, law: SparsityLaw
) -> MultiplierMap:
    """How much more compute the best dense model takes to reach the loss of a mixture, over its N and D.

    The mixture costs C = 6 N x D; the dense model is compute-optimal, the mixture need not be.
    """
    level = sparsity_law.loss(law, SIZES[None, :], TOKENS[:, None], active_share)
    spent = 6 * SIZES[None, :] * active_share * TOKENS[:, None]
    multiplier = sparsity_law.dense_compute(law, level) / spent
    axes = np.log10(SIZES), np.log10(TOKENS)
    even = level_lines(*axes, np.where(np.isfinite(multiplier), np.log(multiplier), 50.0), 0.0)
    reach = level_lines(*axes, level, float(law.c + law.e))
    _, path_tokens, path_loss = sparsity_law.fixed_share_frontier(law, SIZES, active_share)
    inside = (path_tokens >= TOKENS[0]) & (path_tokens <= TOKENS[-1])
    gain = sparsity_law.dense_compute(law, path_loss) / (6 * SIZES * active_share * path_tokens)
    sound = gain[inside & np.isfinite(gain)]
    mine = 6 * total_parameters * active_share * tokens
    my_loss = float(sparsity_law.loss(law, total_parameters, tokens, active_share))
    return MultiplierMap(
        SIZES,
        TOKENS,
        multiplier,
        (10 ** even[0], 10 ** even[1]),
        (SIZES[inside], path_tokens[inside]),
        (10 ** reach[0], 10 ** reach[1]),
        active_share,
        float(sparsity_law.dense_compute(law, my_loss)) / mine,
        float(sound.max()) if sound.size else 1.0,
        mine,
        my_loss,
    )
