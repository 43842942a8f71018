"""Serial reproduction (paper 142): how fast a chain at one noise level forgets, and what a falling schedule does for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import eigh

from compute.diffusion_samplers.denoising_chains.setting import DenoiserError, Family, Noise, Power, Rounds, Separation, line_law
from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.models.serial_reproduction import FAMILIES, divergence, noise_matrix, round_matrix, schedule

Array = NDArray[np.float64]

N_POINTS = 160
N_ROUNDS = 200
FLOOR = 1e-8  # of a divergence that is drawn
FACTORS = (0.5, 1.0, 2.0, 4.0)  # noise levels drawn, over the reader's
N_EIGENVALUES = 12


@lru_cache(maxsize=32)
def stage(separation: float) -> tuple[Array, Array]:
    """(n,) points and the prior's mass on them."""
    law = line_law(separation)
    reach = float(law.means.max()) + 2.0
    points = np.linspace(-reach, reach, N_POINTS)
    mass = law.pdf(points) + 1e-12
    return points, mass / mass.sum()


def start_at(points: Array, separation: float) -> int:
    """The grid point of the leftmost mode, the lightest, where chains begin."""
    return int(np.argmin(np.abs(points - float(line_law(separation).means.min()))))


def slowest(points: Array, prior: Array, family: str, sigma: float, start: int) -> tuple[Array, float]:
    """Largest eigenvalues of the exact round, falling, and what the second owns of chi^2 at the start."""
    noise = noise_matrix(points, family, sigma)
    half = np.sqrt(prior)[:, None] * noise / np.sqrt(np.maximum(prior @ noise, 1e-300))
    values, vectors = eigh(half @ half.T, subset_by_index=[prior.size - N_EIGENVALUES, prior.size - 1])
    return values[::-1].clip(0, 1), float(vectors[start, -2] ** 2 / prior[start])


def divergences(start: int, matrix: Array, prior: Array, n: int) -> tuple[Array, Array]:
    """(n + 1,) KL to the prior of the law after 0, 1, … n rounds, and the last law."""
    law = np.zeros(prior.size)
    law[start] = 1.0
    laws = [law]
    for _ in range(n):
        laws.append(laws[-1] @ matrix)
    return divergence(np.array(laws), prior), laws[-1]


