"""Which learning rate and batch size: published laws, a reader's own sweep, and a quadratic that has a plateau."""

from compute.scaling_laws.hyperparameter_laws.batch_trade import BatchTrade, batch_trade
from compute.scaling_laws.hyperparameter_laws.calculator import (
    LawCurves,
    LawMap,
    PlanTable,
    law_curves,
    law_map,
    plan_table,
)
from compute.scaling_laws.hyperparameter_laws.sweep import Bowl, sweep_bowl
from compute.scaling_laws.hyperparameter_laws.toy import Plateau, ToyRun, plateau, toy_run

__all__ = [
    "BatchTrade",
    "Bowl",
    "LawCurves",
    "LawMap",
    "PlanTable",
    "Plateau",
    "ToyRun",
    "batch_trade",
    "law_curves",
    "law_map",
    "plan_table",
    "plateau",
    "sweep_bowl",
    "toy_run",
]
