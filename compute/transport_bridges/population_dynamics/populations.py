r"""Flow matching over many populations whose members interact: what is lost by a field that does not know its population.

Population p has the mean m_p ~ N(0, tau^2) and members N(m_p, v0); dx/dt = -theta x - kappa (x - mean). At time t the means have the
variance B = tau^2 e^{-2 theta t} and members about them W = v0 e^{-2 (theta + kappa) t}. The field that knows only x learns

    -(theta + kappa) x + kappa r_t x,    r_t = B/(B + W),    and is left with int_0^1 kappa^2 B W/(B + W) dt.

A field that also takes an embedding of the population, its particles' mean and higher moments, is learned here by least squares on P
populations of n particles, at a few times, from velocities with noise of variance g/STEP each; it errs on a new population by what n
particles leave unknown of the mean and by having learned its coefficients from P populations. To leading order the gain is

    int kappa^2 [B W/(B + W) - e_t (1 + h)] dt - h g/(n STEP),   h = q/(P - q - 1),   e_t = e^{-2 theta t} tau^2 (v0/n)/(tau^2 + v0/n)

and its zero is the line on the map, for P > q + 1: what populations leave unknown and the noise of their velocities are errors
of whole populations, of which there are P, and h is least squares' excess at q coefficients. Without interaction an embedding
only costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from scipy.special import eval_hermitenorm, factorial

from compute.experiment import Result, experiment
from compute.parameters import Integer, LogInteger, Real, Seed
from compute.transport_bridges.population_dynamics.setting import Array, Diffusion, Kappa, Particles, Theta

Populations = Annotated[int, LogInteger("populations", "P", low=2, high=40, help="To learn from.")]
Embedding = Annotated[int, Integer("embedding", "q", low=1, high=8, help="Moments of a population that the field is given.")]
Between = Annotated[
    float,
    Real("spread of means", r"\tau", low=0.2, high=3.0, help="Deviation of the populations' means; members have variance 0.5."),
]

WITHIN = 0.5
STEP = 0.1  # over which a velocity is observed
TIMES, WEIGHTS = np.polynomial.legendre.leggauss(4)
TIMES, WEIGHTS = (TIMES + 1) / 2, WEIGHTS / 2
FINE_TIMES, FINE_WEIGHTS = np.polynomial.legendre.leggauss(40)
FINE_TIMES, FINE_WEIGHTS = (FINE_TIMES + 1) / 2, FINE_WEIGHTS / 2
COUNTS = np.array([2, 3, 4, 5, 7, 9, 12, 16, 21, 29, 40])
N_KAPPA = 29
N_REPEATS = 12
RIDGE = 1e-6
"""Over the number of rows: enough to keep fewer populations than moments solvable."""


def between_within(theta: float, kappa: Array | float, tau: float, t: Array, within: float = WITHIN) -> tuple[Array, Array]:
    """Variances of the populations' means, and of members about them, at times t."""
    return np.asarray(tau**2 * np.exp(-2 * theta * t)), np.asarray(within * np.exp(-2 * (theta + kappa) * t))


def plain_residual(theta: float, kappa: float, tau: float, within: float = WITHIN) -> float:
    """What the best field of x alone leaves: int kappa^2 B W/(B + W) dt over [0, 1]."""
    b, w = between_within(theta, kappa, tau, FINE_TIMES, within)
    return float(np.sum(FINE_WEIGHTS * kappa**2 * b * w / (b + w)))


def plain_map(theta: float, kappa: float, tau: float, within: float = WITHIN) -> float:
    """The factor by which the best field of x alone carries x over [0, 1]."""
    b, w = between_within(theta, kappa, tau, FINE_TIMES, within)
    return float(np.exp(np.sum(FINE_WEIGHTS * (-(theta + kappa) + kappa * b / (b + w)))))


def embed(particles: Array, q: int) -> Array:
    """(P, q) moments of populations (P, n): the mean, then Hermite moments about it, sqrt(n) mean He_k(z)/sqrt(k!), k = 2 … q.

    Of normal populations those are of mean 0, variance 1 and uncorrelated with each other and with the mean, to order 1/n: they
    tell nothing. The order of particles does not matter.
    """
    ordered = np.sort(particles, axis=1)
    n = ordered.shape[1]
    mean = ordered.mean(axis=1, keepdims=True)
    z = (ordered - mean) / np.sqrt(WITHIN)
    columns = [mean[:, 0]]
    for k in range(2, q + 1):
        columns.append(np.sqrt(n / factorial(k)) * eval_hermitenorm(k, z).mean(axis=1))
    return np.stack(columns, axis=1)


