"""Will the small runs predict the large one: planted studies, the choice between two models, and live learners."""

from compute.scaling_laws.small_runs.learners import BestSize, LiveCurve, best_model_size, live_learner
from compute.scaling_laws.small_runs.planted import Extrapolated, extrapolate_runs
from compute.scaling_laws.small_runs.selection import Selection, choose_model

__all__ = [
    "BestSize",
    "Extrapolated",
    "LiveCurve",
    "Selection",
    "best_model_size",
    "choose_model",
    "extrapolate_runs",
    "live_learner",
]
