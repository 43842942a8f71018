"""What a budget should buy: cost against the updates-to-data ratio, the Pareto frontier, and the best ratio over price and budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.scaling_laws.value_based_rl.law import (
    LEAST_DISTANCE,
    Alpha,
    BatchExponent,
    Beta0,
    BudgetTotal,
    DataFloor,
    DataPrice,
    LevelExponent,
    Utd,
    UtdLaw,
    best_utd,
    compute_per_step,
    data_needed,
    least_cost,
    reached,
    total_cost,
)

Array = NDArray[np.float64]

UTD = np.geomspace(0.05, 200.0, 121)
FRACTIONS = (0.1, 1 / 3, 1.0)  # of the budget, whose levels the frontier shows


@dataclass(frozen=True)
class CostCurves(Result):
    """Data, compute and total cost of one level against the ratio."""

    utd: Array  # (n_points,)
    data: Array  # (n_points,)
    compute: Array  # (n_points,)
    total: Array  # (n_points,)
    best: float
    best_cost: tuple[float, float, float]  # data, compute, total
    least_data: float
    at: float
    at_cost: tuple[float, float, float]
    later: float  # data at four times your ratio
    level: float

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {"utd": self.utd, "data_steps": self.data, "compute_units": self.compute, "total_cost_units": self.total}
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "level J reached": self.level,
            "best ratio σ*": self.best,
            "data there": self.best_cost[0],
            "compute there": self.best_cost[1],
            "cost at your ratio over the least": self.at_cost[2] / self.best_cost[2],
            "data at your ratio": self.at_cost[0],
            "data at four times it": self.later,
            "least data, σ → ∞": self.least_data,
        }


@experiment
def cost_curves(
    *,
    utd: Utd = 2.0,
    data_price: DataPrice = 10.0,
    budget: BudgetTotal = 1e7,
    data_floor: DataFloor = 1e5,
    beta0: Beta0 = 2.0,
    alpha: Alpha = 0.8,
    batch_exponent: BatchExponent = 0.4,
    level_exponent: LevelExponent = 0.3,
) -> CostCurves:
    """Data, compute and their sum at the budget's price, for the level that the budget reaches at best, against the ratio.

    Raises
    ------
    ParameterError
        For a budget below the least cost of J = 0.
    """
    law = UtdLaw(data_floor, beta0, alpha, batch_exponent, level_exponent)
    distance = reached(law, budget, data_price)
    best = float(best_utd(law, distance, data_price))

    def cost(s: float) -> tuple[float, float, float]:
        data = float(data_needed(law, s, distance))
        return data, data * float(compute_per_step(law, s)), float(total_cost(law, s, distance, data_price))

    data = data_needed(law, UTD, distance)
    return CostCurves(
        UTD,
        data,
        data * compute_per_step(law, UTD),
        total_cost(law, UTD, distance, data_price),
        best,
        cost(best),
        float(data_needed(law, 1e300, distance)),
        utd,
        cost(utd),
        float(data_needed(law, 4 * utd, distance)),
        1 - distance,
    )


# --- the frontier ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frontier(Result):
    """Data against compute for three levels, the budget line that touches the last, and the best points as the budget grows."""

    utd: Array  # (n_points,)
    data: Array  # (n_levels, n_points)
    compute: Array  # (n_levels, n_points)
    level: Array  # (n_levels,)
    budget: Array  # (n_levels,)
    best_data: Array  # (n_levels,)
    best_compute: Array  # (n_levels,)
    line_data: Array  # (n_line,)
    line_compute: Array  # (n_line,) F - delta D
    price: float
    at: tuple[float, float]  # data, compute at your ratio

    def table(self) -> pl.DataFrame:
        n = self.utd.size
        curves = pl.DataFrame(
            {
                "level": np.repeat(self.level, n),
                "utd": np.tile(self.utd, self.level.size),
                "data_steps": self.data.ravel(),
                "compute_units": self.compute.ravel(),
            }
        )
        line = pl.DataFrame({"data_steps": self.line_data, "budget_line_compute": self.line_compute})
        best = pl.DataFrame(
            {"level": self.level, "budget": self.budget, "best_data_steps": self.best_data, "best_compute_units": self.best_compute}
        )
        return pl.concat([curves, line, best], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "level J reached": float(self.level[-1]),
            "data at the best ratio": float(self.best_data[-1]),
            "compute at the best ratio": float(self.best_compute[-1]),
            "slope of the frontier there, dC/dD": -self.price,
            "share of the budget spent on data": float(self.price * self.best_data[-1] / self.budget[-1]),
        }


@experiment
def frontier(
    *,
    utd: Utd = 2.0,
    data_price: DataPrice = 10.0,
    budget: BudgetTotal = 1e7,
    data_floor: DataFloor = 1e5,
    beta0: Beta0 = 2.0,
    alpha: Alpha = 0.8,
    batch_exponent: BatchExponent = 0.4,
    level_exponent: LevelExponent = 0.3,
) -> Frontier:
    """Data and compute that reach a level trade off along a frontier that the ratio runs through.

    Shown for the levels that a tenth, a third and all of the budget reach; levels below J = 0 are left out.

    Raises
    ------
    ParameterError
        For a budget below the least cost of J = 0.
    """
    law = UtdLaw(data_floor, beta0, alpha, batch_exponent, level_exponent)
    reached(law, budget, data_price)
    first = float(least_cost(law, 1.0, data_price))
    spent = np.array([f * budget for f in FRACTIONS if f * budget >= first])
    distance = np.array([reached(law, float(f), data_price) for f in spent])
    best = best_utd(law, distance, data_price)
    # About the best ratio of each level, wherever it lies.
    ratio = np.geomspace(1e-5, 1e5, 161)
    shown = best[:, None] * ratio
    data = data_needed(law, shown, distance[:, None])
    best_data = data_needed(law, best, distance)
    line = np.geomspace(best_data[-1] / 30, budget / data_price * (1 - 1e-3), 160)
    here = float(data_needed(law, utd, distance[-1]))
    return Frontier(
        ratio,
        data,
        data * compute_per_step(law, shown),
        1 - distance,
        spent,
        best_data,
        best_data * compute_per_step(law, best),
        line,
        budget - data_price * line,
        data_price,
        (here, here * float(compute_per_step(law, utd))),
    )


# --- over price and budget ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class RatioMap(Result):
    """Best ratio and level reached over the price of a step and the budget."""

    price: Array  # (n_prices,)
    budget: Array  # (n_budgets,)
    utd: Array  # (n_budgets, n_prices) NaN where no level is reached
    distance: Array  # (n_budgets, n_prices) 1 - J; NaN where none
    edge: Array  # (n_prices,) least cost of J = 0
    here: tuple[float, float] | None  # sigma*, 1 - J

    def table(self) -> pl.DataFrame:
        with np.errstate(invalid="ignore"):
            table = grid_table(
                "data_price", self.price, "budget", self.budget, utd=self.utd, log10_utd=np.log10(self.utd), level=1 - self.distance
            )
        return pl.concat([table, pl.DataFrame({"data_price": self.price, "least_budget": self.edge})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        sound = self.utd[np.isfinite(self.utd)]
        extent = {"least on the map": float(sound.min()), "most on the map": float(sound.max())} if sound.size else {}
        if self.here is None:
            return {"best ratio σ*": "none: the budget reaches no level", **extent}
        return {"best ratio σ*": self.here[0], "level J reached": 1 - self.here[1], **extent}


@experiment
def ratio_map(
    *,
    data_price: DataPrice = 10.0,
    budget: BudgetTotal = 1e7,
    data_floor: DataFloor = 1e5,
    beta0: Beta0 = 2.0,
    alpha: Alpha = 0.8,
    batch_exponent: BatchExponent = 0.4,
    level_exponent: LevelExponent = 0.3,
) -> RatioMap:
    """The ratio that spends a budget best, over the price of a step and the budget, with the level it reaches.

    At each price the least cost of every level is computed and inverted by interpolation in the logarithms.
    """
    law = UtdLaw(data_floor, beta0, alpha, batch_exponent, level_exponent)
    price, budgets = np.geomspace(1e-3, 1e3, 61), np.geomspace(1e4, 1e10, 61)
    distance = np.geomspace(1.0, LEAST_DISTANCE, 141)
    ratio = best_utd(law, distance[None, :], price[:, None])
    cost = total_cost(law, ratio, distance[None, :], price[:, None])
    utd, far = (np.full((budgets.size, price.size), np.nan) for _ in range(2))
    for k in range(price.size):
        log_cost = np.log(cost[k])
        can = budgets >= cost[k, 0]
        utd[can, k] = np.exp(np.interp(np.log(budgets[can]), log_cost, np.log(ratio[k])))
        far[can, k] = np.exp(np.interp(np.log(budgets[can]), log_cost, np.log(distance)))
    here = None
    if budget >= least_cost(law, 1.0, data_price):
        at = reached(law, budget, data_price)
        here = (float(best_utd(law, at, data_price)), at)
    return RatioMap(price, budgets, utd, far, cost[:, 0], here)
