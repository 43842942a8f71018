"""Small runs predict a large one: its loss by the law in compute and tokens per parameter, its downstream error by the loss.

References
----------
Gadre et al. (2024), paper 080 of the catalogue, equations 4 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval, standard_error
from compute.models import over_training
from compute.models.over_training import OverTraining
from compute.parameters import Seed
from compute.scaling_laws.over_training.study import (
    MULTIPLIERS,
    Compute,
    CustomA,
    CustomB,
    CustomE,
    CustomEps,
    CustomEta,
    CustomGamma,
    CustomK,
    Cutoff,
    Design,
    ErrorNoise,
    FreeExponents,
    LawName,
    LossFit,
    Multiplier,
    PerMultiplier,
    Refits,
    Runs,
    SeedNoise,
    Table,
    as_over_training,
    draw_runs,
    fit_error,
    fit_loss,
    laws,
    plan,
    predict,
    resample_loss,
    residual_deviation,
    runs_from_table,
)

Array = NDArray[np.float64]

LEVEL = 0.95
COMPUTE = np.geomspace(1e14, 1e24, 61)
MULTIPLIER = np.geomspace(1, 3000, 61)
LOSSES = np.linspace(1.5, 6.0, 61)


@dataclass(frozen=True)
class Extrapolation(Result):
    """Loss against compute at each M, fitted to small runs; and at the target compute against M."""

    runs: Runs
    compute: Array  # (n_compute,)
    multipliers: Array  # (n_lines,) the last is the target's
    fit: Array  # (n_lines, n_compute)
    truth: Array | None
    low: Array  # (n_compute,) 95% band of the target's line
    high: Array
    across: Array  # (n_m,) multipliers of the second panel
    across_fit: Array  # loss at the target compute
    across_low: Array
    across_high: Array
    across_truth: Array | None
    offset: float  # E, of the truth or of the fit, that reducible loss is measured from
    cutoff: float
    target: tuple[float, float]
    predicted: float
    interval: tuple[float, float]
    error: float  # bootstrap standard error of log loss there
    true_loss: float | None
    other: float  # prediction with the other choice of exponents
    free: bool
    law: OverTraining | None
    true_law: OverTraining | None
    sigma: float

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {
                "kind": "run",
                "C_FLOP": self.runs.compute,
                "M": self.runs.multiplier,
                "loss": self.runs.loss,
                "loss_above_E": self.runs.loss - self.offset,
            }
        )
        parts = [runs]
        for m, fit in zip(self.multipliers, self.fit, strict=True):
            parts.append(
                pl.DataFrame({"kind": "fit", "C_FLOP": self.compute, "loss": fit, "loss_above_E": fit - self.offset}).with_columns(
                    pl.lit(float(m)).alias("M")
                )
            )
        across = {"low_95": self.across_low, "high_95": self.across_high}
        if self.across_truth is not None:
            across["true_loss"] = self.across_truth
        parts.append(
            pl.DataFrame({"kind": "fit at the target compute", "M": self.across, "loss": self.across_fit, **across}).with_columns(
                pl.lit(self.target[0]).alias("C_FLOP")
            )
        )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        low, high = self.interval
        found: dict[str, float | str] = {
            "predicted loss": self.predicted,
            "95% interval": f"{low:.4g} to {high:.4g}",
        }
        if self.true_loss is not None:
            found["true loss"] = self.true_loss
            found["error, %"] = 100 * (self.predicted / self.true_loss - 1)
            found["(fit − truth)/SE"] = (
                float(np.log(self.predicted / self.true_loss) / self.error) if self.error > 1e-9 else "no noise"
            )
        found["equal exponents instead" if self.free else "free exponents instead"] = self.other
        found["compute over the largest run fitted"] = self.target[0] / self.cutoff
        for name, law in (("fit", self.law), ("truth", self.true_law)):
            if law is not None and law.eta > 0.005:
                best = float(over_training.optimal_multiplier(law))
                found[f"compute-optimal M, {name}"] = best if 1e-9 < best < 1e9 else "not told"
                if 1e-9 < best < 1e9:
                    found[f"reducible loss over that of it, {name}"] = float(over_training.excess(law, self.target[1]))
        return found


def _study(
    law: OverTraining, runs: pl.DataFrame | None, drawn: Runs | None, free: bool, n_refits: int, noise: float, seed: int
) -> tuple[Runs, LossFit]:
    """The runs, drawn or brought, and their fit with its refits."""
    seen = drawn if drawn is not None else runs_from_table(runs)  # type: ignore[arg-type]
    fit = fit_loss(seen, free)
    sigma = noise if runs is None else residual_deviation(seen, fit, noise)
    return seen, resample_loss(seen, fit, n_refits, sigma, np.random.default_rng([seed, 2]))


def _seconds(n_bootstrap: int, runs_per_multiplier: int, runs: pl.DataFrame | None, free_exponents: bool, **_: object) -> float:
    rows = 4 * runs_per_multiplier if runs is None else runs.height
    return 0.003 + n_bootstrap * (0.7 + 0.3 * rows / 16) * (4e-5 if free_exponents else 3e-5)


@experiment(seconds=_seconds)
def extrapolate_loss(
    *,
    law: LawName = "redpajama",
    compute: Compute = 7.56e21,
    token_multiplier: Multiplier = 640.0,
    fit_cutoff: Cutoff = 2.5e19,
    runs_per_multiplier: PerMultiplier = 4,
    design: Design = "grid",
    seed_noise: SeedNoise = 0.003,
    free_exponents: FreeExponents = False,
    n_bootstrap: Refits = 60,
    custom_offset: CustomE = 1.8,
    custom_a: CustomA = 200.0,
    custom_b: CustomB = 300.0,
    custom_eta: CustomEta = 0.13,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, Extrapolation]]:
    """Fit L = E + (a M^eta + b M^-eta) C^-eta to small runs and predict a larger, over-trained one.

    Paper 080, equation 4. Planted runs span three decades of compute up to the cutoff at M = 10, 20, 80, 320, or are five. The
    95% band is a parametric bootstrap: the noise of the runs is redrawn around the fit. Of your runs the noise is that of the
    residuals where three degrees of freedom are left, else the noise you state.
    """
    truth, errors = laws(law, custom_offset, custom_a, custom_b, custom_eta)
    drawn = None
    if runs is None:
        drawn = draw_runs(
            truth, errors, *plan(fit_cutoff, runs_per_multiplier, design), seed_noise, 0.0, np.random.default_rng([seed, 1])
        )
    seen, found = _study(truth, runs, drawn, free_exponents, n_bootstrap, seed_noise, seed)
    here = np.array([compute])
    low, high = interval(found.refit_losses(COMPUTE, np.array(token_multiplier)), LEVEL)
    across_low, across_high = interval(found.refit_losses(here, MULTIPLIER), LEVEL)
    at_target = found.refit_losses(here, np.array(token_multiplier))[:, 0]
    predicted = float(found.loss(here, np.array(token_multiplier))[0])
    known = None if runs is not None else truth
    shown = np.append(np.array(MULTIPLIERS), token_multiplier)
    fitted_law = as_over_training(found.fit)
    offset = float(np.exp(found.fit.log_coefficients[0])) if known is None else float(truth.E)
    limits = interval(at_target, LEVEL)
    try:
        other = float(predict(fit_loss(seen, not free_exponents), here, np.array(token_multiplier))[0])
    except ValueError:  # too few runs for free exponents
        other = predicted
    result = Extrapolation(
        seen,
        COMPUTE,
        shown,
        found.loss(COMPUTE[None, :], shown[:, None]),
        None if known is None else over_training.loss(known, COMPUTE[None, :], shown[:, None]),
        low,
        high,
        MULTIPLIER,
        found.loss(here, MULTIPLIER),
        across_low,
        across_high,
        None if known is None else over_training.loss(known, compute, MULTIPLIER),
        offset,
        fit_cutoff if runs is None else float(seen.compute.max()),
        (compute, token_multiplier),
        predicted,
        (float(limits[0]), float(limits[1])),
        float(standard_error(np.log(at_target))),
        None if known is None else float(over_training.loss(known, compute, token_multiplier)),
        other,
        free_exponents,
        fitted_law,
        known,
        found.sigma,
    )
    yield 1.0, result


# --- downstream error --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Downstream(Result):
    """Downstream error against loss, and predicted against compute through the predicted loss."""

    runs: Runs
    level: Array  # (n_levels,)
    fit: Array  # (n_levels,)
    low: Array
    high: Array
    truth: Array | None
    compute: Array  # (n_compute,)
    by_compute: Array
    by_compute_low: Array
    by_compute_high: Array
    by_compute_truth: Array | None
    target: tuple[float, float]
    cutoff: float
    predicted: float
    interval: tuple[float, float]
    predicted_loss: float
    share_of_loss: float  # of the variance at the target, what the loss brings in
    error: float
    true_error: float | None
    constants: str

    def table(self) -> pl.DataFrame:
        kept = np.isfinite(self.runs.error)
        runs = pl.DataFrame(
            {
                "kind": "run",
                "C_FLOP": self.runs.compute[kept],
                "M": self.runs.multiplier[kept],
                "loss": self.runs.loss[kept],
                "downstream_error": self.runs.error[kept],
            }
        )
        by_loss = pl.DataFrame(
            {"kind": "fit", "loss": self.level, "downstream_error": self.fit, "low_95": self.low, "high_95": self.high}
        )
        by_compute = pl.DataFrame(
            {
                "kind": "prediction",
                "C_FLOP": self.compute,
                "downstream_error": self.by_compute,
                "low_95": self.by_compute_low,
                "high_95": self.by_compute_high,
            }
        )
        return pl.concat([runs, by_loss, by_compute], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        low, high = self.interval
        found: dict[str, float | str] = {
            "predicted downstream error": self.predicted,
            "95% interval": f"{low:.4g} to {high:.4g}",
        }
        if self.true_error is not None:
            found["true downstream error"] = self.true_error
            found["relative error, %"] = 100 * (self.predicted / self.true_error - 1)
            found["(fit − truth)/SE"] = (self.predicted - self.true_error) / self.error if self.error > 1e-9 else "no noise"
        return found | {
            "from a predicted loss of": self.predicted_loss,
            "share of the variance that the loss brings": self.share_of_loss,
            "fitted ε, k, γ": self.constants,
        }


@experiment(
    seconds=lambda n_bootstrap, runs_per_multiplier, runs, free_exponents, **_: (
        _seconds(n_bootstrap, runs_per_multiplier, runs, free_exponents) + 6e-4 * n_bootstrap
    )
)
def downstream_error(
    *,
    law: LawName = "redpajama",
    compute: Compute = 7.56e21,
    token_multiplier: Multiplier = 640.0,
    fit_cutoff: Cutoff = 2.5e19,
    runs_per_multiplier: PerMultiplier = 4,
    design: Design = "grid",
    seed_noise: SeedNoise = 0.003,
    error_noise: ErrorNoise = 0.004,
    free_exponents: FreeExponents = False,
    n_bootstrap: Refits = 60,
    custom_offset: CustomE = 1.8,
    custom_a: CustomA = 200.0,
    custom_b: CustomB = 300.0,
    custom_eta: CustomEta = 0.13,
    custom_eps: CustomEps = 0.85,
    custom_k: CustomK = 2.0,
    custom_gamma: CustomGamma = 0.75,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, Downstream]]:
    """Fit Err = eps - k exp(-gamma L) to the small runs and predict the error of a large one through its predicted loss.

    Paper 080, equation 5. The band draws both noises anew: the loss law and the error law are refitted together.

    Raises
    ------
    ParameterError
        Where fewer than four of your runs have an error.
    """
    truth, errors = laws(law, custom_offset, custom_a, custom_b, custom_eta, custom_eps, custom_k, custom_gamma)
    drawn = None
    if runs is None:
        drawn = draw_runs(
            truth,
            errors,
            *plan(fit_cutoff, runs_per_multiplier, design),
            seed_noise,
            error_noise,
            np.random.default_rng([seed, 1]),
        )
    seen, found = _study(truth, runs, drawn, free_exponents, n_bootstrap, seed_noise, seed)
    rated = np.isfinite(seen.error)
    level, error = seen.loss[rated], seen.error[rated]
    best = fit_error(level, error)
    spread = error_noise
    if runs is not None and level.size > 5:
        spread = float(np.sqrt(np.sum((best(level) - error) ** 2) / (level.size - 3)))
    rng = np.random.default_rng([seed, 3])
    here, m = np.array([compute]), np.array(token_multiplier)
    path = found.loss(COMPUTE, m)
    at_loss = found.loss(here, m)
    curves, along, at_target, by_law, by_loss = [], [], [], [], []
    center = predict(found.fit, seen.compute[rated], seen.multiplier[rated])
    for reached, line in zip(found.refit_losses(here, m), found.refit_losses(COMPUTE, m), strict=True):
        noisy = center * np.exp(found.sigma * rng.standard_normal(level.size))
        again = fit_error(noisy, best(noisy) + spread * rng.standard_normal(level.size), best)
        curves.append(again(LOSSES))
        along.append(again(line))
        at_target.append(float(again(reached)[0]))
        by_law.append(float(again(at_loss)[0]))
        by_loss.append(float(best(reached)[0]))
    low, high = interval(np.array(curves), LEVEL)
    path_low, path_high = interval(np.array(along), LEVEL)
    limits = interval(np.array(at_target), LEVEL)
    from_loss, from_law = float(np.var(by_loss)), float(np.var(by_law))
    fitted = best.law
    known = runs is None
    result = Downstream(
        seen,
        LOSSES,
        np.clip(best(LOSSES), -1, 2),
        np.clip(low, -1, 2),
        np.clip(high, -1, 2),
        over_training.error(errors, LOSSES) if known else None,
        COMPUTE,
        np.clip(best(path), -1, 2),
        np.clip(path_low, -1, 2),
        np.clip(path_high, -1, 2),
        over_training.error(errors, over_training.loss(truth, COMPUTE, token_multiplier)) if known else None,
        (compute, token_multiplier),
        fit_cutoff if known else float(seen.compute.max()),
        float(best(at_loss)[0]),
        (float(limits[0]), float(limits[1])),
        float(at_loss[0]),
        from_loss / max(from_loss + from_law, 1e-300),
        float(standard_error(np.array(at_target))),
        float(over_training.error(errors, over_training.loss(truth, compute, token_multiplier))) if known else None,
        "the errors do not level off" if fitted is None else f"{fitted.eps:.3g}, {fitted.k:.3g}, {fitted.gamma:.3g}",
    )
    yield 1.0, result
