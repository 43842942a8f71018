"""Sample a posterior given any number of observations: composed single-observation scores, and an amortized flow."""

from compute.diffusion_samplers.posterior_from_observations.amortized import FlowErrors, flow_errors
from compute.diffusion_samplers.posterior_from_observations.composed import (
    Bridges,
    ErrorCurve,
    ProperMap,
    bridges,
    error_against_n,
    proper_bridges,
)

__all__ = [
    "Bridges",
    "ErrorCurve",
    "FlowErrors",
    "ProperMap",
    "bridges",
    "error_against_n",
    "flow_errors",
    "proper_bridges",
]
