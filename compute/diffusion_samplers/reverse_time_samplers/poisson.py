"""Reverse-time samplers: the Poisson flow of PFGM++, small augmented dimension against large, under injected noise (038)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models import poisson_flow
from compute.models.diffusion_setting import Data, Nfe, Separation, SigmaMax, mixture_of, target_of
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import SCHEDULES
from compute.parameters import LogReal, Real, Seed

Array = NDArray[np.float64]

AugmentedDimension = Annotated[
    float,
    LogReal("augmented dimension", "D", low=1.0, high=1e6, help="Of PFGM++: 1 is the Poisson flow, large D is diffusion."),
]
InjectedNoise = Annotated[
    float,
    Real("injected noise", r"\alpha", low=0.0, high=1.0, help="White noise of size alpha sigma put on the state before each step."),
]

AUGMENTED = np.array([1, 2, 4, 8, 32, 128, 1000, 1e5, 1e6])
INJECTED = np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0])
N_POISSON = 450


@dataclass(frozen=True)
class PoissonMap(Result):
    """W1 of PFGM++ over (augmented dimension, injected noise), and the law of the start radius."""

    augmented: Array  # (n_done,)
    injected: Array  # (n_injected,)
    error: Array  # (n_injected, n_done)
    floor: float
    ratio: Array  # (n_curve,) R/r
    density: dict[float, Array]  # by D: (n_curve,) exact density of R/r times sqrt(D)
    centers: Array  # (n_bins,)
    simulated: Array  # (n_bins,)
    simulated_error: Array  # (n_bins,)
    at: tuple[float, float]
    at_error: float
    diffusion_error: float
    dimension: int

    def table(self) -> pl.DataFrame:
        augmented, injected = np.meshgrid(self.augmented, self.injected)
        grid = pl.DataFrame(
            {
                "augmented_dimension": augmented.ravel(),
                "log10_augmented_dimension": np.log10(augmented).ravel(),
                "injected_noise": injected.ravel(),
                "w1": self.error.ravel(),
                "log10_w1": np.log10(self.error).ravel(),
            }
        )
        law = pl.DataFrame({"radius_over_sigma": self.ratio} | {f"density_D_{d:g}": p for d, p in self.density.items()})
        histogram = pl.DataFrame(
            {"radius_over_sigma": self.centers, "simulated_density": self.simulated, "standard_error": self.simulated_error}
        )
        return pl.concat([grid, law, histogram], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        best = int(self.error[np.argmin(np.abs(self.injected - self.at[1]))].argmin())
        return {
            "W₁ at this D and noise": self.at_error,
            "W₁ of diffusion (D → ∞) at this noise": self.diffusion_error,
            "best D at this noise": float(self.augmented[best]),
            "noise floor": self.floor,
        }


def poisson_run(mixture: GaussianMixture, levels: Array, augmented: float, injected: float, seed: int) -> Array:
    """(N_POISSON, d) samples of PFGM++ by Euler steps, noise of size injected*sigma put on the state before each.

    The protocol of 038, section 5: x_r <- x_r + alpha eps, eps ~ N(0, r^2/D I). Every setting shares its random numbers.
    """
    rng = np.random.default_rng([seed, 2])
    y = poisson_flow.prior(rng, N_POISSON, mixture.dimension, float(levels[0]), augmented)
    rng = np.random.default_rng([seed, 3])
    for sigma, sigma_next in itertools.pairwise(levels):
        y = y + injected * sigma * rng.standard_normal(y.shape)
        ratio = sigma_next / sigma
        y = ratio * y + (1 - ratio) * poisson_flow.denoise(mixture, y, sigma, augmented, spacing=1.0)
    return y


def _seconds_of_poisson(*, data: str, nfe: int, **_: object) -> float:
    mixture = mixture_of(data, 3.0)
    nodes = [poisson_flow.log_variances(1.0, d, mixture.dimension, 1.0).size for d in AUGMENTED if d <= poisson_flow.GAUSSIAN_ABOVE]
    each = 6e-5 * len(nodes) + 4.5e-9 * sum(nodes) * mixture.n_components * N_POISSON
    return INJECTED.size * nfe * (each + 1e-8 * N_POISSON * mixture.dimension * len(nodes))


@experiment(seconds=_seconds_of_poisson)
def poisson_map(
    *,
    data: Data = "ring_2d",
    separation: Separation = 3.0,
    nfe: Nfe = 20,
    sigma_max: SigmaMax = 20.0,
    augmented_dimension: AugmentedDimension = 128.0,
    injected_noise: InjectedNoise = 0.5,
    seed: Seed = 0,
) -> Iterator[tuple[float, PoissonMap]]:
    """PFGM++ with noise injected into its states: small D is robust, large D (diffusion) is rigid.

    Euler steps on the EDM grid with the exact field of the mixture under the kernel (|y - x|^2 + r^2)^{-(N+D)/2},
    r = sigma sqrt(D). The start radius obeys R^2/r^2 ~ BetaPrime(N/2, D/2).
    """
    mixture, schedule = mixture_of(data, separation), SCHEDULES["EDM"]
    dimension = mixture.dimension
    levels = schedule.levels(nfe, sigma_max)
    target, floor, _ = target_of(mixture, N_POISSON)
    top = 4.0 * np.sqrt(dimension)
    edges = np.linspace(0, top, 41)
    finite = min(augmented_dimension, 1e5)
    rng = np.random.default_rng([seed, 4])
    radius = np.linalg.norm(poisson_flow.prior(rng, 20_000, dimension, 1.0, finite), axis=1)
    p = np.histogram(radius, edges)[0] / radius.size
    ratio = np.linspace(0, top, 161)[1:]
    density = {
        d: poisson_flow.radius_density(ratio / np.sqrt(d), dimension, d) / np.sqrt(d) for d in sorted({1.0, 8.0, finite, 1e5})
    }
    at = (augmented_dimension, injected_noise)
    at_error = target.w1(poisson_run(mixture, levels, *at, seed))
    diffusion_error = target.w1(poisson_run(mixture, levels, np.inf, injected_noise, seed))
    error = np.empty((INJECTED.size, AUGMENTED.size))
    # From the cheap end, so that the picture fills at once.
    for done, i in enumerate(range(AUGMENTED.size - 1, -1, -1), start=1):
        error[:, i] = [target.w1(poisson_run(mixture, levels, AUGMENTED[i], a, seed)) for a in INJECTED]
        yield (
            done / AUGMENTED.size,
            PoissonMap(
                AUGMENTED[i:],
                INJECTED,
                error[:, i:],
                floor,
                ratio,
                density,
                0.5 * (edges[1:] + edges[:-1]),
                p / (edges[1] - edges[0]),
                np.sqrt(p * (1 - p) / radius.size) / (edges[1] - edges[0]),
                at,
                at_error,
                diffusion_error,
                dimension,
            ),
        )
