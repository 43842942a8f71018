r"""Samplers that run noise back into data, given a denoiser D(y; sigma) = E[x | y].

Each is one function ``step(run, y, sigma, sigma_next) -> y_next`` in the coordinates of ``noise_schedule``: the state
is y = x_0 + sigma z, sigma falls, and the probability-flow ODE is dy/dsigma = (y - D)/sigma. What a step may use
besides (the denoiser, random numbers, what earlier steps saw) is on ``run``. To add a sampler, write such a function
under ``@solver(...)``: it then stands wherever samplers are chosen from ``SOLVERS``.

    euler             Euler in sigma, exact for a constant D; the same as DDIM in every schedule
    heun, dpm_2, rk4  one-step methods of order 2, 2, 4; rk4 steps in log sigma
    dpm_pp_2m         DPM-Solver++(2M): D extrapolated from the last step
    dpm_v3            DPM-Solver-v3, second order: the linearization of ``dpm_solver_v3`` (paper 028)
    er_sde_1, 2, 3    extended reverse SDE with noise scale phi = sigma^(1 + eta) (paper 145)
    predictor_corrector   ancestral step, then one Langevin step (paper 281)
    accelerated_ode, accelerated_sde, plain_ode   the samplers of paper 263, here free of its alpha_t

The last step of every run goes to sigma = 0 and is an Euler step, which returns D.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compute.methods.dpm_solver_v3 import Statistics

Array = NDArray[np.float64]
Denoiser = Callable[[Array, float], Array]


@dataclass
class Run:
    """One run in progress: what a step may use besides the state.

    Parameters
    ----------
    denoise : callable
        (n, d) points and a noise level to (n, d) posterior means.
    rng : numpy.random.Generator
    eta : float
        Noise exponent of the extended reverse SDE: 0 the ODE, 1 the reverse SDE.
    snr : float
        Signal-to-noise ratio of the Langevin corrector.
    statistics : Statistics, optional
        What DPM-Solver-v3 knows of the denoiser.
    past : list of (float, array)
        What a multistep method kept at the levels of its last steps, the newest last.
    sigma_before : float
        The level above the present one; at the first step, the one that continues the grid's ratio.
    """

    denoise: Denoiser
    rng: np.random.Generator
    eta: float = 0.0
    snr: float = 0.16
    statistics: Statistics | None = None
    past: list[tuple[float, Array]] = field(default_factory=list)
    sigma_before: float = 0.0

    def noise(self, y: Array) -> Array:
        """Standard normal numbers of the shape of y."""
        return self.rng.standard_normal(y.shape)

    def keep(self, sigma: float, value: Array) -> None:
        """Remember a value for the next two steps."""
        self.past = [*self.past[-2:], (sigma, value)]


class Step(Protocol):
    def __call__(self, run: Run, y: Array, sigma: float, sigma_next: float) -> Array: ...


@dataclass(frozen=True)
class Solver:
    """A step and what is known of it.

    Parameters
    ----------
    name : str
        What a reader chooses it by.
    step : callable
    evaluations : int
        Of the denoiser, in one step.
    order : int
        Of the endpoint error in the number of steps, for a smooth denoiser.
    is_random : bool
        Whether a step draws noise (``er_sde`` does at eta > 0).
    """

    name: str
    step: Step
    evaluations: int
    order: int
    is_random: bool

    def n_steps(self, nfe: int) -> int:
        """How many steps ``nfe`` evaluations pay for, the last Euler step among them."""
        return 1 + (nfe - 1) // self.evaluations


SOLVERS: dict[str, Solver] = {}


def solver(name: str, *, evaluations: int = 1, order: int = 1, is_random: bool = False) -> Callable[[Step], Step]:
    """Put a step among ``SOLVERS``."""

    def register(step: Step) -> Step:
        SOLVERS[name] = Solver(name, step, evaluations, order, is_random)
        return step

    return register


def path(step: Step, run: Run, y: Array, levels: Array) -> Iterator[Array]:
    """The state at each level of a grid that falls to 0, the start first."""
    yield y
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(levels)):
        run.sigma_before = levels[i - 1] if i else sigma**2 / max(sigma_next, sigma / 10)
        y = step(run, y, sigma, sigma_next) if sigma_next > 0 else euler(run, y, sigma, 0.0)
        yield y


def sample(step: Step, run: Run, y: Array, levels: Array) -> Array:
    """The state at the end of the grid: the samples."""
    for state in path(step, run, y, levels):
        end = state
    return end


# --- ordinary differential equation: one step ---------------------------------------------------------------


@solver("Euler (DDIM)")
def euler(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    ratio = sigma_next / sigma
    return ratio * y + (1 - ratio) * run.denoise(y, sigma)


@solver("Heun", evaluations=2, order=2)
def heun(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    slope = (y - run.denoise(y, sigma)) / sigma
    ahead = y + (sigma_next - sigma) * slope
    slope_ahead = (ahead - run.denoise(ahead, sigma_next)) / sigma_next
    return y + (sigma_next - sigma) * (slope + slope_ahead) / 2


@solver("DPM-2", evaluations=2, order=2)
def dpm_2(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    middle = np.sqrt(sigma * sigma_next)
    slope = (y - run.denoise(y, sigma)) / sigma
    halfway = y + (middle - sigma) * slope
    return y + (sigma_next - sigma) * (halfway - run.denoise(halfway, middle)) / middle


@solver("RK4", evaluations=4, order=4)
def rk4(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    def slope(y: Array, sigma: float) -> Array:  # dy/d(log sigma)
        return y - run.denoise(y, sigma)

    h = np.log(sigma_next / sigma)
    middle = np.sqrt(sigma * sigma_next)
    k1 = slope(y, sigma)
    k2 = slope(y + h / 2 * k1, middle)
    k3 = slope(y + h / 2 * k2, middle)
    k4 = slope(y + h * k3, sigma_next)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


# --- ordinary differential equation: several steps remembered ----------------------------------------------


@solver("DPM-Solver++ 2M", order=2)
def dpm_pp_2m(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    denoised = run.denoise(y, sigma)
    run.keep(sigma, denoised)
    h = np.log(sigma / sigma_next)
    if len(run.past) > 1:
        sigma_before, denoised_before = run.past[-2]
        r = np.log(sigma_before / sigma) / h
        denoised = denoised + (denoised - denoised_before) / (2 * r)
    return np.exp(-h) * y - np.expm1(-h) * denoised


@solver("DPM-Solver-v3", order=2)
def dpm_v3(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    return _dpm_v3(run, y, sigma, sigma_next, order=2)


def dpm_v3_first_order(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    """DPM-Solver-v3 without memory."""
    return _dpm_v3(run, y, sigma, sigma_next, order=1)


def _dpm_v3(run: Run, y: Array, sigma: float, sigma_next: float, order: int) -> Array:
    # With N = (y - D) - l y and g = e^{-S} N - int e^{-S} b (measured from here: g = N), the exact solution is
    # y' = e^{-L} [y - int e^{L+S} (g + int e^{-S} b)]; g is taken constant, or linear in lambda.
    assert run.statistics is not None, "DPM-Solver-v3 needs the statistics of its denoiser"
    step = run.statistics.integrals(sigma, sigma_next)
    residual = y - run.denoise(y, sigma) - step.linear * y
    run.keep(sigma, residual)
    bracket = y - step.weight * residual - step.drift
    if order == 2 and len(run.past) > 1:
        sigma_before, residual_before = run.past[-2]
        back = run.statistics.integrals(sigma, sigma_before)
        g_before = back.decay * residual_before - back.shift  # measured from here too
        bracket -= step.moment * (residual - g_before) / np.log(sigma_before / sigma)
    return step.shrink * bracket


# --- stochastic ---------------------------------------------------------------------------------------------


def _power_integral(low: float, high: float, power: float) -> float:
    """int_low^high u^power du, smooth through power = -1."""
    log_ratio, p = np.log(high / low), power + 1
    return float(low**p * (np.expm1(p * log_ratio) / p if abs(p) > 1e-12 else log_ratio))


def _er_sde(run: Run, y: Array, sigma: float, sigma_next: float, order: int) -> Array:
    # phi = u^(1 + eta); D expanded in sigma around the present level, each power integrated exactly.
    r = (sigma_next / sigma) ** (1 + run.eta)
    denoised = run.denoise(y, sigma)
    run.keep(sigma, denoised)
    y_next = r * y + (1 - r) * denoised
    if order > 1 and len(run.past) > 1:
        phi_next = sigma_next ** (1 + run.eta)
        h = sigma_next - sigma
        over_phi = _power_integral(sigma_next, sigma, -1 - run.eta)
        slope = _slope(run.past[-2], run.past[-1])
        y_next += (h + phi_next * over_phi) * slope
        if order > 2 and len(run.past) > 2:
            slope_before = _slope(run.past[-3], run.past[-2])
            curvature = 2 * (slope - slope_before) / (sigma - run.past[-3][0])
            first_moment = _power_integral(sigma_next, sigma, -run.eta) - sigma * over_phi
            y_next += (h**2 / 2 + phi_next * first_moment) * curvature
    if run.eta > 0:
        y_next += np.sqrt(sigma_next**2 - r**2 * sigma**2) * run.noise(y)
    return y_next


def _slope(before: tuple[float, Array], after: tuple[float, Array]) -> Array:
    return (after[1] - before[1]) / (after[0] - before[0])


@solver("ER-SDE 1", order=1, is_random=True)
def er_sde_1(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    return _er_sde(run, y, sigma, sigma_next, order=1)


@solver("ER-SDE 2", order=2, is_random=True)
def er_sde_2(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    return _er_sde(run, y, sigma, sigma_next, order=2)


@solver("ER-SDE 3", order=3, is_random=True)
def er_sde_3(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    return _er_sde(run, y, sigma, sigma_next, order=3)


@solver("predictor-corrector", evaluations=2, is_random=True)
def predictor_corrector(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    r = (sigma_next / sigma) ** 2
    y = r * y + (1 - r) * run.denoise(y, sigma) + sigma_next * np.sqrt(1 - r) * run.noise(y)
    score = (run.denoise(y, sigma_next) - y) / sigma_next**2
    noise = run.noise(y)
    # One step size for the batch, from the mean norms, as in 281.
    ratio = np.sqrt(np.sum(noise**2, axis=1)).mean() / np.sqrt(np.sum(score**2, axis=1)).mean()
    step_size = 2 * (run.snr * ratio) ** 2
    return y + step_size * score + np.sqrt(2 * step_size) * noise


# --- the samplers of 263 -------------------------------------------------------------------------------------
# Written there for x = alpha y on a chain alpha_t; in y all but one alpha cancels, as 1 - alpha_t is
# (sigma^2 - sigma'^2)/(1 + sigma^2). The plain one is Euler in sigma^2.


@solver("plain ODE (263)")
def plain_ode(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    return y - (sigma**2 - sigma_next**2) / (2 * sigma**2) * (y - run.denoise(y, sigma))


@solver("accelerated ODE (263)", evaluations=2, order=2)
def accelerated_ode(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    above = run.sigma_before
    step, step_before = sigma**2 - sigma_next**2, above**2 - sigma**2
    alpha = (1 + sigma**2) / (1 + above**2)  # alpha_{t+1}
    slope = (y - run.denoise(y, sigma)) / sigma**2  # 2 dy/d(sigma^2)
    back = y + alpha * step_before / 2 * slope  # Phi, one step up
    slope_back = (back - run.denoise(back, above)) / above**2
    return y - step / 2 * slope - step**2 / (4 * alpha * step_before) * (slope - slope_back)


@solver("accelerated SDE (263)", is_random=True)
def accelerated_sde(run: Run, y: Array, sigma: float, sigma_next: float) -> Array:
    step = sigma**2 - sigma_next**2
    noisy = y + np.sqrt(step / 2) * run.noise(y)
    return noisy - step / sigma**2 * (noisy - run.denoise(noisy, sigma)) + np.sqrt(step / 2) * run.noise(y)
