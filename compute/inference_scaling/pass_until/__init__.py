"""Pass-until: success measured below the resolution of usual evaluations, its scaling law, and what departs from it."""

from compute.inference_scaling.pass_until.emergence import Curvature, Study, curvature_map, study
from compute.inference_scaling.pass_until.own_runs import OwnLaw, TaskFit, own_law
from compute.inference_scaling.pass_until.resolution import Estimators, Prediction, estimators, prediction

__all__ = [
    "Curvature",
    "Estimators",
    "OwnLaw",
    "Prediction",
    "Study",
    "TaskFit",
    "curvature_map",
    "estimators",
    "own_law",
    "prediction",
    "study",
]
