"""Where the power law, the peak and the plateau come from: a joint model of data and random features, solved."""

from compute.scaling_laws.solvable_model.losses import LossCurve, LossPlane, Tilt, loss_curve, loss_plane, tilt
from compute.scaling_laws.solvable_model.spectrum import FeatureSpectrum, feature_spectrum

__all__ = ["FeatureSpectrum", "LossCurve", "LossPlane", "Tilt", "feature_spectrum", "loss_curve", "loss_plane", "tilt"]
