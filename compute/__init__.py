"""Regimes' library: experiments of exact theory and live simulation, without any user interface."""

from compute.experiment import Experiment, Result, experiment
from compute.parameters import ParameterError

__all__ = ["Experiment", "ParameterError", "Result", "experiment"]
