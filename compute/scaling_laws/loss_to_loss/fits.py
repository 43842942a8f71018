r"""Fits of a dataset's own law and of the map between two losses, and their bootstrap.

The map is L1 = K (L0 - E0)^kappa + E1 (paper 134, equation 5), with E0 from dataset 0's own law. Given E0 it is a power law with
an offset in x = L0 - E0, fitted like any other by the log-Huber objective.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize_scalar

from compute.methods.power_law import PowerLawFit, PowerLawForm, fit_each_log_huber, fit_log_huber, grid_starts
from compute.parameters import ParameterError
from compute.scaling_laws.loss_to_loss.runs import Measured, Places

Array = NDArray[np.float64]

SHIFTED = PowerLawForm(groups=((0,), (1,)))  # log-offset, log-coefficient, exponent
CHINCHILLA = PowerLawForm(groups=((0, 0), (1, 0), (0, 2)))
N_CONSTANTS = {"compute": 3, "coupled": 5, "additive": 5}
HUBER_DELTA = 0.05  # beyond a residual of 5% a run counts as an outlier
LARGEST = 50.0  # of a log loss: refits of a few noisy runs must not overflow


# --- a dataset's own law -------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnLaw:
    """L = E + … in compute, or in N and D."""

    form: str
    parameters: Array  # of the power-law form; for "coupled" (log E, log A, log B, ratio, beta)
    fit: PowerLawFit | None

    @property
    def offset(self) -> float:
        return float(np.exp(self.parameters[0]))

    def predict(self, places: Places) -> Array:
        return predict(self.form, self.parameters[None], places)[0]


def predict(form: str, parameters: Array, places: Places) -> Array:
    """(n_laws, n) losses of (n_laws, n_constants) laws."""
    p = parameters.T[:, :, None]
    if form == "coupled":
        return np.asarray(np.exp(_coupled_log_loss(p, np.log(places.variables()))))
    if form == "compute":
        terms = p[1] - p[2] * np.log(places.compute)
    else:
        log_n, log_d = np.log(places.variables()).T
        terms = np.logaddexp(p[1] - p[3] * log_n, p[2] - p[4] * log_d)
    return np.asarray(np.exp(np.minimum(np.logaddexp(p[0], terms), LARGEST)))


def _coupled_log_loss(p: Array, x: Array) -> Array:
    """log(E + (A N^-r + B/D)^beta) for parameters (log E, log A, log B, r, beta)."""
    inner = np.logaddexp(p[1] - p[3] * x[:, 0], p[2] - x[:, 1])
    return np.asarray(np.minimum(np.logaddexp(p[0], p[4] * inner), LARGEST))


def fit_own_law(form: str, places: Places, losses: Array) -> OwnLaw:
    """Fit a dataset's law; with fewer runs than constants its three-constant law in compute."""
    if losses.size < N_CONSTANTS[form]:
        form = "compute"
    if form == "coupled":
        return OwnLaw(form, _fit_coupled(places, losses), None)
    x = places.compute if form == "compute" else places.variables()
    power_law = SHIFTED if form == "compute" else CHINCHILLA
    starts = grid_starts(power_law, x, losses, exponents=(0.1, 0.3), offsets=(0.4, 0.8))
    fit = fit_log_huber(power_law, x, losses, starts=starts, huber_delta=HUBER_DELTA)
    return OwnLaw(form, fit.parameters, fit)


def _fit_coupled(places: Places, losses: Array) -> Array:
    """Least squares of the log loss; its offset stands outside the power, so it is no ``PowerLawForm``."""
    x, y = np.log(places.variables()), np.log(losses)
    center = x.mean(axis=0)
    moved = x - center
    left = 0.4 * losses.min()
    beta = 0.4
    level = np.log(losses.mean() - left) / beta - np.log(2)
    found = least_squares(
        lambda p: _coupled_log_loss(p, moved) - y,
        np.array([np.log(left), level, level, 1.0, beta]),
        jac=lambda p: _coupled_jacobian(p, moved),
        method="lm" if y.size > 5 else "trf",
        max_nfev=200,
    )
    p = found.x.copy()
    # Raw variables: A N^-r = A' (N/N0)^-r.
    p[1] += p[3] * center[0]
    p[2] += center[1]
    return np.asarray(p)


def _coupled_jacobian(p: Array, x: Array) -> Array:
    first, second = p[1] - p[3] * x[:, 0], p[2] - x[:, 1]
    inner = np.logaddexp(first, second)
    log_loss = np.logaddexp(p[0], p[4] * inner)
    reducible = np.exp(p[4] * inner - log_loss)
    share = np.exp(first - inner)
    columns = [1 - reducible, reducible * p[4] * share, reducible * p[4] * (1 - share)]
    return np.column_stack([*columns, -reducible * p[4] * share * x[:, 0], reducible * inner])


