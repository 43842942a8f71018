r"""The law of repeated tokens: its map over size and epochs, and the compute-optimal path through it.

References
----------
Muennighoff et al. (2023), paper 480 of the catalogue; the law itself is in ``compute.models.repeated_tokens``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.models import repeated_tokens, scaling_form
from compute.models.repeated_tokens import PUBLISHED, RepeatedLaw
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN
from compute.scaling_laws.data_constrained.parameters import Compute, DecayParameters, DecayTokens, Epochs, Size, UniqueTokens

Array = NDArray[np.float64]

MOST_EPOCHS = 100.0
BUDGETS = np.geomspace(1e18, 1e26, 161)


@dataclass(frozen=True)
class RepeatMap(Result):
    """Loss over size and epochs at U unique tokens."""

    parameters: Array  # (n_sizes,)
    epochs: Array  # (n_epochs,)
    loss: Array  # (n_epochs, n_sizes)
    frontier: tuple[Array, Array]  # parameters and epochs, as C grows
    deserved: float  # N_opt(U)
    one_epoch_loss: float  # of N_opt(U) after one epoch
    optimum: tuple[float, float]  # parameters and epochs at C
    optimal_loss: float
    unlimited: tuple[float, float]  # Chinchilla's parameters and tokens at C, were data unlimited
    unlimited_loss: float
    floor: float
    here: tuple[float, float, float, float]  # parameters, epochs, loss, D'/D
    best_here: float  # least loss at the compute spent here
    unique_tokens: float
    compute: float

    def table(self) -> pl.DataFrame:
        frontier = pl.DataFrame({"kind": "efficient frontier", "parameters": self.frontier[0], "epochs": self.frontier[1]})
        cells = grid_table("parameters", self.parameters, "epochs", self.epochs, loss=self.loss)
        return pl.concat([cells.insert_column(0, pl.Series("kind", ["map"] * cells.height)), frontier], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        n, epochs, level, worth = self.here
        return {
            "optimal parameters at C": self.optimum[0],
            "optimal epochs at C": self.optimum[1],
            "loss there": self.optimal_loss,
            "loss given up against unique data": self.optimal_loss - self.unlimited_loss,
            "least loss of this data": self.floor,
            "loss where you stand": level,
            "compute where you stand, FLOP": FLOP_PER_PARAMETER_TOKEN * n * epochs * self.unique_tokens,
            "above the best of that compute": level - self.best_here,
            "D′/D where you stand": worth,
        }


@experiment
def repeat_map(
    *,
    unique_tokens: UniqueTokens = 2.5e10,
    compute: Compute = 1e22,
    n_parameters: Size = 8.67e9,
    epochs: Epochs = 7.12,
    decay_tokens: DecayTokens = 15.387756,
    decay_parameters: DecayParameters = 5.309743,
) -> RepeatMap:
    """Loss E + A N'^-alpha + B D'^-beta over parameters and epochs, with the path of least loss as compute grows.

    Paper 480, equations 5 and 6. The window holds N_opt(U), the size that U unique tokens deserve, and two decades above it.
    """
    model = RepeatedLaw(PUBLISHED.law, decay_tokens, decay_parameters)
    deserved = float(repeated_tokens.deserved_parameters(model.law, unique_tokens))
    low = np.floor(np.log10(deserved) - 0.3)
    sizes, passes = np.logspace(low, low + 3, 76), np.geomspace(1, MOST_EPOCHS, 61)
    level = repeated_tokens.loss(model, sizes[None, :], passes[:, None] * unique_tokens, unique_tokens)
    spent = np.geomspace(FLOP_PER_PARAMETER_TOKEN * deserved * unique_tokens, 1e5 * deserved * unique_tokens, 80)
    path_n, path_d = repeated_tokens.optimum(model, spent, unique_tokens)
    inside = path_d <= MOST_EPOCHS * unique_tokens
    n, d = (float(v) for v in repeated_tokens.optimum(model, compute, unique_tokens))
    free_n, free_d = (float(v) for v in scaling_form.optimum(model.law, compute))
    tokens = epochs * unique_tokens
    best = repeated_tokens.optimum(model, FLOP_PER_PARAMETER_TOKEN * n_parameters * tokens, unique_tokens)
    worth = float(repeated_tokens.effective(tokens, unique_tokens, decay_tokens)) / tokens
    return RepeatMap(
        sizes,
        passes,
        level,
        (path_n[inside], path_d[inside] / unique_tokens),
        deserved,
        float(repeated_tokens.loss(model, deserved, unique_tokens, unique_tokens)),
        (n, d / unique_tokens),
        float(repeated_tokens.loss(model, n, d, unique_tokens)),
        (free_n, free_d),
        float(scaling_form.loss(model.law, free_n, free_d)),
        float(repeated_tokens.least_loss(model, unique_tokens)),
        (n_parameters, epochs, float(repeated_tokens.loss(model, n_parameters, tokens, unique_tokens)), worth),
        float(repeated_tokens.loss(model, *best, unique_tokens)),
        unique_tokens,
        compute,
    )


@dataclass(frozen=True)
class Allocation(Result):
    """The compute-optimal plan along C, with repeats allowed, with one epoch only, and with unlimited data."""

    compute: Array  # (n,)
    parameters: Array  # (n,) with repeats
    tokens: Array
    loss: Array
    free_parameters: Array  # unlimited unique data
    free_loss: Array
    one_epoch_loss: Array  # U tokens once, the rest of C into parameters
    unique_tokens: float
    deserved: float
    floor: float
    target: float  # C of the reader
    at_target: dict[str, float]

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "C_FLOP": self.compute,
                "parameters": self.parameters,
                "tokens": self.tokens,
                "epochs": self.tokens / self.unique_tokens,
                "parameters_over_deserved": self.parameters / self.deserved,
                "unlimited_over_deserved": self.free_parameters / self.deserved,
                "loss": self.loss,
                "loss_unlimited_data": self.free_loss,
                "loss_one_epoch": self.one_epoch_loss,
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            **self.at_target,
            "compute at which data runs out, FLOP": FLOP_PER_PARAMETER_TOKEN * self.deserved * self.unique_tokens,
            "least loss of this data": self.floor,
        }


@experiment
def optimal_allocation(
    *,
    unique_tokens: UniqueTokens = 2.5e10,
    compute: Compute = 1e22,
    decay_tokens: DecayTokens = 15.387756,
    decay_parameters: DecayParameters = 5.309743,
) -> Allocation:
    """Optimal parameters, epochs and loss against compute, for U unique tokens and for unlimited data.

    The optimum is the root of alpha A N'^{-alpha-1} N dN'/dN = beta B D'^{-beta-1} D dD'/dD along 6 N D = C (paper 480).
    """
    model = RepeatedLaw(PUBLISHED.law, decay_tokens, decay_parameters)

    def plan(budget: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        n, d = repeated_tokens.optimum(model, budget, unique_tokens)
        free = scaling_form.optimum(model.law, budget)
        # One epoch: Chinchilla's plan until the data is used up, then a larger model on all of it.
        once = np.minimum(free[1], unique_tokens)
        once_n = budget / FLOP_PER_PARAMETER_TOKEN / once
        return (
            n,
            d,
            repeated_tokens.loss(model, n, d, unique_tokens),
            free[0],
            scaling_form.loss(model.law, *free),
            repeated_tokens.loss(model, once_n, once, unique_tokens),
        )

    n, d, level, free_n, free_level, once = (float(v[0]) for v in plan(np.array([compute])))
    at_target = {
        "optimal parameters": n,
        "optimal epochs": d / unique_tokens,
        "parameters with unlimited data": free_n,
        "loss": level,
        "loss given up against unique data": level - free_level,
        "loss of one epoch": once,
        "D′/D": float(repeated_tokens.effective_amounts(model, n, d, unique_tokens)[1]) / d,
    }
    return Allocation(
        BUDGETS,
        *plan(BUDGETS),
        unique_tokens,
        float(repeated_tokens.deserved_parameters(model.law, unique_tokens)),
        float(repeated_tokens.least_loss(model, unique_tokens)),
        compute,
        at_target,
    )
