"""The small runs of this lab: how they are planned, drawn or brought, and fitted, and the parameters that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from compute.methods.compute_optimal import FORMS
from compute.methods.power_law import PowerLawFit, fit_each_log_huber, fit_log_huber
from compute.models import over_training
from compute.models.over_training import PUBLISHED, PUBLISHED_ERRORS, ErrorLaw, OverTraining
from compute.parameters import Choice, Column, Dataset, Flag, Integer, LogInteger, LogReal, ParameterError, Real

Array = NDArray[np.float64]

MULTIPLIERS = (10.0, 20.0, 80.0, 320.0)  # of the grid of runs
DECADES = 3.0  # of compute below the cutoff
HUBER_DELTA = 1e-3
MOST_LOG = 50.0  # a refit whose log loss is beyond this has left the data

LawName = Annotated[str, Choice("law", options=(*PUBLISHED, "custom"), help="What runs are drawn from: a published fit, or yours.")]
Compute = Annotated[float, LogReal("compute", "C", low=1e16, high=1e24, unit="FLOP", help="Of the run that is predicted.")]
Multiplier = Annotated[float, LogReal("tokens per parameter", "M", low=5.0, high=1000.0, help="Of the run that is predicted.")]
Cutoff = Annotated[float, LogReal("largest run fitted", low=1e17, high=1e22, unit="FLOP", help="Runs span three decades below it.")]
SeedNoise = Annotated[float, Real("noise of log loss", r"\sigma", low=0.0, high=0.02, help="Between runs of different seeds.")]
PerMultiplier = Annotated[int, Integer("runs per multiplier", low=2, high=8, help="At each of M = 10, 20, 80, 320.")]
Design = Annotated[
    str, Choice("runs", options=("grid", "five_runs"), help="Five runs: four sizes at M = 20 and the smallest at M = 320.")
]
FreeExponents = Annotated[bool, Flag("free exponents", help="Fit one exponent for N and another for D.")]
Refits = Annotated[int, LogInteger("bootstrap refits", low=20, high=2000, help="Fits to runs redrawn from the fit.")]
ErrorNoise = Annotated[float, Real("noise of downstream error", low=0.0, high=0.03, help="Standard deviation over runs.")]

CustomEta = Annotated[float, Real("custom: exponent", r"\eta", low=0.05, high=0.4, when=("law", ("custom",)))]
CustomE = Annotated[float, Real("custom: irreducible loss", "E", low=0.0, high=3.0, when=("law", ("custom",)))]
CustomA = Annotated[float, LogReal("custom: parameter coefficient", "a", low=1.0, high=1e6, when=("law", ("custom",)))]
CustomB = Annotated[float, LogReal("custom: token coefficient", "b", low=1.0, high=1e6, when=("law", ("custom",)))]
CustomEps = Annotated[float, Real("custom: error of no skill", r"\varepsilon", low=0.3, high=1.0, when=("law", ("custom",)))]
CustomK = Annotated[float, LogReal("custom: error coefficient", "k", low=0.1, high=20.0, when=("law", ("custom",)))]
CustomGamma = Annotated[float, Real("custom: error decay", r"\gamma", low=0.2, high=2.0, when=("law", ("custom",)))]

TEMPLATE = """N,D,loss,error,dataset
1.1e7,2.2e8,5.2,0.807,mine
7.9e7,1.58e9,3.945,0.726,mine
1.54e8,3.08e9,3.621,0.694,mine
4.11e8,8.22e9,3.204,0.635,mine
1.1e7,3.52e9,4.756,0.782,mine
7.9e7,6.3e9,3.716,0.705,mine
1.54e8,1.23e10,3.437,0.671,mine
7.9e7,2.53e10,3.614,0.692,mine
"""
RUNS = Dataset(
    "your runs",
    columns=(
        Column("N", "parameters", low=1e3, high=1e15),
        Column("D", "training tokens", low=1e3, high=1e18),
        Column("loss", "final loss, nats per token", low=1e-3, high=100),
        Column("error", "downstream top-1 error, 0 to 1", required=False, low=0.0, high=1.0),
        Column("dataset", "training set; only rows of the most frequent one are fitted", required=False, is_text=True),
    ),
    template=TEMPLATE,
    help="A CSV of runs to fit in place of the planted ones: N, D, loss, and where known error and dataset.",
)
Table = Annotated[pl.DataFrame | None, RUNS]


@dataclass(frozen=True)
class Runs:
    """Small runs, one a row."""

    compute: Array  # (n,) FLOP
    multiplier: Array  # (n,) tokens per parameter
    loss: Array  # (n,)
    error: Array  # (n,) NaN where not known

    @property
    def n(self) -> int:
        return self.loss.size


def plan(cutoff: float, per_multiplier: int, design: str) -> tuple[Array, Array]:
    """Compute and multiplier of each run of a study."""
    if design == "five_runs":
        compute = np.geomspace(cutoff / 10**DECADES, cutoff, 4)
        # The fifth has the size of the smallest and 16 times its tokens.
        return np.append(compute, 16 * compute[0]), np.array([20.0, 20.0, 20.0, 20.0, 320.0])
    compute = np.geomspace(cutoff / 10**DECADES, cutoff, per_multiplier)
    return np.tile(compute, len(MULTIPLIERS)), np.repeat(np.array(MULTIPLIERS), per_multiplier)


def draw_runs(
    law: OverTraining,
    errors: ErrorLaw,
    compute: Array,
    multiplier: Array,
    seed_noise: float,
    error_noise: float,
    rng: np.random.Generator,
) -> Runs:
    """Planted runs: noise on log loss, and on the downstream error that the drawn loss brings."""
    level = over_training.loss(law, compute, multiplier) * np.exp(seed_noise * rng.standard_normal(compute.size))
    found = over_training.error(errors, level) + error_noise * rng.standard_normal(compute.size)
    return Runs(compute, multiplier, level, np.clip(found, 0.0, 1.0))


def runs_from_table(table: pl.DataFrame) -> Runs:
    """Runs from an uploaded table, of its most frequent training set."""
    if "dataset" in table.columns and table["dataset"].drop_nulls().len():
        name = table["dataset"].drop_nulls().mode().sort()[0]
        table = table.filter(pl.col("dataset") == name)
    n, d = table["N"].to_numpy(), table["D"].to_numpy()
    error = table["error"].fill_null(np.nan).to_numpy() if "error" in table.columns else np.full(table.height, np.nan)
    return Runs(over_training.FLOP_PER_PARAMETER_TOKEN * n * d, d / n, table["loss"].to_numpy(), error)


def laws(
    name: str, E: float, a: float, b: float, eta: float, eps: float = 0.85, k: float = 2.0, gamma: float = 0.75
) -> tuple[OverTraining, ErrorLaw]:
    """The laws of a name, or the custom ones."""
    if name == "custom":
        return OverTraining(E, a, b, eta), ErrorLaw(eps, k, gamma)
    return PUBLISHED[name], PUBLISHED_ERRORS[name]


# --- the loss --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossFit:
    """A fitted law of the loss, and refits to runs redrawn from it."""

    fit: PowerLawFit
    refits: Array  # (n_refits, n_constants)
    sigma: float  # of log loss, with which runs are redrawn

    def loss(self, compute: Array, multiplier: Array) -> Array:
        return predict(self.fit, compute, multiplier)

    def refit_losses(self, compute: Array, multiplier: Array) -> Array:
        """(n_refits, …)"""
        return predict_each(self.refits, compute, multiplier)

    @property
    def law(self) -> OverTraining | None:
        """The fit as a law in (C, M); None where its exponents are free."""
        return as_over_training(self.fit)


def as_over_training(fit: PowerLawFit) -> OverTraining | None:
    """A fit with equal exponents as a law in (C, M)."""
    if fit.form != FORMS["equal_exponents"]:
        return None
    e, a, b, alpha = (float(v) for v in fit.parameters)
    six = 6 ** (alpha / 2)
    return OverTraining(float(np.exp(e)), float(np.exp(a)) * six, float(np.exp(b)) * six, alpha / 2)


def predict(fit: PowerLawFit, compute: Array, multiplier: Array) -> Array:
    """Loss of a fit at compute and multiplier, broadcast."""
    return predict_each(fit.parameters[None], compute, multiplier)[0]


def predict_each(parameters: Array, compute: Array, multiplier: Array) -> Array:
    """(n_laws, …) losses of (n_laws, n_constants) laws of either form."""
    log_n, log_d = (np.log(v) for v in np.broadcast_arrays(*over_training.sizes(compute, multiplier)))
    # One exponent serves both terms, or each has its own: the last column is beta either way.
    e, a, b, alpha = (parameters[:, k].reshape(-1, *[1] * log_n.ndim) for k in range(4))
    beta = parameters[:, -1].reshape(alpha.shape)
    log_loss = np.logaddexp(e, np.logaddexp(a - alpha * log_n, b - beta * log_d))
    return np.asarray(np.exp(np.clip(log_loss, -MOST_LOG, MOST_LOG)))


def fit_loss(runs: Runs, free: bool, start: Array | None = None) -> PowerLawFit:
    """The log-Huber fit of E + A N^-alpha + B D^-beta, beta = alpha unless ``free``.

    Raises
    ------
    ParameterError
        Where there are fewer runs than constants.
    """
    form = FORMS["chinchilla" if free else "equal_exponents"]
    if runs.n < form.n_parameters:
        raise ParameterError(
            "runs", f"has {runs.n} runs; this law has {form.n_parameters} constants and needs as many runs or more."
        )
    x = np.column_stack(over_training.sizes(runs.compute, runs.multiplier))
    return fit_log_huber(form, x, runs.loss, huber_delta=HUBER_DELTA, starts=start)


def resample_loss(runs: Runs, fit: PowerLawFit, n_refits: int, sigma: float, rng: np.random.Generator) -> LossFit:
    """Parametric bootstrap: the runs' plan stays, their noise is drawn anew around the fit."""
    center = predict(fit, runs.compute, runs.multiplier)
    redrawn = center * np.exp(sigma * rng.standard_normal((n_refits, runs.n)))
    x = np.column_stack(over_training.sizes(runs.compute, runs.multiplier))
    return LossFit(fit, fit_each_log_huber(fit, x, redrawn, huber_delta=HUBER_DELTA), sigma)


