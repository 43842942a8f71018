"""Why accuracy is harder to predict than loss: the chain from log-probabilities to accuracy, and what it loses."""

from compute.scaling_laws.downstream_metrics.chain import STAGES
from compute.scaling_laws.downstream_metrics.views import (
    Curves,
    Masses,
    MedianMap,
    Survival,
    curves,
    masses,
    median_map,
    survival,
)

__all__ = ["STAGES", "Curves", "Masses", "MedianMap", "Survival", "curves", "masses", "median_map", "survival"]
