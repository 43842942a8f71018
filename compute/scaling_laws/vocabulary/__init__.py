"""How large a vocabulary should be: what it costs and buys, three predictors of its best size, and their refit."""

from compute.scaling_laws.vocabulary.curves import TRAINED, Characters, Predictors, fixed_characters, predictors
from compute.scaling_laws.vocabulary.fitting import Refit, refit
from compute.scaling_laws.vocabulary.in_use import InUse, models_in_use
from compute.scaling_laws.vocabulary.maps import RatioMap, WasteMap, ratio_map, waste_map

__all__ = [
    "TRAINED",
    "Characters",
    "InUse",
    "Predictors",
    "RatioMap",
    "Refit",
    "WasteMap",
    "fixed_characters",
    "models_in_use",
    "predictors",
    "ratio_map",
    "refit",
    "waste_map",
]
