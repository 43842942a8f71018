r"""Phase-space Langevin diffusion (paper 147): the forward process, its damping, and what the views share.

In each coordinate z = (x, m),

    dz = (beta/2) [[-Gamma, 1/M], [-1, -nu]] z dt + sqrt(beta) diag(sqrt Gamma, sqrt(M nu)) dW,

stationary at N(0, 1) x N(0, M) for every Gamma, nu >= 0. With lambda = -(Gamma + nu)/2 +- sqrt((Gamma - nu)^2 - 4/M)/2 the drift
has eigenvalues (beta/2) lambda: they meet on the parabola 1/M = (Gamma - nu)^2/4, critical damping. Gamma = 0 is the
critically-damped Langevin diffusion (CLD) when it stands on the parabola.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.diffusion_setting import mixture_of
from compute.models.linear_sde import LiftedMixture, LinearSde
from compute.parameters import LogReal, Real

Array = NDArray[np.float64]

BETA, HORIZON, FIRST_TIME = 8.0, 1.0, 1e-3
MOMENTUM_START = 0.04  # variance of m at t = 0 over M
DATA = "three_modes_1d"

Gamma = Annotated[
    float, Real("noise on position", r"\Gamma", low=0.0, high=2.0, help="Damping and noise put on x itself; 0 is CLD.")
]
Friction = Annotated[float, Real("friction", r"\nu", low=0.1, high=8.0, help="Damping and noise on the momentum.")]
InverseMass = Annotated[float, LogReal("inverse mass", "1/M", low=0.1, high=16.0, help="How strongly momentum moves x.")]


def phase_space(gamma: float, friction: float, inverse_mass: float) -> LinearSde:
    """The process of one coordinate and its momentum."""
    drift = 0.5 * BETA * np.array([[-gamma, inverse_mass], [-1.0, -friction]])
    return LinearSde(drift, BETA * np.diag([gamma, friction / inverse_mass]))


@lru_cache(maxsize=16)
def lifted(gamma: float, friction: float, inverse_mass: float, separation: float) -> LiftedMixture:
    """Three modes on the line, carried along in phase space."""
    return LiftedMixture.of_data(
        phase_space(gamma, friction, inverse_mass), mixture_of(DATA, separation), [MOMENTUM_START / inverse_mass]
    )


def variance_preserving() -> LinearSde:
    """The process without a momentum, dx = -(beta/2) x dt + sqrt(beta) dW."""
    return LinearSde(np.array([[-0.5 * BETA]]), np.array([[BETA]]))


def gap_over_half_beta(gamma: Array | float, friction: Array | float, inverse_mass: Array | float) -> Array:
    """Rate of the slowest mode, in units of beta/2; arguments broadcast."""
    discriminant = (np.asarray(gamma) - friction) ** 2 - 4 * np.asarray(inverse_mass)
    return 0.5 * (np.asarray(gamma) + friction) - 0.5 * np.sqrt(np.maximum(discriminant, 0.0))


def discriminant_of(gamma: float, friction: float, inverse_mass: float) -> float:
    """(Gamma - nu)^2 - 4/M: negative where the pair oscillates."""
    return (gamma - friction) ** 2 - 4 * inverse_mass


def regime(gamma: float, friction: float, inverse_mass: float) -> str:
    """Under-, over- or critically damped."""
    d = discriminant_of(gamma, friction, inverse_mass)
    if abs(d) < 1e-9 * (1 + 4 * inverse_mass):
        return "critically damped"
    return "underdamped" if d < 0 else "overdamped"


@dataclass(frozen=True)
class DampingMap(Result):
    """Gap over (friction, inverse mass), and how the pair relaxes at the reader's point."""

    friction: Array  # (n_x,)
    inverse_mass: Array  # (n_y,)
    gap: Array  # (n_y, n_x) in units of beta/2
    critical: tuple[Array, Array]  # friction and inverse mass on the parabola
    time: Array  # (n_t,)
    response: Array  # (n_t,) x(t) of a unit displacement, mean path
    impulse: Array  # (n_t,) standardized momentum of the same path, m/sqrt(M)
    envelope: Array  # (n_t,) e^{-gap t}
    at: tuple[float, float, float]  # gamma, friction, inverse mass

    @property
    def here(self) -> float:
        return float(gap_over_half_beta(*self.at))

    def table(self) -> pl.DataFrame:
        x, y = np.meshgrid(self.friction, self.inverse_mass)
        cells = pl.DataFrame({"friction": x.ravel(), "inverse_mass": y.ravel(), "gap_over_half_beta": self.gap.ravel()})
        path = pl.DataFrame(
            {
                "time": self.time,
                "position_mean": self.response,
                "momentum_mean_over_sqrt_mass": self.impulse,
                "gap_envelope": self.envelope,
            }
        )
        curve = pl.DataFrame({"friction": self.critical[0], "critical_inverse_mass": self.critical[1]})
        return pl.concat([cells, path, curve], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gamma, friction, inverse_mass = self.at
        return {
            "regime": regime(*self.at),
            "damping ratio |ν − Γ|√M/2": abs(friction - gamma) / (2 * float(np.sqrt(inverse_mass))),
            "spectral gap ÷ (β/2)": self.here,
            "largest gap at this mass ÷ (β/2)": gamma + float(np.sqrt(inverse_mass)),
        }


N_MAP = 90


@experiment
def damping_map(*, gamma: Gamma = 0.3, friction: Friction = 4.0, inverse_mass: InverseMass = 4.0) -> DampingMap:
    """How fast phase-space noise mixes: eigenvalues of the drift (147, its section 3), exact.

    The gap is (beta/2) [(Gamma + nu)/2 - Re sqrt((Gamma - nu)^2 - 4/M)/2]. At a given mass it is largest at critical
    damping nu = Gamma + 2/sqrt(M), where it is (beta/2) (Gamma + 1/sqrt(M)).
    """
    x = np.linspace(0.1, 8.0, N_MAP)
    y = np.geomspace(0.1, 16.0, N_MAP)
    dense = np.linspace(0.1, 8.0, 400)
    parabola = 0.25 * (dense - gamma) ** 2
    # Both branches, left and right of nu = Gamma, where the parabola touches 0.
    inside = (parabola >= 1e-4) & (parabola <= 16.0)
    t = np.linspace(0.0, HORIZON, 160)
    path = phase_space(gamma, friction, inverse_mass).flow(t)[:, :, 0]
    return DampingMap(
        x,
        y,
        gap_over_half_beta(gamma, x[None, :], y[:, None]),
        (dense[inside], parabola[inside]),
        t,
        path[:, 0],
        path[:, 1] * np.sqrt(inverse_mass),
        np.exp(-0.5 * BETA * float(gap_over_half_beta(gamma, friction, inverse_mass)) * t),
        (gamma, friction, inverse_mass),
    )
