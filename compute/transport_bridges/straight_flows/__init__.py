"""What makes a generative flow straight: couplings, schedules of least kinetic energy, a learned forward process."""

from compute.transport_bridges.straight_flows.learned_forward import LearnedForward, learned_forward_process
from compute.transport_bridges.straight_flows.views import (
    Bending,
    Flow,
    Knowledge,
    Schedules,
    StepCurve,
    bending,
    flow,
    knowledge,
    schedules,
    step_curve,
)

__all__ = [
    "Bending",
    "Flow",
    "Knowledge",
    "LearnedForward",
    "Schedules",
    "StepCurve",
    "bending",
    "flow",
    "knowledge",
    "learned_forward_process",
    "schedules",
    "step_curve",
]
