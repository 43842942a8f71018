"""How many tokens per parameter, and how sure: fits of a scaling study, its choices, its trajectories and its shapes."""

from compute.scaling_laws.chinchilla.choices import Choices, analysis_choices
from compute.scaling_laws.chinchilla.fits import (
    PUBLISHED_RUNS,
    PUBLISHED_WIDTH,
    Cloud,
    Frontier,
    IsoFlop,
    LossMap,
    exponent_cloud,
    frontier,
    isoflop_curves,
    loss_map,
)
from compute.scaling_laws.chinchilla.shapes import ShapeMap, shape_map
from compute.scaling_laws.chinchilla.trajectory import Trajectories, trajectories

__all__ = [
    "PUBLISHED_RUNS",
    "PUBLISHED_WIDTH",
    "Choices",
    "Cloud",
    "Frontier",
    "IsoFlop",
    "LossMap",
    "ShapeMap",
    "Trajectories",
    "analysis_choices",
    "exponent_cloud",
    "frontier",
    "isoflop_curves",
    "loss_map",
    "shape_map",
    "trajectories",
]
