"""How much can one prior score be asked? Two clocks, guidance, separation of sums, rare events."""

from compute.diffusion_samplers.conditional_sampling.clocks import ClockSquare, ThreeSamplers, clock_square, three_samplers
from compute.diffusion_samplers.conditional_sampling.events import (
    EventChance,
    EventScore,
    EventWindows,
    event_chance,
    event_score,
    event_windows,
)
from compute.diffusion_samplers.conditional_sampling.guidance import Guided, guided_sampler
from compute.diffusion_samplers.conditional_sampling.sources import Separation, Split, separation, split_sum

__all__ = [
    "ClockSquare",
    "EventChance",
    "EventScore",
    "EventWindows",
    "Guided",
    "Separation",
    "Split",
    "ThreeSamplers",
    "clock_square",
    "event_chance",
    "event_score",
    "event_windows",
    "guided_sampler",
    "separation",
    "split_sum",
    "three_samplers",
]
