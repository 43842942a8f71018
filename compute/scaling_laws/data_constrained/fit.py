r"""Fit the worth of repeated tokens and of excess parameters to runs, planted or brought.

The residuals of log loss are minimized in the summed Huber loss over log R*_D and log R*_N, and where asked over the five
constants of the Chinchilla part too; rows are resampled for intervals.

References
----------
Muennighoff et al. (2023), paper 480 of the catalogue, appendix A.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import least_squares

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval, resample_counts
from compute.methods.compute_optimal import FORMS, law_from_parameters
from compute.methods.power_law import fit_log_huber
from compute.models import repeated_tokens, scaling_form
from compute.models.repeated_tokens import PUBLISHED, RepeatedLaw
from compute.models.scaling_form import Law
from compute.parameters import Column, Dataset, Flag, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.data_constrained.parameters import Compute, DecayParameters, DecayTokens, UniqueTokens

Array = NDArray[np.float64]

HUBER_DELTA = 1e-3
LEVEL = 0.8
LEAST_DECAY, MOST_DECAY = 0.1, 1e4  # beyond these the runs do not tell

TEMPLATE = """N,D,U,loss
1.5e8,4e9,4e9,3.351
1.5e8,1.6e10,4e9,3.178
4e8,8e9,4e9,3.031
4e8,3.2e10,4e9,2.881
1e9,1.6e10,4e9,2.811
1e9,6.4e10,4e9,2.735
1e9,1e9,1e9,3.456
2e9,1.2e10,1e9,3.207
2e9,4e10,1e9,3.165
3e8,3e9,1e9,3.317
5e9,2e10,2e10,2.607
5e9,1e11,2e10,2.406
"""
RUNS = Dataset(
    "your runs",
    columns=(
        Column("N", "parameters", low=1e3, high=1e15),
        Column("D", "training tokens, repeats counted", low=1e3, high=1e18),
        Column("U", "unique tokens", low=1e3, high=1e18),
        Column("loss", "final loss, nats per token", low=1e-3, high=100),
    ),
    template=TEMPLATE,
    help="A CSV of runs to fit in place of the planted ones: N, D, U, loss.",
)

RunCount = Annotated[int, LogInteger("runs", "n", low=10, high=400, help="Planted runs, of 1 to 100 epochs.")]
Noise = Annotated[float, LogReal("noise of log loss", r"\sigma", low=1e-4, high=5e-2)]
Refits = Annotated[int, LogInteger("bootstrap refits", low=10, high=1000, help="Resamples of the rows, each refitted.")]
FitAll = Annotated[bool, Flag("fit the Chinchilla part too", help="Else its five constants stay as published.")]
Table = Annotated[pl.DataFrame | None, RUNS]


@dataclass(frozen=True)
class FittedRuns(Result):
    """Runs, the excess of their loss over that of unique data, and the two constants fitted to them."""

    parameters: Array  # (n_runs,)
    tokens: Array
    unique: Array
    loss: Array
    excess: Array  # (n_runs,) loss over what the fitted Chinchilla part has for unique data, less 1, in percent
    fitted_excess: Array
    decay: tuple[float, float]  # R*_D, R*_N
    refits: Array  # (n_refits, 2)
    truth: tuple[float, float] | None
    plan: tuple[float, float, float]  # parameters, epochs and loss at (U, C)
    plan_epochs: tuple[float, float]  # 80% interval
    residual: float  # root mean square, in log loss

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {
                "kind": "run",
                "N": self.parameters,
                "D": self.tokens,
                "U": self.unique,
                "epochs": self.tokens / self.unique,
                "loss": self.loss,
                "excess_percent": self.excess,
                "fitted_excess_percent": self.fitted_excess,
            }
        )
        refits = pl.DataFrame({"kind": "refit", "decay_tokens": self.refits[:, 0], "decay_parameters": self.refits[:, 1]})
        return pl.concat([runs, refits], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for k, name in enumerate(("R*_D", "R*_N")):
            low, high = interval(self.refits[:, k], LEVEL)
            told = LEAST_DECAY * 1.01 < self.decay[k] < MOST_DECAY / 1.01
            found[name] = self.decay[k] if told else "the runs do not tell"
            found[f"{name}, 80% interval"] = f"{float(low):.3g} to {float(high):.3g}"
            if self.truth is not None:
                found[f"{name}, truth"] = self.truth[k]
        return found | {
            "optimal parameters at U, C": self.plan[0],
            "optimal epochs": self.plan[1],
            "epochs, 80% interval": f"{self.plan_epochs[0]:.3g} to {self.plan_epochs[1]:.3g}",
            "loss there": self.plan[2],
            "root mean square residual, % of loss": 100 * self.residual,
        }


def plant_runs(model: RepeatedLaw, rng: np.random.Generator, n_runs: int, noise: float) -> tuple[Array, Array, Array, Array]:
    """N, D, U and loss of runs on 1e8 to 1e10 unique tokens: 1 to 100 epochs, sizes from a third to thirty times N_opt(U)."""
    unique = 10 ** rng.uniform(8, 10, n_runs)
    tokens = unique * 10 ** rng.uniform(0, 2, n_runs)
    parameters = repeated_tokens.deserved_parameters(model.law, unique) * 10 ** rng.uniform(-0.5, 1.5, n_runs)
    level = repeated_tokens.loss(model, parameters, tokens, unique) * np.exp(noise * rng.standard_normal(n_runs))
    return parameters, tokens, unique, level


def fit_decays(n: Array, d: Array, u: Array, loss: Array, *, start: Array, law: Law | None, counts: Array | None = None) -> Array:
    """Minimize the summed Huber loss of log residuals.

    Parameters
    ----------
    n, d, u, loss : (n_runs,) arrays
    start : (2,) or (7,) array
        log R*_D and log R*_N, and with ``law`` None log E, log A, log B, alpha, beta.
    law : Law or None
        The Chinchilla part where it is fixed.
    counts : (n_runs,) array, optional
        How often each row counts.

    Returns
    -------
    array like ``start``
    """
    rows = np.arange(n.size) if counts is None else np.repeat(np.arange(n.size), counts.astype(int))
    n, d, u, log_loss = n[rows], d[rows], u[rows], np.log(loss[rows])

    def residual(p: Array) -> Array:
        return np.log(repeated_tokens.loss(model_of(p, law), n, d, u)) - log_loss

    low = np.concatenate([[np.log(LEAST_DECAY)] * 2, [-20.0, -20.0, -20.0, 0.02, 0.02]])[: start.size]
    high = np.concatenate([[np.log(MOST_DECAY)] * 2, [5.0, 60.0, 60.0, 3.0, 3.0]])[: start.size]
    inside = np.clip(start, low + 1e-6, high - 1e-6)
    found = least_squares(residual, inside, bounds=(low, high), loss="huber", f_scale=HUBER_DELTA, x_scale="jac", max_nfev=200)
    return np.asarray(found.x)


def model_of(p: Array, law: Law | None) -> RepeatedLaw:
    """Fitted parameters as a law."""
    part = Law(p[2], p[3], p[4], p[5], p[6]) if law is None else law
    return RepeatedLaw(part, np.exp(p[0]), np.exp(p[1]))


def first_guess(n: Array, d: Array, u: Array, loss: Array, free: bool) -> Array:
    """Published decays, and the Chinchilla part fitted with tokens already counted by their worth."""
    decays = np.log([float(PUBLISHED.decay_tokens), float(PUBLISHED.decay_parameters)])
    if not free:
        return decays
    worth = repeated_tokens.effective(d, np.minimum(u, d), PUBLISHED.decay_tokens)
    part = law_from_parameters("chinchilla", fit_log_huber(FORMS["chinchilla"], np.column_stack([n, worth]), loss).parameters)
    return np.concatenate([decays, np.array(part[:5], dtype=float)])


def _fit_seconds(n_runs: int, n_bootstrap: int, fit_all: bool, runs: pl.DataFrame | None, **_: object) -> float:
    rows = n_runs if runs is None else runs.height
    return (n_bootstrap + 1) * (0.036 if fit_all else 0.003) * (0.7 + 0.3 * rows / 60)


@experiment(seconds=_fit_seconds)
def fit_runs(
    *,
    unique_tokens: UniqueTokens = 2.5e10,
    compute: Compute = 1e22,
    decay_tokens: DecayTokens = 15.387756,
    decay_parameters: DecayParameters = 5.309743,
    n_runs: RunCount = 60,
    noise_sigma: Noise = 5e-3,
    fit_all: FitAll = False,
    n_bootstrap: Refits = 20,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, FittedRuns]]:
    """Fit R*_D and R*_N to runs with repeated data, resample the runs, and plan for U unique tokens and compute C.

    Planted runs follow the law with the constants of the controls; a table of yours takes their place. The objective is the
    summed Huber loss of log residuals, threshold 0.001 (paper 480, appendix A).

    Raises
    ------
    ParameterError
        Where no run repeats its data, or there are too few to fit.
    """
    truth = RepeatedLaw(PUBLISHED.law, decay_tokens, decay_parameters)
    if runs is None:
        n, d, u, loss = plant_runs(truth, np.random.default_rng([seed, 1]), n_runs, noise_sigma)
    else:
        n, d, u, loss = (runs[name].to_numpy().astype(float) for name in ("N", "D", "U", "loss"))
        if n.size < (9 if fit_all else 4):
            raise ParameterError("runs", f"has {n.size} rows; the fit needs {9 if fit_all else 4} or more.")
        if not np.any(d > 1.2 * u):
            raise ParameterError("runs", "has no run of more than 1.2 epochs, so that nothing tells what a repeat is worth.")
    law = None if fit_all else PUBLISHED.law
    best = fit_decays(n, d, u, loss, start=first_guess(n, d, u, loss, fit_all), law=law)
    model = model_of(best, law)
    fresh = scaling_form.loss(model.law, n, d)
    fitted = repeated_tokens.loss(model, n, d, u)
    planned = repeated_tokens.optimum(model, compute, unique_tokens)
    plan = (float(planned[0]), float(planned[1] / unique_tokens), float(repeated_tokens.loss(model, *planned, unique_tokens)))
    counts = resample_counts(np.random.default_rng([seed, 2]), n.size, n_bootstrap)
    refits: list[Array] = []
    chunk = max(10, n_bootstrap // 20)
    for k in range(n_bootstrap):
        refits.append(fit_decays(n, d, u, loss, start=best, law=law, counts=counts[k]))
        if (k + 1) % chunk and k + 1 < n_bootstrap:
            continue
        found = np.array(refits)
        several = model_of(found.T, law)
        epochs = repeated_tokens.optimum(several, np.full(len(found), compute), unique_tokens)[1] / unique_tokens
        low, high = interval(epochs, LEVEL)
        result = FittedRuns(
            n,
            d,
            u,
            loss,
            100 * (loss / fresh - 1),
            100 * (fitted / fresh - 1),
            (float(np.exp(best[0])), float(np.exp(best[1]))),
            np.exp(found[:, :2]),
            None if runs is not None else (decay_tokens, decay_parameters),
            plan,
            (float(low), float(high)),
            float(np.sqrt(np.mean(np.log(fitted / loss) ** 2))),
        )
        yield (k + 1) / n_bootstrap, result
