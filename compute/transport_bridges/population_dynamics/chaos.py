r"""Propagation of chaos, exactly: N particles that pull each other towards their mean, and a cloud that grows by subdivision.

dX_i = -theta X_i dt - kappa (X_i - mean) dt + sqrt(g) dW_i splits into the mean, an OU of rate theta and noise g/N, and deviations of
rate theta + kappa: the stationary variance of one particle is

    (N-1)/N g/(2 (theta + kappa)) + (1/N) g/(2 theta) = g/(2 (theta + kappa)) (1 + kappa/(theta N)),

so that with r = 1 + kappa/(theta N) one particle is KL = (r - 1 - log r)/2 ~ kappa^2/(4 theta^2 N^2) from the mean-field limit and
W2 = sd (sqrt(r) - 1) ~ 1/N.

Subdivision (paper 193): a cloud of N points comes back from noise along the exact score; few particles start, and each splits into
two that go on independently, at chosen noise levels. Points that split late stay close: fewer scores, a worse cloud.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import directions
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Seed
from compute.transport_bridges.population_dynamics.setting import Array, Diffusion, Kappa, Theta

Shape = Annotated[str, Choice("shape", options=("letter", "ring", "two rings"))]
Cloud = Annotated[int, LogInteger("points", "N", low=64, high=2048, help="Of the finished cloud.")]
Subdivisions = Annotated[int, Integer("subdivisions", low=0, high=5, help="Each doubles the particles.")]
LastSplit = Annotated[
    float, LogReal("last split at noise", r"\sigma_{\mathrm{split}}", low=0.05, high=3.0, help="The others stand evenly before it.")
]
ReverseSteps = Annotated[int, LogInteger("steps", low=20, high=200, help="From noise 4 to 0.02, geometric.")]

COUNTS = np.array([2, 3, 5, 8, 12, 20, 35, 60, 100, 180, 320, 600, 1000, 2000])
DRAWS = 30_000  # normal numbers for each N
TOP, BOTTOM = 4.0, 0.02
N_FRAMES = 30
N_FLOORS, N_FINE = 8, 16
R_CORNERS = [(-1.0, -1.5), (-1.0, 1.5), (0.5, 1.5), (0.9, 0.8), (0.5, 0.1), (-1.0, 0.1)]
STROKES = [*pairwise(R_CORNERS), ((-0.1, 0.1), (1.1, -1.5))]  # of the letter R


@dataclass(frozen=True)
class Chaos(Result):
    """One particle among N against the mean-field limit.

    Parameters
    ----------
    count : (m,) array
    kl, w2 : (m,) arrays
        Exact, stationary; nats, and the particles' unit.
    kl_drawn, kl_error, w2_drawn, w2_error : (m,) arrays
        By draws of the system; not a number where so few cannot tell the gap from nothing.
    limit_variance : float
    enough : float
        N for a KL of 1e-4.
    leading : float
        Limit of KL N^2.
    """

    count: Array
    kl: Array
    w2: Array
    kl_drawn: Array
    kl_error: Array
    w2_drawn: Array
    w2_error: Array
    limit_variance: float
    enough: float
    leading: float

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "particles": self.count,
                "KL (nats)": self.kl,
                "W2": self.w2,
                "KL drawn (nats)": self.kl_drawn,
                "SE of KL": self.kl_error,
                "W2 drawn": self.w2_drawn,
                "SE of W2": self.w2_error,
            }
        ).fill_nan(None)

    def headline(self) -> dict[str, float | str]:
        seen = np.isfinite(self.w2_drawn)
        z = (self.w2_drawn[seen] - self.w2[seen]) / self.w2_error[seen]
        return {
            "variance in the mean-field limit": self.limit_variance,
            "KL·N² as N grows": self.leading,
            "N for a KL of 0.0001": self.enough,
            "draws against theory, largest (SE)": float(np.abs(z).max()) if z.size else "no gap to measure",
        }


def particle_variance(theta: float, kappa: float, g: float, n: Array) -> Array:
    """Stationary variance of one among n particles."""
    return np.asarray((n - 1) / n * g / (2 * (theta + kappa)) + g / (2 * theta * n))


def stationary_particles(rng: np.random.Generator, theta: float, kappa: float, g: float, n: int, systems: int) -> Array:
    """(systems, n) stationary draws: the mean and the deviations from it are independent."""
    z = rng.standard_normal((systems, n))
    apart = z - z.mean(axis=1, keepdims=True)
    together = rng.standard_normal((systems, 1)) * np.sqrt(g / (2 * theta * n))
    return np.asarray(np.sqrt(g / (2 * (theta + kappa))) * apart + together)


def check_stability(theta: float, kappa: float) -> None:
    """Deviations from the mean must shrink."""
    if theta + kappa <= 0.02:
        raise ParameterError("kappa", f"has to be above −θ = {-theta:.3g} (by 0.02), or particles fly apart for ever.")


@experiment
def chaos_error(*, theta: Theta = 1.0, kappa: Kappa = 1.5, diffusion: Diffusion = 0.02, seed: Seed = 0) -> Chaos:
    """How far one of N interacting particles is from the mean-field limit, exactly and by draws."""
    check_stability(theta, kappa)
    n = COUNTS.astype(float)
    limit = diffusion / (2 * (theta + kappa))
    gap = kappa / (theta * n)
    w2 = np.sqrt(limit) * np.abs(np.sqrt(1 + gap) - 1)
    rng = np.random.default_rng(seed)
    drawn = np.full((4, n.size), np.nan)
    for k, count in enumerate(COUNTS):
        systems = max(40, DRAWS // count)
        # Variance of one particle: mean over a system's particles first, so that systems are independent.
        squares = np.mean(stationary_particles(rng, theta, kappa, diffusion, int(count), systems) ** 2, axis=1) / limit
        ratio, error = squares.mean(), squares.std(ddof=1) / np.sqrt(systems)
        if abs(gap[k]) > 4 * error:
            drawn[0, k] = 0.5 * (ratio - 1 - np.log(ratio))
            drawn[1, k] = 0.5 * abs(1 - 1 / ratio) * error
            drawn[2, k] = np.sqrt(limit) * abs(np.sqrt(ratio) - 1)
            drawn[3, k] = np.sqrt(limit) * error / (2 * np.sqrt(ratio))
    leading = kappa**2 / (4 * theta**2)
    kl_drawn, kl_error, w2_drawn, w2_error = drawn
    enough = float(np.sqrt(leading / 1e-4))
    return Chaos(n, 0.5 * (gap - np.log1p(gap)), w2, kl_drawn, kl_error, w2_drawn, w2_error, limit, enough, leading)


@dataclass(frozen=True)
class Subdivided(Result):
    """A cloud on its way back, subdivided.

    Parameters
    ----------
    noise : (n_frames,) array
    position : list of (m, 2) float32 arrays
        Of each frame.
    splits : (s,) array
        Noise levels at which particles split.
    distance : float
        Mean projected W1 of the finished cloud to the shape's law.
    floor, floor_spread : float
        Of N independent points, mean and deviation.
    start_floor : float
        Of as many independent points as started.
    share : float
        Of scores evaluated, over those of N particles all the way.
    """

    noise: Array
    position: list[NDArray[np.float32]]
    splits: Array
    distance: float
    floor: float
    floor_spread: float
    start_floor: float
    share: float

    def table(self) -> pl.DataFrame:
        return pl.concat(
            [
                pl.DataFrame(
                    {
                        "noise": np.full(len(p), level),
                        "particles": np.full(len(p), len(p)),
                        "x1": p[:, 0].astype(float),
                        "x2": p[:, 1].astype(float),
                    }
                )
                for level, p in zip(self.noise, self.position, strict=True)
            ]
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "scores evaluated, share": self.share,
            "W₁ of the cloud": self.distance,
            "W₁ of as many independent points": self.floor,
            "its deviation": self.floor_spread,
            "W₁ of as many as started": self.start_floor,
        }


def shape_of(name: str) -> GaussianMixture:
    """A narrow mixture along the shape's line."""
    if name == "letter":
        lengths = [np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in STROKES]
        parts = [
            np.linspace(a, b, max(2, round(6 * length)), endpoint=False) for (a, b), length in zip(STROKES, lengths, strict=True)
        ]
        means = np.concatenate(parts)
    else:
        angle = 2 * np.pi * np.arange(36) / 36
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        means = 1.5 * circle if name == "ring" else np.concatenate([1.6 * circle, 0.7 * circle[::2]])
    return GaussianMixture(np.full(len(means), 1 / len(means)), means, 0.07)


