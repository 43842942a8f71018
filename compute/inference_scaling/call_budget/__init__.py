"""A budget of calls: one large model once, a small one often, or a stack of operators."""

from compute.inference_scaling.call_budget.own_models import ModelCurve, OwnModels, your_models
from compute.inference_scaling.call_budget.sizes import (
    BudgetCurves,
    Crossover,
    WinnerMap,
    budget_curves,
    crossover,
    winner_map,
)
from compute.inference_scaling.call_budget.stacks import (
    BestStacks,
    SearchRegret,
    StackCloud,
    best_stacks,
    search_regret,
    stack_cloud,
)

__all__ = [
    "BestStacks",
    "BudgetCurves",
    "Crossover",
    "ModelCurve",
    "OwnModels",
    "SearchRegret",
    "StackCloud",
    "WinnerMap",
    "best_stacks",
    "budget_curves",
    "crossover",
    "search_regret",
    "stack_cloud",
    "winner_map",
    "your_models",
]
