r"""Stochastic interpolants: how the diffusion of the sampler controls the likelihood of what wrong drifts generate.

With b^ = b + delta_b u_1 and s^ = s + delta_s u_2, u_1 = cos 1.3x, u_2 = sin(0.9x + 0.5), the law rho^ at t = 1 of
dX = (b^ + eps s^) dt + sqrt(2 eps) dW obeys (117, theorem 2.23)

    KL(rho_1 | rho^_1) <= 1/(4 eps) int E |delta_b u_1 + eps delta_s u_2|^2 dt = (A/eps + 2B + eps C)/4,

least at eps* = sqrt(A/C). The left side is by Fokker-Planck, with nothing random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from compute.experiment import Result, experiment
from compute.methods.fokker_planck import fokker_planck
from compute.methods.grids import grid_table
from compute.models.gaussian_mixture import GaussianMixture
from compute.transport_bridges.stochastic_interpolants.setting import (
    BaseModes,
    Diffusion,
    DriftError,
    Interpolant,
    Modes,
    NoiseAmplitude,
    ScoreError,
    blend,
    ends,
)

Array = NDArray[np.float64]

N_CELLS, N_STEPS = 240, 120
TAIL = 5.5  # the outermost walls stand where a standard normal law has as much mass beyond
N_FINE = 700
EPS = np.geomspace(0.02, 5.0, 12)
ERRORS = np.linspace(0.0, 1.0, 11)


def first_error(x: Array) -> Array:
    """u_1, the shape of the velocity's error."""
    return np.cos(1.3 * x)


def second_error(x: Array) -> Array:
    """u_2, the shape of the score's error."""
    return np.sin(0.9 * x + 0.5)


def _edges(laws: Sequence[GaussianMixture], n_cells: int) -> Array:
    """Edges of about ``n_cells`` cells of [0, 1]: a share even in the normal quantile, a share even in x for each law.

    The latter put cells into the gaps between modes, which hold little mass and all of the resistance to its exchange.
    """
    share = n_cells // (len(laws) + 1)
    found = [ndtr(np.linspace(-TAIL, TAIL, n_cells - len(laws) * share + 1))]
    for law in laws:
        reach = float(np.abs(law.means).max()) + 4.5 * law.width
        found.append(law.cdf(np.linspace(-reach, reach, share)))
    edges = np.sort(np.concatenate(found))
    edges = edges[(edges > 1e-8) & (edges < 1 - 1e-8)]
    apart = np.concatenate([[True], np.diff(edges) > 1e-9])
    return np.concatenate([[0.0], edges[apart], [1.0]])


