"""Anisotropic noise that rotates, in the plane: spectrum, mixing, reverse paths, and the price of rotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.linear_forward_processes.process import (
    TOWARD,
    Angle,
    Anisotropy,
    Beta,
    Horizon,
    Nfe,
    Offset,
    Omega,
    ScoreError,
    divergence_to_normal,
    n_steps_of,
    planar,
    planar_data,
    planar_eigenvalues,
    reverse_flow,
    time_grid,
)
from compute.experiment import Result, experiment
from compute.models.diffusion_setting import target_of
from compute.models.gaussian_mixture import WIDTH
from compute.models.linear_sde import LiftedMixture, matrix_exponential
from compute.parameters import Seed

Array = NDArray[np.float64]

N_PARTICLES, MAX_FRAMES = 700, 40


# --- reverse paths ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spirals(Result):
    """Particles of the reverse flow, time by time, and the divergence of the exact law from the normal one."""

    time: Array  # (n_frames,)
    position: NDArray[np.float32]  # (n_frames, n, 2)
    mode: NDArray[np.int64]  # (n,)
    ellipses: Array  # (n_frames, 2, n_outline)
    divergence: Array  # (n_frames,) KL(p_t || N(0, I))
    reach: float
    gap: float
    evaluations: int
    error: float
    floor: float

    def table(self) -> pl.DataFrame:
        end = self.position[-1].astype(float)
        particles = pl.DataFrame({"x_1": end[:, 0], "x_2": end[:, 1], "mode": self.mode})
        return pl.concat([particles, pl.DataFrame({"time": self.time, "kl_to_normal": self.divergence})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "spectral gap": self.gap,
            "KL to N(0, I) at T": float(self.divergence[0]),
            "W₁ to the data": self.error,
            "W₁ of exact samples (noise floor)": self.floor,
            "evaluations used": float(self.evaluations),
        }


@experiment
def spirals(
    *,
    anisotropy: Anisotropy = 4.0,
    angle: Angle = 120.0,
    omega: Omega = 2.0,
    beta: Beta = 2.0,
    horizon: Horizon = 2.0,
    offset: Offset = 1.0,
    nfe: Nfe = 50,
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Spirals:
    """Six modes in the plane under the linear noise of paper 116, run back by Heun steps of the probability flow."""
    data = planar_data(offset)
    sde = planar(anisotropy, angle, omega, beta)
    law = LiftedMixture.of_data(sde, data)
    start = np.random.default_rng([seed, 1]).standard_normal((N_PARTICLES, 2))
    run = list(reverse_flow(law, start, nfe, horizon, score_error))
    kept = [run[k] for k in np.unique(np.rint(np.linspace(0, len(run) - 1, min(len(run), MAX_FRAMES))).astype(int))]
    laws = [law.at(t) for t, _ in kept]
    angles = np.linspace(0, 2 * np.pi, 31)
    circle = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gap = np.full((1, 2), np.nan)
    outlines = [
        np.concatenate([part for mean in at.means for part in (mean + circle @ np.linalg.cholesky(at.covariance).T, gap)]).T
        for at in laws
    ]
    end = run[-1][1]
    target, floor, _ = target_of(data, N_PARTICLES)
    return Spirals(
        np.array([t for t, _ in kept]),
        np.stack([z for _, z in kept]).astype(np.float32),
        data.responsibilities(end).argmax(axis=1),
        np.stack(outlines),
        np.array([divergence_to_normal(at, 10) for at in laws]),
        float(3.3 + offset),
        sde.gap(),
        2 * n_steps_of(nfe) + 1,
        target.w1(end),
        floor,
    )


# --- spectrum -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spectrum(Result):
    """Eigenvalues of minus the drift as the rotation grows, and the gap."""

    omega: Array  # (n,)
    eigenvalues: NDArray[np.complex128]  # (n, 2)
    gap: Array  # (n,) formula
    here: NDArray[np.complex128]  # (2,) of the matrix itself, at the reader's omega
    at: float
    critical: float
    ceiling: float
    beta: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame(
            {
                "omega": self.omega,
                "slow_real": self.eigenvalues[:, 0].real,
                "slow_imaginary": self.eigenvalues[:, 0].imag,
                "fast_real": self.eigenvalues[:, 1].real,
                "fast_imaginary": self.eigenvalues[:, 1].imag,
                "gap": self.gap,
            }
        )
        point = pl.DataFrame({"omega": [self.at] * 2, "matrix_real": self.here.real, "matrix_imaginary": self.here.imag})
        return pl.concat([curve, point], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "spectral gap": float(self.here.real.min()),
            "gap without rotation": 0.5 * self.beta,
            "highest gap any rotation reaches": self.ceiling,
            "rotation that reaches it, |a − 1|/2": self.critical,
            "turns per e-folding": float(np.abs(self.here.imag).max() / (2 * np.pi * self.here.real.min())),
        }


@experiment
def spectrum(*, anisotropy: Anisotropy = 4.0, angle: Angle = 120.0, omega: Omega = 2.0, beta: Beta = 2.0) -> Spectrum:
    """Drift eigenvalues over omega from 0 to 10 by their formula, and those of the matrix at the reader's omega."""
    grid = np.unique(np.concatenate([np.linspace(0, 10, 201), [0.5 * (anisotropy - 1)]]))
    values = planar_eigenvalues(anisotropy, grid, beta)
    here = -planar(anisotropy, angle, omega, beta).eigenvalues()
    return Spectrum(grid, values, values[:, 0].real, here, omega, 0.5 * (anisotropy - 1), 0.25 * beta * (anisotropy + 1), beta)


