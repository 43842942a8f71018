"""What the probability flow does to a ball of noise: basins, bent paths, and gradients back through it."""

from compute.diffusion_samplers.flow_map_geometry.gradients import GradientError, gradient_error
from compute.diffusion_samplers.flow_map_geometry.plane import Basins, basins
from compute.diffusion_samplers.flow_map_geometry.trajectories import DeviationMap, Paths, deviation_map, paths

__all__ = ["Basins", "DeviationMap", "GradientError", "Paths", "basins", "deviation_map", "gradient_error", "paths"]
