"""Multi-draft speculative sampling: the best acceptance, what practical schemes reach of it, and what it saves."""

from compute.inference_scaling.multi_draft_speculation.block import BlockEfficiency, block_efficiency
from compute.inference_scaling.multi_draft_speculation.curves import DraftCurve, Duel, draft_curve, scheme_duel
from compute.inference_scaling.multi_draft_speculation.plan import Outputs, TransportPlan, outputs, transport_plan
from compute.inference_scaling.multi_draft_speculation.three_tokens import Simplex, simplex

__all__ = [
    "BlockEfficiency",
    "DraftCurve",
    "Duel",
    "Outputs",
    "Simplex",
    "TransportPlan",
    "block_efficiency",
    "draft_curve",
    "outputs",
    "scheme_duel",
    "simplex",
    "transport_plan",
]