# --- mixing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mixing(Result):
    """KL(p_t || N(0, I)) against time for several rotations."""

    time: Array  # (n,)
    omega: Array  # (n_curves,) the reader's last
    divergence: Array  # (n_curves, n)
    gap: Array  # (n_curves,)
    rate: Array  # (n_curves,) late slope expected, 2 gap or, for centered data, 4 gap
    fitted: float  # of the reader's curve, over its last half above rounding

    def table(self) -> pl.DataFrame:
        n = self.time.size
        return pl.DataFrame(
            {
                "omega": np.repeat(self.omega, n),
                "time": np.tile(self.time, self.omega.size),
                "kl_to_normal": self.divergence.ravel(),
                "late_envelope": (self.divergence[:, :1] * np.exp(-self.rate[:, None] * self.time)).ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "spectral gap": float(self.gap[-1]),
            "KL to N(0, I) at T": float(self.divergence[-1, -1]),
            "the same without rotation": float(self.divergence[0, -1]),
            "late decay rate, fitted": self.fitted,
            "late decay rate, theory": float(self.rate[-1]),
        }


SMALLEST = 1e-13  # what quadrature can tell from 0


@experiment
def mixing(
    *,
    anisotropy: Anisotropy = 4.0,
    angle: Angle = 120.0,
    omega: Omega = 2.0,
    beta: Beta = 2.0,
    horizon: Horizon = 2.0,
    offset: Offset = 1.0,
) -> Mixing:
    """How fast the law forgets the data: KL(p_t || N(0, I)) by quadrature, for no, half, critical, double and the reader's rotation.

    At late times KL is half the squared distance of the means, which falls as e^{-2 gap t}; for centered data the covariance
    leads instead, with e^{-4 gap t}. On the critical line a polynomial factor comes on top. Values are held at 1e-13, where rounding begins.
    """
    critical = 0.5 * (anisotropy - 1)
    chosen = np.array([0.0, 0.5 * critical, critical, 2 * critical, omega])
    data = planar_data(offset)
    t = np.linspace(0.02 * horizon, horizon, 26)
    rows, gaps = [], []
    for w in chosen:
        sde = planar(anisotropy, angle, float(w), beta)
        law = LiftedMixture.of_data(sde, data)
        law.prepare(t)
        rows.append([divergence_to_normal(law.at(float(s)), 10) for s in t])
        gaps.append(float(planar_eigenvalues(anisotropy, float(w), beta)[0].real))
    divergence = np.maximum(np.array(rows), SMALLEST)
    gap = np.array(gaps)
    rate = (2 if offset > 0 else 4) * gap
    late = (np.arange(t.size) >= t.size // 2) & (divergence[-1] > 10 * SMALLEST)
    if late.sum() < 3:
        late = divergence[-1] > 10 * SMALLEST
    fitted = float(-np.polyfit(t[late], np.log(divergence[-1][late]), 1)[0]) if late.sum() > 2 else 0.0
    return Mixing(t, chosen, divergence, gap, rate, fitted)


# --- gap and price over (anisotropy, omega) -----------------------------------------------------------------------------

MAP_OMEGA, MAP_ANISOTROPY = np.linspace(0.0, 10.0, 41), np.geomspace(1.0, 20.0, 36)


@dataclass(frozen=True)
class PriceMap(Result):
    """Gap, and exact distance to Gaussian data after so many evaluations, over (anisotropy, omega)."""

    anisotropy: Array  # (n_x,)
    omega: Array  # (n_y,)
    gap: Array  # (n_y, n_x)
    error: Array  # (n_y, n_x) W2 to the data
    critical: tuple[Array, Array]
    best_omega: Array  # (n_x,) where the error is least
    here: float
    still: float  # the same without rotation
    forgotten: float  # the same with an exact integrator: what the start costs
    at_gap: float

    def table(self) -> pl.DataFrame:
        x, y = np.meshgrid(self.anisotropy, self.omega)
        cells = pl.DataFrame(
            {
                "anisotropy": x.ravel(),
                "omega": y.ravel(),
                "gap": self.gap.ravel(),
                "w2_to_data": self.error.ravel(),
                "log10_w2_to_data": np.log10(self.error).ravel(),
            }
        )
        best = pl.DataFrame({"anisotropy": self.anisotropy, "best_omega": self.best_omega})
        return pl.concat([cells, best], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "spectral gap": self.at_gap,
            "W₂ to the data": self.here,
            "the same without rotation": self.still,
            "of it, from the start N(0, I)": self.forgotten,
        }


def gaussian_w2(drift: Array, diffusion: Array, n_steps: int, horizon: float, offset: float) -> Array:
    """W2 to N(offset, 0.3^2 I) of n Heun steps of the probability flow from N(0, I); the flow is linear and so is a step.

    With N(0, I) stationary, C_t = I + (0.09 - 1) E E^T and mean E m with E = e^{drift t}.

    Parameters
    ----------
    drift : (n, 2, 2) array
    diffusion : (n, 2, 2) array
        G G^T of each.
    n_steps : int
    horizon, offset : float

    Returns
    -------
    (n,) array
    """
    times, mean = time_grid(max(n_steps, 1), horizon), offset * TOWARD
    exponent = matrix_exponential(drift[:, None] * times[:, None, None])
    covariance = np.eye(2) + (WIDTH**2 - 1) * exponent @ np.swapaxes(exponent, -1, -2)
    means = exponent @ mean
    pull = 0.5 * diffusion[:, None] @ np.linalg.inv(covariance)
    slope = drift[:, None] + pull  # velocity = slope z - pull mean_t
    shift = np.einsum("ntij,ntj->nti", pull, means)
    # z = matrix z_T + vector
    matrix = np.broadcast_to(np.eye(2), drift.shape).copy()
    vector = np.zeros(drift.shape[:2])
    for i in range(n_steps):
        h = times[i + 1] - times[i]
        first_m, first_v = slope[:, i] @ matrix, np.einsum("nij,nj->ni", slope[:, i], vector) - shift[:, i]
        ahead_m, ahead_v = matrix + h * first_m, vector + h * first_v
        next_m = slope[:, i + 1] @ ahead_m
        next_v = np.einsum("nij,nj->ni", slope[:, i + 1], ahead_v) - shift[:, i + 1]
        matrix, vector = matrix + 0.5 * h * (first_m + next_m), vector + 0.5 * h * (first_v + next_v)
        matrix, vector = np.clip(matrix, -1e6, 1e6), np.clip(vector, -1e6, 1e6)
    # E[z_0 | z_t] = m + 0.09 E^T C^{-1} (z - mean_t)
    keep = WIDTH**2 * np.swapaxes(exponent[:, -1], -1, -2) @ np.linalg.inv(covariance[:, -1])
    out_mean = np.einsum("nij,nj->ni", keep, vector - means[:, -1])
    # sum (singular value - 0.3)^2 = |M|^2 - 2 (0.3) |M|_nuclear + 2 (0.09), with |M|_nuclear^2 = |M|^2 + 2 |det M|
    whole = keep @ matrix
    square = np.sum(whole**2, axis=(1, 2))
    nuclear = np.sqrt(square + 2 * np.abs(np.linalg.det(whole)))
    return np.sqrt(np.sum(out_mean**2, axis=1) + np.maximum(square - 2 * WIDTH * nuclear + 2 * WIDTH**2, 0.0))


def _family(anisotropy: Array, omega: Array, angle: float, beta: float) -> tuple[Array, Array]:
    """Drifts and diffusions of many processes."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    fast = np.array([[c * c, c * s], [c * s, s * s]])
    inverse = np.eye(2) + (anisotropy - 1)[:, None, None] * fast
    skew = omega[:, None, None] * np.array([[0.0, 1.0], [-1.0, 0.0]])
    return -0.5 * beta * (inverse + skew), beta * inverse


@experiment
def price_map(
    *,
    anisotropy: Anisotropy = 4.0,
    omega: Omega = 2.0,
    angle: Angle = 120.0,
    beta: Beta = 2.0,
    horizon: Horizon = 2.0,
    offset: Offset = 1.0,
    nfe: Nfe = 50,
) -> PriceMap:
    """What rotation buys and what it costs: the gap, and the exact W2 to the data N(offset, 0.3^2 I) after nfe evaluations.

    Every Heun step of the reverse flow is affine on Gaussian data, so that the law at the end is exact. Of more
    than 121 evaluations 121 are used.
    """
    n_steps = min(n_steps_of(nfe), 60)
    x, y = (grid.ravel() for grid in np.meshgrid(MAP_ANISOTROPY, MAP_OMEGA))
    shape = (MAP_OMEGA.size, MAP_ANISOTROPY.size)
    error = np.maximum(gaussian_w2(*_family(x, y, angle, beta), n_steps, horizon, offset), 1e-9).reshape(shape)
    here = _family(np.array([anisotropy] * 2), np.array([omega, 0.0]), angle, beta)
    moving = gaussian_w2(*here, n_steps, horizon, offset)
    # 150 steps leave hardly anything but the start.
    start = gaussian_w2(here[0][:1], here[1][:1], 150, horizon, offset)
    return PriceMap(
        MAP_ANISOTROPY,
        MAP_OMEGA,
        planar_eigenvalues(x, y, beta)[:, 0].real.reshape(shape),
        error,
        (MAP_ANISOTROPY, 0.5 * (MAP_ANISOTROPY - 1)),
        MAP_OMEGA[error.argmin(axis=0)],
        float(moving[0]),
        float(moving[1]),
        float(start[0]),
        float(planar_eigenvalues(anisotropy, omega, beta)[0].real),
    )
