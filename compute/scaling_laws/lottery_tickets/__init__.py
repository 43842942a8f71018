"""Is the 1/N law approximation or averaging? Tickets averaged in a mechanism, and networks trained live on y = x^2."""

from compute.scaling_laws.lottery_tickets.mechanism import ExponentMap, MechanismCurve, exponent_map, mechanism_curve
from compute.scaling_laws.lottery_tickets.training import (
    Ladder,
    Lengths,
    Tickets,
    seen_tickets,
    trained_ladder,
    training_lengths,
)

__all__ = [
    "ExponentMap",
    "Ladder",
    "Lengths",
    "MechanismCurve",
    "Tickets",
    "exponent_map",
    "mechanism_curve",
    "seen_tickets",
    "trained_ladder",
    "training_lengths",
]
