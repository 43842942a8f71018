"""When does an infinitely wide network learn features? Its regimes, their exact limits, and networks trained live."""

from compute.scaling_laws.abc_parametrizations.linear import (
    Cloud,
    LossCurves,
    Movement,
    loss_curves,
    neuron_cloud,
    neuron_movement,
)
from compute.scaling_laws.abc_parametrizations.networks import WidthScaling, width_scaling
from compute.scaling_laws.abc_parametrizations.regimes import GROWS, SHRINKS, RegimeMap, regime_map

__all__ = [
    "GROWS",
    "SHRINKS",
    "Cloud",
    "LossCurves",
    "Movement",
    "RegimeMap",
    "WidthScaling",
    "loss_curves",
    "neuron_cloud",
    "neuron_movement",
    "regime_map",
    "width_scaling",
]
