"""The two ends of a noise schedule: signal left over at the top, a singular noise prediction at the bottom."""

from compute.diffusion_samplers.schedule_ends.horizon import HorizonCurve, horizon_curve
from compute.diffusion_samplers.schedule_ends.terminal_signal import Brightness, BrightnessMap, brightness, brightness_map
from compute.diffusion_samplers.schedule_ends.time_sharing import SharingMap, Singularity, sharing_map, singularity

__all__ = [
    "Brightness",
    "BrightnessMap",
    "HorizonCurve",
    "SharingMap",
    "Singularity",
    "brightness",
    "brightness_map",
    "horizon_curve",
    "sharing_map",
    "singularity",
]
