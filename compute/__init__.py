"""Regimes' library: experiments of exact theory and live simulation, without any user interface."""

import os

# Before NumPy loads: its products here are small, and two BLAS threads on a busy machine wait for each other for
# seconds over what one does in milliseconds. Who wants more sets the variable.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from compute.experiment import Experiment, Result, experiment
from compute.parameters import ParameterError

__all__ = ["Experiment", "ParameterError", "Result", "experiment"]
