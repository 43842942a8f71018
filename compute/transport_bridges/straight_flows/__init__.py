"""What makes a generative flow straight: couplings, and schedules of least kinetic energy."""

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
    "Schedules",
    "StepCurve",
    "bending",
    "flow",
    "knowledge",
    "schedules",
    "step_curve",
]
