r"""Reverse-time samplers: when noise pays, exactly for one Gaussian and by trial for any data.

What noise buys is that a wrong start is forgotten; what it costs is discretization. Both are exact for Gaussian data
(``gaussian_reverse``).

References
----------
Paper 145 of the catalogue, for the extended reverse SDE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import reverse_samplers as rs
from compute.methods.gaussian_reverse import tie_line, w1_after_er_sde
from compute.models.diffusion_setting import Data, Nfe, ScoreError, Sde, Separation, SigmaMax, mixture_of, start_points, target_of
from compute.models.imperfect_score import perturbed
from compute.models.noise_schedule import SCHEDULES, NoiseSchedule
from compute.parameters import ParameterError, Seed

Array = NDArray[np.float64]

NARROW = 0.25  # standard deviation of the Gaussian data of the exact map
ETAS = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class NoiseMap(Result):
    """The best noise exponent over (evaluations, top noise level), for Gaussian data, exact."""

    nfe: Array  # (n_nfe,)
    sigma_max: Array  # (n_sigma,)
    best: Array  # (n_sigma, n_nfe) best eta
    best_error: Array  # (n_sigma, n_nfe)
    ode_error: Array  # (n_sigma, n_nfe)
    sde_error: Array  # (n_sigma, n_nfe)
    # Evaluations and top levels where ODE and SDE tie, in first-order theory, from 8 on: segments broken by NaN.
    tie: tuple[Array, Array]
    at_eta: float
    at_error: float
    at_ode: float
    at_sde: float

    def table(self) -> pl.DataFrame:
        nfe, sigma = np.meshgrid(self.nfe, self.sigma_max)
        return pl.DataFrame(
            {
                "evaluations": nfe.ravel(),
                "sigma_max": sigma.ravel(),
                "best_noise_exponent": self.best.ravel(),
                "w1_at_best": self.best_error.ravel(),
                "w1_ode": self.ode_error.ravel(),
                "w1_sde": self.sde_error.ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "best η here": self.at_eta,
            "W₁ at best η": self.at_error,
            "W₁ of the ODE (η = 0)": self.at_ode,
            "W₁ of the reverse SDE (η = 1)": self.at_sde,
        }


def _refuse_chain(schedule: NoiseSchedule) -> None:
    if schedule.name == "VP log T/T":
        raise ParameterError("sde", "must be one whose top noise level is free: EDM, VE, VP or sub-VP.")


@experiment
def noise_map(*, separation: Separation = 3.0, sde: Sde = "EDM", nfe: Nfe = 20, sigma_max: SigmaMax = 20.0) -> NoiseMap:
    """Best eta of the first-order extended reverse SDE for data N(separation, 0.25^2), by exact recursion.

    The start N(0, prior) misses the data's mean; noise forgets that faster, and pays for it in discretization.

    Raises
    ------
    ParameterError
        For the chain of paper 263, whose top level is not free.
    """
    schedule = SCHEDULES[sde]
    _refuse_chain(schedule)
    budgets = np.unique(np.rint(np.geomspace(3, 100, 36)).astype(int))
    tops = np.geomspace(2.0, 80.0, 33)
    eta = ETAS[:, None]

    def errors(n_steps: int, tops: Array) -> Array:  # (n_eta, n_tops)
        levels = np.stack([schedule.levels(n_steps, s) for s in tops], axis=1)
        return w1_after_er_sde(eta, levels, np.array([schedule.prior_std(s) for s in tops]), separation, NARROW)

    everywhere = np.stack([errors(int(n), tops) for n in budgets], axis=2)  # (n_eta, n_tops, n_budgets)
    here = errors(nfe, np.array([sigma_max]))[:, 0]
    return NoiseMap(
        budgets.astype(float),
        tops,
        ETAS[everywhere.argmin(axis=0)],
        everywhere.min(axis=0),
        everywhere[0],
        everywhere[-1],
        tie_line(schedule, np.geomspace(8, 100, 25), tops, separation, NARROW),
        float(ETAS[here.argmin()]),
        float(here.min()),
        float(here[0]),
        float(here[-1]),
    )


TRIED_ETA = (0.0, 0.25, 0.5, 0.75, 1.0)
TRIED_NFE = (4, 7, 12, 20, 34, 58, 100)
TRIED_TOP = (2.0, 3.7, 6.8, 12.6, 23.4, 43.2, 80.0)


@dataclass(frozen=True)
class NoiseTrial(Result):
    """W1 of ER-SDE 1 over (eta, top noise level, evaluations) by simulation; levels not yet run are left out."""

    nfe: Array  # (n_nfe,)
    sigma_max: Array  # (n_done,)
    error: Array  # (n_eta, n_done, n_nfe)
    floor: float
    floor_spread: float

    @property
    def is_tie(self) -> NDArray[np.bool_]:
        """(n_done, n_nfe) whether ODE and reverse SDE differ by less than two standard errors of sampling noise."""
        return np.abs(self.error[0] - self.error[-1]) < 2 * np.sqrt(2) * self.floor_spread

    @property
    def log_ratio(self) -> Array:
        """(n_done, n_nfe) log2 of the ODE's error over the reverse SDE's: positive where noise pays."""
        return np.log2(self.error[0] / self.error[-1])

    @property
    def best(self) -> Array:
        """(n_done, n_nfe) the best eta tried."""
        return np.array(TRIED_ETA)[self.error.argmin(axis=0)]

    def table(self) -> pl.DataFrame:
        nfe, sigma = np.meshgrid(self.nfe, self.sigma_max)
        columns = {"evaluations": nfe.ravel(), "sigma_max": sigma.ravel(), "log2_error_ode_over_sde": self.log_ratio.ravel()}
        columns |= {f"w1_eta_{eta:g}": error.ravel() for eta, error in zip(TRIED_ETA, self.error, strict=True)}
        return pl.DataFrame(columns | {"best_noise_exponent": self.best.ravel(), "is_tie": self.is_tie.ravel()})

    def headline(self) -> dict[str, float | str]:
        return {
            "settings where noise pays": f"{np.sum(~self.is_tie & (self.log_ratio > 0))} of {self.is_tie.size}",
            "settings where noise costs": f"{np.sum(~self.is_tie & (self.log_ratio < 0))} of {self.is_tie.size}",
            "largest error of ODE ÷ SDE": float(2.0 ** self.log_ratio.max()),
            "largest error of SDE ÷ ODE": float(2.0 ** -self.log_ratio.min()),
            "noise floor of W₁": self.floor,
        }


N_TRIED = 1000


def _seconds_of_trial(*, data: str, **_: object) -> float:
    mixture = mixture_of(data, 3.0)
    steps = len(TRIED_TOP) * len(TRIED_ETA) * sum(TRIED_NFE)
    return steps * (4e-5 + N_TRIED * mixture.dimension * (2e-9 * mixture.n_components + 1.5e-8))


@experiment(seconds=_seconds_of_trial)
def noise_trial(
    *,
    data: Data = "ring_2d",
    separation: Separation = 3.0,
    sde: Sde = "EDM",
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, NoiseTrial]]:
    """The map of best noise for the chosen data: 245 runs of ER-SDE 1, each of 1000 particles from the same start.

    Raises
    ------
    ParameterError
        For the chain of paper 263, whose top level is not free.
    """
    mixture, schedule = mixture_of(data, separation), SCHEDULES[sde]
    _refuse_chain(schedule)
    target, floor, spread = target_of(mixture, N_TRIED)
    error = np.empty((len(TRIED_ETA), len(TRIED_TOP), len(TRIED_NFE)))
    for i, top in enumerate(TRIED_TOP):
        for j, nfe in enumerate(TRIED_NFE):
            levels = schedule.levels(nfe, top)
            start = start_points(schedule, levels, N_TRIED, mixture.dimension, seed)
            for k, eta in enumerate(TRIED_ETA):
                run = rs.Run(perturbed(mixture.denoise, score_error), np.random.default_rng(seed), eta=eta)
                error[k, i, j] = target.w1(rs.sample(rs.er_sde_1, run, start, levels))
        done, budgets = slice(i + 1), np.array(TRIED_NFE, float)
        yield (i + 1) / len(TRIED_TOP), NoiseTrial(budgets, np.array(TRIED_TOP[done]), error[:, done], floor, spread)