def own_jacobian(law: OwnLaw, places: Places) -> Array:
    """(n, n_constants) derivatives of the log loss in a law's parameters."""
    p = law.parameters
    if law.form == "compute":
        return shifted_jacobian(p, np.log(places.compute))
    x = np.log(places.variables())
    if law.form == "coupled":
        return _coupled_jacobian(p, x)
    terms = np.column_stack([np.full(len(x), p[0]), p[1] - p[3] * x[:, 0], p[2] - p[4] * x[:, 1]])
    share = np.exp(terms - np.logaddexp.reduce(terms, axis=1)[:, None])
    return np.column_stack([share, -share[:, 1] * x[:, 0], -share[:, 2] * x[:, 1]])


def shifted_jacobian(parameters: Array, log_x: Array) -> Array:
    """d log(E + A x^-g)/d(log E, log A, g)."""
    term = parameters[1] - parameters[2] * log_x
    share = np.exp(term - np.logaddexp(parameters[0], term))
    return np.column_stack([1 - share, share, -share * log_x])


def response(law: OwnLaw, places: Places) -> Array:
    """(n_constants, n): how a least-squares fit moves with the noise of its log losses."""
    return np.asarray(np.linalg.pinv(own_jacobian(law, places), rcond=1e-13))


# --- the map -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossMap:
    """L1 = K (L0 - E0)^kappa + E1."""

    offset_0: float
    fit: PowerLawFit
    scatter: float  # standard deviation of log L1 about the map

    @property
    def kappa(self) -> float:
        return float(-self.fit.exponents[0])

    @property
    def coefficient(self) -> float:
        return float(np.exp(self.fit.log_coefficients[1]))

    @property
    def offset_1(self) -> float:
        return float(np.exp(self.fit.log_coefficients[0]))

    def predict(self, loss_0: Array) -> Array:
        return map_losses(self.fit.parameters[None], np.array([self.offset_0]), loss_0)[0]


def map_losses(parameters: Array, offset_0: Array, loss_0: Array) -> Array:
    """(n_maps, n) losses on dataset 1; at or below E0 the map gives E1."""
    left = np.maximum(loss_0 - offset_0[:, None], 1e-12)
    log_loss = np.logaddexp(parameters[:, :1], parameters[:, 1:2] - parameters[:, 2:] * np.log(left))
    return np.asarray(np.exp(np.minimum(log_loss, LARGEST)))


def fit_map(offset_0: float, loss_0: Array, loss_1: Array, *, starts: Array | None = None) -> LossMap:
    """Fit (K, kappa, E1) at a given E0, which must lie below every loss_0."""
    left = loss_0 - offset_0
    if starts is None:
        starts = grid_starts(SHIFTED, left, loss_1, exponents=(-0.6, -1.4), offsets=(0.3, 0.8))
    fit = fit_log_huber(SHIFTED, left, loss_1, starts=starts, huber_delta=HUBER_DELTA)
    residual = np.log(loss_1) - fit.log_prediction(left[:, None])
    free = max(loss_1.size - 3, 1)
    return LossMap(offset_0, fit, float(np.sqrt(np.sum(residual**2) / free)))


def fit_map_and_offset(loss_0: Array, loss_1: Array) -> LossMap:
    """Fit E0 too, where dataset 0 has no compute of its own to take it from."""
    found = minimize_scalar(
        lambda e: fit_map(e, loss_0, loss_1).fit.objective, bounds=(0.0, 0.999 * loss_0.min()), method="bounded"
    )
    return fit_map(float(found.x), loss_0, loss_1)


# --- both together -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Analysis:
    """The fits to one set of measurements, and what they say of dataset 1 at the target."""

    measured: Measured
    source: OwnLaw | None  # dataset 0's own law
    loss_map: LossMap
    own: OwnLaw | None  # dataset 1's own law, from its few runs
    loss_0_target: float | None
    by_map: float | None
    by_own: float | None