class Evolution:
    """One interpolant in the coordinate u = F_t(x), the exact distribution function.

    There the exact velocity stands still and the exact law is uniform, whatever eps: the ratio f of the generated density to
    the exact one obeys df/dt = d/du(eps p^2 df/du - p e f), e = delta_b u_1 + eps delta_s u_2, p the exact density, and
    exact drifts leave f = 1 without any error of the grid.
    """

    def __init__(
        self,
        interpolant: str,
        noise_amplitude: float,
        base_modes: int,
        modes: int,
        n_cells: int = N_CELLS,
        n_steps: int = N_STEPS,
    ) -> None:
        joint = ends(base_modes, modes)
        self.law = joint.law(blend(interpolant, 1.0, noise_amplitude))
        self.edges = _edges([joint.law(blend(interpolant, t, noise_amplitude)) for t in (0.0, 0.9, 1.0)], n_cells)
        n_cells = self.edges.size - 1
        self.width, self.step = np.diff(self.edges), 1 / n_steps
        walls = self.edges[1:-1]
        self.density, self.u1, self.u2 = (np.empty((n_steps, n_cells - 1)) for _ in range(3))
        moments = np.zeros(3)
        for k in range(n_steps):
            law = joint.law(blend(interpolant, (k + 0.5) / n_steps, noise_amplitude))
            reach = float(np.abs(law.means).max()) + 6 * law.width
            fine = np.linspace(-reach, reach, N_FINE)
            x = np.interp(walls, law.cdf(fine), fine)
            p = law.pdf(fine)
            self.density[k] = law.pdf(x)
            self.u1[k], self.u2[k] = first_error(x), second_error(x)
            one, two = first_error(fine), second_error(fine)
            moments += np.array([np.sum(f * p) for f in (one**2, one * two, two**2)]) * (fine[1] - fine[0]) / n_steps
        self.moments = tuple(moments.tolist())

    def ratios(self, eps: Array, drift_error: float, score_error: float) -> Array:
        """(n_eps, n_cells) generated density over the exact one at t = 1, in each cell of u."""
        drift = drift_error * self.density * self.u1
        correction = score_error * self.density * self.u2
        start = np.ones(self.width.size)
        return fokker_planck(start, drift, correction, self.density**2, np.ascontiguousarray(eps), self.edges, self.step)

    def divergence(self, ratio: Array) -> Array:
        """KL of the exact law from the generated, in nats; 1e-9 where it is less than that."""
        return np.maximum(-np.log(np.maximum(ratio, 1e-300)) @ self.width, 1e-9)

    def bound(self, eps: Array, drift_error: float, score_error: float) -> Array:
        """The theorem's right side."""
        a, b, c = self.moments
        return 0.25 * (drift_error**2 * a / eps + 2 * drift_error * score_error * b + eps * score_error**2 * c)

    def best(self, drift_error: float, score_error: float) -> float | None:
        """eps*, the minimum of the bound."""
        return float(np.sqrt(self.moments[0] / self.moments[2]) * drift_error / score_error) if score_error else None


def lowest(values: Array) -> float:
    """Where on ``EPS`` values are least, by a parabola in log eps; NaN at an end of the range."""
    k = int(np.argmin(values))
    if k in (0, EPS.size - 1):
        return float("nan")
    before, here, after = np.log(values[k - 1 : k + 2])
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    return float(EPS[k] * (EPS[1] / EPS[0]) ** shift)


