"""Excess mass of overfitted mixtures, seen by Orlicz-Wasserstein distances."""

from compute.transport_bridges.orlicz_wasserstein.draws import Draws, posterior_draws
from compute.transport_bridges.orlicz_wasserstein.own_data import OwnFit, own_mixture
from compute.transport_bridges.orlicz_wasserstein.plane import Coupling, Regularized, plane_coupling, price_of_sinkhorn
from compute.transport_bridges.orlicz_wasserstein.rates import OutlierMap, Rates, outlier_map, rates
from compute.transport_bridges.orlicz_wasserstein.stray import Stray, stray_atom

__all__ = [
    "Coupling",
    "Draws",
    "OutlierMap",
    "OwnFit",
    "Rates",
    "Regularized",
    "Stray",
    "outlier_map",
    "own_mixture",
    "plane_coupling",
    "posterior_draws",
    "price_of_sinkhorn",
    "rates",
    "stray_atom",
]
