"""Laws of motion from snapshots: refined bridges, action matching, chaos and populations (papers 100, 189, 193 and 238)."""

from compute.transport_bridges.population_dynamics.action import ActionErrors, ActionField, action_errors, action_field
from compute.transport_bridges.population_dynamics.chaos import Chaos, Subdivided, chaos_error, subdivision
from compute.transport_bridges.population_dynamics.own_snapshots import OwnPaths, own_paths
from compute.transport_bridges.population_dynamics.populations import GainMap, gain_map
from compute.transport_bridges.population_dynamics.refinement import InferredPaths, Refinement, inferred_paths, refined_theta

__all__ = [
    "ActionErrors",
    "ActionField",
    "Chaos",
    "GainMap",
    "InferredPaths",
    "OwnPaths",
    "Refinement",
    "Subdivided",
    "action_errors",
    "action_field",
    "chaos_error",
    "gain_map",
    "inferred_paths",
    "own_paths",
    "refined_theta",
    "subdivision",
]