@dataclass(frozen=True)
class NoiseCurve(Result):
    """KL and its bound against the diffusion, and the generated density at the chosen one."""

    eps: Array  # (n_eps,)
    divergence: Array  # (n_eps,)
    bound: Array  # (n_eps,)
    x: Array  # (n_cells,)
    exact: Array  # (n_cells,)
    generated: dict[str, Array]  # by label: (n_cells,)
    best_bound: float | None
    at: tuple[float, float, float]  # eps, KL, bound
    drift_error: float
    score_error: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame({"diffusion": self.eps, "kl_nats": self.divergence, "kl_bound_nats": self.bound})
        law = pl.DataFrame({"x": self.x, "exact_density": self.exact} | {f"density {k}": p for k, p in self.generated.items()})
        return pl.concat([curve, law], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        least = lowest(self.divergence)
        return {
            "KL at this ε": self.at[1],
            "bound at this ε": self.at[2],
            "ε* of the bound": "none: the score is exact" if self.best_bound is None else self.best_bound,
            "ε of the least KL": least if np.isfinite(least) else "at an end of the range",
            "KL ÷ bound at this ε": self.at[1] / self.at[2] if self.at[2] > 1e-8 else "no error, no bound",
        }


@experiment
def noise_curve(
    *,
    interpolant: Interpolant = "linear",
    noise_amplitude: NoiseAmplitude = 1.0,
    diffusion: Diffusion = 0.5,
    drift_error: DriftError = 0.3,
    score_error: ScoreError = 0.3,
    base_modes: BaseModes = 2,
    modes: Modes = 3,
) -> NoiseCurve:
    """KL of the data from what wrong drifts generate, against the diffusion, with the bound (117, theorem 2.23).

    The generated density is by Fokker-Planck in the exact law's own quantiles: about 240 cells, 120 implicit steps, nothing random.
    """
    system = Evolution(interpolant, noise_amplitude, base_modes, modes)
    eps = np.append(EPS, diffusion)
    ratio = system.ratios(eps, drift_error, score_error)
    divergence = system.divergence(ratio)
    bound = system.bound(eps, drift_error, score_error)
    # From the coordinate u back to x, at the middle of each cell.
    x = np.linspace(-1, 1, 241) * (float(np.abs(system.law.means).max()) + 4 * system.law.width)
    exact = system.law.pdf(x)
    middle = 0.5 * (system.edges[1:] + system.edges[:-1])
    u = system.law.cdf(x)
    generated = {
        label: exact * np.interp(u, middle, ratio[k])
        for label, k in (("least noise, ε = 0.02", 0), (f"chosen, ε = {diffusion:.3g}", -1))
    }
    at = (diffusion, float(divergence[-1]), float(bound[-1]))
    return NoiseCurve(
        EPS, divergence[:-1], bound[:-1], x, exact, generated, system.best(drift_error, score_error), at, drift_error, score_error
    )


@dataclass(frozen=True)
class NoiseMap(Result):
    """KL over (diffusion, velocity error), with the bound's ridge and the true one."""

    eps: Array  # (n_eps,)
    error: Array  # (n_done,)
    divergence: Array  # (n_done, n_eps)
    bound: Array  # (n_done, n_eps)
    ridge: Array  # (n_done,) eps*; infinite where the score is exact
    true_ridge: Array  # (n_done,) NaN where KL is least at an end of the range

    def table(self) -> pl.DataFrame:
        grid = grid_table(
            "diffusion",
            self.eps,
            "velocity_error",
            self.error,
            kl_nats=self.divergence,
            log10_kl=np.log10(self.divergence),
            kl_bound_nats=self.bound,
        )
        inside = np.where(np.isfinite(self.ridge), self.ridge, np.nan)
        ridges = pl.DataFrame({"velocity_error": self.error, "bound_minimum": inside, "kl_minimum": self.true_ridge})
        return pl.concat([grid, ridges.with_columns(pl.col("bound_minimum", "kl_minimum").fill_nan(None))], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        last = -1
        finite, end = np.isfinite(self.ridge[last]), float(self.true_ridge[last])
        return {
            "ε* ÷ velocity error": float(self.ridge[last] / self.error[last]) if finite and self.error[last] else "none",
            "largest KL ÷ bound": float(np.max(self.divergence[1:] / self.bound[1:])) if self.error.size > 1 else "not yet",
            "ε of least KL, largest velocity error": end if np.isfinite(end) else "beyond the map",
        }


@experiment(seconds=lambda base_modes, modes, **_: 0.055 + 0.0015 * base_modes * modes)
def noise_map(
    *,
    interpolant: Interpolant = "linear",
    noise_amplitude: NoiseAmplitude = 1.0,
    diffusion: Diffusion = 0.5,
    drift_error: DriftError = 0.3,
    score_error: ScoreError = 0.3,
    base_modes: BaseModes = 2,
    modes: Modes = 3,
) -> Iterator[tuple[float, NoiseMap]]:
    """KL over (diffusion, velocity error) at one score error; where the bound is least, and where KL is."""
    system = Evolution(interpolant, noise_amplitude, base_modes, modes)
    divergence, bound, ridge, true_ridge = [], [], [], []
    for k, error in enumerate(ERRORS):
        values = system.divergence(system.ratios(EPS, float(error), score_error))
        divergence.append(values)
        bound.append(system.bound(EPS, float(error), score_error))
        ridge.append(system.best(float(error), score_error) or (0.0 if score_error else np.inf))
        true_ridge.append(lowest(values))
        yield (
            (k + 1) / ERRORS.size,
            NoiseMap(EPS, ERRORS[: k + 1], np.array(divergence), np.array(bound), np.array(ridge), np.array(true_ridge)),
        )
