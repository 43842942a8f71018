"""Steps against tokens: how a batch buys time, by Kaplan's law of the critical batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.kaplan import KAPLAN_RUN, converged_loss, critical_batch, minimal_steps, steps_to_loss
from compute.parameters import ParameterError, Real
from compute.scaling_laws.hyperparameter_laws.laws import STEP_RULE, batch_size
from compute.scaling_laws.hyperparameter_laws.parameters import LawName, Parameters, Tokens

Array = NDArray[np.float64]

OTHER_LEVELS = (1.05, 1.15, 1.4)  # times the converged loss
SPAN = np.geomspace(1e-6, 1e6, 121)  # batch over the critical one

LossLevel = Annotated[float, Real("loss to reach", "L", low=1.5, high=4.0, unit="nats per token")]


@dataclass(frozen=True)
class BatchTrade(Result):
    """Steps and tokens that bring a model to a loss, at every batch."""

    level: Array  # (n_levels,) the chosen loss first
    batch: Array  # (n_levels, n_batches) tokens
    tokens: Array  # (n_levels, n_batches)
    steps: Array  # (n_levels, n_batches)
    critical: Array  # (n_levels,) tokens
    least_steps: Array  # (n_levels,)
    law: str
    law_batch: float

    def table(self) -> pl.DataFrame:
        rows = self.batch.shape[1]
        return pl.DataFrame(
            {
                "loss": np.repeat(self.level, rows),
                "batch_tokens": self.batch.ravel(),
                "tokens": self.tokens.ravel(),
                "steps": self.steps.ravel(),
                "critical_batch_tokens": np.repeat(self.critical, rows),
                "least_steps": np.repeat(self.least_steps, rows),
                "least_tokens": np.repeat(self.least_steps * self.critical, rows),
            }
        )

    def headline(self) -> dict[str, float | str]:
        ratio = self.critical[0] / self.law_batch
        return {
            "critical batch, tokens": float(self.critical[0]),
            "least steps": float(self.least_steps[0]),
            "least tokens": float(self.least_steps[0] * self.critical[0]),
            "batch of the law followed": self.law_batch,
            "its steps over the least": float(1 + ratio),
            "its tokens over the least": float(1 + 1 / ratio),
        }


@experiment
def batch_trade(
    *, parameters: Parameters = 1e9, tokens: Tokens = 1e11, law: LawName = "step", loss_level: LossLevel = 2.6
) -> BatchTrade:
    """S = S_min (1 + B_crit/B) steps and E = E_min (1 + B/B_crit) tokens reach a loss, so (S/S_min - 1)(E/E_min - 1) = 1.

    Constants of Kaplan et al. (2020): B_crit = 2.1e8 L^{-1/0.21} tokens, S_min = 2.1e3 (L - (6.5e13/N)^0.077)^{-1/0.76}.
    A custom law is not drawn here; its place is taken by the Step law.

    Raises
    ------
    ParameterError
        For a loss that a model of this size does not reach.
    """
    floor = float(converged_loss(KAPLAN_RUN, parameters))
    if loss_level <= 1.005 * floor:
        raise ParameterError("loss_level", f"is out of reach of this N by Kaplan's law; it must be above {1.005 * floor:.3f}.")
    level = np.array([loss_level, *(f * floor for f in OTHER_LEVELS)])
    critical = critical_batch(KAPLAN_RUN, level)
    batch = critical[:, None] * SPAN
    steps = steps_to_loss(KAPLAN_RUN, parameters, level[:, None], batch)
    followed = "step" if law == "custom" else law
    law_batch = float(batch_size(followed, parameters, tokens, STEP_RULE))
    least = minimal_steps(KAPLAN_RUN, parameters, level)
    return BatchTrade(level, batch, steps * batch, steps, critical, least, followed, law_batch)