def analyze(measured: Measured) -> Analysis:
    """Fit dataset 0's law, the map, and dataset 1's own law.

    Raises
    ------
    ParameterError
        Where the fitted E0 is not below the losses that are to be mapped.
    """
    places = measured.places
    x0, y0 = places, measured.loss_0
    if measured.target_0 is not None:
        x0, y0 = joined(places, measured.target), np.append(y0, measured.target_0)
    source = fit_own_law(measured.form, x0, y0)
    pair_0 = measured.loss_0[measured.paired]
    if not source.offset < pair_0.min():
        raise ParameterError("noise", "leaves an irreducible loss of dataset 0 above its own runs; use less noise or another seed.")
    loss_map = fit_map(source.offset, pair_0, measured.loss_1)
    own = fit_own_law(measured.form, places.keep(measured.paired), measured.loss_1)
    at_target = float(source.predict(measured.target)[0]) if measured.target_0 is None else measured.target_0
    by_map = float(loss_map.predict(np.array([at_target]))[0])
    return Analysis(measured, source, loss_map, own, at_target, by_map, float(own.predict(measured.target)[0]))


def joined(places: Places, more: Places) -> Places:
    return Places(*(np.concatenate([getattr(places, f), getattr(more, f)]) for f in ("compute", "n_parameters", "n_tokens")))


@dataclass(frozen=True)
class Refitted:
    """Bootstrap refits of the map, and of dataset 1's own law."""

    maps: Array  # (n_refits, 3) log E1, log K, -kappa
    offset_0: Array  # (n_refits,)
    own: Array  # (n_refits, n_constants)
    source: Array  # (n_refits, n_constants)

    @property
    def kappa(self) -> Array:
        return -self.maps[:, 2]


def refit(analysis: Analysis, n_refits: int, shared_noise: float, rng: np.random.Generator) -> Refitted:
    """Parametric bootstrap of every constant, E0 among them: resampling the rows of a handful of runs says little.

    Log losses are redrawn about their fits with the scatter of dataset 0's runs about its law, a share of it common to both
    losses of a pair. Dataset 0's law moves to first order; the map and dataset 1's law are refitted.
    """
    measured, source, own, fitted = analysis.measured, analysis.source, analysis.own, analysis.loss_map
    at, n_runs = measured.paired, measured.loss_0.size
    pair_0 = measured.loss_0[at]
    common, own_0, own_1 = rng.standard_normal((3, n_refits, n_runs))
    if source is None or own is None:  # no law of dataset 0: its losses are taken as they are
        redrawn = np.log(fitted.predict(pair_0)) + fitted.scatter * own_1[:, at]
        offset = np.full(n_refits, fitted.offset_0)
        maps = _refit_maps(fitted, (pair_0 - fitted.offset_0)[:, None], np.exp(redrawn))
        return Refitted(maps, offset, np.empty((n_refits, 0)), np.empty((n_refits, 0)))
    level_0 = np.log(source.predict(measured.places))
    sigma = np.sqrt(np.sum((np.log(measured.loss_0) - level_0) ** 2) / max(n_runs - source.parameters.size, 1))
    root, rest = sigma * np.sqrt([shared_noise, 1 - shared_noise])
    noise_0, noise_1 = root * common + rest * own_0, (root * common + rest * own_1)[:, at]
    sources = source.parameters + noise_0 @ response(source, measured.places).T
    losses_0 = np.exp(level_0 + noise_0)[:, at]
    offset = np.minimum(np.exp(np.minimum(sources[:, 0], LARGEST)), 0.98 * losses_0.min(axis=1))
    centers = np.exp(level_0[at])
    losses_1 = np.exp(np.log(fitted.predict(centers)) + noise_1)
    maps = _refit_maps(fitted, (losses_0 - offset[:, None])[:, :, None], losses_1)
    places = measured.places.keep(at)
    own_losses = np.exp(np.log(own.predict(places)) + noise_1)
    return Refitted(maps, offset, _refit_own(own, places, own_losses), sources)


def _refit_maps(fitted: LossMap, left: Array, loss_1: Array) -> Array:
    return fit_each_log_huber(fitted.fit, left, loss_1, huber_delta=HUBER_DELTA)


def _refit_own(own: OwnLaw, places: Places, losses: Array) -> Array:
    """(n_refits, n_constants) of (n_refits, n) losses."""
    if own.fit is None:
        return np.array([_fit_coupled(places, y) for y in losses])
    x = places.compute[:, None] if own.form == "compute" else places.variables()
    return fit_each_log_huber(own.fit, x, losses, huber_delta=HUBER_DELTA)


def misfit(loss_0: Array, loss_1: Array, offset_0: float, start: Array | None = None) -> tuple[float, LossMap]:
    """Root-mean-square of log L1 about the best map of noise-free losses: 0 where the map is exact."""
    found = fit_map(offset_0, loss_0, loss_1, starts=start)
    residual = np.log(loss_1) - np.log(found.predict(loss_0))
    return float(np.sqrt(np.mean(residual**2))), found
