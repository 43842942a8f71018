"""What a model costs over its life: training to a loss, and serving, against tokens per parameter.

References
----------
Gadre et al. (2024), paper 080 of the catalogue, for the law; Sardana et al. (2023) for the cost of serving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models import over_training
from compute.models.over_training import FLOP_PER_SERVED_TOKEN, OverTraining
from compute.parameters import LogReal
from compute.scaling_laws.over_training.study import Compute, CustomA, CustomB, CustomE, CustomEta, LawName, Multiplier, laws

Array = NDArray[np.float64]

MULTIPLIER = np.geomspace(0.1, 1e5, 121)
VOLUMES = (1e11, 1e12, 1e13, 1e14)

Served = Annotated[
    float, LogReal("tokens served", r"T_{\mathrm{inf}}", low=1e8, high=1e14, unit="tokens", help="Over the life of the model.")
]


@dataclass(frozen=True)
class Lifetime(Result):
    """Lifetime FLOP at equal loss over tokens per parameter, for several volumes served."""

    multiplier: Array  # (n_m,)
    volumes: Array  # (n_volumes,) served tokens; the first is 0, the last the reader's
    cost: Array  # (n_volumes, n_m)
    best: Array  # (n_volumes,) M of least cost
    best_cost: Array  # (n_volumes,)
    level: float
    law: OverTraining
    plan: tuple[float, float]  # C, M of the run whose loss is asked for
    plan_cost: float

    def table(self) -> pl.DataFrame:
        k, n = self.cost.shape
        curves = pl.DataFrame(
            {
                "kind": "curve",
                "served_tokens": np.repeat(self.volumes, n),
                "M": np.tile(self.multiplier, k),
                "lifetime_FLOP": self.cost.ravel(),
            }
        )
        least = pl.DataFrame({"kind": "least", "served_tokens": self.volumes, "M": self.best, "lifetime_FLOP": self.best_cost})
        return pl.concat([curves, least])

    def headline(self) -> dict[str, float | str]:
        n, d = (float(v) for v in over_training.sizes(over_training.compute_at(self.law, self.best[-1], self.level), self.best[-1]))
        compute, m = self.plan
        return {
            "loss asked for": self.level,
            "M of least training": float(self.best[0]),
            "best M when serving": float(self.best[-1]),
            "its parameters": n,
            "its tokens": d,
            "its lifetime FLOP": float(self.best_cost[-1]),
            "your run's lifetime FLOP over it": self.plan_cost / float(self.best_cost[-1]),
            "your run's training over the least": compute / float(self.best_cost[0]),
            "your run's serving, share of its life": 1 - compute / self.plan_cost,
            "reducible loss of your M over M*'s": float(over_training.excess(self.law, m)),
        }


@experiment
def lifetime_cost(
    *,
    law: LawName = "redpajama",
    compute: Compute = 7.56e21,
    token_multiplier: Multiplier = 640.0,
    served_tokens: Served = 1e12,
    custom_offset: CustomE = 1.8,
    custom_a: CustomA = 200.0,
    custom_b: CustomB = 300.0,
    custom_eta: CustomEta = 0.13,
) -> Lifetime:
    """Lifetime cost 6 N D + 2 N T at the loss of the run (C, M), over all runs that reach that loss.

    The least is where (M/M*)^{2 eta} = 1 + T/(3 D).
    """
    chosen, _ = laws(law, custom_offset, custom_a, custom_b, custom_eta)
    level = float(over_training.loss(chosen, compute, token_multiplier))
    volumes = np.array([0.0, *VOLUMES, served_tokens])
    best = over_training.serving_multiplier(chosen, level, volumes)
    cost = over_training.lifetime(chosen, MULTIPLIER[None, :], level, volumes[:, None])
    size = float(over_training.sizes(compute, token_multiplier)[0])
    return Lifetime(
        MULTIPLIER,
        volumes,
        cost,
        best,
        over_training.lifetime(chosen, best, level, volumes),
        level,
        chosen,
        (compute, token_multiplier),
        compute + FLOP_PER_SERVED_TOKEN * size * served_tokens,
    )
