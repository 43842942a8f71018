"""Repeated sampling: coverage, what a selector can keep of it, and where no number of samples is enough."""

from compute.inference_scaling.repeated_sampling.coverage import Coverage, Price, Selection, coverage, price, selection
from compute.inference_scaling.repeated_sampling.tournament import (
    Allocation,
    Bracket,
    Duel,
    allocation,
    bracket,
    tournament_or_vote,
)
from compute.inference_scaling.repeated_sampling.verifier import (
    Resampling,
    Stopping,
    WeakStrong,
    resampling,
    stopping,
    weak_against_strong,
)

__all__ = [
    "Allocation",
    "Bracket",
    "Coverage",
    "Duel",
    "Price",
    "Resampling",
    "Selection",
    "Stopping",
    "WeakStrong",
    "allocation",
    "bracket",
    "coverage",
    "price",
    "resampling",
    "selection",
    "stopping",
    "tournament_or_vote",
    "weak_against_strong",
]
