"""What P parallel streams are worth in parameters: the fitted law, the theory of correlated errors, and what it costs."""

from compute.scaling_laws.parallel_streams.cost import CostMap, cost_map
from compute.scaling_laws.parallel_streams.fit import StreamFit, stream_fit
from compute.scaling_laws.parallel_streams.law import LossCurves, Worth, loss_curves, stream_worth
from compute.scaling_laws.parallel_streams.residuals import Residuals, residuals

__all__ = [
    "CostMap",
    "LossCurves",
    "Residuals",
    "StreamFit",
    "Worth",
    "cost_map",
    "loss_curves",
    "residuals",
    "stream_fit",
    "stream_worth",
]
