"""Do two groups of distributions differ, on any domain: sliced by Laplacian eigenfunctions, embedded by quantiles, tested by means."""

from compute.transport_bridges.intrinsic_sliced_wasserstein.own_data import OwnGroups, own_groups
from compute.transport_bridges.intrinsic_sliced_wasserstein.power import (
    Null,
    Power,
    PowerMap,
    null_p_values,
    power_curve,
    power_map,
)
from compute.transport_bridges.intrinsic_sliced_wasserstein.slices import Slices, Turning, sliced_map, turning

__all__ = [
    "Null",
    "OwnGroups",
    "Power",
    "PowerMap",
    "Slices",
    "Turning",
    "null_p_values",
    "own_groups",
    "power_curve",
    "power_map",
    "sliced_map",
    "turning",
]
