"""Can finetuning call a capability before it emerges? An elbow that finetuning moves, fitted, and its few-shot place foretold."""

from compute.scaling_laws.emergence_elbow.call import Call, called_emergence
from compute.scaling_laws.emergence_elbow.reach import ErrorMap, error_map

__all__ = ["Call", "ErrorMap", "called_emergence", "error_map"]
