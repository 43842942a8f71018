"""Schrodinger bridges: proportional and Markovian fitting, light bridges and energy-guided duals, on one problem."""

from compute.transport_bridges.schrodinger_bridge.energy import EnergyDual, energy_dual
from compute.transport_bridges.schrodinger_bridge.fitting import (
    Bundle,
    Plans,
    Race,
    SpeedMap,
    bundle,
    plans,
    race,
    speed_map,
)
from compute.transport_bridges.schrodinger_bridge.flights import Flight, LightError, flight, light_error

__all__ = [
    "Bundle",
    "EnergyDual",
    "Flight",
    "LightError",
    "Plans",
    "Race",
    "SpeedMap",
    "bundle",
    "energy_dual",
    "flight",
    "light_error",
    "plans",
    "race",
    "speed_map",
]
