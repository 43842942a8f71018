"""Sweeps: a headline number of any experiment over one or two of its parameters."""

from compute.sweeps.axes import Axis
from compute.sweeps.handle import Sweep, SweepError, metrics, start, stored, sweep, warm
from compute.sweeps.plan import SweepPlan
from compute.sweeps.result import SweepResult
from compute.sweeps.store import numeric

__all__ = ["Axis", "Sweep", "SweepError", "SweepPlan", "SweepResult", "metrics", "numeric", "start", "stored", "sweep", "warm"]
