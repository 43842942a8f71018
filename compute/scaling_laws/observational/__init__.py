"""Can public benchmark scores replace a training sweep: capability by principal components, families, and a task foretold."""

from compute.scaling_laws.observational.views import (
    Dimensions,
    Efficiencies,
    Extrapolation,
    Payoff,
    Selection,
    dimensions,
    efficiencies,
    extrapolation,
    payoff,
    selection,
)

__all__ = [
    "Dimensions",
    "Efficiencies",
    "Extrapolation",
    "Payoff",
    "Selection",
    "dimensions",
    "efficiencies",
    "extrapolation",
    "payoff",
    "selection",
]