@dataclass(frozen=True)
class Forgetting(Result):
    """KL to the prior against rounds, over noise levels and over families; the spectrum of one round."""

    rounds: NDArray[np.int64]  # (n_rounds + 1,)
    levels: Array  # (n_levels,)
    by_level: Array  # (n_levels, n_rounds + 1)
    slow_mode: Array  # (n_levels, n_rounds + 1) the exact guesser's asymptote
    by_family: dict[str, Array]  # family to (n_rounds + 1,), at the reader's level
    spectrum: dict[str, Array]  # family to (n_eigenvalues,)
    noise: float
    family: str
    error: float

    def table(self) -> pl.DataFrame:
        frames = []
        for sigma, values, mode in zip(self.levels, self.by_level, self.slow_mode, strict=True):
            level = {"family": [self.family] * self.rounds.size, "noise_level": [float(sigma)] * self.rounds.size}
            frames.append(pl.DataFrame({**level, "rounds": self.rounds, "kl_nats": values, "slowest_mode_nats": mode}))
        for name, values in self.by_family.items():
            level = {"family": [name] * self.rounds.size, "noise_level": [self.noise] * self.rounds.size}
            frames.append(pl.DataFrame({**level, "rounds": self.rounds, "kl_nats": values}))
        for name, values in self.spectrum.items():
            order = np.arange(values.size) + 1
            frames.append(pl.DataFrame({"family": [name] * values.size, "order": order, "eigenvalue": values}))
        return pl.concat(frames, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        gap = 1 - float(self.spectrum[self.family][1])
        here = self.by_level[FACTORS.index(1.0)]
        return {
            "spectral gap": gap,
            "rounds to forget, 1/gap": 1 / gap if gap > 1e-12 else "more than 10¹²",
            "KL after 200 rounds (nats)": float(here[-1]),
            "largest rise of KL in a round": float(max(np.diff(here).max(), 0.0)),
        }


@experiment
def forgetting(
    *,
    noise: Noise = 0.5,
    noise_family: Family = "Gaussian",
    separation: Separation = 4.0,
    denoiser_error: DenoiserError = 0.3,
) -> Forgetting:
    """Rounds of noise and guess at one level from the leftmost mode, by matrix powers: exact on a grid of 160 points."""
    points, prior = stage(separation)
    start = start_at(points, separation)
    rounds = np.arange(N_ROUNDS + 1)
    levels = noise * np.array(FACTORS)
    rows, modes = [], []
    for sigma in levels:
        matrix = round_matrix(points, prior, noise_family, float(sigma), denoiser_error)
        rows.append(divergences(start, matrix, prior, N_ROUNDS)[0])
        values, share = slowest(points, prior, noise_family, float(sigma), start)
        modes.append(0.5 * share * values[1] ** (2.0 * rounds))
    by_family, spectrum = {}, {}
    for name in FAMILIES:
        if name == noise_family:
            by_family[name] = rows[FACTORS.index(1.0)]
        else:
            matrix = round_matrix(points, prior, name, noise, denoiser_error)
            by_family[name] = divergences(start, matrix, prior, N_ROUNDS)[0]
        spectrum[name] = slowest(points, prior, name, noise, start)[0]
    return Forgetting(
        rounds,
        levels,
        np.maximum(rows, FLOOR),
        np.maximum(modes, FLOOR),
        {name: np.maximum(values, FLOOR) for name, values in by_family.items()},
        spectrum,
        noise,
        noise_family,
        denoiser_error,
    )


# --- schedules -----------------------------------------------------------------------------------------------------

POWERS = np.linspace(0.1, 7.0, 13)
STEPS = np.array([2, 3, 5, 8, 13, 22, 36, 60, 110, 200])
N_LEVELS, LEAST = 64, 0.02


@dataclass(frozen=True, eq=False)
class RoundBank:
    """Matrices of one round at noise levels an even factor apart."""

    top: float
    matrices: Array  # (n_levels, n, n), from ``LEAST`` to top

    def at(self, sigma: float) -> Array:
        """The round at the nearest level, at most 6% away; below ``LEAST`` nothing moves on the grid."""
        place = (len(self.matrices) - 1) * np.log(max(sigma, LEAST) / LEAST) / np.log(self.top / LEAST)
        return self.matrices[round(place)]


@lru_cache(maxsize=6)
def round_bank(separation: float, family: str, error: float) -> RoundBank:
    points, prior = stage(separation)
    top = float(np.ptp(line_law(separation).means))
    levels = np.geomspace(LEAST, top, N_LEVELS)
    return RoundBank(top, np.array([round_matrix(points, prior, family, float(s), error) for s in levels]))


def follow(bank: RoundBank, n_points: int, steps: int, power: float) -> Array:
    """(n,) law at the end of a schedule that begins with every point alike."""
    law = np.full(n_points, 1 / n_points)
    for sigma in schedule(bank.top, steps, power):
        law = law @ bank.at(float(sigma))
    return law


@dataclass(frozen=True)
class Schedules(Result):
    """Final KL over power and steps, and the final law of one schedule."""

    power: Array  # (n_powers,)
    steps: NDArray[np.int64]  # (n_steps,)
    log_divergence: Array  # (n_steps, n_powers) log10 KL in nats
    best_power: Array  # (n_steps,)
    points: Array  # (n,)
    prior: Array  # (n,) density
    law: Array  # (n,) density at the end of the reader's schedule
    one_level: Array  # (n,) density after as many rounds at the middle level of the schedule
    here: float  # KL of the reader's schedule
    there: float  # of the rounds at one level

    def table(self) -> pl.DataFrame:
        grid = grid_table("schedule_power", self.power, "steps", self.steps.astype(float), log10_kl_nats=self.log_divergence)
        laws = pl.DataFrame(
            {"s": self.points, "prior_density": self.prior, "final_density": self.law, "one_level_density": self.one_level}
        )
        best = pl.DataFrame({"steps": self.steps.astype(float), "best_power": self.best_power})
        return pl.concat([grid, best, laws], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "KL of this schedule (nats)": self.here,
            "of as many rounds at one level": self.there,
            "best power at 36 steps": float(self.best_power[list(self.steps).index(36)]),
            "least KL on the map": float(10 ** self.log_divergence.min()),
        }


@experiment
def schedules(
    *,
    schedule_power: Power = 2.0,
    steps: Rounds = 30,
    noise_family: Family = "Gaussian",
    separation: Separation = 4.0,
    denoiser_error: DenoiserError = 0.3,
) -> Schedules:
    """Follow falling schedules from a stimulus that says nothing, for every power and number of steps: exact on the grid."""
    points, prior = stage(separation)
    bank = round_bank(separation, noise_family, denoiser_error)
    values = np.array([[divergence(follow(bank, N_POINTS, int(n), float(p)), prior) for p in POWERS] for n in STEPS])
    values = np.log10(np.maximum(values, FLOOR))
    law = follow(bank, N_POINTS, steps, schedule_power)
    constant = np.full(N_POINTS, 1 / N_POINTS)
    middle = bank.at(float(np.median(schedule(bank.top, steps, schedule_power))))
    for _ in range(steps):
        constant = constant @ middle
    spacing = points[1] - points[0]
    return Schedules(
        POWERS,
        STEPS,
        values,
        POWERS[values.argmin(axis=1)],
        points,
        prior / spacing,
        law / spacing,
        constant / spacing,
        max(float(divergence(law, prior)), 0.0),
        max(float(divergence(constant, prior)), 0.0),
    )
