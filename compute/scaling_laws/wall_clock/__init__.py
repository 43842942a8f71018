"""Which shape trains best in a given wall-clock time: step times from operation counts, and the loss they buy."""

from compute.scaling_laws.wall_clock.breakdown import Operations, operations
from compute.scaling_laws.wall_clock.shapes import ClockCurves, ShapeMap, clock_curves, shape_map
from compute.scaling_laws.wall_clock.timing import Timing, timing_fit

__all__ = [
    "ClockCurves",
    "Operations",
    "ShapeMap",
    "Timing",
    "clock_curves",
    "operations",
    "shape_map",
    "timing_fit",
]