def predicted_gain(theta: float, kappa: Array, tau: float, g: float, n: int, q: int, populations: Array) -> Array:
    """(len(populations), len(kappa)) gain to leading order; see the module."""
    t = FINE_TIMES[:, None, None]
    p, k = populations[None, :, None], kappa[None, None, :]
    with np.errstate(divide="ignore"):
        excess = np.where(p > q + 1, q / np.maximum(p - q - 1, 0.0), np.inf)
    b, w = between_within(theta, k, tau, t)
    unknown = np.exp(-2 * theta * t) * tau**2 * (WITHIN / n) / (tau**2 + WITHIN / n)
    lost = k**2 * (b * w / (b + w) - unknown) - excess * (k**2 * unknown + g / (n * STEP))
    return np.asarray(np.sum(FINE_WEIGHTS[:, None, None] * lost, axis=0))


@dataclass(frozen=True)
class GainMap(Result):
    """What an embedding gains over kappa and the number of populations.

    Parameters
    ----------
    kappa : (n_kappa,) array
    populations : (n_p,) array
    gain : (n_p, n_kappa) array
        1 - error with embedding/error without, on new populations, mean over repeats.
    gain_error : (n_p, n_kappa) array
        Standard error.
    line : (n_p, 2) array
        Kappa below and above zero at which the gain vanishes to leading order; not a number beyond the map.
    residual, factor : float
        Of plain flow matching with infinite data, at the reader's kappa: what is left, and how far x is carried.
    here, here_error : float
        Relative gain at the place of the map nearest to the reader's, and its standard error.
    """

    kappa: Array
    populations: Array
    gain: Array
    gain_error: Array
    line: Array
    residual: float
    factor: float
    here: float
    here_error: float

    def table(self) -> pl.DataFrame:
        p, k = np.meshgrid(self.populations, self.kappa, indexing="ij")
        frame = pl.DataFrame(
            {
                "interaction": k.ravel(),
                "populations": p.ravel(),
                "gain": self.gain.ravel(),
                "standard error": self.gain_error.ravel(),
            }
        )
        lines = [
            pl.DataFrame({"populations": self.populations, "zero gain (theory), interaction": self.line[:, side]})
            for side in (0, 1)
        ]
        return pl.concat([frame, *lines], how="diagonal").fill_nan(None)

    def headline(self) -> dict[str, float | str]:
        return {
            "residual of the plain field": self.residual,
            "its map over the whole time, factor": self.factor,
            "relative gain of the embedding here": self.here,
            "its standard error": self.here_error,
        }


def learned_errors(
    rng: np.random.Generator, theta: float, tau: float, g: float, n: int, q: int, kappa: Array
) -> tuple[Array, Array]:
    """Mean squared errors on a new population, (n_p, n_kappa), of the plain field and of the one with an embedding; one repeat.

    Rows of the regressions are members; only their sums over each population enter.
    """
    most = int(COUNTS[-1])
    mean = tau * rng.standard_normal(most)
    apart = np.sqrt(WITHIN) * rng.standard_normal((most, n))
    e = embed(mean[:, None] + apart, q)
    apart_sum, apart_square = apart.sum(axis=1), np.sum(apart**2, axis=1)
    plain, meta = np.zeros((COUNTS.size, kappa.size)), np.zeros((COUNTS.size, kappa.size))
    for t, weight in zip(TIMES, WEIGHTS, strict=True):
        kicks = np.sqrt(g / STEP) * rng.standard_normal((most, n))
        kick_sum, kick_apart = kicks.sum(axis=1), np.sum(kicks * apart, axis=1)
        now, shrink = mean * np.exp(-theta * t), np.exp(-(theta + kappa) * t)[:, None]
        x_sum = n * now + shrink * apart_sum
        x_square = n * now**2 + 2 * shrink * now * apart_sum + shrink**2 * apart_square
        # The velocity less -(theta + kappa) x, which every field here can have: kappa times the mean, and noise.
        gram = np.empty((kappa.size, most, q + 1, q + 1))
        gram[..., 0, 0] = x_square
        gram[..., 0, 1:] = gram[..., 1:, 0] = x_sum[..., None] * e
        gram[..., 1:, 1:] = n * e[:, :, None] * e[:, None, :]
        moment = np.empty((kappa.size, most, q + 1))
        moment[..., 0] = kappa[:, None] * now * x_sum + now * kick_sum + shrink * kick_apart
        moment[..., 1:] = (n * kappa[:, None] * now + kick_sum)[..., None] * e
        gram, moment = (np.cumsum(a, axis=1)[:, COUNTS - 1] for a in (gram, moment))
        plain_w = moment[..., 0] / gram[..., 0, 0]
        ridge = RIDGE * n * COUNTS[:, None, None] * np.eye(q + 1)
        meta_w = np.linalg.solve(gram + ridge, moment[..., None])[..., 0]
        plain += weight * _new_error(plain_w[..., None], theta, tau, kappa, n, t).T
        meta += weight * _new_error(meta_w, theta, tau, kappa, n, t).T
    return plain, meta


