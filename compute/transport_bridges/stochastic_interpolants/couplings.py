r"""Stochastic interpolants whose ends know each other: patterns of 16 pixels, restored from what is left of them (284).

x1 is a pattern mu_k plus pixel noise, x0 = M x1 + sigma zeta with M a mask, a low-pass filter or the identity; of the
label shift x0 is the pattern of the next class. Its twin draws x0 from the same law, independently of x1. The
interpolant is x_t = (1 - t) x0 + t x1, its velocity b = E[x1 - x0 | x_t] exact, and by Jensen int E|b|^2 <= E|x1 - x0|^2.
All M are diagonal in an orthonormal basis of the pixels, where each coordinate has a 2 x 2 covariance of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.interpolants import Blend, JointMixture
from compute.parameters import Choice, LogReal, Seed

Array = NDArray[np.float64]

COUPLINGS = ("mask", "low-pass", "noisy copy", "label shift")
Coupling = Annotated[str, Choice("coupling", options=COUPLINGS, help="What x₀ keeps of x₁.")]
CouplingNoise = Annotated[
    float, LogReal("coupling noise", r"\sigma", low=0.03, high=2.0, help="White noise of x₀ on top of what it keeps.")
]

SIDE, PIXEL_NOISE = 4, 0.15
DRAWINGS = (
    "####.##..##..##.",  # T
    "#...#...#...####",  # L
    ".##.#..##..#.##.",  # ring
    "#....#....#....#",  # diagonal
    "..##..####..##..",  # blocks
    "####..#..#..####",  # Z
)
PATTERNS = np.array([[1.0 if c == "#" else -1.0 for c in drawing] for drawing in DRAWINGS])
N_STEPS = np.array([1, 2, 3, 5, 9, 16])
SIGMAS = np.geomspace(0.03, 2.0, 6)
N_SAMPLES, N_NODES = 200, 6


@dataclass(frozen=True, eq=False)
class Pair:
    """A coupling and its independent twin, in the basis in which M is diagonal."""

    coupled: JointMixture
    twin: JointMixture
    basis: Array  # (16, 16), pixels = coordinates @ basis.T
    target: GaussianMixture  # law of x1 in pixels


def _low_pass() -> tuple[Array, Array]:
    """Means of the four 2 x 2 blocks: an orthonormal basis whose first four vectors are the blocks, and what M keeps."""
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    block = (row // 2) * 2 + column // 2
    blocks = (block[:, None] == np.arange(4)) / 2.0
    basis = np.linalg.svd(blocks)[0]
    basis[:, :4] = blocks
    return basis, np.repeat([1.0, 0.0], [4, 12])


def pair(coupling: str, sigma: float) -> Pair:
    """The joint laws of (x0, x1), coupled and not."""
    n_pixels, k = SIDE**2, len(PATTERNS)
    basis, kept = np.eye(n_pixels), np.ones(n_pixels)
    if coupling == "mask":
        kept = np.tile([1.0, 1.0, 0.0, 0.0], SIDE)  # the right half of the picture is missing
    elif coupling == "low-pass":
        basis, kept = _low_pass()
    data = PATTERNS @ basis
    start = np.roll(data, -1, axis=0) if coupling == "label shift" else kept * data
    within = np.zeros(n_pixels) if coupling == "label shift" else kept
    s2 = PIXEL_NOISE**2
    covariance = np.empty((n_pixels, 2, 2))
    covariance[:, 0, 0] = (1.0 if coupling == "label shift" else kept**2) * s2 + sigma**2
    covariance[:, 0, 1] = covariance[:, 1, 0] = within * s2
    covariance[:, 1, 1] = s2
    apart = covariance.copy()
    apart[:, 0, 1] = apart[:, 1, 0] = 0.0
    means = np.stack([start, data], axis=1)
    crossed = np.stack([np.repeat(start, k, axis=0), np.tile(data, (k, 1))], axis=1)
    return Pair(
        JointMixture(np.full(k, 1 / k), means, covariance),
        JointMixture(np.full(k * k, 1 / k**2), crossed, apart),
        basis,
        GaussianMixture(np.ones(k), PATTERNS, PIXEL_NOISE),
    )


def linear(t: float) -> Blend:
    """x_t = (1 - t) x0 + t x1."""
    return Blend(np.array([1 - t, t]), np.array([-1.0, 1.0]))


def kinetic(joint: JointMixture, rng: np.random.Generator, n: int = N_SAMPLES) -> tuple[float, float, float]:
    """int E|b|^2 dt with its standard error, and E|x1 - x0|^2 over the same draws."""
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    ends = joint.sample(rng, n)
    each = np.zeros(n)
    for t, weight in zip(0.5 * (nodes + 1), 0.5 * weights, strict=True):
        b = joint.velocity((1 - t) * ends[0] + t * ends[1], linear(float(t)))
        each += weight * np.sum(b**2, axis=1)
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(n)), float(np.mean(np.sum((ends[1] - ends[0]) ** 2, axis=1)))


def distance_squared(joint: JointMixture) -> float:
    """E|x1 - x0|^2, exact."""
    c = joint.covariance
    gap = joint.means[:, 1] - joint.means[:, 0]
    return float(joint.weights @ np.sum(gap**2, axis=1) + np.sum(c[:, 0, 0] + c[:, 1, 1] - 2 * c[:, 0, 1]))


def euler(joint: JointMixture, x: Array, n_steps: int) -> Array:
    """(n_steps + 1, n, d) states of x' = b from t = 0 to 1."""
    states = [x]
    for k in range(n_steps):
        x = x + joint.velocity(x, linear(k / n_steps)) / n_steps
        states.append(x)
    return np.stack(states)


