r"""Implicit samplers of a diffusion bridge pinned at x_T (paper 269 of the catalogue), for a known denoiser.

A bridge's state given both ends is x_t = a x_T + b x_0 + c z. With u = (x_t - a x_T)/b and the level s = c/b it reads
u = x_0 + s z: a diffusion of variance-exploding form whose data are x_0 given x_T, with 1/s^2 = SNR_t - SNR_T. Every bridge
is this one path; they differ in the times at which a level is met. From s to s' < s, with rho = eta s' sqrt(1 - s'^2/s^2),

    u' = D + sqrt(s'^2 - rho^2) (u - D)/s + rho z,      D = E[x_0 | u],

which leaves the law of u given x_0 what it was for every eta: 0 is deterministic, 1 the reversed Markov bridge. Let h = log s/s'
and sqrt(s'^2 - rho^2)/s = exp(-w h), where w = 1 at eta = 0 and w = 2 at eta = 1. Then u' = e^{-w h} u + (1 - e^{-w h}) D + rho z, and
higher orders extrapolate D in h from past steps inside w int_0^h exp(-w (h - tau)) D(tau) dtau.

At t = T the level is infinite and the state is x_T itself: the first step draws u ~ N(E[x_0 | x_T], s^2), the boot noise, or,
without it, takes the mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Denoiser = Callable[[Array, float], Array]


@dataclass(frozen=True)
class Bridge:
    """The times at which a bridge is at a level, and the coefficients a, b, c there; T = 1.

    ``Brownian``: alpha = 1, sigma^2 = t. ``VE``: alpha = 1, sigma = 2t. ``VP``: alpha^2 = e^-B, sigma^2 = 1 - e^-B, B = 0.1 t + t^2.
    """

    name: str

    def snr(self, t: Array) -> Array:
        """alpha^2/sigma^2, infinite at t = 0."""
        t = np.asarray(t, dtype=float)
        with np.errstate(divide="ignore"):
            if self.name == "Brownian":
                return 1 / t
            if self.name == "VE":
                return 0.25 / t**2
            return 1 / np.expm1(0.1 * t + t**2)

    def time(self, level: Array) -> Array:
        """t at a level; the inverse of ``level``."""
        snr = 1 / np.asarray(level, dtype=float) ** 2 + float(self.snr(np.array(1.0)))
        if self.name == "Brownian":
            return 1 / snr
        if self.name == "VE":
            return 0.5 / np.sqrt(snr)
        growth = np.log1p(1 / snr)
        return growth / (0.05 + np.sqrt(0.0025 + growth))

    def level(self, t: Array) -> Array:
        """s = c/b = (SNR_t - SNR_1)^-1/2 for t < 1."""
        return (self.snr(t) - float(self.snr(np.array(1.0)))) ** -0.5

    def coefficients(self, t: Array) -> tuple[Array, Array, Array]:
        """a, b and c of x_t = a x_T + b x_0 + c z."""
        t = np.asarray(t, dtype=float)
        growth = 0.1 * t + t**2 if self.name == "VP" else 0 * t
        alpha, alpha_end = np.exp(-0.5 * growth), np.exp(-0.55) if self.name == "VP" else 1.0
        kept = float(self.snr(np.array(1.0))) / self.snr(t)  # SNR_T/SNR_t, 0 at t = 0 and 1 at t = 1
        sigma = {"Brownian": np.sqrt(t), "VE": 2 * t, "VP": np.sqrt(-np.expm1(-growth))}[self.name]
        return alpha / alpha_end * kept, alpha * (1 - kept), sigma * np.sqrt(1 - kept)


BRIDGES = ("Brownian", "VP", "VE")


def boot(mean: Array | float, level: float, z: Array) -> Array:
    """States after the first step, from (n,) standard normal numbers; zeros leave the boot noise out."""
    return np.asarray(mean + level * z, dtype=float)


def injected(level: Array | float, next_level: Array | float, eta: float) -> Array:
    """rho, the deviation of the noise of a step."""
    return np.asarray(eta * next_level * np.sqrt(np.maximum(1 - (np.asarray(next_level) / level) ** 2, 0.0)))


def run(denoise: Denoiser, u: Array, levels: Array, *, order: int, eta: float, rng: np.random.Generator) -> list[Array]:
    """Go down the levels, with one evaluation of the denoiser at each but the last.

    Parameters
    ----------
    denoise : callable
        (n, 1) states and a level to (n, 1) conditional means of x_0.
    u : (n, 1) array
        States at the first level.
    levels : (n_levels,) array
        Falling and positive.
    order : int
        1, 2 or 3; the first steps, short of past evaluations, use a lower one.
    eta : float
        0 to 1.
    rng : numpy.random.Generator

    Returns
    -------
    list of n_levels (n, 1) arrays
    """
    states = [u]
    past: list[tuple[float, Array]] = []  # steps in log-level and denoised states, the newest last
    for s, s_next in itertools.pairwise(levels):
        h = float(np.log(s / s_next))
        rho = float(injected(s, s_next, eta))
        w = -np.log(np.sqrt(s_next**2 - rho**2) / s) / h
        decay = np.exp(-w * h)
        d = denoise(u, float(s))
        first = h - (1 - decay) / w  # w int exp(-w (h - tau)) tau dtau
        u_next = decay * u + (1 - decay) * d
        if order >= 2 and past:
            h1, d1 = past[-1]
            slope = (d - d1) / h1
            u_next = u_next + first * slope
            if order >= 3 and len(past) > 1:
                h2, d2 = past[-2]
                bend = (slope - (d1 - d2) / h2) / (h1 + h2)
                u_next = u_next + (h**2 - 2 * first / w + h1 * first) * bend
        if rho > 0:
            u_next = u_next + rho * rng.standard_normal(u.shape)
        past = [*past[-1:], (h, d)]
        # A past value is a distance h away from the present one: the step just made.
        u = u_next
        states.append(u)
    return states