def _new_error(w: Any, theta: float, tau: float, kappa: Array, n: int, t: float) -> Array:
    """Mean squared error on a new population of coefficients (n_kappa, n_p, 1 or 1 + q) of x and the moments.

    With m, the error e of the sample's mean and a member's deviation d, independent to order 1/n:
    error = kappa m e^{-theta t} - w_0 (m e^{-theta t} + d) - w_1 (m + e) - noise of the other moments, each of variance 1.
    """
    decay = np.exp(-theta * t)
    k = kappa[:, None]
    first = w[..., 1] if w.shape[-1] > 1 else 0.0
    rest = np.sum(w[..., 2:] ** 2, axis=-1) if w.shape[-1] > 2 else 0.0
    within = WITHIN * np.exp(-2 * (theta + k) * t)
    return np.asarray(tau**2 * ((k - w[..., 0]) * decay - first) ** 2 + w[..., 0] ** 2 * within + first**2 * WITHIN / n + rest)


@experiment
def gain_map(
    *,
    theta: Theta = 1.0,
    kappa: Kappa = 1.5,
    populations: Populations = 10,
    embedding: Embedding = 3,
    between: Between = 1.0,
    particles: Particles = 50,
    diffusion: Diffusion = 0.02,
    seed: Seed = 0,
) -> GainMap:
    """What a field gains by knowing its population, over interaction and number of populations (after Atanackovic et al. 2024)."""
    grid = np.linspace(-2, 5, N_KAPPA)
    runs = [
        learned_errors(np.random.default_rng([seed, r]), theta, between, diffusion, particles, embedding, grid)
        for r in range(N_REPEATS)
    ]
    plain, meta = (np.array(part) for part in zip(*runs, strict=True))
    ratio = meta.mean(axis=0) / plain.mean(axis=0)
    error = (meta - ratio * plain).std(axis=0, ddof=1) / np.sqrt(N_REPEATS) / plain.mean(axis=0)
    fine = np.linspace(-2, 5, 561)
    predicted = predicted_gain(theta, fine, between, diffusion, particles, embedding, COUNTS.astype(float))
    line = np.array([[_first_zero(fine, row, -1), _first_zero(fine, row, 1)] for row in predicted])
    i = int(np.argmin(np.abs(np.log(COUNTS / populations))))
    j = int(np.argmin(np.abs(grid - kappa)))
    return GainMap(
        grid,
        COUNTS.astype(float),
        1 - ratio,
        error,
        line,
        plain_residual(theta, kappa, between),
        plain_map(theta, kappa, between),
        float(1 - ratio[i, j]),
        float(error[i, j]),
    )


def _first_zero(kappa: Array, gain: Array, side: int) -> float:
    """Where the gain first turns positive away from kappa = 0, on one side."""
    k, v = (kappa[kappa >= 0], gain[kappa >= 0]) if side > 0 else (kappa[kappa <= 0][::-1], gain[kappa <= 0][::-1])
    above = np.flatnonzero(v > 0)
    if above.size == 0 or above[0] == 0:
        return float("nan")
    i = above[0]
    return float(k[i - 1] + (k[i] - k[i - 1]) * v[i - 1] / (v[i - 1] - v[i]))
