"""What a noisy sample is worth beside a clean one: Fisher information of mixtures, its exchange rates, and their simulation."""

from compute.scaling_laws.noisy_data.views import (
    Directions,
    ErrorCurves,
    ErrorMap,
    PriceCurves,
    directions,
    error_curves,
    error_map,
    price_curves,
)

__all__ = [
    "Directions",
    "ErrorCurves",
    "ErrorMap",
    "PriceCurves",
    "directions",
    "error_curves",
    "error_map",
    "price_curves",
]
