"""Which data source to buy after seeing a sample: transport distance, projection in size, and the gradient of the mix."""

from compute.scaling_laws.source_selection.views import (
    MixCurve,
    Prices,
    Purchase,
    SizeCurve,
    Triangle,
    mix_curve,
    prices,
    purchase,
    size_curve,
    triangle,
)

__all__ = [
    "MixCurve",
    "Prices",
    "Purchase",
    "SizeCurve",
    "Triangle",
    "mix_curve",
    "prices",
    "purchase",
    "size_curve",
    "triangle",
]
