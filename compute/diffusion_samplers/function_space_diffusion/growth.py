r"""What K modes cost: energy of the noise, and the gap that stopping at a finite horizon leaves.

At time T a mode of Gaussian data has the variance r q, q = 1 + (v/r - 1) e^{-T}; the sampler starts from r instead. Over K modes

    E|noise|^2 = sum r,    KL = (1/2) sum [q - 1 - log q],    W2^2 = sum r (sqrt(q) - 1)^2.

With v_k/r_k growing as k^{2(s-a)/d}: for a > s each high mode adds (1/2)(-log(1 - e^{-T}) - e^{-T}), a linear growth; for a < s
KL grows as K^{1 + 2(s-a)/d}, and before v_K/r_K passes e^T as K^{1 + 4(s-a)/d}; at a = s there is no gap. W2 is finite for
every trace-class noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.diffusion_samplers.function_space_diffusion.setting import (
    DIMENSION,
    MOST_MESH_MODES,
    Array,
    DataSmoothness,
    DomainName,
    Horizon,
    NModes,
    NoiseSmoothness,
    check_modes,
    eigenvalues,
    powers,
)
from compute.experiment import Result, experiment
from compute.parameters import Seed

MOST_MODES = 512
N_DRAWS = 300
GRID = 16  # cells of the map to a unit of smoothness
LEAST_KL = 1e-13  # below it the sum is rounding


def excess(ratio: Array, horizon: float) -> Array:
    """q - 1 for v/r = ``ratio``."""
    return np.asarray((ratio - 1) * np.exp(-horizon))


def kl_terms(gap: Array) -> Array:
    """(1/2)(q - 1 - log q) at ``gap`` = q - 1; by its series where the difference would lose its digits."""
    small = np.abs(gap) < 1e-3
    near = gap**2 * (0.25 - gap / 6 + gap**2 / 8)
    return np.asarray(np.where(small, near, 0.5 * (gap - np.log1p(np.where(small, 0.0, gap)))))


def asymptotic_exponent(data_smoothness: float, noise_smoothness: float, dimension: int) -> float:
    """Of the terminal KL in K, as K grows without end."""
    if data_smoothness == noise_smoothness:
        return 0.0
    return 1 + 2 * max(noise_smoothness - data_smoothness, 0.0) / dimension


@dataclass(frozen=True)
class Growth(Result):
    """Sums over modes as their number grows.

    Parameters
    ----------
    modes : (n,) array
        Numbers of modes.
    energy, white : (n,) arrays
        E|noise|^2 of smoothness s and of white noise.
    kl, w2 : (n,) arrays
        Terminal gap, in nats and in the norm of functions.
    few : (m,) array
        Numbers at which draws are compared.
    energy_drawn, energy_error, kl_drawn, kl_error, w2_drawn, w2_error : (m,) arrays
        Over draws of the law at T.
    exponent : float
        Of KL, without end.
    at : int
        K, the reader's own number.
    """

    modes: Array
    energy: Array
    white: Array
    kl: Array
    w2: Array
    few: Array
    energy_drawn: Array
    energy_error: Array
    kl_drawn: Array
    kl_error: Array
    w2_drawn: Array
    w2_error: Array
    exponent: float
    at: int

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame(
            {"modes": self.modes, "E‖X‖²": self.energy, "white E‖X‖²": self.white, "KL (nats)": self.kl, "W2": self.w2}
        )
        drawn = pl.DataFrame(
            {
                "modes": self.few,
                "drawn E‖X‖²": self.energy_drawn,
                "SE of E‖X‖²": self.energy_error,
                "drawn KL (nats)": self.kl_drawn,
                "SE of KL": self.kl_error,
                "drawn W2": self.w2_drawn,
                "SE of W2": self.w2_error,
            }
        )
        return pl.concat([theory, drawn], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        here = self.at - 1
        seen = self.kl_error > 0
        z = (self.kl_drawn - np.interp(self.few, self.modes, self.kl))[seen] / self.kl_error[seen]
        return {
            "E‖X‖² of the noise at K": float(self.energy[here]),
            "terminal KL at K (nats)": float(self.kl[here]),
            "terminal W₂ at K": float(self.w2[here]),
            "KL grows as K to the power": self.exponent if self.kl[here] > 0 else "no gap: a = s",
            "draws against theory of KL, largest (SE)": float(np.abs(z).max()) if z.size else "no gap to measure",
        }


@experiment
def mode_growth(
    *,
    domain: DomainName = "interval",
    noise_smoothness: NoiseSmoothness = 1.0,
    data_smoothness: DataSmoothness = 1.5,
    modes: NModes = 64,
    horizon: Horizon = 4.0,
    seed: Seed = 0,
) -> Growth:
    """Energy of the noise and terminal gap of Gaussian data against the number of modes, exact and by draws."""
    check_modes(domain, modes)
    most = MOST_MESH_MODES if domain == "bumpy sphere" else MOST_MODES
    eigenvalue = eigenvalues(domain, most)
    data, noise = powers(eigenvalue, data_smoothness), powers(eigenvalue, noise_smoothness)
    gap = excess(data / noise, horizon)
    few = np.unique(np.rint(np.geomspace(1, most, 12)).astype(int))
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((N_DRAWS, most))
    q = 1 + gap
    # Of one draw: log of the law at T over stationary noise, and its squared distance to where the optimal map takes it.
    energy_of = np.cumsum(noise * z**2, axis=1)[:, few - 1]
    kl_of = np.cumsum(0.5 * (q * z**2 - z**2 - np.log(q)), axis=1)[:, few - 1]
    w2_of = np.cumsum(noise * (np.sqrt(q) - 1) ** 2 * z**2, axis=1)[:, few - 1]
    w2 = np.sqrt(np.cumsum(noise * (np.sqrt(q) - 1) ** 2))
    w2_drawn = np.sqrt(w2_of.mean(axis=0))
    return Growth(
        np.arange(1.0, most + 1),
        np.cumsum(noise),
        np.arange(1.0, most + 1),
        np.cumsum(kl_terms(gap)),
        w2,
        few.astype(float),
        energy_of.mean(axis=0),
        _error(energy_of),
        kl_of.mean(axis=0),
        _error(kl_of),
        w2_drawn,
        _error(w2_of) / (2 * np.where(w2_drawn > 0, w2_drawn, 1.0)),
        asymptotic_exponent(data_smoothness, noise_smoothness, DIMENSION[domain]),
        modes,
    )


def _error(draws: Array) -> Array:
    return np.asarray(draws.std(axis=0, ddof=1) / np.sqrt(draws.shape[0]))


@dataclass(frozen=True)
class GrowthMap(Result):
    """Local growth exponent of the terminal KL.

    Parameters
    ----------
    data_smoothness, noise_smoothness : (n,), (m,) arrays
        a and s.
    exponent : (m, n) array
        log2 of KL at K modes over KL at K/2; not a number where there is no gap.
    dimension : int
    here : float or None
        At the reader's own a and s, where there is a gap.
    endless : float
        Its limit as K grows.
    """

    data_smoothness: Array
    noise_smoothness: Array
    exponent: Array
    dimension: int
    here: float | None
    endless: float

    def table(self) -> pl.DataFrame:
        s, a = np.meshgrid(self.noise_smoothness, self.data_smoothness, indexing="ij")
        frame = pl.DataFrame({"data smoothness a": a.ravel(), "noise smoothness s": s.ravel(), "exponent": self.exponent.ravel()})
        return frame.with_columns(pl.col("exponent").fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        return {
            "growth exponent of KL at K": "no gap: a = s" if self.here is None else self.here,
            "its limit as K grows": self.endless,
            "noise is trace class for s above": self.dimension / 2,
        }


def local_exponent(ratio_log: Array, difference: Array, horizon: float) -> Array:
    """log2 of KL over all modes by KL over the first half, for v/r = exp(difference log u): (n,) from differences (n,)."""
    gap = excess(np.exp(np.multiply.outer(difference, ratio_log)), horizon)
    terms = kl_terms(gap)
    half = ratio_log.size // 2
    first, second = terms[:, :half].sum(axis=1), terms[:, half:].sum(axis=1)
    exact = np.full(difference.size, np.nan)
    seen = first > LEAST_KL
    exact[seen] = np.log2(1 + second[seen] / first[seen])
    return exact


@experiment
def growth_map(
    *,
    domain: DomainName = "interval",
    noise_smoothness: NoiseSmoothness = 1.0,
    data_smoothness: DataSmoothness = 1.5,
    modes: NModes = 64,
    horizon: Horizon = 4.0,
) -> GrowthMap:
    """How fast the terminal KL grows at K modes, over smoothness of data and of noise."""
    check_modes(domain, modes)
    log_u = np.log(eigenvalues(domain, 2 * (modes // 2)))
    log_u = log_u - log_u[0]
    a, s = np.arange(8, 65) / GRID, np.arange(49) / GRID
    # Only s - a enters, and the grids' spacing is the same: one row of differences serves the whole map.
    row = local_exponent(log_u, np.arange(-64, 41) / GRID, horizon)
    exponent = row[np.rint((s[:, None] - a) * GRID).astype(int) + 64]
    here = local_exponent(log_u, np.array([noise_smoothness - data_smoothness]), horizon)[0]
    dimension = DIMENSION[domain]
    return GrowthMap(
        a,
        s,
        exponent,
        dimension,
        float(here) if np.isfinite(here) else None,
        asymptotic_exponent(data_smoothness, noise_smoothness, dimension),
    )