@experiment
def subdivision(
    *,
    shape: Shape = "letter",
    points: Cloud = 512,
    subdivisions: Subdivisions = 3,
    last_split: LastSplit = 0.5,
    reverse_steps: ReverseSteps = 60,
    seed: Seed = 0,
) -> Subdivided:
    """A cloud comes back along the exact score, particles splitting in two at chosen noise levels."""
    law = shape_of(shape)
    rng = np.random.default_rng(seed)
    start = max(1, points // 2**subdivisions)
    levels = np.append(np.geomspace(TOP, BOTTOM, reverse_steps), 0.0)
    splits = np.geomspace(TOP, last_split, subdivisions + 1)[1:] if subdivisions else np.empty(0)
    when = set(np.argmin(np.abs(np.log(levels[:-1, None]) - np.log(splits)), axis=0).tolist()) if subdivisions else set()
    kept = set(np.unique(np.rint(np.linspace(0, reverse_steps, N_FRAMES)).astype(int)).tolist())
    x = law.mean + np.sqrt(TOP**2 + law.covariance.diagonal()) * rng.standard_normal((start, 2))
    frames, noise, scores = [], [], 0
    for k, level in enumerate(levels):
        if k in when:
            x = np.concatenate([x, x])
        if k in kept:
            frames.append(x.astype(np.float32))
            noise.append(level)
        if k == reverse_steps:
            break
        # The ancestral step: exact for the posterior of a point given its denoised value.
        after = levels[k + 1]
        scores += x.shape[0]
        denoised = law.denoise(x, level)
        keep = (after / level) ** 2
        x = denoised + keep * (x - denoised) + after * np.sqrt(1 - keep) * rng.standard_normal(x.shape)
    distance = _distance(law, rng, [x])[0]
    floors = _distance(law, rng, [law.sample(rng, x.shape[0]) for _ in range(N_FLOORS)])
    start_floor = _distance(law, rng, [law.sample(rng, start) for _ in range(N_FLOORS)]).mean()
    share = scores / (x.shape[0] * reverse_steps)
    return Subdivided(
        np.array(noise), frames, splits, float(distance), float(floors.mean()), float(floors.std()), float(start_floor), share
    )


def _distance(law: GaussianMixture, rng: np.random.Generator, clouds: list[Array]) -> Array:
    """Mean projected W1 of clouds of one size to the law, held by a sample of it N_FINE times as large."""
    n = clouds[0].shape[0]
    along = directions(2).T
    fine = np.sort(law.sample(rng, N_FINE * n) @ along, axis=0).reshape(n, N_FINE, -1).mean(axis=1)
    return np.array([np.mean(np.abs(np.sort(cloud @ along, axis=0) - fine)) for cloud in clouds])