@dataclass(frozen=True)
class Cost(Result):
    """Transport cost against the coupling's noise, and W1 against steps, coupled and independent."""

    sigma: Array  # (n_sigma,)
    cost: dict[str, Array]  # by coupling: (n_sigma,)
    error: dict[str, Array]  # its standard errors
    twin_cost: Array  # (n_sigma,)
    twin_error: Array  # (n_sigma,)
    jensen: Array  # (n_sigma,) of the chosen coupling
    steps: Array  # (n_steps,)
    w1: Array  # (n_steps,)
    twin_w1: Array  # (n_steps,)
    floor: float
    coupling: str
    at: tuple[float, float, float]  # sigma, cost, twin's cost

    def table(self) -> pl.DataFrame:
        costs = {"coupling_noise": self.sigma}
        for name, values in self.cost.items():
            costs |= {f"cost {name}": values, f"standard_error {name}": self.error[name]}
        costs |= {"cost independent": self.twin_cost, "standard_error independent": self.twin_error, "jensen_bound": self.jensen}
        steps = {"steps": self.steps.astype(float), "w1_coupled": self.w1, "w1_independent": self.twin_w1}
        return pl.concat([pl.DataFrame(costs), pl.DataFrame(steps)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "transport cost, coupled": self.at[1],
            "transport cost, independent": self.at[2],
            "independent ÷ coupled": self.at[2] / self.at[1],
            "W₁ in 2 steps, coupled": float(self.w1[1]),
            "W₁ in 2 steps, independent": float(self.twin_w1[1]),
            "W₁ of the true x₁": self.floor,
        }


@experiment
def cost(*, coupling: Coupling = "mask", coupling_noise: CouplingNoise = 0.3, seed: Seed = 0) -> Cost:
    """Transport cost of x_t = (1 - t) x₀ + t x₁ over σ for each coupling, and W₁ to the patterns against Euler steps (284)."""
    chosen = pair(coupling, coupling_noise)
    costs, errors = {}, {}
    for name in COUPLINGS:
        found = [kinetic(pair(name, float(s)).coupled, np.random.default_rng([seed, 1])) for s in SIGMAS]
        costs[name], errors[name] = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    twins = [kinetic(pair(coupling, float(s)).twin, np.random.default_rng([seed, 2])) for s in SIGMAS]
    rng = np.random.default_rng([seed, 3])
    target = Target(chosen.target, N_SAMPLES)
    start, truth = chosen.coupled.sample(rng, N_SAMPLES)
    distances = [
        np.array([target.w1(euler(joint, start, int(n))[-1] @ chosen.basis.T) for n in N_STEPS])
        for joint in (chosen.coupled, chosen.twin)
    ]
    at = tuple(kinetic(joint, np.random.default_rng([seed, 4]))[0] for joint in (chosen.coupled, chosen.twin))
    return Cost(
        SIGMAS,
        costs,
        errors,
        np.array([f[0] for f in twins]),
        np.array([f[1] for f in twins]),
        np.array([distance_squared(pair(coupling, float(s)).coupled) for s in SIGMAS]),
        N_STEPS,
        distances[0],
        distances[1],
        target.w1(truth @ chosen.basis.T),
        coupling,
        (coupling_noise, at[0], at[1]),
    )


@dataclass(frozen=True)
class Restoration(Result):
    """Pictures on their way from x0 to x1, coupled and independent."""

    truth: Array  # (n_pictures, 16)
    coupled: Array  # (n_times, n_pictures, 16)
    independent: Array  # (n_times, n_pictures, 16)
    time: Array  # (n_times,)
    restored: float  # share of 200 pictures whose nearest pattern is the true one
    twin_restored: float
    kept: float  # root mean square change of what M keeps, coupled
    twin_kept: float
    coupling: str

    def mosaic(self) -> tuple[Array, Array]:
        """All pictures as one (rows, columns) map with empty borders, NaN; and the middle of each column of pictures."""
        frames = np.concatenate([self.truth[None], self.coupled, self.independent])
        n_columns, n_rows = frames.shape[:2]
        pitch = SIDE + 1
        board = np.full((n_rows * pitch, n_columns * pitch + 2), np.nan)
        offset = np.where(np.arange(n_columns) > 0, 1, 0) + np.where(np.arange(n_columns) > self.time.size, 1, 0)
        for c in range(n_columns):
            for r in range(n_rows):
                left, top = c * pitch + offset[c], r * pitch
                board[top : top + SIDE, left : left + SIDE] = frames[c, r].reshape(SIDE, SIDE)
        middle = np.arange(n_columns) * pitch + offset + 0.5 * (SIDE - 1)
        return board, middle

    def table(self) -> pl.DataFrame:
        board = self.mosaic()[0]
        row, column = np.nonzero(np.isfinite(board))
        return pl.DataFrame({"row": row, "column": column, "brightness": board[row, column]})

    def headline(self) -> dict[str, float | str]:
        return {
            "own pattern restored, coupled": self.restored,
            "own pattern restored, independent": self.twin_restored,
            "change of what x₀ kept, coupled (RMS)": self.kept,
            "change of what x₀ kept, independent (RMS)": self.twin_kept,
        }


@experiment
def restoration(*, coupling: Coupling = "mask", coupling_noise: CouplingNoise = 0.3, seed: Seed = 0) -> Restoration:
    """In-painting and super-resolution by the exact ODE from x₀, in 32 Euler steps: with the coupling, and as if x₀ were independent."""
    chosen = pair(coupling, coupling_noise)
    rng = np.random.default_rng([seed, 5])
    ends = chosen.coupled.sample(rng, 200)
    truth = ends[1] @ chosen.basis.T
    runs = [euler(joint, ends[0], 32) for joint in (chosen.coupled, chosen.twin)]
    label = nearest(truth)
    half = np.tile([True, True, False, False], SIDE)
    kept = half if coupling == "mask" else np.repeat([True, coupling != "low-pass"], [4, 12])
    shares = [float(np.mean(nearest(run[-1] @ chosen.basis.T) == label)) for run in runs]
    changes = [float(np.sqrt(np.mean((run[-1] - ends[0])[:, kept] ** 2))) for run in runs]
    first = [int(np.flatnonzero(label == k)[0]) for k in range(4)]
    snapshots = np.array([0, 8, 16, 24, 32])
    coupled, independent = (run[snapshots][:, first] @ chosen.basis.T for run in runs)
    return Restoration(truth[first], coupled, independent, snapshots / 32, shares[0], shares[1], changes[0], changes[1], coupling)


def nearest(pictures: Array) -> Array:
    """(n,) index of the nearest pattern."""
    return np.argmax(pictures @ PATTERNS.T, axis=1)
