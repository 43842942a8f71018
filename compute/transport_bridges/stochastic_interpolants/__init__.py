r"""Stochastic interpolants between mixtures, with every conditional mean exact (``compute.models.interpolants``).

References
----------
Papers 117, 153 and 284 of the catalogue.
"""

from compute.transport_bridges.stochastic_interpolants.carried_laws import Film, film
from compute.transport_bridges.stochastic_interpolants.couplings import Cost, Restoration, cost, restoration
from compute.transport_bridges.stochastic_interpolants.likelihood import NoiseCurve, NoiseMap, noise_curve, noise_map
from compute.transport_bridges.stochastic_interpolants.simplex import Triangle, triangle

__all__ = [
    "Cost",
    "Film",
    "NoiseCurve",
    "NoiseMap",
    "Restoration",
    "Triangle",
    "cost",
    "film",
    "noise_curve",
    "noise_map",
    "restoration",
    "triangle",
]
