r"""How wide the outputs come out, exactly, where the answers are one normal law N(m, s^2).

The denoiser is then affine, D = m + g (u - m) with g = s^2/(s^2 + level^2), and so is a step of order 1:

    u' - m = [g + kept (1 - g)] (u - m) + rho z,      kept = sqrt(level'^2 - rho^2)/level.

The mean is right from the boot step on; the variance starts at level^2 instead of s^2 + level^2 and follows by recursion.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bridge_sampler import Bridge, boot, injected, run
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Seed
from compute.transport_bridges.paired_bridges.setting import END_TIME, BootTime, BridgeName, Eta, Paired, PairingNoise, Steps

Array = NDArray[np.float64]

MAP_ETA = np.linspace(0.0, 1.0, 21)
MAP_STEPS = np.unique(np.rint(np.geomspace(2, 200, 30)).astype(np.int64))
MAP_BOOT = np.linspace(0.5, 0.999, 25)
N_CHECK = 4000


def output_deviation(levels: Array, width: float, eta: Array) -> Array:
    """Standard deviation of the outputs.

    Parameters
    ----------
    levels : (n_levels, ...) array
        Falling along the first axis.
    width : float
        s, of the answers.
    eta : array
        Broadcasts against ``levels[0]``.

    Returns
    -------
    array
        Of the shape of the broadcast.
    """
    variance = levels[0] ** 2 + 0 * eta
    for s, s_next in itertools.pairwise(levels):
        gain = width**2 / (width**2 + s**2)
        rho = injected(s, s_next, 1.0) * eta
        kept = np.sqrt(s_next**2 - rho**2) / s
        variance = (gain + kept * (1 - gain)) ** 2 * variance + rho**2
    return np.asarray(np.sqrt(variance) * width**2 / (width**2 + levels[-1] ** 2))


@dataclass(frozen=True)
class NoiseMap(Result):
    """The best stochasticity over evaluations and boot time."""

    n: NDArray[np.int64]  # (n_steps,)
    boot_time: Array  # (n_boots,)
    best: Array  # (n_boots, n_steps) eta of the least |log width ratio|
    ratio: Array  # (n_boots, n_steps) width of the outputs over exact, at eta 0
    edge: Array  # (n_boots,) the first evaluations at which some noise is best; null where none
    here: tuple[int, float, float]  # evaluations, eta and ratio of the reader
    best_here: float
    simulated: tuple[float, float]  # the ratio there by particles, and standard error

    def table(self) -> pl.DataFrame:
        n, boots = np.meshgrid(self.n, self.boot_time)
        edge = np.repeat(self.edge, self.n.size)
        return pl.DataFrame(
            {
                "evaluations": n.ravel(),
                "boot_time": boots.ravel(),
                "best_eta": self.best.ravel(),
                "width_ratio_at_eta_0": self.ratio.ravel(),
                "noise_pays_from": pl.Series(edge).fill_nan(None),
            }
        )

    def headline(self) -> dict[str, float | str]:
        n, eta, ratio = self.here
        return {
            f"width ÷ exact at N = {n}, η = {eta:.2g}": ratio,
            "simulation − theory, SE": (self.simulated[0] - ratio) / self.simulated[1],
            "best η there": self.best_here,
        }


@experiment
def noise_map(
    *,
    steps: Steps = 10,
    eta: Eta = 0.0,
    pairing_noise: PairingNoise = 0.25,
    bridge: BridgeName = "Brownian",
    boot_time: BootTime = 0.95,
    seed: Seed = 0,
) -> NoiseMap:
    """The stochasticity at which order-1 outputs are as wide as they should be, for an input with one normal answer: exact."""
    path = Bridge(bridge)
    last = float(path.level(np.array(END_TIME)))
    first = path.level(MAP_BOOT)
    log_ratio = np.empty((MAP_STEPS.size, MAP_BOOT.size, MAP_ETA.size))
    for k, n in enumerate(MAP_STEPS):
        levels = np.geomspace(first, np.full(MAP_BOOT.size, last), n - 1) if n > 2 else first[None]
        log_ratio[k] = np.log(output_deviation(levels[:, :, None], pairing_noise, MAP_ETA) / pairing_noise)
    best = MAP_ETA[np.abs(log_ratio).argmin(axis=2)].T
    pays = best > 0
    edge = np.where(pays.any(axis=1), MAP_STEPS[pays.argmax(axis=1)], np.nan)
    law = GaussianMixture(np.ones(1), np.zeros((1, 1)), pairing_noise)
    pair = Paired(path, law, 0.0, float(path.level(np.array(boot_time))), last)
    levels = pair.levels(steps)
    by_eta = output_deviation(levels, pairing_noise, MAP_ETA) / pairing_noise
    here = float(output_deviation(levels, pairing_noise, np.array([eta]))[0] / pairing_noise)
    rng = np.random.default_rng(seed)
    start = boot(0.0, pair.first, rng.standard_normal((N_CHECK, 1)))
    end = run(law.denoise, start, levels, order=1, eta=eta, rng=rng)[-1]
    found = float(law.denoise(end, float(levels[-1])).std() / pairing_noise)
    return NoiseMap(
        n=MAP_STEPS,
        boot_time=MAP_BOOT,
        best=best,
        ratio=np.exp(log_ratio[:, :, 0]).T,
        edge=edge,
        here=(steps, eta, here),
        best_here=float(MAP_ETA[np.abs(np.log(by_eta)).argmin()]),
        simulated=(found, float(found / np.sqrt(2 * N_CHECK))),
    )