def residual_deviation(runs: Runs, fit: PowerLawFit, otherwise: float) -> float:
    """Standard deviation of log residuals with their degrees of freedom; ``otherwise`` where there are fewer than three."""
    free = runs.n - fit.form.n_parameters
    if free < 3:
        return otherwise
    r = np.log(runs.loss / predict(fit, runs.compute, runs.multiplier))
    return float(np.sqrt(np.sum(r**2) / free))


# --- the downstream error ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorFit:
    """Err(L) = height - slope (exp(-gamma (L - center)) - 1)/gamma: the law eps - k exp(-gamma L) around its data.

    It has the same three degrees of freedom but stays well conditioned where the data show little bend.
    """

    center: float
    height: float
    slope: float
    gamma: float

    def __call__(self, level: Array) -> Array:
        return np.asarray(_error_shape(np.asarray(level) - self.center, self.height, self.slope, self.gamma))

    @property
    def law(self) -> ErrorLaw | None:
        """eps, k, gamma; None where the error does not level off at high loss."""
        if self.gamma < 1e-3 or self.slope <= 0:
            return None
        rise = self.slope / self.gamma
        return ErrorLaw(self.height + rise, rise * float(np.exp(min(self.gamma * self.center, 500.0))), self.gamma)


def _bend(x: Array, gamma: float) -> tuple[Array, Array]:
    """(exp(-gamma x) - 1)/gamma and its derivative in gamma, by their series where gamma x is small."""
    u = np.clip(-gamma * x, -60.0, 60.0)
    small = np.abs(u) < 1e-4
    safe = gamma if abs(gamma) > 1e-12 else 1e-12
    bend = np.where(small, -x * (1 + u / 2), np.expm1(u) / safe)
    return bend, np.where(small, x * x * (0.5 + u / 3), -(x * np.exp(u) + bend) / safe)


def _error_shape(x: Array, height: float, slope: float, gamma: float) -> Array:
    return np.asarray(height - slope * _bend(x, gamma)[0])


def _error_jacobian(x: Array, height: float, slope: float, gamma: float) -> Array:
    bend, by_gamma = _bend(x, gamma)
    return np.column_stack([np.ones(x.size), -bend, -slope * by_gamma])


def fit_error(level: Array, error: Array, start: ErrorFit | None = None) -> ErrorFit:
    """Least squares by ``scipy.optimize.curve_fit``.

    Raises
    ------
    ParameterError
        Where fewer than four runs have an error.
    """
    if level.size < 4:
        raise ParameterError("runs", "needs the column error in four runs or more for this view.")
    center = float(np.mean(level))
    if start is None:
        slope, height = np.polyfit(level - center, error, 1)
        guess = [height, slope, 0.5]
    else:
        guess = [start.height, start.slope, start.gamma]
    try:
        found, _ = curve_fit(_error_shape, level - center, error, p0=guess, jac=_error_jacobian, maxfev=200)
    except RuntimeError:
        found = np.array(guess)
    return ErrorFit(center, *(float(v) for v in found))
